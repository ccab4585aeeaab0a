"""Reading policy definitions: every field checked, every refusal names its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sla_plugin.engine.conditions import Condition, compile_condition
from sla_plugin.engine.creation_time import TIME_FIELDS, asked_by
from sla_plugin.engine.durations import format_duration, parse_duration
from sla_plugin.engine.facts import PRIORITIES, STATUSES
from sla_plugin.engine.metrics.definitions import METRICS, Metric, MetricOptions
from sla_plugin.engine.metrics.own import read_own_metric
from sla_plugin.engine.metrics.tiers import read_tiers
from sla_plugin.engine.possible import can_hold
from sla_plugin.errors import InvalidDefinition

ALWAYS_OPEN: Final = "24x7"
POLICY_FIELDS: Final = frozenset(
    {
        *("status", "priority", "type", "category", "channel", "assignee", "group", "tags", "requester", "organization", "subject"),
        *("customer", "vip", "contract_type", "plan", "entity"),
        *TIME_FIELDS,
    }
)
_KEYS: Final = frozenset(
    {
        *("name", "description", "active", "default", "position", "applies_to", "calendar", "targets", "warning", "critical"),
        *("pause_in", "resolution", "on_change", "metrics", "tiers", "on_breach"),
    }
)
_PRIORITY_WORDS: Final = {"urgent": "P0", "critical": "P0", "high": "P1", "normal": "P2", "medium": "P2", "low": "P3"}
_OPTIONS: Final = ("pause_in", "starts", "stops", "reopens", "internal_notes", "bots", "agent_created", "warning", "critical")
_CHOICES: Final = {"starts": ("creation", "assignment"), "stops": ("resolved", "closed"), "reopens": ("never", "continue", "new_cycle")}


@dataclass(frozen=True, slots=True)
class Target:
    """A promise in microseconds, with its warning and critical thresholds; counted in business time of the policy's calendar, or in calendar time."""

    amount: int
    business: bool = True
    warning: int = 0
    critical: int = 0

    @property
    def text(self) -> str:
        """`8 h`."""
        return format_duration(self.amount)


def read_policy(definition: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The fields of a Policy. Raises InvalidDefinition."""
    if not isinstance(definition, Mapping):
        raise InvalidDefinition(where, "a policy is a mapping with name, targets ...")
    unknown = sorted(set(definition) - _KEYS, key=str)
    if unknown:
        raise InvalidDefinition(f"{where}.{unknown[0]}", f"unknown; a policy has {', '.join(sorted(_KEYS))}")
    name = str(definition.get("name") or "").strip()
    if not name or len(name) > 200:
        raise InvalidDefinition(f"{where}.name", "give the policy a name of at most 200 characters")
    position = definition.get("position", 100)
    if not isinstance(position, int) or isinstance(position, bool):
        raise InvalidDefinition(f"{where}.position", f"{position!r} is not a whole number")
    on_breach = definition.get("on_breach")
    if on_breach is not None and not (isinstance(on_breach, Sequence) and not isinstance(on_breach, str) and all(isinstance(a, str) for a in on_breach)):
        raise InvalidDefinition(f"{where}.on_breach", "a list of actions, e.g. [raise_priority, comment]")
    calendars = read_calendars(definition.get("calendar"), f"{where}.calendar")
    applies_to = compile_condition(definition.get("applies_to"), f"{where}.applies_to", POLICY_FIELDS)
    times = asked_by(applies_to.definition)
    if calendars[0] == ALWAYS_OPEN and any(fact.calendar is None for fact in times):
        raise InvalidDefinition(f"{where}.applies_to", "asks when a ticket was created: say by which calendar, e.g. calendar: Support, as the policy has none")
    thresholds = _thresholds(definition, where, (80, 95))
    metrics, by_metric = _metrics(definition, where, thresholds)
    targets = _targets(definition.get("targets"), f"{where}.targets", metrics, by_metric)
    tiers = read_tiers(definition.get("tiers") or [], f"{where}.tiers")
    for name_of_tier in set(tiers) & set(metrics):
        raise InvalidDefinition(f"{where}.tiers", f"{name_of_tier} is a metric of its own already; give the tier another name")
    if tiers:
        metrics |= {metric: made for metric, (made, _) in tiers.items()}
        targets |= _targets({metric: target for metric, (_, target) in tiers.items()}, f"{where}.tiers", metrics, dict.fromkeys(tiers, thresholds))
    return {
        "name": name,
        "description": str(definition.get("description") or ""),
        "active": _flag(definition, "active", True, where),
        "default": _flag(definition, "default", False, where),
        "position": position,
        "applies_to": applies_to,
        "times": times,
        "calendar": calendars[0],
        "beside": calendars[1],
        "targets": targets,
        "warning": thresholds[0],
        "critical": thresholds[1],
        "on_change": _choice(definition, "on_change", ("keep", "restart", "from_now"), where) or "keep",
        "on_breach": tuple(on_breach) if on_breach is not None else None,
        "metrics": {metric: metrics[metric] for metric in targets},
    }


def warnings_of(name: str, applies_to: Condition, targets: Mapping[str, Any], metrics: Mapping[str, Metric]) -> list[str]:
    """What of a policy works but is hardly meant."""
    found = []
    if not can_hold(applies_to.definition):
        found.append(f"policy {name!r} can never match: {applies_to.sentence()}")
    for metric in ("resolution", "requester_wait", "agent_work"):
        if metric in targets and "assignee" in metrics[metric].start.fields and "time_to_assign" not in targets:
            found.append(f"policy {name!r} counts {metric.replace('_', ' ')} from assignment, so an unassigned ticket escapes: promise time_to_assign too")
    return found


def read_calendars(value: object, where: str) -> tuple[str, str | None]:
    """The calendar a policy names, and the one that must be open beside it (`{cover: [ours, theirs]}`), if any. Raises InvalidDefinition."""
    if not isinstance(value, Mapping):
        return str(value or ALWAYS_OPEN), None
    names = value.get("cover")
    if set(value) != {"cover"} or not isinstance(names, Sequence) or isinstance(names, str) or len(names) != 2 or not all(names):
        raise InvalidDefinition(where, "write the name of a calendar, or two that must both be open: {cover: [Ours, Theirs]}")
    ours, theirs = map(str, names)
    if ours == theirs or ALWAYS_OPEN in (ours, theirs):
        one = theirs if ours == ALWAYS_OPEN else ours
        raise InvalidDefinition(f"{where}.cover", f"write {one!r} alone, it says the same; cover is of two calendars with hours of their own")
    return ours, theirs


def priority_word(word: str) -> str:
    """Our word for a priority as people write it in a policy: P0 to P3, or urgent, high, normal, low."""
    return _PRIORITY_WORDS.get(word.lower(), word.upper() if word.upper() in PRIORITIES else word)


# --- small parts -----------------------------------------------------------------------------------------------------
def _flag(definition: Mapping[str, Any], key: str, default: bool, where: str) -> bool:
    value = definition.get(key, default)
    if not isinstance(value, bool):
        raise InvalidDefinition(f"{where}.{key}", f"{value!r} is neither true nor false")
    return value


def _choice(definition: Mapping[str, Any], key: str, known: Sequence[str], where: str) -> Any:
    value = definition.get(key)
    if value is not None and value not in known:
        raise InvalidDefinition(f"{where}.{key}", f"{value!r} is none of {', '.join(known)}")
    return value


def _thresholds(definition: Mapping[str, Any], where: str, otherwise: tuple[int, int]) -> tuple[int, int]:
    for key in ("warning", "critical"):
        value = definition.get(key, 1)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 99:
            raise InvalidDefinition(f"{where}.{key}", f"{value!r} is not a whole percentage from 1 to 99")
    warning, critical = int(definition.get("warning", otherwise[0])), int(definition.get("critical", otherwise[1]))
    if warning >= critical:
        raise InvalidDefinition(f"{where}.warning", f"{warning} % is not before critical at {critical} %")
    return warning, critical


def _statuses(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidDefinition(where, "a list of statuses, e.g. [waiting_customer]")
    for status in value:
        if status not in STATUSES:
            raise InvalidDefinition(where, f"unknown status {status!r}; known are {', '.join(STATUSES)}")
    return tuple(value)


# --- metrics and targets ---------------------------------------------------------------------------------------------
def _metrics(definition: Mapping[str, Any], where: str, thresholds: tuple[int, int]) -> tuple[dict[str, Metric], dict[str, tuple[int, int]]]:
    """Every metric that the policy may promise, and its thresholds."""
    said = definition.get("metrics") or {}
    if not isinstance(said, Mapping):
        raise InvalidDefinition(f"{where}.metrics", "a mapping of metrics to what is special about them, e.g. {first_response: {internal_notes: true}}")
    resolution = definition.get("resolution") or {}
    if not isinstance(resolution, Mapping) or set(resolution) - {"starts", "stops"}:
        raise InvalidDefinition(f"{where}.resolution", "has starts (creation, assignment) and stops (resolved, closed)")
    pause_in = definition.get("pause_in", ["waiting_customer"])
    _statuses(pause_in, f"{where}.pause_in")
    metrics, by_metric = {}, {}
    for name in {**METRICS, **said}:
        place = f"{where}.metrics.{name}"
        special = said.get(name) or {}
        if not isinstance(special, Mapping):
            raise InvalidDefinition(place, "a mapping of options, e.g. {pause_in: [waiting_customer]}")
        by_metric[name] = _thresholds(special, place, thresholds)
        if name not in METRICS:
            metrics[name] = read_own_metric(str(name), special, place)
            continue
        general: dict[str, Any] = {}
        place_of = dict.fromkeys(_OPTIONS, place)
        if name in ("resolution", "pausable_update"):
            general["pause_in"], place_of["pause_in"] = pause_in, where
        if name == "resolution":
            general |= resolution
            place_of |= dict.fromkeys(("starts", "stops"), f"{where}.resolution")
        place_of |= dict.fromkeys(special, place)
        metrics[name] = METRICS[name](_options({**general, **special}, place, place_of))
    return metrics, by_metric


def _options(said: Mapping[str, Any], place: str, place_of: Mapping[str, str]) -> MetricOptions:
    unknown = sorted(set(said) - set(_OPTIONS), key=str)
    if unknown:
        raise InvalidDefinition(f"{place}.{unknown[0]}", f"unknown; the options of a metric are {', '.join(_OPTIONS)}")
    pause_in = _statuses(said["pause_in"], f"{place_of['pause_in']}.pause_in") if "pause_in" in said else None
    chosen: dict[str, Any] = {key: value for key, known in _CHOICES.items() if (value := _choice(said, key, known, place_of[key])) is not None}
    stops = chosen.get("stops", "resolved")
    if pause_in and (stops in pause_in or (stops == "resolved" and "closed" in pause_in)):
        raise InvalidDefinition(f"{place_of['pause_in']}.pause_in", f"{stops} stops the clock, so it cannot pause it")
    flags: dict[str, Any] = {key: _flag(said, key, False, place) for key in ("internal_notes", "bots", "agent_created")}
    return MetricOptions(pause_in=pause_in, **chosen, **flags)


def _targets(value: Any, where: str, metrics: Mapping[str, Metric], by_metric: Mapping[str, tuple[int, int]]) -> dict[str, dict[str, Target]]:
    if not isinstance(value, Mapping) or not value:
        raise InvalidDefinition(where, "promise at least one metric, e.g. {first_response: 1h}")
    targets: dict[str, dict[str, Target]] = {}
    for metric, promised in value.items():
        if metric not in metrics:
            raise InvalidDefinition(f"{where}.{metric}", f"unknown metric; known are {', '.join(metrics)}")
        by_priority = promised if isinstance(promised, Mapping) and "target" not in promised else {"*": promised}
        row: dict[str, Target] = {}
        for priority, amount in by_priority.items():
            place = f"{where}.{metric}" if priority == "*" else f"{where}.{metric}.{priority}"
            word = "*" if priority == "*" else priority_word(str(priority))
            if word != "*" and word not in PRIORITIES:
                raise InvalidDefinition(place, f"unknown priority; use {', '.join(PRIORITIES)} or urgent, high, normal, low")
            if amount is None:
                continue  # blank = no promise
            row[word] = _target(amount, place, *by_metric[metric])
        if not row:
            raise InvalidDefinition(f"{where}.{metric}", "no priority has a target")
        targets[metric] = row
    return targets


def _target(value: Any, where: str, warning: int, critical: int) -> Target:
    business = True
    if isinstance(value, Mapping):
        unknown = sorted(set(value) - {"target", "counts"}, key=str)
        if unknown:
            raise InvalidDefinition(f"{where}.{unknown[0]}", "unknown; write {target: 8h, counts: business} or counts: calendar")
        business = (_choice(value, "counts", ("business", "calendar"), where) or "business") == "business"
        value, where = value.get("target"), f"{where}.target"
    amount = parse_duration(value, where, allow_days=not business)
    return Target(amount, business, share(amount, warning), share(amount, critical))


def share(amount: int, percent: int) -> int:
    """The first whole microsecond that is at least `percent` of `amount`."""
    return -(-amount * percent // 100)
