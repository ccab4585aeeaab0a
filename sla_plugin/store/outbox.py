"""The outbox: commands (one intent each, unique key) and calls (one vendor request with its commands frozen)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, Index, String, Table, UniqueConstraint, and_, case, func, insert, or_, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.bulk import among, insert_rows, of_tenant
from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id
from sla_plugin.store.latest import states_of_latest

# pending -> calling -> sent | overtaken | failed; dry_run is final
COMMAND_STATES = ("pending", "calling", "sent", "overtaken", "failed", "dry_run")
_UNSETTLED = "state IN ('pending', 'calling', 'failed')"  # as text, so that both databases see that the partial index serves
_SETTLED = "settled_at IS NOT NULL"


class CommandRow(TenantRow, Base):
    """One intent, written in the transaction of the verdict that wants it."""

    __tablename__ = "command"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        Index("ix_command_pending", "connection_id", "external_id", postgresql_where=text("state = 'pending'"), sqlite_where=text("state = 'pending'")),
        Index("ix_command_promise", "tenant_id", "promise_id"),
        Index("ix_command_settled", "tenant_id", "settled_at", postgresql_where=text(_SETTLED), sqlite_where=text(_SETTLED)),
        Index("ix_command_state", "tenant_id", "state", "id"),
        Index("ix_command_connection", "tenant_id", "connection_id", "state", "id"),
        Index("ix_command_unsettled", "tenant_id", "connection_id", "state", postgresql_where=text(_UNSETTLED), sqlite_where=text(_UNSETTLED)),
    )
    key: Mapped[str] = mapped_column(String(300))
    connection_id: Mapped[int]
    promise_id: Mapped[int]
    ticket_id: Mapped[int]
    external_id: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(40))
    payload: Mapped[dict[str, Any]]
    cause: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str | None]
    call_id: Mapped[int | None]
    created_at: Mapped[int]
    due_at: Mapped[int]  # the instant of the verdict behind it
    settled_at: Mapped[int | None]


class CallRow(TenantRow, Base):
    """One vendor request: waiting -> sending -> sent | superseded | failed, and back to waiting for another try (`unknown`: the last one may have landed).

    `lease` numbers its claims: only the holder of the current number may record a result."""

    __tablename__ = "call"
    __table_args__ = (
        Index("ix_call_open", "next_at", postgresql_where=text("state IN ('waiting', 'sending')"), sqlite_where=text("state IN ('waiting', 'sending')")),
        Index("ix_call_ticket", "tenant_id", "connection_id", "external_id"),
        Index("ix_call_settled", "tenant_id", "settled_at", postgresql_where=text(_SETTLED), sqlite_where=text(_SETTLED)),
        Index("ix_call_budget", "tenant_id", "connection_id", "tried_at"),
    )
    connection_id: Mapped[int]
    promise_id: Mapped[int]
    ticket_id: Mapped[int]
    external_id: Mapped[str] = mapped_column(String(200))
    marker: Mapped[str] = mapped_column(String(40))
    frozen: Mapped[dict[str, Any] | None]  # the vendor request, once prepared
    state: Mapped[str] = mapped_column(String(12))
    unknown: Mapped[bool] = mapped_column(default=False)  # an earlier try may have landed
    tries: Mapped[int] = mapped_column(default=0)
    lease: Mapped[int] = mapped_column(default=0)
    leased_until: Mapped[int] = mapped_column(default=0)
    holder: Mapped[str | None] = mapped_column(String(120))  # host, pid and start of the process that holds the lease
    next_at: Mapped[int]
    created_at: Mapped[int]
    tried_at: Mapped[int | None]  # when the last try left
    first_tried_at: Mapped[int | None]
    settled_at: Mapped[int | None]
    status: Mapped[int | None]
    answer: Mapped[dict[str, Any] | None]  # audit_id, comment_id, at
    reason: Mapped[str | None]
    trace: Mapped[int | None]  # the delivery that we last heard of the ticket when the call was made; what logs and the helpdesk's own logs are searched for


def insert_commands(tx: Transaction, tenant: int, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert commands; a known key changes nothing. Returns how many are new."""
    return len(insert_rows(tx, cast(Table, CommandRow.__table__), of_tenant(tenant, rows), known=("tenant_id", "key"), returning=("id",)))


def tickets_with_pending(tx: Transaction, limit: int) -> Sequence[Any]:
    """Tickets (tenant, connection, external id, ticket, promise) that have pending commands and no open call, longest waiting first."""
    open_call = (
        select(CallRow.id)
        .where(
            CallRow.tenant_id == CommandRow.tenant_id,
            CallRow.connection_id == CommandRow.connection_id,
            CallRow.external_id == CommandRow.external_id,
            CallRow.state.in_(("waiting", "sending")),
        )
        .exists()
    )
    return tx.execute(
        select(CommandRow.tenant_id, CommandRow.connection_id, CommandRow.external_id, CommandRow.ticket_id, CommandRow.promise_id)
        .where(CommandRow.state == "pending", ~open_call)
        .group_by(CommandRow.tenant_id, CommandRow.connection_id, CommandRow.external_id, CommandRow.ticket_id, CommandRow.promise_id)
        .order_by(func.min(CommandRow.id))
        .limit(limit)
    ).all()


def take_commands(tx: Transaction, tenant: int, connection: int, external: str, call: int) -> int:
    """Bind the pending commands of a ticket to a call; returns how many."""
    return tx.change(
        update(CommandRow)
        .where(CommandRow.tenant_id == tenant, CommandRow.connection_id == connection, CommandRow.external_id == external, CommandRow.state == "pending")
        .values(state="calling", call_id=call)
    )


def add_call(
    tx: Transaction, tenant: int, connection: int, external: str, ticket: int, promise: int, now: int, next_at: int, trace: int | None = None
) -> int | None:
    """A call for the pending commands of a ticket; None if there are none or a call of the ticket is still open. Its promise must be locked."""
    is_open = tx.scalar(
        select(CallRow.id)
        .where(CallRow.tenant_id == tenant, CallRow.connection_id == connection, CallRow.external_id == external, CallRow.state.in_(("waiting", "sending")))
        .limit(1)
    )
    if is_open is not None:
        return None
    call = new_id()
    if not take_commands(tx, tenant, connection, external, call):
        return None
    tx.execute(
        insert(CallRow).values(
            tenant_id=tenant,
            id=call,
            connection_id=connection,
            promise_id=promise,
            ticket_id=ticket,
            external_id=external,
            marker=f"sla-{call}",
            state="waiting",
            unknown=False,
            tries=0,
            lease=0,
            leased_until=0,
            next_at=next_at,
            created_at=now,
            trace=trace,
        )
    )
    return call


def superseded_since(tx: Transaction, tenant: int, connection: int, external: str, since: int) -> int:
    """How many calls of a ticket lost a race since an instant."""
    return int(
        tx.scalar(
            select(func.count())
            .select_from(CallRow)
            .where(
                CallRow.tenant_id == tenant,
                CallRow.connection_id == connection,
                CallRow.external_id == external,
                CallRow.state == "superseded",
                CallRow.settled_at >= since,
            )
        )
        or 0
    )


def others_fail(tx: Transaction, tenant: int, connection: int, external: str) -> bool:
    """Do calls of other tickets of the connection fail as well? One ticket that cannot be read says nothing of the helpdesk."""
    failing = (CallRow.state.in_(("waiting", "sending")), CallRow.status.is_not(None) | CallRow.reason.is_not(None), CallRow.external_id != external)
    return tx.scalar(select(CallRow.id).where(CallRow.tenant_id == tenant, CallRow.connection_id == connection, *failing).limit(1)) is not None


def lease_holders(tx: Transaction) -> Sequence[str]:
    """The processes that hold leases of calls."""
    return [h for h in tx.scalars(select(CallRow.holder).where(CallRow.state == "sending").distinct()) if h]


def free_leases(tx: Transaction, holders: Sequence[str]) -> None:
    """End the leases of processes that are gone."""
    tx.execute(update(CallRow).where(CallRow.state == "sending", CallRow.holder.in_(list(holders))).values(leased_until=0))


def settle_commands(tx: Transaction, tenant: int, commands: Sequence[int], state: str, now: int | None, reason: str | None = None) -> None:
    """Move commands to a state; `pending` unbinds them from their call."""
    values: dict[str, Any] = {"state": state, "settled_at": now, "reason": reason}
    if state == "pending":
        values["call_id"] = None
    tx.execute(update(CommandRow).where(CommandRow.tenant_id == tenant, CommandRow.id.in_(list(commands))).values(**values))


def claim_calls(tx: Transaction, now: int, lease_until: int, limit: int, paused: Sequence[int], holder: str) -> Sequence[CallRow]:
    """Claim calls that are due (or whose lease ran out), raising their lease number; connections in `paused` are left alone."""
    query = (
        select(CallRow)
        .where(
            or_(and_(CallRow.state == "waiting", CallRow.next_at <= now), and_(CallRow.state == "sending", CallRow.leased_until < now)),
            CallRow.connection_id.not_in(list(paused)),
        )
        .order_by(CallRow.next_at)
        .limit(limit)
    )
    if tx.is_postgres:
        query = query.with_for_update(skip_locked=True)
    calls = tx.scalars(query).all()
    for call in calls:
        if call.state == "sending":
            call.unknown = True  # its holder is gone, nobody knows how far it came
        call.state = "sending"
        call.lease += 1
        call.leased_until = lease_until
        call.holder = holder
    tx.flush()
    return calls


def held_call(tx: Transaction, tenant: int, call: int, lease: int) -> CallRow | None:
    """The call, locked, if `lease` is still its current number and it is still being sent; else None (somebody else has taken over)."""
    query = select(CallRow).where(CallRow.tenant_id == tenant, CallRow.id == call, CallRow.lease == lease, CallRow.state == "sending")
    if tx.is_postgres:
        query = query.with_for_update()
    return tx.scalar(query.execution_options(populate_existing=True))


def commands_of(tx: Transaction, tenant: int, call: int) -> Sequence[CommandRow]:
    """The commands bound to a call, in the order they were wanted."""
    return tx.scalars(
        select(CommandRow).where(CommandRow.tenant_id == tenant, CommandRow.call_id == call, CommandRow.state == "calling").order_by(CommandRow.id)
    ).all()


def calls_of_ticket(tx: Transaction, tenant: int, connection: int, externals: Sequence[str]) -> Sequence[CallRow]:
    """Every call of some tickets that may have reached the helpdesk."""
    return tx.scalars(
        select(CallRow).where(
            CallRow.tenant_id == tenant,
            CallRow.connection_id == connection,
            among(tx, CallRow.__table__.c.external_id, externals),
            CallRow.first_tried_at.is_not(None),
        )
    ).all()


def commands_by_calls(tx: Transaction, tenant: int, calls: Sequence[int]) -> Sequence[CommandRow]:
    """The commands of some calls."""
    return tx.scalars(select(CommandRow).where(CommandRow.tenant_id == tenant, CommandRow.call_id.in_(list(calls)))).all()


def tries_since(tx: Transaction, tenant: int, connection: int, since: int, external: str | None = None) -> int:
    """How many tries of a connection's calls (of one ticket) left since an instant: the budget survives a restart because the table is the counter.

    Every try of a call that began since then; of one that began earlier the last try, for only that one's instant is kept.
    """
    query = select(func.sum(_tries(since))).where(CallRow.tenant_id == tenant, CallRow.connection_id == connection, CallRow.tried_at >= since)
    if external is not None:
        query = query.where(CallRow.external_id == external)
    return int(tx.scalar(query) or 0)


def _tries(since: int) -> ColumnElement[int]:
    return case((CallRow.first_tried_at >= since, CallRow.tries), else_=1)


def next_call_at(tx: Transaction) -> int | None:
    """When the next waiting call is due; None if none waits."""
    return tx.scalar(select(func.min(CallRow.next_at)).where(CallRow.state == "waiting"))


def outbox_depth(tx: Transaction) -> dict[str, int]:
    """How many commands are in each unfinished or failed state."""
    rows = tx.execute(select(CommandRow.state, func.count()).where(text(f"command.{_UNSETTLED}")).group_by(CommandRow.state))
    return {row[0]: row[1] for row in rows}


def unsettled_commands(tx: Transaction, most: int) -> Sequence[Any]:
    """(tenant_id, connection_id, state, count) of commands that wait or failed; `most` are looked at."""
    some = select(CommandRow.tenant_id, CommandRow.connection_id, CommandRow.state).where(text(f"command.{_UNSETTLED}")).limit(most).subquery()
    kind = (some.c.tenant_id, some.c.connection_id, some.c.state)
    return tx.execute(select(*kind, func.count().label("count")).group_by(*kind)).all()


def open_calls(tx: Transaction, most: int) -> Sequence[Any]:
    """(tenant_id, connection_id, next_at) of calls that wait or are under way, with the instant at which the first of each connection was due."""
    some = (
        select(CallRow.tenant_id, CallRow.connection_id, CallRow.next_at)
        .where(text("call.state IN ('waiting', 'sending')"))
        .order_by(CallRow.next_at)
        .limit(most)
        .subquery()
    )
    return tx.execute(
        select(some.c.tenant_id, some.c.connection_id, func.min(some.c.next_at).label("next_at")).group_by(some.c.tenant_id, some.c.connection_id)
    ).all()


def calls_since(tx: Transaction, tenant: int, connections: Collection[int], since: int, most: int) -> dict[int, dict[str, int]]:
    """Calls of some connections by state, of those last tried since an instant; the newest `most` of each are looked at."""
    return states_of_latest(tx, tenant, CallRow.tried_at, connections, since, most)


def tries_by_connection(tx: Transaction, tenant: int, connections: Collection[int], since: int) -> dict[int, int]:
    """What `tries_since` says, of several connections."""
    query = select(CallRow.connection_id, func.sum(_tries(since)).label("tries")).where(
        CallRow.tenant_id == tenant, CallRow.connection_id.in_(list(connections)), CallRow.tried_at >= since
    )
    return {row.connection_id: int(row.tries) for row in tx.execute(query.group_by(CallRow.connection_id))}


def get_command(tx: Transaction, tenant: int, command: int) -> CommandRow | None:
    """One command."""
    return tx.get(CommandRow, (tenant, command))


def get_call(tx: Transaction, tenant: int, call: int) -> CallRow | None:
    """One call."""
    return tx.get(CallRow, (tenant, call))


def failed_commands(
    tx: Transaction, tenant: int, connection: int | None = None, external: str | None = None, command: int | None = None
) -> Sequence[CommandRow]:
    """Failed commands in the order they were wanted; of one connection, of one ticket, or this one, if given."""
    query = select(CommandRow).where(CommandRow.tenant_id == tenant, CommandRow.state == "failed").order_by(CommandRow.id)
    if connection is not None:
        query = query.where(CommandRow.connection_id == connection)
    if external is not None:
        query = query.where(CommandRow.external_id == external)
    if command is not None:
        query = query.where(CommandRow.id == command)
    return tx.scalars(query.execution_options(populate_existing=True)).all()


def outbox_of(tx: Transaction, tenant: int, promise: int) -> tuple[Sequence[CommandRow], Sequence[CallRow]]:
    """Every command and call of a promise, in order."""
    commands = tx.scalars(select(CommandRow).where(CommandRow.tenant_id == tenant, CommandRow.promise_id == promise).order_by(CommandRow.id)).all()
    calls = tx.scalars(select(CallRow).where(CallRow.tenant_id == tenant, CallRow.promise_id == promise).order_by(CallRow.id)).all()
    return commands, calls
