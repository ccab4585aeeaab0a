"""What pages ask of the store: read only, set-based, a fixed number of queries per page. Instants and durations are microseconds (UTC)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select

from sla_plugin.store.alerts import Alert
from sla_plugin.store.audit import AuditEntry
from sla_plugin.store.clocks import Clock, Correction, Record
from sla_plugin.store.connections import Connection, ConnectionState
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import Delivery
from sla_plugin.store.events import EventRow
from sla_plugin.store.outbox import CallRow, CommandRow
from sla_plugin.store.policies import CalendarVersion, PolicyVersion
from sla_plugin.store.tenants import Tenant
from sla_plugin.store.tickets import PromiseRow, Ticket

PAGE = 50
STATES = ("breached", "critical", "warning", "running", "on_hold")
_NEVER = 2**62  # a clock on hold has no deadline: it sorts last


@dataclass(frozen=True)
class Page:
    """Some rows, and the key after which the next ones come (None: these are the last)."""

    rows: Sequence[Any]
    after: tuple[int, int] | None


def _page(rows: Sequence[Any], key: Any, limit: int = PAGE) -> Page:
    return Page(rows[:limit], key(rows[limit - 1]) if len(rows) > limit else None)


# --- tenants ---------------------------------------------------------------------------------------------------------
def read_tenant(tx: Transaction, tenant: int) -> Tenant:
    """The tenant's name and zone."""
    return tx.scalars(select(Tenant).where(Tenant.id == tenant)).one()


# --- clocks and tickets ----------------------------------------------------------------------------------------------
def _state(now: int) -> ColumnElement[str]:
    """The state of an open clock in SQL; the words and the order of `standing`."""
    return case(
        (Clock.breached_at.is_not(None), "breached"),
        (Clock.phase == "on_hold", "on_hold"),
        (Clock.critical_at <= now, "critical"),
        (Clock.warning_at <= now, "warning"),
        else_="running",
    )


_TICKING = ("running", "on_hold", "pending")


def count_clocks(tx: Transaction, tenant: int, now: int) -> dict[str, int]:
    """Open clocks by state."""
    state = _state(now)
    rows = tx.execute(select(state, func.count()).where(Clock.tenant_id == tenant, Clock.open.is_(True), Clock.phase.in_(_TICKING)).group_by(state))
    return {**dict.fromkeys(STATES, 0), **{row[0]: row[1] for row in rows}}


def tickets_by_deadline(
    tx: Transaction,
    tenant: int,
    now: int,
    *,
    state: str = "",
    connection: int | None = None,
    text: str = "",
    after: tuple[int, int] | None = None,
    limit: int = PAGE,
) -> Page:
    """Tickets with an open clock (in `state`, if given), the tightest clock first; rows are (Ticket, due)."""
    due = func.coalesce(func.min(Clock.deadline_at), literal(_NEVER)).label("due")
    tightest = select(Clock.ticket_id, due).where(Clock.tenant_id == tenant, Clock.open.is_(True), Clock.phase.in_(_TICKING))
    if state in STATES:
        tightest = tightest.where(_state(now) == state)
    inner = tightest.group_by(Clock.ticket_id).subquery()
    query: Any = select(Ticket, inner.c.due).join(inner, inner.c.ticket_id == Ticket.id).where(Ticket.tenant_id == tenant)
    query = _narrow(query, connection, text)
    if after is not None:
        query = query.where(or_(inner.c.due > after[0], and_(inner.c.due == after[0], Ticket.id > after[1])))
    rows = tx.execute(query.order_by(inner.c.due, Ticket.id).limit(limit + 1)).all()
    return _page(rows, lambda r: (r.due, r.Ticket.id), limit)


def tickets_by_change(tx: Transaction, tenant: int, *, connection: int | None = None, text: str = "", after: tuple[int, int] | None = None) -> Page:
    """All tickets, the latest change first; rows are (Ticket, updated_at)."""
    every = select(Ticket, Ticket.updated_at.label("due")).where(Ticket.tenant_id == tenant)
    query = _narrow(every, connection, text)
    if after is not None:
        query = query.where(or_(Ticket.updated_at < after[0], and_(Ticket.updated_at == after[0], Ticket.id < after[1])))
    rows = tx.execute(query.order_by(Ticket.updated_at.desc(), Ticket.id.desc()).limit(PAGE + 1)).all()
    return _page(rows, lambda r: (r.due, r.Ticket.id))


def _narrow(query: Any, connection: int | None, text: str) -> Any:  # a select of whatever columns
    if connection is not None:
        query = query.where(Ticket.connection_id == connection)
    if text:
        pattern = "%" + text.lstrip("#").replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        query = query.where(
            or_(Ticket.external_id == text.lstrip("#"), Ticket.subject.ilike(pattern, escape="\\"), Ticket.organization.ilike(pattern, escape="\\"))
        )
    return query


def clocks_of_tickets(tx: Transaction, tenant: int, tickets: Collection[int]) -> dict[int, list[Clock]]:
    """The clocks of some tickets: open ones first, the tightest first."""
    found: dict[int, list[Clock]] = {}
    query = select(Clock).where(Clock.tenant_id == tenant, Clock.ticket_id.in_(list(tickets)))
    ticking = case((Clock.phase.in_(_TICKING), 0), else_=1)
    for clock in tx.scalars(query.order_by(ticking, func.coalesce(Clock.deadline_at, _NEVER), Clock.id)):
        found.setdefault(clock.ticket_id, []).append(clock)
    return found


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


# --- alerts ----------------------------------------------------------------------------------------------------------
def list_alerts(tx: Transaction, tenant: int, *, acknowledged: bool, after: tuple[int, int] | None = None, limit: int = PAGE) -> Page:
    """Alerts with their tickets, the newest first; rows are (Alert, subject, organization). One per clock and cycle: its highest level."""
    graver = Alert.__table__.alias("graver")
    rank = {"warning": 0, "critical": 1, "breach": 2}
    query = (
        select(Alert, Ticket.subject, Ticket.organization)
        .join(Ticket, and_(Ticket.tenant_id == Alert.tenant_id, Ticket.id == Alert.ticket_id))
        .where(
            Alert.tenant_id == tenant,
            Alert.acknowledged_at.is_not(None) if acknowledged else Alert.acknowledged_at.is_(None),
            ~select(graver.c.id)
            .where(
                graver.c.tenant_id == Alert.tenant_id,
                graver.c.promise_id == Alert.promise_id,
                graver.c.metric == Alert.metric,
                graver.c.cycle == Alert.cycle,
                case(rank, value=graver.c.level, else_=0) > case(rank, value=Alert.level, else_=0),
            )
            .exists(),
        )
    )
    if after is not None:
        query = query.where(or_(Alert.raised_at < after[0], and_(Alert.raised_at == after[0], Alert.id < after[1])))
    rows = tx.execute(query.order_by(Alert.raised_at.desc(), Alert.id.desc()).limit(limit + 1)).all()
    return _page(rows, lambda r: (r.Alert.raised_at, r.Alert.id), limit)


def last_alert_at(tx: Transaction, tenant: int) -> int | None:
    """When the last alert was raised."""
    return tx.scalar(select(func.max(Alert.raised_at)).where(Alert.tenant_id == tenant))


# --- connections, deliveries, outbox ---------------------------------------------------------------------------------
def connections_with_state(tx: Transaction, tenant: int) -> Sequence[Any]:
    """(Connection, ConnectionState) by name."""
    return tx.execute(
        select(Connection, ConnectionState)
        .join(ConnectionState, and_(ConnectionState.tenant_id == Connection.tenant_id, ConnectionState.connection_id == Connection.id))
        .where(Connection.tenant_id == tenant)
        .order_by(Connection.name)
    ).all()


def count_deliveries(tx: Transaction, tenant: int, since: int = 0, connection: int | None = None) -> dict[str, int]:
    """Deliveries by state since an instant."""
    query = select(Delivery.state, func.count()).where(Delivery.tenant_id == tenant, Delivery.received_at >= since)
    if connection is not None:
        query = query.where(Delivery.connection_id == connection)
    return {row[0]: row[1] for row in tx.execute(query.group_by(Delivery.state))}


def last_delivery_at(tx: Transaction, tenant: int) -> int | None:
    """When the last delivery of any connection was received."""
    return tx.scalar(select(func.max(ConnectionState.last_delivery_at)).where(ConnectionState.tenant_id == tenant))


_LISTED = (
    Delivery.id,
    Delivery.connection_id,
    Delivery.received_at,
    Delivery.state,
    Delivery.reason,
    Delivery.tries,
    Delivery.duplicates,
    Delivery.applied_at,
    Delivery.became,
    Delivery.history,
)


def list_deliveries(
    tx: Transaction, tenant: int, *, state: str = "", connection: int | None = None, since: int = 0, after: tuple[int, int] | None = None
) -> Page:
    """Deliveries without their bodies, the newest first."""
    query = select(*_LISTED).where(Delivery.tenant_id == tenant)
    if state:
        query = query.where(Delivery.state == state)
    if connection is not None:
        query = query.where(Delivery.connection_id == connection)
    if since:
        query = query.where(Delivery.received_at >= since)
    if after is not None:
        query = query.where(or_(Delivery.received_at < after[0], and_(Delivery.received_at == after[0], Delivery.id < after[1])))
    rows = tx.execute(query.order_by(Delivery.received_at.desc(), Delivery.id.desc()).limit(PAGE + 1)).all()
    return _page(rows, lambda r: (r.received_at, r.id))


def unreadable_deliveries(tx: Transaction, tenant: int, connection: int | None, limit: int) -> Sequence[int]:
    """Ids of deliveries that could not be read or applied and still have their body, oldest first."""
    query = select(Delivery.id).where(Delivery.tenant_id == tenant, Delivery.state.in_(("unreadable", "failed")), Delivery.body.is_not(None))
    if connection is not None:
        query = query.where(Delivery.connection_id == connection)
    return tx.scalars(query.order_by(Delivery.id).limit(limit)).all()


def count_commands(tx: Transaction, tenant: int, connection: int | None = None) -> dict[str, int]:
    """Commands by state."""
    query = select(CommandRow.state, func.count()).where(CommandRow.tenant_id == tenant)
    if connection is not None:
        query = query.where(CommandRow.connection_id == connection)
    return {row[0]: row[1] for row in tx.execute(query.group_by(CommandRow.state))}


def list_commands(
    tx: Transaction,
    tenant: int,
    *,
    state: str = "",
    connection: int | None = None,
    promise: int | None = None,
    after: tuple[int, int] | None = None,
    limit: int = PAGE,
) -> Page:
    """(CommandRow, CallRow or None), the newest first."""
    query = (
        select(CommandRow, CallRow)
        .outerjoin(CallRow, and_(CallRow.tenant_id == CommandRow.tenant_id, CallRow.id == CommandRow.call_id))
        .where(CommandRow.tenant_id == tenant)
    )
    for column, wanted in ((CommandRow.state, state or None), (CommandRow.connection_id, connection), (CommandRow.promise_id, promise)):
        if wanted is not None:
            query = query.where(column == wanted)
    if after is not None:
        query = query.where(or_(CommandRow.created_at < after[0], and_(CommandRow.created_at == after[0], CommandRow.id < after[1])))
    rows = tx.execute(query.order_by(CommandRow.created_at.desc(), CommandRow.id.desc()).limit(limit + 1)).all()
    return _page(rows, lambda r: (r.CommandRow.created_at, r.CommandRow.id), limit)


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
