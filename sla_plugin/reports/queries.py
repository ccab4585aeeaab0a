"""What pages ask of the store beside their lists (lists.py): read only, set-based, a fixed number of queries per page. Instants are microseconds (UTC)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, func, select, text

from sla_plugin.store.alerts import ALERTS, OPEN
from sla_plugin.store.audit import AuditEntry
from sla_plugin.store.clocks import Clock, Correction, Record
from sla_plugin.store.connections import Connection, ConnectionState
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import Delivery
from sla_plugin.store.events import EventRow
from sla_plugin.store.policies import CalendarVersion, PolicyVersion
from sla_plugin.store.tickets import STANDINGS, TICKETS, PromiseRow, Ticket

# --- what every page tells --------------------------------------------------------------------------------------------
STATES = STANDINGS[:-1]  # of tickets with a clock
MOST_SIGNS = 100


@dataclass(frozen=True)
class BreachSigns:
    """Tickets with a breached clock, counted up to MOST_SIGNS, and whether a breach waits to be acknowledged."""

    count: int
    unacknowledged: bool

    @property
    def shown(self) -> str:
        """The count as a title shows it."""
        return f"{self.count}" if self.count < MOST_SIGNS else f"{MOST_SIGNS - 1}+"


NO_BREACHES = BreachSigns(0, False)


def open_breaches(tx: Transaction, tenant: int) -> BreachSigns:
    """What title and icon of a page tell; a bounded look into two indexes, for every page asks it."""
    some = select(TICKETS.c.id).where(TICKETS.c.tenant_id == tenant, TICKETS.c.standing == "breached").limit(MOST_SIGNS).subquery()
    waits = select(ALERTS.c.id).where(ALERTS.c.tenant_id == tenant, text(OPEN), ALERTS.c.level == "breach").limit(1).scalar_subquery()
    count, waiting = tx.execute(select(select(func.count()).select_from(some).scalar_subquery(), waits)).one()
    return BreachSigns(int(count), waiting is not None)


# --- figures -----------------------------------------------------------------------------------------------------------
def met_since(tx: Transaction, tenant: int, since: int) -> tuple[int, int]:
    """(met, finished) among the records finished since an instant; a corrected record counts as its last correction says."""
    latest = select(func.max(Correction.number)).where(Correction.tenant_id == tenant, Correction.record_id == Record.id).correlate(Record).scalar_subquery()
    rows = tx.execute(
        select(Record.met, Correction.id, Correction.now)
        .outerjoin(Correction, and_(Correction.tenant_id == tenant, Correction.record_id == Record.id, Correction.number == latest))
        .where(Record.tenant_id == tenant, Record.finished_at >= since, Correction.id.is_not(None))
    ).all()
    plain = tx.execute(
        select(func.count(), func.sum(case((Record.met, 1), else_=0))).where(
            Record.tenant_id == tenant,
            Record.finished_at >= since,
            ~select(Correction.id).where(Correction.tenant_id == tenant, Correction.record_id == Record.id).exists(),
        )
    ).one()
    standing = [bool(r.now["met"]) for r in rows if r.now is not None]
    return int(plain[1] or 0) + sum(standing), int(plain[0]) + len(standing)


# --- one ticket ------------------------------------------------------------------------------------------------------
def events_of(tx: Transaction, tenant: int, promise: int) -> Sequence[EventRow]:
    """The events of a promise, the latest first."""
    query = select(EventRow).where(EventRow.tenant_id == tenant, EventRow.promise_id == promise)
    return tx.scalars(query.order_by(EventRow.occurred_at.desc(), EventRow.id.desc())).all()


# --- connections -----------------------------------------------------------------------------------------------------
def connections_with_state(tx: Transaction, tenant: int) -> Sequence[Any]:
    """(Connection, ConnectionState) by name."""
    return tx.execute(
        select(Connection, ConnectionState)
        .join(ConnectionState, and_(ConnectionState.tenant_id == Connection.tenant_id, ConnectionState.connection_id == Connection.id))
        .where(Connection.tenant_id == tenant)
        .order_by(Connection.name)
    ).all()


def last_delivery_at(tx: Transaction, tenant: int) -> int | None:
    """When the last delivery of any connection was received."""
    return tx.scalar(select(func.max(ConnectionState.last_delivery_at)).where(ConnectionState.tenant_id == tenant))


# --- policies and calendars ------------------------------------------------------------------------------------------
def open_tickets_by_policy(tx: Transaction, tenant: int) -> Mapping[int, int]:
    """How many open promises each policy covers."""
    query = select(PromiseRow.policy_id, func.count()).where(PromiseRow.tenant_id == tenant, PromiseRow.open.is_(True), PromiseRow.policy_id.is_not(None))
    return {policy: n for policy, n in tx.execute(query.group_by(PromiseRow.policy_id)) if policy is not None}


def versions_of_policy(tx: Transaction, tenant: int, policy: int) -> Sequence[PolicyVersion]:
    """The versions of a policy, the latest first."""
    query = select(PolicyVersion).where(PolicyVersion.tenant_id == tenant, PolicyVersion.policy_id == policy)
    return tx.scalars(query.order_by(PolicyVersion.version.desc())).all()


def versions_of_calendar(tx: Transaction, tenant: int, calendar: int) -> Sequence[CalendarVersion]:
    """The versions of a calendar, the latest first."""
    query = select(CalendarVersion).where(CalendarVersion.tenant_id == tenant, CalendarVersion.calendar_id == calendar)
    return tx.scalars(query.order_by(CalendarVersion.version.desc())).all()


def definition_of_version(tx: Transaction, tenant: int, kind: str, owner: int, version: int) -> Mapping[str, Any] | None:
    """What a version of a policy or calendar says; None if there is no such version."""
    table: Any = PolicyVersion if kind == "policy" else CalendarVersion
    mine = (table.policy_id if kind == "policy" else table.calendar_id) == owner
    found: Mapping[str, Any] | None = tx.scalar(select(table.definition).where(table.tenant_id == tenant, mine, table.version == version))
    return found


def tickets_of_promises(tx: Transaction, tenant: int, promises: Collection[int]) -> dict[int, Any]:
    """(id, external_id, subject) of the ticket of each of some promises."""
    columns = (Ticket.promise_id, Ticket.id, Ticket.external_id, Ticket.subject)
    return {row.promise_id: row for row in tx.execute(select(*columns).where(Ticket.tenant_id == tenant, Ticket.promise_id.in_(list(promises))))}


def setup_facts(tx: Transaction, tenant: int) -> dict[str, bool]:
    """What a new tenant has done already, as facts."""

    def any_of(table: Any, *where: Any) -> bool:
        return tx.scalar(select(table.id).where(table.tenant_id == tenant, *where).limit(1)) is not None

    return {
        "connection": any_of(Connection),
        "delivery": any_of(Delivery, Delivery.state == "applied"),
        "calendar": any_of(CalendarVersion),
        "policy": any_of(PolicyVersion),
        "clock": any_of(Clock),
        "live": any_of(Connection, Connection.mode == "live"),
    }


def last_audit(tx: Transaction, tenant: int) -> AuditEntry | None:
    """The latest audit entry."""
    return tx.scalar(select(AuditEntry).where(AuditEntry.tenant_id == tenant).order_by(AuditEntry.number.desc()).limit(1))
