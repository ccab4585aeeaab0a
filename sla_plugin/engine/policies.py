"""Policies: who is promised what. Validated at construction; a policy that exists can work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sla_plugin.engine.business_time import BusinessTime
from sla_plugin.engine.conditions import Condition, compile_condition
from sla_plugin.engine.durations import format_duration, parse_duration
from sla_plugin.engine.facts import PRIORITIES, STATUSES
from sla_plugin.engine.metrics.definitions import METRICS, Metric, MetricOptions
from sla_plugin.errors import InvalidDefinition

ALWAYS_OPEN = "24x7"
_KEYS = frozenset(
    {"name", "description", "active", "default", "position", "applies_to", "calendar", "targets", "warning", "critical", "pause_in", "resolution", "on_breach"}
)
_PRIORITY_WORDS = {"urgent": "P0", "critical": "P0", "high": "P1", "normal": "P2", "medium": "P2", "low": "P3"}
POLICY_FIELDS = frozenset({"status", "priority", "type", "category", "channel", "assignee", "group", "tags", "requester", "organization", "subject"})


@dataclass(frozen=True, slots=True)
class Target:
    """A promise in microseconds; counted in business time of the policy's calendar, or in calendar time."""

    amount: int
    business: bool = True


@dataclass(frozen=True)
class Policy:
    """A policy. `targets`: metric -> our priority word (or "*") -> Target. Thresholds are percent of the target."""

    name: str
    description: str
    active: bool
    default: bool
    position: int
    applies_to: Condition
    calendar: str
    targets: Mapping[str, Mapping[str, Target]]
    warning: int
    critical: int
    options: MetricOptions
    on_breach: tuple[str, ...] | None
    metrics: Mapping[str, Metric]

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any], where: str) -> "Policy":
        """A policy from the form that policy files and stored versions share; raises InvalidDefinition naming the field."""
        if not isinstance(definition, Mapping):
            raise InvalidDefinition(where, "a policy is a mapping with name, targets ...")
        unknown = sorted(set(definition) - _KEYS)
        if unknown:
            raise InvalidDefinition(f"{where}.{unknown[0]}", f"unknown; a policy has {', '.join(sorted(_KEYS))}")
        name = str(definition.get("name") or "").strip()
        if not name or len(name) > 200:
            raise InvalidDefinition(f"{where}.name", "give the policy a name of at most 200 characters")
        warning = _percent(definition.get("warning", 80), f"{where}.warning")
        critical = _percent(definition.get("critical", 95), f"{where}.critical")
        if warning >= critical:
            raise InvalidDefinition(f"{where}.warning", f"{warning} % is not before critical at {critical} %")
        options = _options(definition, where)
        targets = _targets(definition.get("targets"), f"{where}.targets")
        position = definition.get("position", 100)
        if not isinstance(position, int) or isinstance(position, bool):
            raise InvalidDefinition(f"{where}.position", f"{position!r} is not a whole number")
        on_breach = definition.get("on_breach")
        if on_breach is not None and not (isinstance(on_breach, Sequence) and not isinstance(on_breach, str) and all(isinstance(a, str) for a in on_breach)):
            raise InvalidDefinition(f"{where}.on_breach", "a list of actions, e.g. [raise_priority, comment]")
        return cls(
            name=name,
            description=str(definition.get("description") or ""),
            active=_flag(definition, "active", True, where),
            default=_flag(definition, "default", False, where),
            position=position,
            applies_to=compile_condition(definition.get("applies_to"), f"{where}.applies_to", POLICY_FIELDS),
            calendar=str(definition.get("calendar") or ALWAYS_OPEN),
            targets=targets,
            warning=warning,
            critical=critical,
            options=options,
            on_breach=tuple(on_breach) if on_breach is not None else None,
            metrics={metric: METRICS[metric](options) for metric in targets},
        )

    def target(self, metric: str, priority: str) -> Target | None:
        """The promise for a metric and one of our priority words; None if there is none."""
        by_priority = self.targets.get(metric)
        if by_priority is None:
            return None
        return by_priority.get(priority) or by_priority.get("*")

    def promise(self) -> str:
        """The targets in one line, e.g. `first response 15 m to 24 h, resolution 8 h`."""
        parts = []
        for metric, by_priority in self.targets.items():
            amounts = sorted({t.amount for t in by_priority.values()})
            span = format_duration(amounts[0]) + (f" to {format_duration(amounts[-1])}" if len(amounts) > 1 else "")
            parts.append(f"{metric.replace('_', ' ')} {span}")
        return ", ".join(parts)


def _flag(definition: Mapping[str, Any], key: str, default: bool, where: str) -> bool:
    value = definition.get(key, default)
    if not isinstance(value, bool):
        raise InvalidDefinition(f"{where}.{key}", f"{value!r} is neither true nor false")
    return value


def _percent(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 99:
        raise InvalidDefinition(where, f"{value!r} is not a whole percentage from 1 to 99")
    return value


def priority_word(word: str) -> str:
    """Our word for a priority as people write it in a policy: P0 to P3, or urgent, high, normal, low."""
    return _PRIORITY_WORDS.get(word.lower(), word.upper() if word.upper() in PRIORITIES else word)


def _targets(value: Any, where: str) -> dict[str, dict[str, Target]]:
    if not isinstance(value, Mapping) or not value:
        raise InvalidDefinition(where, "promise at least one metric, e.g. {first_response: 1h}")
    targets: dict[str, dict[str, Target]] = {}
    for metric, promised in value.items():
        if metric not in METRICS:
            raise InvalidDefinition(f"{where}.{metric}", f"unknown metric; known are {', '.join(METRICS)}")
        by_priority = promised if isinstance(promised, Mapping) and "target" not in promised else {"*": promised}
        row: dict[str, Target] = {}
        for priority, amount in by_priority.items():
            place = f"{where}.{metric}" if priority == "*" else f"{where}.{metric}.{priority}"
            word = "*" if priority == "*" else priority_word(str(priority))
            if word != "*" and word not in PRIORITIES:
                raise InvalidDefinition(place, f"unknown priority; use {', '.join(PRIORITIES)} or urgent, high, normal, low")
            if amount is None:
                continue  # blank = no promise
            row[word] = _target(amount, place)
        if not row:
            raise InvalidDefinition(f"{where}.{metric}", "no priority has a target")
        targets[metric] = row
    return targets


def _target(value: Any, where: str) -> Target:
    business = True
    if isinstance(value, Mapping):
        unknown = sorted(set(value) - {"target", "counts"})
        if unknown:
            raise InvalidDefinition(f"{where}.{unknown[0]}", "unknown; write {target: 8h, counts: business} or counts: calendar")
        counts = value.get("counts", "business")
        if counts not in ("business", "calendar"):
            raise InvalidDefinition(f"{where}.counts", f"{counts!r} is neither business nor calendar")
        business = counts == "business"
        value, where = value.get("target"), f"{where}.target"
    return Target(parse_duration(value, where, allow_days=not business), business)


def _options(definition: Mapping[str, Any], where: str) -> MetricOptions:
    pause_in = definition.get("pause_in", ["waiting_customer"])
    if isinstance(pause_in, str) or not isinstance(pause_in, Sequence):
        raise InvalidDefinition(f"{where}.pause_in", "a list of statuses, e.g. [waiting_customer]")
    for status in pause_in:
        if status not in STATUSES:
            raise InvalidDefinition(f"{where}.pause_in", f"unknown status {status!r}; known are {', '.join(STATUSES)}")
    resolution = definition.get("resolution") or {}
    if not isinstance(resolution, Mapping) or set(resolution) - {"starts", "stops"}:
        raise InvalidDefinition(f"{where}.resolution", "has starts (creation, assignment) and stops (resolved, closed)")
    starts, stops = resolution.get("starts", "creation"), resolution.get("stops", "resolved")
    if starts not in ("creation", "assignment"):
        raise InvalidDefinition(f"{where}.resolution.starts", f"{starts!r} is neither creation nor assignment")
    if stops not in ("resolved", "closed"):
        raise InvalidDefinition(f"{where}.resolution.stops", f"{stops!r} is neither resolved nor closed")
    if stops in pause_in or (stops == "resolved" and "closed" in pause_in):
        raise InvalidDefinition(f"{where}.pause_in", f"{stops} stops the clock, so it cannot pause it")
    return MetricOptions(pause_in=tuple(pause_in), resolution_starts=starts, resolution_stops=stops)


@dataclass(frozen=True, eq=False)
class Terms:
    """A policy version in force, with its compiled calendar: what a clock runs under. The same terms are the same object."""

    policy_id: int
    policy_version: int
    policy: Policy
    calendar_id: int | None
    calendar_version: int | None
    business_time: BusinessTime


@dataclass(frozen=True)
class Book:
    """All policies of a tenant as they stood from `since` on (microseconds UTC), in the order in which they are tried; the default comes last."""

    revision: int
    since: int
    terms: tuple[Terms, ...]
    fields: frozenset[str]  # ticket fields that any condition reads
    metrics: frozenset[str]

    @classmethod
    def of(cls, revision: int, since: int, terms: Sequence[Terms]) -> "Book":
        """A book in matching order: active policies by position and name, defaults last."""
        ordered = sorted((t for t in terms if t.policy.active), key=lambda t: (t.policy.default, t.policy.position, t.policy.name))
        return cls(
            revision=revision,
            since=since,
            terms=tuple(ordered),
            fields=frozenset().union(*(t.policy.applies_to.fields for t in ordered)),
            metrics=frozenset().union(*(t.policy.targets for t in ordered)),
        )

    def choose(self, state: Mapping[str, Any]) -> Terms | None:
        """The first policy that applies to a ticket in `state`."""
        for terms in self.terms:
            if terms.policy.applies_to.test(state):
                return terms
        return None

    def why(self, state: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The policies in order with the reason each did or did not match, up to the match."""
        reasons = []
        for terms in self.terms:
            matched = terms.policy.applies_to.test(state)
            reasons.append(
                {"policy": terms.policy.name, "version": terms.policy_version, "matched": matched, "because": terms.policy.applies_to.explain(state)}
            )
            if matched:
                break
        return reasons
