"""What a condition can be woken by: with neither such an event nor a move of such a field its answer stays what it was.

A metric is looked at only when woken: most facts concern few metrics, and a fact that a metric does not read never changes its clocks.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_OF_THE_EVENT = frozenset({"actor_role", "actor_is_requester", "opening", "public"})


class Waking(NamedTuple):
    """`kinds` of events and `fields` of the ticket that wake; `always`: any event may."""

    kinds: frozenset[str]
    fields: frozenset[str]
    always: bool


def waking(definitions: Sequence[Any]) -> Waking:
    """What wakes any of some condition definitions."""
    found = [_of(definition) for definition in definitions]
    return Waking(
        frozenset[str]().union(*(w.kinds for w in found)),
        frozenset[str]().union(*(w.fields for w in found)),
        any(w.always for w in found),
    )


def reads_the_event(definition: Any) -> bool:
    """Whether a condition is about a moment (an event, who wrote, what moved), not only about how the ticket stands."""
    if not isinstance(definition, Mapping):
        return False
    if "field" in definition:
        return definition["field"] in _OF_THE_EVENT or definition["field"] in ("event", "reopened", "moved")
    ((_, content),) = definition.items()
    return any(reads_the_event(part) for part in (content if isinstance(content, list | tuple) else [content]))


def _of(definition: Any) -> Waking:
    if not definition:
        return Waking(frozenset(), frozenset(), False)
    if "field" in definition:
        return _of_leaf(definition)
    ((group, content),) = definition.items()
    parts = content if isinstance(content, list | tuple) else [content]
    if group == "all":
        # one event leaf decides: of any other kind the whole group is false, whatever else it reads
        kinds = [_event_kinds(part) for part in parts]
        named = [kind for kind in kinds if kind]
        if named:
            return Waking(named[0], frozenset(), False)
    return waking(parts)


def _event_kinds(leaf: Mapping[str, Any]) -> frozenset[str]:
    if leaf.get("field") != "event":
        return frozenset()
    return _words(leaf)


def _words(leaf: Mapping[str, Any]) -> frozenset[str]:
    """What a leaf asks for by `is` or `in`, as conditions compare: without regard to case."""
    return frozenset(str(word).casefold() for word in ([leaf["is"]] if "is" in leaf else leaf.get("in", ())))


def _of_leaf(leaf: Mapping[str, Any]) -> Waking:
    name = leaf["field"]
    if name == "event":
        return Waking(_event_kinds(leaf), frozenset(), always=not _event_kinds(leaf))
    if name == "reopened":
        return Waking(frozenset(), frozenset({"status"}), False)
    if name == "moved":
        return Waking(frozenset(), _words(leaf), always=not _words(leaf))
    return Waking(frozenset(), frozenset({name}), always=name in _OF_THE_EVENT)
