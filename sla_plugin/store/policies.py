"""Policies and calendars with their versions. A version never changes; a tenant's `book_revision` orders what came into force when."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import String, UniqueConstraint, delete, insert, select
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
    """What a calendar says from `effective_at` on."""

    __tablename__ = "calendar_version"
    __table_args__ = (UniqueConstraint("tenant_id", "calendar_id", "version"),)
    calendar_id: Mapped[int]
    version: Mapped[int]
    definition: Mapped[dict[str, Any]]
    effective_at: Mapped[int]
    revision: Mapped[int]
    made_by: Mapped[str] = mapped_column(String(200))


class Policy(TenantRow, Base):
    """A policy's name; what it promises is in its versions."""

    __tablename__ = "policy"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[int]


class PolicyVersion(TenantRow, Base):
    """What a policy promises from `effective_at` on; `definition` is what the policy file holds."""

    __tablename__ = "policy_version"
    __table_args__ = (UniqueConstraint("tenant_id", "policy_id", "version"),)
    policy_id: Mapped[int]
    version: Mapped[int]
    definition: Mapped[dict[str, Any]]
    effective_at: Mapped[int]
    revision: Mapped[int]
    made_by: Mapped[str] = mapped_column(String(200))


def _add_version(
    tx: Transaction, tenant: int, owner: Any, versions: Any, key: str, name: str, definition: Mapping[str, Any], now: int, revision: int, made_by: str
) -> int | None:
    row = tx.scalar(select(owner).where(owner.tenant_id == tenant, owner.name == name))
    if row is None:
        owner_id = new_id()
        tx.execute(insert(owner).values(tenant_id=tenant, id=owner_id, name=name, created_at=now))
        number = 1
    else:
        owner_id = row.id
        latest = tx.scalars(
            select(versions).where(versions.tenant_id == tenant, getattr(versions, key) == owner_id).order_by(versions.version.desc()).limit(1)
        ).one()
        if latest.definition == dict(definition):
            return None
        number = latest.version + 1
    tx.execute(
        insert(versions).values(
            tenant_id=tenant, id=new_id(), **{key: owner_id}, version=number, definition=dict(definition), effective_at=now, revision=revision, made_by=made_by
        )
    )
    return number


def add_calendar_version(tx: Transaction, tenant: int, name: str, definition: Mapping[str, Any], now: int, revision: int, made_by: str) -> int | None:
    """A new version of the calendar `name` (made if unknown); None if nothing changed."""
    return _add_version(tx, tenant, Calendar, CalendarVersion, "calendar_id", name, definition, now, revision, made_by)


def add_policy_version(tx: Transaction, tenant: int, name: str, definition: Mapping[str, Any], now: int, revision: int, made_by: str) -> int | None:
    """A new version of the policy `name` (made if unknown); None if nothing changed."""
    return _add_version(tx, tenant, Policy, PolicyVersion, "policy_id", name, definition, now, revision, made_by)


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


def remove_calendar(tx: Transaction, tenant: int, calendar: int) -> None:
    """Remove a calendar with all its versions."""
    tx.execute(delete(CalendarVersion).where(CalendarVersion.tenant_id == tenant, CalendarVersion.calendar_id == calendar))
    tx.execute(delete(Calendar).where(Calendar.tenant_id == tenant, Calendar.id == calendar))
