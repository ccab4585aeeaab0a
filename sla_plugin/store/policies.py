"""Policies and calendars with their versions. A version never changes; a tenant's `book_revision` orders what came into force when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import String, UniqueConstraint, delete, false, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id


class Calendar(TenantRow, Base):
    """A calendar's name; what it says is in its versions."""

    __tablename__ = "calendar"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[int]


class CalendarVersion(TenantRow, Base):
    """What a calendar says from `effective_at` on; `quiet`: what coming into force makes past is recorded and not announced."""

    __tablename__ = "calendar_version"
    __table_args__ = (UniqueConstraint("tenant_id", "calendar_id", "version"),)
    calendar_id: Mapped[int]
    version: Mapped[int]
    definition: Mapped[dict[str, Any]]
    effective_at: Mapped[int]
    revision: Mapped[int]
    made_by: Mapped[str] = mapped_column(String(200))
    quiet: Mapped[bool] = mapped_column(server_default=false())


class Policy(TenantRow, Base):
    """A policy's name; what it promises is in its versions."""

    __tablename__ = "policy"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[int]


class PolicyVersion(TenantRow, Base):
    """What a policy promises from `effective_at` on; `definition` is what the policy file holds, `quiet` as for calendars."""

    __tablename__ = "policy_version"
    __table_args__ = (UniqueConstraint("tenant_id", "policy_id", "version"),)
    policy_id: Mapped[int]
    version: Mapped[int]
    definition: Mapped[dict[str, Any]]
    effective_at: Mapped[int]
    revision: Mapped[int]
    made_by: Mapped[str] = mapped_column(String(200))
    quiet: Mapped[bool] = mapped_column(server_default=false())


@dataclass(frozen=True, slots=True)
class Entry:
    """How new versions come into force: from when, in which revision of the books, by whom, and whether what that makes past is announced."""

    since: int
    revision: int
    made_by: str
    quiet: bool = False


def _add_version(
    tx: Transaction, tenant: int, owner: Any, versions: Any, key: str, name: str, definition: Mapping[str, Any], entry: Entry, made_as: int | None
) -> int | None:
    row = tx.scalar(select(owner).where(owner.tenant_id == tenant, owner.name == name))
    if row is None:
        owner_id = made_as or new_id()
        tx.execute(insert(owner).values(tenant_id=tenant, id=owner_id, name=name, created_at=entry.since))
        number = 1
    else:
        owner_id = row.id
        latest = tx.scalars(
            select(versions).where(versions.tenant_id == tenant, getattr(versions, key) == owner_id).order_by(versions.version.desc()).limit(1)
        ).one()
        if latest.definition == dict(definition):
            return None
        number = latest.version + 1
    said = {"effective_at": entry.since, "revision": entry.revision, "made_by": entry.made_by, "quiet": entry.quiet}
    tx.execute(insert(versions).values(tenant_id=tenant, id=new_id(), **{key: owner_id}, version=number, definition=dict(definition), **said))
    return number


def add_calendar_version(
    tx: Transaction,
    tenant: int,
    name: str,
    definition: Mapping[str, Any],
    now: int,
    revision: int,
    made_by: str,
    *,
    quiet: bool = False,
    made_as: int | None = None,
) -> int | None:
    """A new version of the calendar `name` (made if unknown, with the id `made_as` if given); None if nothing changed."""
    return _add_version(tx, tenant, Calendar, CalendarVersion, "calendar_id", name, definition, Entry(now, revision, made_by, quiet), made_as)


def add_policy_version(
    tx: Transaction,
    tenant: int,
    name: str,
    definition: Mapping[str, Any],
    now: int,
    revision: int,
    made_by: str,
    *,
    quiet: bool = False,
    made_as: int | None = None,
) -> int | None:
    """A new version of the policy `name` (made if unknown, with the id `made_as` if given); None if nothing changed."""
    return _add_version(tx, tenant, Policy, PolicyVersion, "policy_id", name, definition, Entry(now, revision, made_by, quiet), made_as)


def calendar_versions(tx: Transaction, tenant: int) -> Sequence[Any]:
    """Every calendar version with its calendar's name, oldest revision first."""
    return tx.execute(
        select(Calendar.name, CalendarVersion)
        .join(CalendarVersion, (CalendarVersion.tenant_id == Calendar.tenant_id) & (CalendarVersion.calendar_id == Calendar.id))
        .where(Calendar.tenant_id == tenant)
        .order_by(CalendarVersion.revision, CalendarVersion.id)
    ).all()


def policy_versions(tx: Transaction, tenant: int) -> Sequence[Any]:
    """Every policy version with its policy's name, oldest revision first."""
    return tx.execute(
        select(Policy.name, PolicyVersion)
        .join(PolicyVersion, (PolicyVersion.tenant_id == Policy.tenant_id) & (PolicyVersion.policy_id == Policy.id))
        .where(Policy.tenant_id == tenant)
        .order_by(PolicyVersion.revision, PolicyVersion.id)
    ).all()


def policy_ids(tx: Transaction, tenant: int) -> dict[str, int]:
    """The tenant's policies by name."""
    return {row.name: row.id for row in tx.execute(select(Policy.name, Policy.id).where(Policy.tenant_id == tenant))}


def calendar_ids(tx: Transaction, tenant: int) -> dict[str, int]:
    """The tenant's calendars by name."""
    return {row.name: row.id for row in tx.execute(select(Calendar.name, Calendar.id).where(Calendar.tenant_id == tenant))}


def get_policy(tx: Transaction, tenant: int, policy: int) -> Policy | None:
    """One policy by its id."""
    return tx.get(Policy, (tenant, policy))


def get_calendar(tx: Transaction, tenant: int, calendar: int) -> Calendar | None:
    """One calendar by its id."""
    return tx.get(Calendar, (tenant, calendar))


def delete_policy(tx: Transaction, tenant: int, policy: int) -> None:
    """Remove a policy with its versions; who calls this has made sure that no ticket was ever under it."""
    tx.execute(delete(PolicyVersion).where(PolicyVersion.tenant_id == tenant, PolicyVersion.policy_id == policy))
    tx.execute(delete(Policy).where(Policy.tenant_id == tenant, Policy.id == policy))


def delete_calendar_rows(tx: Transaction, tenant: int, calendar: int) -> None:
    """Remove a calendar with all its versions."""
    tx.execute(delete(CalendarVersion).where(CalendarVersion.tenant_id == tenant, CalendarVersion.calendar_id == calendar))
    tx.execute(delete(Calendar).where(Calendar.tenant_id == tenant, Calendar.id == calendar))
