"""Who people are at the tenant's sign-in service, and what is kept about that service: how it is, which answers of it were used, whose JWTs are whose."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import Index, String, Table, Text, UniqueConstraint, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.bulk import insert_rows, of_tenant
from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id
from sla_plugin.store.people import Person


class Identity(TenantRow, Base):
    """A person as a sign-in service knows them: `subject` is its own name that never changes, `email` what it said last."""

    __tablename__ = "identity"
    __table_args__ = (UniqueConstraint("tenant_id", "issuer", "subject"), UniqueConstraint("tenant_id", "person_id", "issuer", name="uq_identity_person"))
    person_id: Mapped[int]
    issuer: Mapped[str] = mapped_column(String(500))
    subject: Mapped[str] = mapped_column(String(255))
    email: Mapped[str | None] = mapped_column(String(320))
    bound_at: Mapped[int]
    used_at: Mapped[int]


class SpentState(Base):
    """A sign-in that came back (sha256 of its state): it does not come back twice."""

    __tablename__ = "spent_state"
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[int]


class ProviderCheck(Base):
    """How the tenant's sign-in service was when we last had to do with it; there is a row where one is in use."""

    __tablename__ = "provider_check"
    __table_args__ = (Index("ix_provider_check_checked_at", "checked_at"),)
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    checked_at: Mapped[int]
    problem: Mapped[str | None] = mapped_column(Text)


class BearerIssuer(Base):
    """The issuer and audience of the JWTs that programs of a tenant bear; no two tenants have the same pair."""

    __tablename__ = "bearer_issuer"
    __table_args__ = (UniqueConstraint("issuer", "audience"),)
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    issuer: Mapped[str] = mapped_column(String(500))
    audience: Mapped[str] = mapped_column(String(255))


# --- identities ------------------------------------------------------------------------------------------------------
def find_identity(tx: Transaction, tenant: int, issuer: str, subject: str) -> tuple[Identity, Person] | None:
    """Who that is, disabled or not."""
    joined = select(Identity, Person).join(Person, (Person.tenant_id == Identity.tenant_id) & (Person.id == Identity.person_id))
    row = tx.execute(joined.where(Identity.tenant_id == tenant, Identity.issuer == issuer, Identity.subject == subject)).first()
    return (row[0], row[1]) if row is not None else None


def identities_of(tx: Transaction, tenant: int, person: int) -> Sequence[Identity]:
    """Everything a person is bound to, the latest first."""
    return tx.scalars(select(Identity).where(Identity.tenant_id == tenant, Identity.person_id == person).order_by(Identity.id.desc())).all()


def bound_people(tx: Transaction, tenant: int, issuer: str) -> Sequence[Person]:
    """Those who came in through an issuer before and may sign in."""
    joined = select(Person).join(Identity, (Person.tenant_id == Identity.tenant_id) & (Person.id == Identity.person_id))
    mine = (Person.tenant_id == tenant, Identity.tenant_id == tenant, Identity.issuer == issuer, Person.disabled_at.is_(None))
    return tx.scalars(joined.where(*mine).order_by(Person.id)).all()


def add_identity(tx: Transaction, tenant: int, person: int, issuer: str, subject: str, email: str | None, now: int) -> int:
    """Bind a person; returns the id. Raises IntegrityError where person or subject are bound already."""
    identity = new_id()
    times = {"bound_at": now, "used_at": now}
    tx.execute(insert(Identity).values(tenant_id=tenant, id=identity, person_id=person, issuer=issuer, subject=subject, email=email, **times))
    return identity


def note_identity(tx: Transaction, tenant: int, identity: int, email: str | None, now: int) -> None:
    """It was used; `email` is what the service says now (None: nothing)."""
    values = {"used_at": now} if email is None else {"used_at": now, "email": email}
    tx.execute(update(Identity).where(Identity.tenant_id == tenant, Identity.id == identity).values(**values))


def remove_identity(tx: Transaction, tenant: int, person: int, identity: int) -> Identity | None:
    """Unbind; the identity that was, None if the person has no such one."""
    found = tx.get(Identity, (tenant, identity))
    if found is None or found.person_id != person:
        return None
    tx.execute(delete(Identity).where(Identity.tenant_id == tenant, Identity.id == identity))
    return found


# --- answers that came back ------------------------------------------------------------------------------------------
def spend_state(tx: Transaction, tenant: int, digest: str, now: int, expires_at: int) -> bool:
    """Use a state up; False if it was used before. What nobody can use any more is forgotten."""
    tx.execute(delete(SpentState).where(SpentState.tenant_id == tenant, SpentState.expires_at <= now))
    spent = {"tenant_id": tenant, "digest": digest, "expires_at": expires_at}
    return bool(insert_rows(tx, cast(Table, SpentState.__table__), of_tenant(tenant, [spent]), known=("tenant_id", "digest"), returning=("digest",)))


# --- how the service is ----------------------------------------------------------------------------------------------
def provider_check(tx: Transaction, tenant: int) -> ProviderCheck | None:
    """How the service was last; None where none is in use."""
    return tx.get(ProviderCheck, tenant)


def note_check(tx: Transaction, tenant: int, problem: str | None, now: int) -> None:
    """Keep how it was (None: well)."""
    dialect = postgresql if tx.is_postgres else sqlite
    statement = dialect.insert(ProviderCheck).values(tenant_id=tenant, checked_at=now, problem=problem)
    tx.execute(statement.on_conflict_do_update(index_elements=["tenant_id"], set_={"checked_at": now, "problem": problem}))


def forget_check(tx: Transaction, tenant: int) -> None:
    """No service is in use any more."""
    tx.execute(delete(ProviderCheck).where(ProviderCheck.tenant_id == tenant))


def overdue_provider(tx: Transaction, well_before: int, ill_before: int) -> int | None:
    """A tenant whose service was not asked since an instant: an earlier one where it was well than where it was not."""
    overdue = (ProviderCheck.checked_at < well_before) | ((ProviderCheck.checked_at < ill_before) & ProviderCheck.problem.is_not(None))
    return tx.scalar(select(ProviderCheck.tenant_id).where(overdue).order_by(ProviderCheck.checked_at).limit(1))


def take_provider(tx: Transaction, tenant: int, seen: int, now: int) -> bool:
    """Claim the check of a service that was last asked at `seen`; False if somebody was quicker."""
    mine = (ProviderCheck.tenant_id == tenant, ProviderCheck.checked_at == seen)
    return tx.change(update(ProviderCheck).where(*mine).values(checked_at=now)) > 0


# --- whose JWTs are whose --------------------------------------------------------------------------------------------
def keep_bearer_issuer(tx: Transaction, tenant: int, issuer: str, audience: str) -> None:
    """The pair of a tenant; an empty issuer is none. Raises IntegrityError for a pair that another tenant has."""
    tx.execute(delete(BearerIssuer).where(BearerIssuer.tenant_id == tenant))
    if issuer:
        tx.execute(insert(BearerIssuer).values(tenant_id=tenant, issuer=issuer, audience=audience))


def tenant_of_bearer(tx: Transaction, issuer: str, audiences: Sequence[str]) -> int | None:
    """Whose JWT that is; one of the doors that discover the tenant. None for nobody's, and for one that is of several."""
    found = tx.scalars(select(BearerIssuer.tenant_id).where(BearerIssuer.issuer == issuer, BearerIssuer.audience.in_(audiences[:20])).limit(2)).all()
    return found[0] if len(found) == 1 else None
