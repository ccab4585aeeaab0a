"""Runs a file of worked cases through the engine: `python -m sla_plugin.engine.cases FILE`.

It reads, asks and compares; every figure comes from what `evaluate` itself calls. Each failure is named with expected and got, the last line is
`N passed, N failed`, and the exit code is 1 if anything failed.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sla_plugin.engine.business_time import ALWAYS, NEVER, BusinessTime, business_time
from sla_plugin.engine.calendars import EPOCH, MICROSECOND, Calendar, resolve_local
from sla_plugin.engine.durations import HOUR, LONGEST, MINUTE, SECOND, badge_text
from sla_plugin.engine.evaluate import Clock, evaluate
from sla_plugin.engine.facts import Fact
from sla_plugin.engine.policies import Book, Policy, Target, Terms
from sla_plugin.engine.policy_definitions import share
from sla_plugin.errors import InvalidDefinition, SlaPluginError

Case = Mapping[str, Any]
Answers = dict[str, Any]
# --- the words of the file -------------------------------------------------------------------------------------------
UNITS: Final = {"seconds": SECOND, "minutes": MINUTE, "hours": HOUR}
METRICS: Final = {"first_reply": "first_response", "first": "first_response", "frt": "first_response", "next_reply": "next_response", "update": "next_response"}
METRICS |= {"total_resolution": "resolution", "close": "resolution", "ownership": "group_ownership", "assign": "time_to_assign", "ack": "acknowledgement"}
WORK: Final = ("resolution", "requester_wait", "agent_work")  # these end when the ticket is done, whatever pauses others
DONE: Final = ("solved", "resolved", "closed", "done", "completed", "fixed")
STATUSES: Final = {"pending": "waiting_customer", "on-hold": "waiting_internal", "on_hold": "waiting_internal", "hold": "waiting_internal"}
MODES: Final = {"carry_elapsed": "keep", "reset": "restart", "restart": "restart", "from_change_point": "from_now", "from_now": "from_now"}
MESSAGES: Final = {"customer_comment": ("reply.public", "customer"), "agent_public_comment": ("reply.public", "agent"), "agent_comment": ("reply.public", "agent")}
MESSAGES |= {"agent_internal_note": ("note.internal", "agent"), "bot_comment": ("reply.public", "system"), "bot_public_comment": ("reply.public", "system")}
FIELDS: Final = {"assigned": "assignee", "assign": "assignee", "assignment": "assignee"}
PRIORITIES: Final = ("low", "normal", "high", "urgent")


def hours_of(calendar: Case, time_zone: str) -> BusinessTime:
    """The business time of a case's calendar. Raises InvalidDefinition where it has no open minute."""
    definition: dict[str, Any] = {"time_zone": time_zone, "hours": "24x7" if calendar["mode"] == "24x7" else calendar["hours"]}
    for ours, theirs in (("holidays", "holidays"), ("exceptions", "shifts"), ("breaks", "breaks")):
        if calendar.get(theirs):
            definition[ours] = calendar[theirs]
    return business_time(Calendar.from_definition(definition, "calendar"))


def instant(text: str) -> int:
    """Microseconds UTC of an instant of the file."""
    return (datetime.fromisoformat(text) - EPOCH) // MICROSECOND


def text(at: int | None) -> str | None:
    """An instant as the file writes it; None for one that does not come."""
    return None if at is None or abs(at) >= NEVER else (EPOCH + MICROSECOND * at).isoformat().replace("+00:00", "Z")


def seconds(amount: int) -> int | float:
    """Microseconds as the file's seconds, whole ones as an integer."""
    return amount / SECOND if amount % SECOND else amount // SECOND


def metric_of(word: str) -> str:
    """Our word for a metric of the file."""
    return METRICS.get(word.removesuffix("_time"), word.removesuffix("_time"))


def amounts(targets: Case) -> dict[str, Any]:
    """Metric -> microseconds, or a mapping of priorities to them."""
    found = {}
    for key, value in targets.items():
        word, _, unit = key.rpartition("_")
        if unit in UNITS:
            found[metric_of(word)] = {w: int(v * UNITS[unit]) for w, v in value.items()} if isinstance(value, Mapping) else int(value * UNITS[unit])
    return found


# --- a case as what evaluate takes -----------------------------------------------------------------------------------
class Told(NamedTuple):
    """A case in the engine's words; `change` is the instant of the last change of promise."""

    metric: str
    facts: list[Fact]
    books: list[Book]
    as_of: int
    change: int

    def clocks(self, as_of: int | None = None, metric: str = "", **other: Any) -> list[Clock]:
        """The cycles of a metric at an instant."""
        given = self._replace(**other)
        verdict = evaluate(given.facts, given.books, given.as_of if as_of is None else as_of, settle=100 * LONGEST)
        return [clock for clock in verdict.clocks if clock.metric == (metric or self.metric)]


def tell(case: Case, percent: int = 80, **options: Any) -> Told:
    """A case in the engine's words."""
    promised = amounts(case.get("targets", {})) or {"resolution": LONGEST}
    metric = metric_of(case.get("metric") or ("group_ownership" if case["op"] == "ownership" else next(iter(promised))))
    promised = {metric if name == "any" or len(promised) == 1 else name: value for name, value in promised.items()}
    events = [{"status": "open", **e} if e["type"] == "created" else e for e in case["events"]]
    if not any(event["type"] == "created" for event in events) and metric != "group_ownership":
        events.append({"type": "created", "at": min(event["at"] for event in events)})
    facts = [fact_of(event, metric, case.get("pause_statuses", ())) for event in events if event["type"] not in ("schedule", "policy_target_change", "policy_change")]
    if "pause_statuses" in case or metric not in ("requester_wait", "agent_work", "pausable_update"):
        options["pause_in"] = ["waiting_customer"] if case.get("pause_statuses") else []
    if "reopen" in case:
        options["reopens"] = case["reopen"]
    hours, books = hours_of(case["calendar"], case["timezone"]), []

    def add_book(since: int) -> None:
        definition = {"name": "case", "targets": dict.fromkeys(promised, "1h"), "on_change": MODES[case.get("mode", "carry_elapsed")]}
        definition |= {"metrics": {metric: options}, "applies_to": {"field": "priority", "is_not": "not_matching"}}
        targets = {
            name: {word: Target(v, case.get("business_hours", True), share(v, percent), v) for word, v in (value if isinstance(value, dict) else {"*": value}).items()}
            for name, value in promised.items()
        }
        policy = replace(Policy.from_definition(definition, "case"), targets=targets)
        books.append(Book.of(len(books) + 1, since, [Terms(1, len(books) + 1, policy, 1, 1, hours)]))

    add_book(min(fact.at for fact in facts))
    for event in events:
        if event["type"] == "schedule":
            hours = hours_of(case["second_calendar"], case["second_calendar"]["timezone"])
        elif event["type"] in ("policy_target_change", "policy_change"):
            promised |= dict.fromkeys(promised, next(iter(amounts({k: v for k, v in event.items() if k.startswith("to_")} or case["targets"]["after"]).values())))
        else:
            continue
        add_book(instant(event["at"]))
    changes = [f.at for f in facts if f.kind == "priority.changed"] + [book.since for book in books[1:]]
    return Told(metric, facts, books, max(instant(case["as_of"]) if "as_of" in case else instant(event["at"]) for event in events), max(changes, default=0))


def fact_of(event: Case, metric: str, pauses: Sequence[str]) -> Fact:
    """An event of the file as a fact; told twice it has the same key."""
    kind = event["type"]
    key = json.dumps({k: v for k, v in event.items() if k not in ("arrived", "duplicate")}, sort_keys=True)
    field = FIELDS.get(kind, kind)
    sets = {name: event[name] for name in ("status", "priority", "group", "assignee") if name in event} | ({field: event["to"]} if "to" in event else {})
    if "status" in sets:
        word = str(sets["status"]).lower()
        over = word in DONE and (metric in WORK or word not in map(str.lower, pauses))
        held = word in map(str.lower, pauses) if pauses else None
        sets["status"] = "resolved" if over else "waiting_customer" if held else STATUSES.get(word, "open") if held is None else "open"
    told, role = MESSAGES.get(kind, ("ticket.created" if kind == "created" else f"{field}.changed", event.get("by", "customer")))
    return Fact(key=key, kind=told, at=instant(event["at"]), actor_role=role, sets=sets)


def cycle_of(clock: Clock) -> Answers:
    """What a case may say of one cycle."""
    spans = [span for span in clock.spans if span.state == "on_hold" and span.terms is not None]
    return {
        "start": text(clock.started_at),
        "end": text(clock.stopped_at),
        "due_at": text(clock.deadline_at),
        "due_at_next_open_convention": text(clock.deadline_next_open_at),
        "elapsed_seconds": seconds(clock.elapsed),
        "remaining_seconds": seconds((clock.target or 0) - clock.elapsed),
        "breached": clock.breached_at is not None,
        "met": clock.breached_at is None,
        "breached_at": text(clock.breached_at),
        "breach_recorded_at": text(clock.breached_at),
        "state": {"on_hold": "paused", "cancelled": "no_sla"}.get(clock.phase, clock.phase),
        "phase": clock.phase,
        "group": clock.owner,
        "paused_business_seconds": seconds(sum(span.terms.business_time.between(span.since, span.until) for span in spans if span.terms)),
    }
