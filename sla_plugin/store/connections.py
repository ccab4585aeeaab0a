"""Connections: the configured accounts of a tenant."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ForeignKeyConstraint, String, UniqueConstraint, func, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id

MODES = ("observe", "dry_run", "live")
CIRCUIT_OPEN = "circuit open"  # how the reason of a pause begins that we took by ourselves; the others were asked for by the helpdesk


class Connection(TenantRow, Base):
    """One configured account. `sealed_*` columns are encrypted at rest; `mapping` overrides the connector's words."""

    __tablename__ = "connection"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)
    public_id: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    connector: Mapped[str] = mapped_column(String(40))
    base_url: Mapped[str] = mapped_column(String(500), default="")
    email: Mapped[str] = mapped_column(String(320), default="")
    sealed_token: Mapped[str | None] = mapped_column(info={"sealed": True})
    sealed_secrets: Mapped[list[Any]] = mapped_column(info={"sealed": True})  # newest first: {"sealed", "added_at"}
    mode: Mapped[str] = mapped_column(String(10), default="dry_run")
    mapping: Mapped[dict[str, Any]]
    options: Mapped[dict[str, Any]]
    assignee: Mapped[str | None] = mapped_column(String(64))  # helpdesk user id that gets unassigned tickets on a breach
    facts: Mapped[dict[str, Any]]  # what the last credential check proved
    checked_at: Mapped[int | None]
    created_at: Mapped[int]
    entity_id: Mapped[int | None]  # the brand it serves
    version: Mapped[int] = mapped_column(default=1)


class ConnectionState(Base):
    """What changes with traffic, apart from the configuration so that the two never wait for each other."""

    __tablename__ = "connection_state"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "connection_id"], ["connection.tenant_id", "connection.id"], ondelete="CASCADE"),)
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    connection_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_delivery_at: Mapped[int | None]
    refused: Mapped[int] = mapped_column(default=0)
    refused_at: Mapped[int | None]
    refused_reason: Mapped[str | None] = mapped_column(String(300))
    paused_until: Mapped[int | None]  # the vendor asked us to wait (429), or the circuit is open
    paused_reason: Mapped[str | None] = mapped_column(String(300))
    failures: Mapped[int] = mapped_column(default=0)  # in a row; 0 after a success
    limit_remaining: Mapped[int | None]


def add_connection(tx: Transaction, tenant: int, values: Mapping[str, Any]) -> int:
    """Insert a connection with its state; returns the id."""
    connection = new_id()
    tx.execute(insert(Connection).values(tenant_id=tenant, id=connection, version=1, **values))
    tx.execute(insert(ConnectionState).values(tenant_id=tenant, connection_id=connection, refused=0, failures=0))
    return connection


def find_by_public_id(tx: Transaction, public_id: str) -> Connection | None:
    """The connection behind a webhook URL; one of the three doors that discover the tenant."""
    return tx.scalar(select(Connection).where(Connection.public_id == public_id))


def find_by_name(tx: Transaction, tenant: int, name: str) -> Connection | None:
    """The connection called `name`."""
    return tx.scalar(select(Connection).where(Connection.tenant_id == tenant, Connection.name == name))


def get_connection(tx: Transaction, tenant: int, connection: int) -> Connection | None:
    """One connection."""
    return tx.get(Connection, (tenant, connection))


def list_connections(tx: Transaction, tenant: int) -> Sequence[Connection]:
    """All connections of a tenant by name."""
    return tx.scalars(select(Connection).where(Connection.tenant_id == tenant).order_by(Connection.name)).all()


def get_state(tx: Transaction, tenant: int, connection: int) -> ConnectionState:
    """The traffic state of a connection."""
    return tx.scalars(select(ConnectionState).where(ConnectionState.tenant_id == tenant, ConnectionState.connection_id == connection)).one()


def change_connection(tx: Transaction, tenant: int, connection: int, version: int, values: Mapping[str, Any]) -> bool:
    """Change a connection; False if somebody else changed it since `version`."""
    return bool(
        tx.change(
            update(Connection)
            .where(Connection.tenant_id == tenant, Connection.id == connection, Connection.version == version)
            .values(version=version + 1, **values)
        )
    )


def note_state(tx: Transaction, tenant: int, connection: int, **values: Any) -> None:
    """Set columns of the traffic state."""
    tx.execute(update(ConnectionState).where(ConnectionState.tenant_id == tenant, ConnectionState.connection_id == connection).values(**values))


def note_delivery(tx: Transaction, tenant: int, connection: int, received_at: int) -> None:
    """A delivery of the connection was received at an instant."""
    newer = func.coalesce(ConnectionState.last_delivery_at, 0) < received_at
    mine = (ConnectionState.tenant_id == tenant, ConnectionState.connection_id == connection)
    tx.execute(update(ConnectionState).where(*mine, newer).values(last_delivery_at=received_at))


def count_refusal(tx: Transaction, tenant: int, connection: int, now: int, reason: str) -> None:
    """One more forged or stale delivery was refused."""
    note_state(tx, tenant, connection, refused=ConnectionState.refused + 1, refused_at=now, refused_reason=reason[:300])


def paused_connections(tx: Transaction, now: int) -> list[int]:
    """Connections that nothing is sent to now: the vendor asked us to wait, the circuit is open, or the operator has switched them from live."""
    waiting = tx.scalars(select(ConnectionState.connection_id).where(ConnectionState.paused_until > now))
    return [*waiting, *tx.scalars(select(Connection.id).where(Connection.mode != "live"))]


def overdue_check(tx: Transaction, before: int) -> Connection | None:
    """A connection whose credentials were last proved before an instant (microseconds), if any."""
    return tx.scalar(select(Connection).where(func.coalesce(Connection.checked_at, 0) < before).order_by(Connection.checked_at).limit(1))


def take_check(tx: Transaction, tenant: int, connection: int, seen: int | None, now: int) -> bool:
    """Claim a check by moving `checked_at` from what was `seen`; False if another process was first."""
    unmoved = Connection.checked_at.is_(None) if seen is None else Connection.checked_at == seen
    return tx.change(update(Connection).where(Connection.tenant_id == tenant, Connection.id == connection, unmoved).values(checked_at=now)) > 0
