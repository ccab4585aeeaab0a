"""Histories of tickets for the engine's tests: facts by the minute, policies and books from definitions."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies

from sla_plugin.engine.business_time import business_time
from sla_plugin.engine.calendars import Calendar
from sla_plugin.engine.durations import MINUTE
from sla_plugin.engine.evaluate import Clock, Verdict
from sla_plugin.engine.facts import Fact
from sla_plugin.engine.instants import instant
from sla_plugin.engine.policies import Book, Policy, Terms

START = instant("2026-11-16T09:00:00Z")  # a Monday
OFFICE = business_time(
    Calendar.from_definition(
        {
            "time_zone": "Europe/Berlin",
            "hours": {day: ["08:00-12:00", "13:00-18:00"] for day in ("mon", "tue", "wed", "thu", "fri")},
            "holidays": ["2026-11-18"],
        },
        "office",
    )
)
SHOP = business_time(Calendar.from_definition({"time_zone": "America/New_York", "hours": {day: ["10:00-22:00"] for day in ("mon", "wed", "sat")}}, "shop"))
ALL = {
    "first_response": {"P0": "15m", "P1": "1h", "P2": "2h"},
    "next_response": "90m",
    "periodic_update": "4h",
    "pausable_update": {"*": {"target": "3h", "counts": "calendar"}},
    "resolution": {"P0": "2h", "P1": "8h", "*": "16h"},
    "requester_wait": "10h",
    "agent_work": "6h",
    "group_ownership": "2h",
    "time_to_assign": "30m",
    "acknowledgement": "20m",
}


def terms(version: int = 1, hours: Any = OFFICE, policy_id: int = 1, **definition: Any) -> Terms:
    """A version of the policy P with `targets` (all metrics unless given)."""
    policy = Policy.from_definition({"name": f"P{policy_id}", "targets": ALL, **definition}, "policy")
    return Terms(policy_id, version, policy, 1 if hours is OFFICE else 2, 1, hours)


def book(*of: Terms, since: int = 0, revision: int = 1) -> Book:
    """A book in force from `since` on (microseconds)."""
    return Book.of(revision, since, of or [terms()])


def fact(kind: str, minute: float, key: str = "", **told: Any) -> Fact:
    """A fact `minute` minutes after START; other words set fields of the ticket."""
    known = {"actor_id", "actor_role", "public", "opening", "own", "gone", "seen", "seen_at", "sequence", "extends", "withdraws", "added", "removed"}
    fields = {name: value for name, value in told.items() if name in known}
    return Fact(
        key or f"{kind}@{minute}{sorted(told.items())}", kind, START + round(minute * MINUTE), sets={k: v for k, v in told.items() if k not in known}, **fields
    )


def created(minute: float = 0, **told: Any) -> Fact:
    """A ticket by customer c1, status open and priority P1 unless told otherwise."""
    return fact("ticket.created", minute, **{"actor_role": "customer", "actor_id": "c1", "requester": "c1", "status": "open", "priority": "P1", **told})


def status(word: str, minute: float) -> Fact:
    return fact("status.changed", minute, status=word)


def answer(minute: float, **told: Any) -> Fact:
    """A public reply by agent a1."""
    return fact("reply.public", minute, **{"actor_role": "agent", "actor_id": "a1", "public": True, **told})


def question(minute: float, **told: Any) -> Fact:
    """A public reply by the customer."""
    return fact("reply.public", minute, **{"actor_role": "customer", "actor_id": "c1", "public": True, **told})


def at(minute: float) -> int:
    """The instant `minute` minutes after START."""
    return START + round(minute * MINUTE)


def cycles(verdict: Verdict, metric: str) -> list[Clock]:
    """The cycles of a metric, in order."""
    return [clock for clock in verdict.clocks if clock.metric == metric]


def shown(clock: Clock) -> dict[str, Any]:
    """A clock with its spans joined: what must be equal, whichever way it was folded."""
    return {**clock._asdict(), "pieces": None, "spans": clock.spans}


def clocks_of(verdict: Verdict) -> list[dict[str, Any]]:
    return [shown(clock) for clock in verdict.clocks]


# --- for laws --------------------------------------------------------------------------------------------------------
minutes = strategies.one_of(strategies.integers(-60, 14_000), strategies.integers(0, 600).map(lambda n: n * 5))
_changes = strategies.one_of(
    strategies.sampled_from(["open", "in_progress", "waiting_customer", "waiting_internal", "resolved", "closed", "cancelled"]).map(lambda w: ("status", w)),
    strategies.sampled_from(["P0", "P1", "P2", "P3"]).map(lambda w: ("priority", w)),
    strategies.sampled_from(["tier1", "tier2", None]).map(lambda w: ("group", w)),
    strategies.sampled_from(["a1", "a2", None]).map(lambda w: ("assignee", w)),
    strategies.sampled_from(["answer", "question", "note", "bot", "deleted", "restored"]).map(lambda w: ("event", w)),
    strategies.integers(1, 300).map(lambda n: ("extend", n)),
    strategies.integers(0, 8).map(lambda n: ("withdraw", n)),  # the extension of the n-th change, if it was one
)


def _made(number: int, minute: int, what: str, value: Any) -> Fact:
    key = f"f{number}"
    if what == "extend":
        return fact("deadline.extended", minute, key, extends=("resolution" if value % 2 else None, value * MINUTE))
    if what == "withdraw":
        return fact("extension.withdrawn", minute, key, withdraws=f"f{value}")
    if what != "event":
        return fact(f"{what}.changed", minute, key, **{what: value})
    if value in ("deleted", "restored"):
        return fact(f"ticket.{value}", minute, key, gone="deleted" if value == "deleted" else "")
    kind, role = {
        "answer": ("reply.public", "agent"),
        "question": ("reply.public", "customer"),
        "note": ("note.internal", "agent"),
        "bot": ("reply.public", "system"),
    }[value]
    return fact(kind, minute, key, actor_role=role, actor_id="c1" if role == "customer" else "a1")


changes = strategies.lists(strategies.tuples(minutes, _changes), max_size=12)
histories = changes.map(lambda found: [created(), *(_made(n, minute, what, value) for n, (minute, (what, value)) in enumerate(found))])
options: Sequence[dict[str, Any]] = (
    {},
    {"on_change": "restart"},
    {"on_change": "from_now", "pause_in": []},
    {"applies_to": {"field": "created_in_hours", "is": True}, "calendar": "Office"},
    {"metrics": {"resolution": {"reopens": "new_cycle"}, "first_response": {"internal_notes": True, "bots": True}}, "resolution": {"starts": "assignment"}},
)
book_lists = strategies.lists(
    strategies.tuples(
        strategies.integers(1, 10_000), strategies.sampled_from(options), strategies.sampled_from([OFFICE, SHOP]), strategies.sampled_from(["8h", "3h", None])
    ),
    min_size=1,
    max_size=3,
).map(
    lambda found: [
        book(terms(n + 1, hours, targets={**ALL, "resolution": target} if target else {"first_response": "1h"}, **option), since=at(minute), revision=n + 1)
        for n, (minute, option, hours, target) in enumerate(sorted(found, key=lambda f: f[0]))
    ]
)
instants = strategies.integers(-100, 20_000).map(at)
