"""Conditions over the time at which a ticket was created: within hours, on a holiday, weekday and hour, by the policy's calendar or another one.

A leaf is `{"field": "created_in_hours", "is": false, "calendar": "Support"}`; without `calendar` it asks the policy's own. What is asked never changes as time
passes: a ticket does not change its policy by itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from sla_plugin.engine.business_time import BusinessTime
from sla_plugin.engine.calendar_definitions import WEEKDAYS
from sla_plugin.engine.calendars import EPOCH, MICROSECOND
from sla_plugin.errors import InvalidDefinition

TIME_FIELDS: Final = ("created_in_hours", "created_on_holiday", "created_weekday", "created_hour")
_EQUAL: Final = ("is", "is_not", "in", "not_in")
_VALUES: Final[Mapping[str, tuple[tuple[Any, ...], str]]] = {
    "created_in_hours": ((False, True), "true or false"),
    "created_on_holiday": ((False, True), "true or false"),
    "created_weekday": (WEEKDAYS, f"one of {', '.join(WEEKDAYS)}"),
    "created_hour": (tuple(range(24)), "a whole hour from 0 to 23"),
}


class TimeFact(NamedTuple):
    """A fact that conditions read under `name`: a field of TIME_FIELDS by a calendar (None: the policy's own)."""

    name: str
    field: str
    calendar: str | None


def values_of(field: str) -> tuple[Any, ...]:
    """Every value that a time field can have."""
    return _VALUES[field][0]


def fact_of(leaf: Mapping[str, Any]) -> TimeFact:
    """The fact that a leaf over one of TIME_FIELDS reads."""
    field, calendar = leaf["field"], leaf.get("calendar")
    return TimeFact(f"{field} of {calendar}" if calendar else field, field, calendar)


def read_time_leaf(leaf: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The leaf over the fact's own name, without the calendar. Raises InvalidDefinition for a value or an operator that has no meaning there."""
    calendar = leaf.get("calendar")
    if "calendar" in leaf and (not isinstance(calendar, str) or not calendar):
        raise InvalidDefinition(f"{where}.calendar", f"{calendar!r} is no name of a calendar")
    field = leaf["field"]
    known, words = _VALUES[field]
    operators = (*_EQUAL, "at_least", "at_most") if field == "created_hour" else _EQUAL
    for operator, value in leaf.items():
        if operator in ("field", "calendar"):
            continue
        if operator not in operators:
            raise InvalidDefinition(f"{where}.{operator}", f"has no meaning for {field}; use one of {', '.join(operators)}")
        for one in value if isinstance(value, list | tuple) and operator in ("in", "not_in") else [value]:
            if not any(one == each and isinstance(one, bool) is isinstance(each, bool) for each in known):
                raise InvalidDefinition(f"{where}.{operator}", f"{one!r} is not {words}")
    return {"field": fact_of(leaf).name, **{key: value for key, value in leaf.items() if key not in ("field", "calendar")}}


def asked_by(definition: Any) -> frozenset[TimeFact]:
    """The time facts that a valid condition reads."""
    return frozenset(fact_of(leaf) for leaf in leaves_of(definition) if leaf["field"] in TIME_FIELDS)


def time_facts(asked: Iterable[TimeFact], created_at: int, own: BusinessTime, calendars: Mapping[str, BusinessTime]) -> dict[str, Any]:
    """What a ticket created at an instant (microseconds UTC) answers; nothing for a calendar that does not exist."""
    found: dict[str, Any] = {}
    for fact in asked:
        hours = own if fact.calendar is None else calendars.get(fact.calendar)
        if hours is not None:
            found[fact.name] = _ANSWERS[fact.field](hours, created_at)
    return found


def _local(hours: BusinessTime, at: int) -> datetime:
    return (EPOCH + MICROSECOND * at).astimezone(hours.hours.zone)


_ANSWERS: Final[Mapping[str, Callable[[BusinessTime, int], Any]]] = {
    "created_in_hours": lambda hours, at: hours.is_open(at),
    "created_on_holiday": lambda hours, at: hours.holiday_at(at) is not None,
    "created_weekday": lambda hours, at: WEEKDAYS[_local(hours, at).weekday()],
    "created_hour": lambda hours, at: _local(hours, at).hour,
}


def leaves_of(definition: Any) -> Iterator[Mapping[str, Any]]:
    """Every leaf of a valid condition."""
    if not definition:
        return
    if "field" in definition:
        yield definition
        return
    for content in definition.values():
        for part in content if isinstance(content, list | tuple) else [content]:
            yield from leaves_of(part)
