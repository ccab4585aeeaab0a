"""Eight policies to begin with. A template makes a policy that is edited like any other; nothing refers back to it afterwards."""

from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from sla_plugin.actions.registry import DEFAULT_ON_BREACH
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext, marked
from sla_plugin.services.apply_policy_file import PolicyFile, Stored, apply_policy_file, read_policy_file_data, read_stored
from sla_plugin.services.seed_tenant import DEFAULT_POLICY
from sla_plugin.store.db import Transaction
from sla_plugin.store.policies import policy_ids
from sla_plugin.store.tenants import get_tenant

STEP: Final = 10  # between the positions of neighbours
_WEEK: Final = ("mon", "tue", "wed", "thu", "fri")
_HOURS: Final[Mapping[str, str]] = {"Office hours": "09:00-17:00", "Extended hours": "08:00-18:00"}


@dataclass(frozen=True, slots=True)
class Template:
    """A policy to begin with. `id` never changes; `name` is what a policy made from it is called; `calendar` is the one it counts by, made where missing."""

    id: str
    name: str
    summary: str
    calendar: str
    definition: Mapping[str, Any]


def _template(id: str, name: str, summary: str, calendar: str, targets: Mapping[str, Any], applies_to: Any = None) -> Template:
    definition: dict[str, Any] = {"name": name, "description": summary, "calendar": calendar, "targets": targets, "on_breach": list(DEFAULT_ON_BREACH)}
    return Template(id, name, summary, calendar, definition if applies_to is None else {**definition, "applies_to": applies_to})


def _level(word: str) -> dict[str, Any]:
    """A ticket of that service level, whichever way the helpdesk says so."""
    return {"any": [{"field": "plan", "is": word}, {"field": "tags", "contains": word.lower()}]}


_USUAL: Final[Mapping[str, Any]] = DEFAULT_POLICY["targets"]
TEMPLATES: Final[Mapping[str, Template]] = {
    made.id: made
    for made in (
        _template("business_hours", "Standard business hours", marked("Every ticket, counted Monday to Friday from 9 to 5."), "Office hours", _USUAL),
        _template("extended_hours", "Extended business hours", marked("Every ticket, counted Monday to Friday from 8 to 6."), "Extended hours", _USUAL),
        _template("around_the_clock", "24/7", marked("Every ticket, counted day and night."), "24x7", _USUAL),
        _template(
            "gold",
            "Premium / Gold",
            marked("The best service: answered within an hour, day and night."),
            "24x7",
            {"first_response": "1h", "resolution": "8h"},
            _level("Gold"),
        ),
        _template(
            "silver",
            "Standard / Silver",
            marked("Answered within two hours, counted from 8 to 6."),
            "Extended hours",
            {"first_response": "2h", "resolution": "12h"},
            _level("Silver"),
        ),
        _template(
            "bronze",
            "Basic / Bronze",
            marked("Answered within four hours, counted from 9 to 5."),
            "Office hours",
            {"first_response": "4h", "resolution": "24h"},
            _level("Bronze"),
        ),
        _template(
            "urgent_only",
            "Urgent only",
            marked("Only urgent tickets are promised something, day and night."),
            "24x7",
            {"first_response": {"P0": "15m"}, "resolution": {"P0": "4h"}},
            {"field": "priority", "is": "P0"},
        ),
        _template(
            "technical_support",
            "Technical support",
            marked("Tickets of the category “technical”, counted from 8 to 6."),
            "Extended hours",
            _USUAL,
            {"field": "category", "is": "technical"},
        ),
    )
}


def from_template(template: str, stored: Stored, time_zone: str, name: str | None = None) -> PolicyFile:
    """What a template makes for a tenant: the policy under a free name (`name`, if given), placed after all others but the default, and its calendar if the
    tenant has none of that name. Raises InvalidDefinition for an unknown template and for a name that is taken or cannot be.
    """
    known = TEMPLATES.get(template)
    if known is None:
        raise InvalidDefinition("template", f"unknown template {template!r}; known are {', '.join(TEMPLATES)}")
    if name is not None and name.strip() in stored.policies:
        raise InvalidDefinition("name", f"there is a policy {name.strip()!r} already; choose another name")
    called = name.strip() if name is not None else free_name(known.name, stored.policies)
    definition = {**deepcopy(dict(known.definition)), "name": called, "description": gettext(known.summary), "position": last_position(stored)}
    calendars = {}
    if known.calendar in _HOURS and known.calendar not in stored.calendars:
        calendars[known.calendar] = {"time_zone": time_zone, "hours": {day: [_HOURS[known.calendar]] for day in _WEEK}}
    return read_policy_file_data({"calendars": calendars, "policies": [definition]})


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, or with the first number behind it that makes it free: `Gold 2`."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name} {number}"
    return found


def last_position(stored: Stored) -> int:
    """The position behind every policy that is not a default."""
    positions = [int(definition.get("position", 100)) for _, definition in stored.policies.values() if not definition.get("default")]
    return max(positions) + STEP if positions else 100


def make_policy(tx: Transaction, tenant: int, template: str, now: int, actor: str, name: str | None = None, *, active: bool = False) -> int:
    """Store the policy of a template (inactive unless said otherwise: nobody is promised anything before it was read) with its calendar; returns its id.

    Raises InvalidDefinition as `from_template` does.
    """
    file = from_template(template, read_stored(tx, tenant), get_tenant(tx, tenant).time_zone, name)
    ((called, definition),) = file.policies.items()
    file = PolicyFile(file.calendars, {called: {**definition, "active": active}})
    apply_policy_file(tx, tenant, file, now, actor)
    return policy_ids(tx, tenant)[called]
