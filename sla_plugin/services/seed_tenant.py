"""The very first start: a tenant with an admin, an example calendar and the default policy; and a new password for who lost theirs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sla_plugin.actions.registry import DEFAULT_ON_BREACH
from sla_plugin.engine.policies import ALWAYS_OPEN
from sla_plugin.errors import ConfigurationError, InvalidDefinition
from sla_plugin.services.passwords import hash_password, one_time_password
from sla_plugin.services.people import check_email
from sla_plugin.services.time_zones import known_zones
from sla_plugin.store.audit import append_audit
from sla_plugin.store.credentials import end_sessions
from sla_plugin.store.db import Transaction
from sla_plugin.store.people import add_person, find_person, set_password
from sla_plugin.store.policies import add_calendar_version, add_policy_version
from sla_plugin.store.tenants import add_tenant, list_tenants, next_book_revision, the_tenant

ADMIN = "admin@localhost"
OFFICE_HOURS: Mapping[str, Any] = {"time_zone": "UTC", "hours": {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}}
DEFAULT_POLICY: Mapping[str, Any] = {
    "name": "Default",
    "description": "What every ticket is promised that no other policy claims.",
    "default": True,
    "calendar": ALWAYS_OPEN,
    "targets": {
        "first_response": {"P0": "15m", "P1": "1h", "P2": "4h", "P3": "24h"},
        "resolution": {"P0": "4h", "P1": "4h", "P2": "24h", "P3": "72h"},
    },
    "on_breach": list(DEFAULT_ON_BREACH),
}


@dataclass(frozen=True)
class Seeded:
    """What the first start made; `password` is clear text, valid once, and kept nowhere."""

    tenant: int
    email: str
    password: str


def seed_tenant(tx: Transaction, now: int) -> Seeded | None:
    """Make the first tenant with what it needs (`found_tenant`); None if there is a tenant already."""
    if the_tenant(tx) is not None:
        return None
    return found_tenant(tx, "Default", ADMIN, now, "machine")


def found_tenant(tx: Transaction, name: str, email: str, now: int, actor: str, time_zone: str = "UTC") -> Seeded:
    """Make a tenant, its first admin, an example calendar and the default policy.

    Raises ConfigurationError for a name that is taken, InvalidDefinition for a name, address or zone that cannot be.
    """
    name, email = name.strip(), email.strip().lower()
    if not 0 < len(name) <= 200:
        raise InvalidDefinition("name", "give the tenant a name of at most 200 characters")
    if time_zone not in known_zones():
        raise InvalidDefinition("time_zone", f"{time_zone!r} is no time zone; write one such as Europe/Berlin")
    check_email(email)
    if name in [known for _, known in list_tenants(tx)]:
        raise ConfigurationError(f"there is a tenant {name!r} already")
    tenant = add_tenant(tx, name, now, time_zone)
    password = one_time_password()
    add_person(tx, tenant, email, "Administrator", "admin", hash_password(password), now, one_time=True)
    revision = next_book_revision(tx, tenant)
    add_calendar_version(tx, tenant, "Office hours", {**OFFICE_HOURS, "time_zone": time_zone}, now, revision, "first start")
    add_policy_version(tx, tenant, DEFAULT_POLICY["name"], DEFAULT_POLICY, now, revision, "first start")
    made = {"tenant": name, "admin": email, "calendars": ["Office hours"], "policies": ["Default"]}
    append_audit(tx, tenant, now, actor, "tenant seeded", {"before": None, "after": made})
    return Seeded(tenant, email, password)


def reset_password(tx: Transaction, tenant: int, email: str, password_hash: str, now: int, actor: str) -> None:
    """Give a person a one-time password (its hash, made before the transaction); every session of theirs ends. Raises ConfigurationError for a stranger."""
    person = find_person(tx, tenant, email)
    if person is None:
        raise ConfigurationError(f"nobody signs in as {email}; the first admin is {ADMIN}")
    set_password(tx, tenant, person.id, password_hash, one_time=True)
    end_sessions(tx, tenant, person.id, now)
    append_audit(tx, person.tenant_id, now, actor, "password reset", {"person": person.email})
