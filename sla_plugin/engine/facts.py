"""Facts: events in our own words, in the one order that counts.

An event keeps the helpdesk's words; `translate` reads them through a connection's word lists, so that a corrected word list needs no new delivery.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

from sla_plugin.engine.instants import read_instant

DONE = frozenset({"resolved", "closed", "cancelled"})
STATUSES = ("open", "assigned", "in_progress", "waiting_customer", "waiting_internal", "resolved", "closed", "cancelled")
PRIORITIES = ("P0", "P1", "P2", "P3")  # most urgent first

_FIELD_OF_KIND = {
    "status.changed": "status",
    "priority.changed": "priority",
    "type.changed": "type",
    "assignee.changed": "assignee",
    "group.changed": "group",
    "tags.changed": "tags",
    "subject.changed": "subject",
    "requester.changed": "requester",
    "organization.changed": "organization",
}
# Fields that name a ticket's policy, and who may tell them: no helpdesk chooses a policy by sending a field of that name.
_CHOOSING = frozenset({"policy", "contract_policy", "plan_policy"})
_CHOOSERS = frozenset({"policy.chosen", "contract.changed", "customer.changed"})
_BY_HAND = frozenset({"deadline.extended", "extension.withdrawn", "policy.chosen", "override.refused"})
_GONE = {"ticket.merged": "merged", "ticket.deleted": "deleted", "ticket.restored": ""}


@dataclass(slots=True)  # frozen would cost more than all the rest of making one; nobody changes a fact
class Fact:
    """One event in our words. `sets` holds the fields it changes, `seen` the ticket as shown after it; instants are microseconds UTC.

    own       a write of ours, or its echo: moves the mirror, never a clock
    gone      "merged" or "deleted"; "" brings the ticket back; None says nothing
    extends   (metric or None for every one, microseconds) that somebody granted
    withdraws the key of the extension that somebody takes back
    """

    key: str
    kind: str
    at: int
    sequence: int | None = None
    actor_id: str | None = None
    actor_role: str = "unknown"
    public: bool | None = None
    sets: Mapping[str, Any] = field(default_factory=dict)
    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    seen: Mapping[str, Any] = field(default_factory=dict)
    seen_at: int | None = None
    opening: bool = False
    own: bool = False
    gone: str | None = None
    extends: tuple[str | None, int] | None = None
    withdraws: str | None = None
    history_end: bool = False


def known_word(words: Mapping[str, str], word: Any) -> str | None:
    """Our word for a helpdesk's, None if the connection's list does not have it."""
    return words.get(str(word).strip().lower())


def _ours(values: Mapping[str, Any], status: Mapping[str, str], priority: Mapping[str, str], unset_priority: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in values.items():
        if name == "status":
            if value is not None:
                out["status"] = known_word(status, value) or "open"
                out["status_word"] = str(value)
        elif name == "priority":
            out["priority"] = unset_priority if value is None else known_word(priority, value) or unset_priority
            out["priority_word"] = None if value is None else str(value)
        elif name == "tags":
            out["tags"] = tuple(value) if isinstance(value, (list, tuple)) else tuple(str(value).split()) if value else ()
        elif name == "created_at":
            out["created_at"] = read_instant(value)
        elif name == "custom_fields" and isinstance(value, Mapping):
            out.update({f"custom.{k}": v for k, v in value.items()})
        else:
            out[name] = value
    return out


def translate(
    *,
    key: str,
    kind: str,
    at: int,
    sequence: int | None,
    actor_id: str | None,
    actor_role: str,
    public: bool | None,
    own: bool,
    data: Mapping[str, Any],
    status: Mapping[str, str],
    priority: Mapping[str, str],
    unset_priority: str,
) -> Fact:
    """An event in our words; `data` is what the event row keeps (field, from, to, values, seen ...)."""
    told: dict[str, Any] = dict(data.get("values") or {})
    name = _FIELD_OF_KIND.get(kind)
    if name is not None and "to" in data:
        told[name] = data["to"]
    elif kind in ("field.changed", "ticket.updated") and data.get("field") and "to" in data:
        changed = str(data["field"])
        told[changed if kind == "ticket.updated" or changed.startswith("custom.") else f"custom.{changed}"] = data["to"]
    extends = _extension(told) if kind == "deadline.extended" else None
    withdraws = str(told.get("extension") or "") or None if kind == "extension.withdrawn" else None
    if kind in _BY_HAND:
        told = {"policy": told.get("policy")} if kind == "policy.chosen" else {}
    elif kind not in _CHOOSERS:
        told = {name: value for name, value in told.items() if name not in _CHOOSING}
    if "pinned" in data:  # never from a helpdesk: what a condition read is erased, and this policy is what it chose
        told["policy"] = data["pinned"]
    seen = data.get("seen")
    return Fact(
        key=key,
        kind=kind,
        at=at,
        sequence=sequence,
        actor_id=actor_id,
        actor_role=actor_role,
        public=public,
        sets=_ours(told, status, priority, unset_priority) if told else {},
        added=tuple(data.get("added") or ()) if "to" not in data else (),
        removed=tuple(data.get("removed") or ()) if "to" not in data else (),
        seen=translate_seen(seen, status, priority, unset_priority) if seen else {},
        seen_at=data.get("seen_at"),
        opening=bool(data.get("opening")),
        own=own or kind == "own.write",
        gone=_GONE.get(kind),
        extends=extends,
        withdraws=withdraws,
        history_end=bool(data.get("history_end")) or kind == "history.ended",
    )


def translate_seen(seen: Mapping[str, Any], status: Mapping[str, str], priority: Mapping[str, str], unset_priority: str) -> dict[str, Any]:
    """A ticket as it was shown, in our words; arguments as for `translate`."""
    if not _CHOOSING.isdisjoint(seen):
        seen = {name: value for name, value in seen.items() if name not in _CHOOSING}
    return _ours(seen, status, priority, unset_priority)


def _extension(told: Mapping[str, Any]) -> tuple[str | None, int] | None:
    """What an extension grants; None for one that grants nothing: no whole number of microseconds above zero."""
    amount = told.get("by")
    if not isinstance(amount, int) or isinstance(amount, bool) or amount <= 0:
        return None
    return (str(told["metric"]) if told.get("metric") else None), amount


def _rank(fact: Fact) -> int:
    """Of facts at one instant: creation first, then what stops, what pauses, what starts."""
    if fact.kind == "ticket.created":
        return 0
    status = fact.sets.get("status")
    if status in DONE or fact.gone or (fact.kind == "reply.public" and fact.actor_role == "agent"):
        return 1
    if status is not None and status.startswith("waiting"):
        return 2
    return 3


def in_order(facts: Iterable[Fact]) -> list[Fact]:
    """Facts by when they happened, never by arrival; one told twice (the same key) counts once.

    At one instant: by the vendor's sequence if every fact of that instant has one, else creation, stop, pause, start; then by key.
    """
    ordered = sorted(facts, key=_at)
    before: int | None = None
    for fact in ordered:
        if fact.at == before:
            return _untangled(ordered)
        before = fact.at
    return ordered


_at = attrgetter("at")


def _untangled(facts: Sequence[Fact]) -> list[Fact]:
    """Facts sorted by instant, with those of one instant in their order."""
    ordered: list[Fact] = []
    for _, group in groupby(facts, key=_at):
        together = list(group)
        if len(together) > 1:
            by_key: dict[str, Fact] = {}
            for fact in together:
                other = by_key.setdefault(fact.key, fact)
                if other is not fact and repr(fact) < repr(other):
                    by_key[fact.key] = fact  # told in two ways under one key: one of them, whichever came first
            together = list(by_key.values())
            if all(f.sequence is not None or f.kind == "ticket.created" for f in together):
                together.sort(key=lambda f: (f.kind != "ticket.created", f.sequence or 0, f.key))
            else:
                together.sort(key=lambda f: (_rank(f), f.key))
        ordered += together
    return ordered
