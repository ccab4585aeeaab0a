"""What differs between two definitions of a policy or a calendar, in sentences: `Resolution, High: 8 h → 6 h`. For plans, versions and the audit trail."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from sla_plugin.actions.registry import DEFAULT_ON_BREACH
from sla_plugin.engine.calendar_definitions import WEEKDAYS, read_holidays
from sla_plugin.engine.calendars import Calendar
from sla_plugin.engine.durations import format_duration
from sla_plugin.engine.facts import PRIORITIES
from sla_plugin.engine.policies import Policy, Target
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext, marked

PRIORITY_WORDS: Final[Mapping[str, str]] = {"P0": marked("Urgent"), "P1": marked("High"), "P2": marked("Normal"), "P3": marked("Low")}
DAY_WORDS: Final[Mapping[str, str]] = dict(
    zip(
        WEEKDAYS,
        (marked("Monday"), marked("Tuesday"), marked("Wednesday"), marked("Thursday"), marked("Friday"), marked("Saturday"), marked("Sunday")),
        strict=True,
    )
)
_ON_CHANGE: Final[Mapping[str, str]] = {"keep": marked("keep elapsed"), "restart": marked("restart"), "from_now": marked("from now on")}
_SHOWN: Final = {"name", "active", "default", "position", "applies_to", "calendar", "targets", "warning", "critical", "pause_in", "resolution", "on_change"}


def describe_change(kind: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """Sentences for what differs between two definitions of one object (`kind`: policy or calendar); of a new one (before is None), for what it says.

    Definitions that are no longer readable give the one sentence that they differ.
    """
    try:
        return list(_policy(before, after) if kind == "policy" else _calendar(before, after))
    except InvalidDefinition:
        return [gettext("The definition is another one.")]


def describe_file(was: Mapping[str, Any], file: Mapping[str, Any]) -> list[tuple[str, str, list[str]]]:
    """(kind, name, sentences) of all that a policy file changes; `was` holds what is in force, None for what is new."""
    told = []
    for part, kind in (("calendars", "calendar"), ("policies", "policy")):
        for name, after in file.get(part, {}).items():
            told.append((kind, name, describe_change(kind, was.get(part, {}).get(name), after)))
    return told


def metric_title(metric: str) -> str:
    """The metric as people read it: `first_response` is `First response`."""
    return gettext(metric.replace("_", " ").capitalize())


def _change(what: str, before: object, after: object) -> str:
    return gettext("%(what)s: %(before)s → %(after)s", what=what, before=before, after=after)


# --- policies --------------------------------------------------------------------------------------------------------
def _policy(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Iterator[str]:
    new = Policy.from_definition(after, "policy")
    if before is None:
        yield gettext("New policy for %(tickets)s.", tickets=_applies(new))
        yield from _targets(None, new)
        yield gettext("Counted by %(calendar)s.", calendar=new.hours)
        return
    old = Policy.from_definition(before, "policy")
    if old.active != new.active:
        yield gettext("Active again.") if new.active else gettext("No longer active.")
    if old.default != new.default:
        yield gettext("Now a default, tried last.") if new.default else gettext("No longer a default.")
    if old.position != new.position:
        yield _change(gettext("Position"), old.position, new.position)
    if _applies(old) != _applies(new):
        yield _change(gettext("Applies to"), _applies(old), _applies(new))
    yield from _targets(old, new)
    if old.hours != new.hours:
        yield _change(gettext("Calendar"), old.hours, new.hours)
    for what, was, becomes in ((gettext("Warning"), old.warning, new.warning), (gettext("Critical"), old.critical, new.critical)):
        if was != becomes:
            yield _change(what, f"{was} %", f"{becomes} %")
    yield from _clock(before, after)
    if old.on_change != new.on_change:
        yield _change(gettext("Open tickets"), gettext(_ON_CHANGE[old.on_change]), gettext(_ON_CHANGE[new.on_change]))
    if _actions(old) != _actions(new):
        yield _change(gettext("When it breaks"), _actions(old), _actions(new))
    for key in sorted((set(before) | set(after)) - _SHOWN - {"on_breach"}):
        if (before.get(key) or None) != (after.get(key) or None):
            yield _change(key.capitalize(), _inline(before.get(key)), _inline(after.get(key)))


def _applies(policy: Policy) -> str:
    said = policy.applies_to.sentence()
    return gettext("every ticket") if said == "always" else said


def _actions(policy: Policy) -> str:
    return ", ".join(action.replace("_", " ") for action in (DEFAULT_ON_BREACH if policy.on_breach is None else policy.on_breach)) or gettext("nothing")


def _clock(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    old, new = (definition.get("pause_in", ["waiting_customer"]) for definition in (before, after))
    if set(old) != set(new):
        yield _change(gettext("On hold while"), *(", ".join(s.replace("_", " ") for s in states) or gettext("never") for states in (old, new)))
    for key, default, what in (("starts", "creation", gettext("Resolution starts at")), ("stops", "resolved", gettext("Resolution stops at"))):
        was, becomes = ((definition.get("resolution") or {}).get(key, default) for definition in (before, after))
        if was != becomes:
            yield _change(what, was, becomes)


def _inline(value: Any) -> str:
    if not value:
        return "–"
    return (
        value if isinstance(value, str) else " ".join(yaml.safe_dump(value, default_flow_style=True, sort_keys=True, allow_unicode=True, width=10_000).split())
    )


def _targets(old: Policy | None, new: Policy) -> Iterator[str]:
    for metric in {**(old.targets if old is not None else {}), **new.targets}:
        title = metric_title(metric)
        was = {p: old.target(metric, p) if old is not None else None for p in PRIORITIES}
        becomes = {p: new.target(metric, p) for p in PRIORITIES}
        pairs = {p: (_said(was[p]), _said(becomes[p])) for p in PRIORITIES}
        changed = {p: pair for p, pair in pairs.items() if pair[0] != pair[1]}
        if len(changed) == len(PRIORITIES) and len(set(changed.values())) == 1:
            (pair,) = set(changed.values())
            yield _promise(title, *pair)
            continue
        for priority, pair in changed.items():
            yield _promise(gettext("%(metric)s, %(priority)s", metric=title, priority=gettext(PRIORITY_WORDS[priority])), *pair)


def _promise(what: str, before: str | None, after: str | None) -> str:
    if before is None:
        return gettext("%(what)s: %(target)s promised", what=what, target=after)
    if after is None:
        return gettext("%(what)s: %(target)s no longer promised", what=what, target=before)
    return _change(what, before, after)


def _said(target: Target | None) -> str | None:
    if target is None:
        return None
    if target.business:
        return format_duration(target.amount)
    return gettext("%(time)s of calendar time", time=format_duration(target.amount, days=True))


# --- calendars -------------------------------------------------------------------------------------------------------
def _calendar(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Iterator[str]:
    new = Calendar.from_definition(after, "calendar").to_definition()
    if before is None:
        yield gettext("New calendar in %(zone)s.", zone=new["time_zone"])
        old: Mapping[str, Any] = {"time_zone": new["time_zone"], "hours": {}}
    else:
        old = Calendar.from_definition(before, "calendar").to_definition()
    if old["time_zone"] != new["time_zone"]:
        yield _change(gettext("Time zone"), old["time_zone"], new["time_zone"])
    for day, word in DAY_WORDS.items():
        was, becomes = _hours(old, day), _hours(new, day)
        if was != becomes:
            yield _change(gettext(word), was, becomes)
    holidays = [{day.isoformat(): name for day, name in read_holidays(d.get("holidays"), "holidays")} for d in (old, new)]
    for sentence, dates in (
        (marked("Holiday added: %(date)s %(name)s"), [(d, n) for d, n in holidays[1].items() if d not in holidays[0]]),
        (marked("Holiday removed: %(date)s %(name)s"), [(d, n) for d, n in holidays[0].items() if d not in holidays[1]]),
    ):
        yield from (gettext(sentence, date=day, name=name).rstrip() for day, name in sorted(dates))
    for key, what in (("exceptions", gettext("Exception")), ("extra", gettext("Extra shift")), ("breaks", gettext("Break"))):
        was_dates, new_dates = old.get(key, {}), new.get(key, {})
        for day in sorted({**was_dates, **new_dates}):
            if was_dates.get(day) != new_dates.get(day):
                yield _change(f"{what} {day}", _spans(was_dates.get(day)), _spans(new_dates.get(day)))


def _hours(definition: Mapping[str, Any], day: str) -> str:
    hours = definition["hours"]
    return "00:00-24:00" if hours == "24x7" else _spans(hours.get(day) or [])


def _spans(spans: Any) -> str:
    if spans is None:
        return "–"
    hours, label = (spans["hours"], f" ({spans['label']})") if isinstance(spans, Mapping) else (spans, "")
    return (", ".join(hours) or gettext("closed")) + label
