"""Policy files: calendars and policies as YAML. Everything is checked first; what changed becomes new versions in one revision, the rest stays."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml

from sla_plugin.actions.registry import ACTIONS
from sla_plugin.engine.business_time import NEVER, business_time
from sla_plugin.engine.calendars import Calendar, cover, year_start
from sla_plugin.engine.creation_time import asked_by
from sla_plugin.engine.policies import ALWAYS_OPEN, Policy
from sla_plugin.engine.policy_definitions import read_calendars
from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.copy_holidays import copy_holidays
from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction
from sla_plugin.store.policies import add_calendar_version, add_policy_version, calendar_versions, policy_versions
from sla_plugin.store.tenants import next_book_revision

LARGEST = 1_000_000  # characters of a policy file
_SINCE = year_start(2000)  # hours before are of no use to anybody


@dataclass(frozen=True)
class PolicyFile:
    """A file that is right in itself: definitions as plain JSON data, by name, policies in the order of the file."""

    calendars: Mapping[str, dict[str, Any]]
    policies: Mapping[str, dict[str, Any]]


@dataclass(frozen=True)
class Stored:
    """The newest definitions that a tenant has, with their version numbers; `since` is when the last of them came into force (microseconds UTC)."""

    calendars: Mapping[str, tuple[int, dict[str, Any]]]
    policies: Mapping[str, tuple[int, dict[str, Any]]]
    since: int = 0


@dataclass(frozen=True)
class Change:
    """What a file changes: names with their new version number, names that stay as they are, and what somebody should look at."""

    calendars: Mapping[str, int]
    policies: Mapping[str, int]
    unchanged: Sequence[str]
    warnings: Sequence[str]
    revision: int | None = None

    def as_data(self) -> dict[str, Any]:
        """The JSON answer."""
        return {
            "revision": self.revision,
            "changed": {
                "calendars": [{"name": n, "version": v} for n, v in self.calendars.items()],
                "policies": [{"name": n, "version": v} for n, v in self.policies.items()],
            },
            "unchanged": list(self.unchanged),
            "warnings": list(self.warnings),
        }


class _StrictLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice: the first one would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping, each key once."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} is given twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def read_policy_file(text: str) -> PolicyFile:
    """Parse a file and check everything that needs no database. Raises InvalidDefinition naming the path in the file (or its line)."""
    if len(text) > LARGEST:
        raise InvalidDefinition("file", f"is larger than {LARGEST} characters")
    try:
        data = yaml.load(text, _StrictLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        raise InvalidDefinition(f"line {mark.line + 1}" if mark else "file", f"is not YAML: {problem.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise InvalidDefinition("file", f"is not YAML: {problem}") from None
    return read_policy_file_data(data)


def read_policy_file_data(data: Any) -> PolicyFile:
    """Check a file that is parsed already: {calendars: {...}, policies: [...]}. Raises InvalidDefinition naming the path."""
    if not isinstance(data, Mapping) or not data:
        raise InvalidDefinition("file", "holds nothing; write policies: [...] and, if they need one, calendars: {...}")
    for key in data:
        if key not in ("calendars", "policies"):
            raise InvalidDefinition(str(key), "unknown; a policy file has calendars and policies")
    return PolicyFile(_calendars(data.get("calendars")), _policies(data.get("policies")))


def _calendars(told: Any) -> dict[str, dict[str, Any]]:
    if told is None:
        return {}
    if not isinstance(told, Mapping):
        raise InvalidDefinition("calendars", "write names with their hours, e.g. {Office: {time_zone: UTC, hours: 24x7}}")
    calendars = {}
    for key, definition in told.items():
        name = str(key).strip()
        where = f"calendars.{name}"
        if not name or len(name) > 200:
            raise InvalidDefinition("calendars", f"{name!r} is no name; give the calendar one of at most 200 characters")
        if name == ALWAYS_OPEN:
            raise InvalidDefinition(where, "this name is taken: it always means around the clock")
        if isinstance(definition, Mapping):
            definition = copy_holidays(definition, where)
        # the calendar's own form, so that writing the same hours differently is no change
        calendars[name] = Calendar.from_definition(definition, where).to_definition()
    return calendars


def _policies(told: Any) -> dict[str, dict[str, Any]]:
    if told is None:
        return {}
    if not isinstance(told, Sequence) or isinstance(told, str):
        raise InvalidDefinition("policies", "write a list, each entry with its name, e.g. [{name: Gold, targets: {resolution: 8h}}]")
    policies: dict[str, dict[str, Any]] = {}
    for number, definition in enumerate(told):
        where = f"policies[{number}]"
        policy = Policy.from_definition(definition, where)
        if policy.name in policies:
            raise InvalidDefinition(f"{where}.name", f"{policy.name!r} stands twice in the file")
        for position, action in enumerate(policy.on_breach or ()):
            if action not in ACTIONS:
                raise InvalidDefinition(f"{where}.on_breach[{position}]", f"unknown action {action!r}; known are {', '.join(ACTIONS)}")
        policies[policy.name] = {**_plain(definition), "name": policy.name}
    return policies


def _plain(value: Any) -> Any:
    """YAML data as JSON data: keys are texts, dates too."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


def read_stored(tx: Transaction, tenant: int) -> Stored:
    """What the tenant has now."""
    calendars, policies = calendar_versions(tx, tenant), policy_versions(tx, tenant)
    return Stored(
        calendars={name: (v.version, v.definition) for name, v in calendars},
        policies={name: (v.version, v.definition) for name, v in policies},
        since=max((v.effective_at for _, v in (*calendars, *policies)), default=0),
    )


def compare(file: PolicyFile, stored: Stored) -> Change:
    """What the file would change. Raises InvalidDefinition for a policy whose calendar exists neither in the file nor in the store."""
    hours = {**{name: definition for name, (_, definition) in stored.calendars.items()}, **file.calendars}
    for number, (name, definition) in enumerate(file.policies.items()):
        where = f"policies[{number}].calendar"
        _demand(read_calendars(definition.get("calendar"), where), {ALWAYS_OPEN, *hours}, where, name)
        _demand([fact.calendar for fact in asked_by(definition.get("applies_to"))], hours, f"policies[{number}].applies_to", name)
    calendars = {n: stored.calendars.get(n, (0, {}))[0] + 1 for n, d in file.calendars.items() if stored.calendars.get(n, (0, None))[1] != d}
    policies = {n: stored.policies.get(n, (0, {}))[0] + 1 for n, d in file.policies.items() if stored.policies.get(n, (0, None))[1] != d}
    unchanged = [f"calendar {n}" for n in file.calendars if n not in calendars] + [f"policy {n}" for n in file.policies if n not in policies]
    in_force = {**{name: definition for name, (_, definition) in stored.policies.items()}, **file.policies}
    promised = [Policy.from_definition(d, n) for n, d in in_force.items()]
    _refuse_never_open(file, promised, hours)
    return Change(calendars, policies, unchanged, warnings_of(promised))


def _demand(wanted: Iterable[str | None], known: Collection[str], where: str, policy: str) -> None:
    """Refuse the first calendar that does not exist; None asks for none."""
    for calendar in wanted:
        if calendar is not None and calendar not in known:
            there = ", ".join(sorted({ALWAYS_OPEN, *known}))
            raise InvalidDefinition(where, f"{policy!r} wants a calendar {calendar!r}, which does not exist; there are {there}")


def _refuse_never_open(file: PolicyFile, policies: Sequence[Policy], hours: Mapping[str, dict[str, Any]]) -> None:
    """Refuse two calendars that a policy covers and that are never open together; those that the file leaves alone were looked at before."""
    for policy in policies:
        if policy.beside is None or not policy.active or not {policy.calendar, policy.beside} <= set(hours):
            continue
        if policy.name in file.policies or not {policy.calendar, policy.beside}.isdisjoint(file.calendars):
            ours, theirs = (Calendar.from_definition(hours[name], name) for name in (policy.calendar, policy.beside))
            if business_time(cover(ours, theirs)).next_open(_SINCE) == NEVER:
                place = f"policies[{list(file.policies).index(policy.name)}].calendar.cover" if policy.name in file.policies else "calendars"
                raise InvalidDefinition(place, f"{policy.calendar!r} and {policy.beside!r}, which {policy.name!r} covers, are never open at the same time")


def warnings_of(policies: Sequence[Policy]) -> list[str]:
    """What works but is hardly meant: policies that never get a ticket, tickets that get no policy."""
    active = sorted((p for p in policies if p.active), key=lambda p: (p.default, p.position, p.name))  # the order in which they are tried
    found = [warning for policy in active for warning in policy.warnings()]
    takes_all = next((p for p in active if p.applies_to.definition is None), None)
    if takes_all is None:
        return [*found, "a ticket that meets no policy's conditions is promised nothing: make one policy the default, without conditions"]
    shadowed = active[active.index(takes_all) + 1 :]
    return [*found, *(f"policy {p.name!r} never applies: {takes_all.name!r} is tried before it and takes every ticket" for p in shadowed)]


def apply_policy_file(
    tx: Transaction, tenant: int, file: PolicyFile, now: int, actor: str, *, quiet: bool = False, made_as: Mapping[str, int] | None = None
) -> Change:
    """Store what the file changes as new versions in force from `now`; an unchanged file takes no revision. Raises InvalidDefinition; then nothing changed.

    Policies and calendars that the file does not name stay as they are. Open tickets are brought up to the new revision by the timekeeper. `quiet`: what the
    change itself makes past is recorded and not announced. `made_as`: ids for what is new, by name.
    """
    change = compare(file, read_stored(tx, tenant))
    if not change.calendars and not change.policies:
        return change
    revision = next_book_revision(tx, tenant)
    stored = read_stored(tx, tenant)  # again: who wrote meanwhile is done now, the revision's row is ours
    change = compare(file, stored)
    since = max(now, stored.since)  # revisions come into force in their order, whatever the clocks of hosts say
    ids = made_as or {}
    for name in change.calendars:
        add_calendar_version(tx, tenant, name, file.calendars[name], since, revision, actor, quiet=quiet, made_as=ids.get(name))
    for name in change.policies:
        add_policy_version(tx, tenant, name, file.policies[name], since, revision, actor, quiet=quiet, made_as=ids.get(name))
    kinds = (("calendars", stored.calendars, change.calendars), ("policies", stored.policies, change.policies))
    was = {kind: {name: known[name][1] if name in known else None for name in changed} for kind, known, changed in kinds}
    now_is = {"calendars": {name: file.calendars[name] for name in change.calendars}, "policies": {name: file.policies[name] for name in change.policies}}
    told = {"revision": revision, "calendars": dict(change.calendars), "policies": dict(change.policies), "before": was, "after": now_is}
    if quiet:
        told["announced"] = False
    append_audit(tx, tenant, now, actor, "policies changed", told)
    return Change(change.calendars, change.policies, change.unchanged, change.warnings, revision)
