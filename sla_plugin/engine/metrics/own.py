"""Metrics of an admin's own: validated when entered, so that one that never starts or never stops cannot exist."""

import re
from collections.abc import Mapping
from typing import Any, Final

from sla_plugin.engine.conditions import compile_condition
from sla_plugin.engine.metrics.definitions import Metric, metric_of
from sla_plugin.engine.metrics.waking import reads_the_event
from sla_plugin.engine.possible import can_hold
from sla_plugin.errors import InvalidDefinition

FIELDS: Final = frozenset(
    {
        *("event", "actor_role", "actor_is_requester", "opening", "public", "reopened", "moved"),
        *("status", "priority", "type", "category", "channel", "assignee", "group", "tags", "requester", "organization", "subject"),
    }
)
_CONDITIONS: Final = ("start", "stop", "pause", "reopen", "cancel")
_KEYS: Final = ("title", *_CONDITIONS, "reopens", "warning", "critical")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)


def read_own_metric(name: str, definition: Mapping[str, Any], where: str) -> Metric:
    """A metric from its definition: title, start, stop, pause, reopen, cancel (conditions), reopens. Raises InvalidDefinition naming the field."""
    if not _NAME.fullmatch(name):
        raise InvalidDefinition(where, f"{name!r} is no name for a metric; use small letters, digits and _, at most 40")
    unknown = sorted(set(definition) - set(_KEYS), key=str)
    if unknown:
        raise InvalidDefinition(f"{where}.{unknown[0]}", f"unknown; a metric of your own has {', '.join(_KEYS)}")
    for key in ("start", "stop"):
        if not definition.get(key):
            raise InvalidDefinition(f"{where}.{key}", f"say when the clock {key}s; without it the metric never {key}s")
    for key in _CONDITIONS:
        if definition.get(key):
            compiled = compile_condition(definition[key], f"{where}.{key}", FIELDS)
            if not can_hold(compiled.definition):
                raise InvalidDefinition(f"{where}.{key}", f"can never hold: {compiled.sentence()}")
    start, stop = definition["start"], definition["stop"]
    if not can_hold({"all": [start, {"not": stop}]}):
        raise InvalidDefinition(f"{where}.start", "holds only where stop holds too, so the metric never starts")
    reopens = definition.get("reopens", "never")
    if reopens not in ("never", "continue", "new_cycle"):
        raise InvalidDefinition(f"{where}.reopens", f"{reopens!r} is none of never, continue, new_cycle")
    if reopens == "continue" and not definition.get("reopen") and reads_the_event(stop):
        raise InvalidDefinition(f"{where}.reopen", "say when a stopped clock goes on: its stop is a moment, not a state that can end")
    if reopens == "new_cycle" and definition.get("reopen"):
        start = {"any": [start, definition["reopen"]]}
    title = str(definition.get("title") or name.replace("_", " ").capitalize())[:100]
    return metric_of(
        name,
        title,
        start=start,
        stop=stop,
        hold=definition.get("pause") or None,
        cancel=definition.get("cancel"),
        reopen=definition.get("reopen"),
        reopens=reopens,
        where=where,
    )
