"""Who uses a calendar: policies that count by it, cover it, or ask it in their conditions. A calendar that was ever used stays, or the past would change."""

from collections.abc import Mapping
from typing import Any

from sla_plugin.engine.creation_time import asked_by
from sla_plugin.engine.policy_definitions import read_calendars
from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.apply_policy_file import Stored
from sla_plugin.services.save_draft import discard_draft
from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction
from sla_plugin.store.drafts import drafts_of
from sla_plugin.store.policies import calendar_versions, delete_calendar_rows, policy_versions
from sla_plugin.store.tenants import lock_books


def calendars_of(definition: Mapping[str, Any], name: str) -> set[str]:
    """The calendars that a policy's definition names."""
    counted = {calendar for calendar in read_calendars(definition.get("calendar"), name) if calendar is not None}
    return counted | {fact.calendar for fact in asked_by(definition.get("applies_to")) if fact.calendar is not None}


def users_of(stored: Stored) -> dict[str, list[str]]:
    """Calendar -> names of the policies that use it now."""
    users: dict[str, list[str]] = {}
    for name, (_, definition) in sorted(stored.policies.items()):
        for calendar in calendars_of(definition, name):
            users.setdefault(calendar, []).append(name)
    return users


def ever_used_by(tx: Transaction, tenant: int, calendar: str) -> dict[str, list[int]]:
    """Policy -> its versions that use a calendar, or once did."""
    found: dict[str, list[int]] = {}
    for name, version in policy_versions(tx, tenant):
        if calendar in calendars_of(version.definition, name):
            found.setdefault(name, []).append(version.version)
    return found


def delete_calendar(tx: Transaction, tenant: int, calendar: int, name: str, now: int, actor: str) -> None:
    """Delete a calendar that no version of a policy ever used, with its versions, drafts and feeds; the audit entry keeps what it said.

    Raises InvalidDefinition("calendar"), naming the policies, for one in use.
    """
    lock_books(tx, tenant)
    users = ever_used_by(tx, tenant, name)
    if users:
        said = ", ".join(f"{policy} (version {', '.join(map(str, versions))})" for policy, versions in users.items())
        raise InvalidDefinition("calendar", f"{name!r} is used by {said}; what was counted by it needs it")
    for draft in drafts_of(tx, tenant, "calendar", calendar):
        discard_draft(tx, tenant, draft)
    was = {known: version.definition for known, version in calendar_versions(tx, tenant) if version.calendar_id == calendar}
    delete_calendar_rows(tx, tenant, calendar)
    append_audit(tx, tenant, now, actor, "calendar deleted", {"calendar": name, "before": was.get(name)})
