"""Exports for scripts: what the database holds, row by row, sorted so that the same facts always give the same text.

Instants are ISO 8601 UTC with `Z`, microseconds only where there are any. A duration is whole seconds, rounded down, with the exact microseconds beside it
(`elapsed_us`) where that hides something. Ids, which differ from one database to the next, are left out unless asked for. No export holds a secret.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, String, and_, select, text

from sla_plugin.errors import ConfigurationError
from sla_plugin.reports.export_rows import (
    EVENT_DATA,
    Names,
    alert_data,
    call_data,
    clock_data,
    command_data,
    correction_data,
    delivery_data,
    event_data,
    record_data,
    ticket_data,
)
from sla_plugin.store.alerts import Alert
from sla_plugin.store.clocks import Clock, Correction, Record
from sla_plugin.store.connections import Connection, find_by_name
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import Delivery
from sla_plugin.store.events import EventRow
from sla_plugin.store.outbox import CallRow, CommandRow
from sla_plugin.store.policies import calendar_versions, policy_versions
from sla_plugin.store.tickets import PromiseRow, Ticket

CHUNK = 1000  # rows in memory at a time


@dataclass(frozen=True)
class Export:
    """One kind of export.

    columns   every key a row may have, in order (the header of CSV)
    model     the table
    ticket    the column with the external id; None where rows belong to no ticket
    order     what rows are sorted by, after the connection's name
    row       a result row (connection's name, the model, `entities`) as data
    joins, entities   what else is read for a row
    ids       the ids of a row, told on request
    connection   the column with the connection's id; None = the model's own
    """

    columns: Sequence[str]
    model: Any
    ticket: Any
    order: Sequence[Any]
    row: Callable[[Any, Names], dict[str, Any]]
    joins: Callable[[Select[Any]], Select[Any]] = field(default=lambda query: query)
    entities: Sequence[Any] = ()
    ids: Callable[[Any], dict[str, Any]] = field(default=lambda row: {"id": str(row[1].id)})
    connection: Any = None


def _columns(words: str) -> tuple[str, ...]:
    """Column names; `name~` is a duration, which may have its exact microseconds beside it."""
    return tuple(column for word in words.split() for column in ([word[:-1], f"{word[:-1]}_us"] if word.endswith("~") else [word]))


_TERMS = "policy policy_version calendar calendar_version"
_CYCLE = "ticket connection metric cycle"


def _same(left: Any, right: Any, left_id: Any) -> Any:
    return and_(left.tenant_id == right.tenant_id, left_id == right.id)


EXPORTS: Mapping[str, Export] = {
    "deliveries": Export(
        _columns("connection key received_at state reason duplicates tries became applied_at"),
        Delivery,
        None,
        (Delivery.received_at, Delivery.delivery_key),
        delivery_data,
    ),
    "events": Export(
        _columns(f"kind ticket at actor_role public actor_id {' '.join(EVENT_DATA)} event_key delivery connection received_at said_at sequence own"),
        EventRow,
        EventRow.external_id,
        (EventRow.external_id, EventRow.occurred_at, EventRow.sequence, EventRow.kind, EventRow.event_key),
        event_data,
        lambda query: query.outerjoin(Delivery, _same(EventRow, Delivery, EventRow.delivery_id)),
        (Delivery.delivery_key,),
        lambda row: {"id": str(row[1].id), "own_key": row[1].event_key} if row[1].kind == "own.write" else {"id": str(row[1].id)},
    ),
    "tickets": Export(
        _columns(
            "ticket connection subject status status_word priority priority_word type category channel assignee group requester organization tags fields"
            " link gone created_at updated_at policy open history next_transition_at"
        ),
        Ticket,
        Ticket.external_id,
        (Ticket.external_id,),
        ticket_data,
        lambda query: query.join(PromiseRow, _same(Ticket, PromiseRow, Ticket.promise_id)),
        (PromiseRow,),
    ),
    "clocks": Export(
        _columns(
            f"{_CYCLE} phase open started_at stopped_at finished_at target~ allowance~ elapsed~ business owner counted_at deadline_at deadline_next_open_at"
            f" warning_at critical_at breached_at {_TERMS}"
        ),
        Clock,
        Ticket.external_id,
        (Ticket.external_id, Clock.started_at, Clock.metric, Clock.cycle),
        clock_data,
        lambda query: query.join(Ticket, _same(Clock, Ticket, Clock.ticket_id)),
        (Ticket.external_id,),
        connection=Ticket.connection_id,
    ),
    "records": Export(
        _columns(
            f"{_CYCLE} started_at stopped_at finished_at target~ granted~ elapsed~ elapsed_wall~ met overrun~ deadline_at breached_at {_TERMS}"
            " priority type category channel assignee group organization owner"
        ),
        Record,
        Record.external_id,
        (Record.external_id, Record.started_at, Record.metric, Record.cycle),
        record_data,
    ),
    "corrections": Export(
        _columns(f"{_CYCLE} number was now late_events made_at"),
        Correction,
        Record.external_id,
        (Record.external_id, Correction.metric, Correction.cycle, Correction.number),
        correction_data,
        lambda query: query.join(Record, _same(Correction, Record, Correction.record_id)),
        (Record.external_id,),
        connection=Record.connection_id,
    ),
    "alerts": Export(
        _columns(f"{_CYCLE} level due_at raised_at policy policy_version acknowledged_at acknowledged_by note"),
        Alert,
        Alert.external_id,
        (Alert.external_id, Alert.due_at, Alert.metric, Alert.cycle, Alert.level),
        alert_data,
    ),
    "commands": Export(
        _columns("ticket connection kind payload cause state reason due_at created_at settled_at"),
        CommandRow,
        CommandRow.external_id,
        (CommandRow.external_id, CommandRow.due_at, CommandRow.id),
        command_data,
        ids=lambda row: {"id": str(row[1].id), "key": row[1].key, "call": str(row[1].call_id) if row[1].call_id else None},
    ),
    "calls": Export(
        _columns("ticket connection state tries status reason unknown created_at first_tried_at tried_at settled_at next_at audit_id comment_id"),
        CallRow,
        CallRow.external_id,
        (CallRow.external_id, CallRow.created_at, CallRow.id),
        call_data,
        ids=lambda row: {"id": str(row[1].id), "marker": row[1].marker, "request": row[1].frozen},
    ),
}
ID_COLUMNS: Mapping[str, Sequence[str]] = {
    "events": ("id", "own_key"),
    "commands": ("id", "key", "call"),
    "calls": ("id", "marker", "request"),
}


def export_columns(kind: str, *, ids: bool) -> list[str]:
    """Every key a row of that kind may have, in order."""
    return [*EXPORTS[kind].columns, *(ID_COLUMNS.get(kind, ("id",)) if ids else ())]


def export_rows(
    tx: Transaction, tenant: int, kind: str, *, connection: str | None = None, ticket: str | None = None, ids: bool = False
) -> Iterator[dict[str, Any]]:
    """Rows of one kind, read as they are asked for. Raises ConfigurationError for an unknown connection, or a ticket where rows belong to none."""
    export = EXPORTS[kind]
    model, owner = export.model, export.connection if export.connection is not None else export.model.connection_id
    order = [_sorted(tx, column) for column in (Connection.name, *export.order)]
    query = select(Connection.name.label("connection"), model, *export.entities).select_from(model)
    query = export.joins(query).join(Connection, _same(model, Connection, owner)).where(model.tenant_id == tenant).order_by(*order)
    if connection is not None:
        found = find_by_name(tx, tenant, connection)
        if found is None:
            raise ConfigurationError(f"there is no connection {connection!r}; `sla-plugin connections list` shows all")
        query = query.where(owner == found.id)
    if ticket is not None:
        if export.ticket is None:
            raise ConfigurationError(f"{kind} belong to no single ticket: export events for what a ticket got")
        query = query.where(export.ticket == ticket)
    names = Names(
        policies={version.policy_id: name for name, version in policy_versions(tx, tenant)},
        calendars={version.calendar_id: name for name, version in calendar_versions(tx, tenant)},
    )
    return _rows(tx, query, export, names, ids=ids)


def _rows(tx: Transaction, query: Select[Any], export: Export, names: Names, *, ids: bool) -> Iterator[dict[str, Any]]:
    if tx.is_postgres:
        # who reads us through a pager may take their time
        tx.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    for row in tx.execute(query.execution_options(yield_per=CHUNK)):
        data = {**export.row(row, names), **(export.ids(row) if ids else {})}
        yield {name: _in_order(value) for name, value in data.items()}


def _in_order(value: Any) -> Any:
    """Nested data with its keys sorted: databases keep them in orders of their own."""
    if isinstance(value, Mapping):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(one) for one in value] if isinstance(value, list) else value


def _sorted(tx: Transaction, column: Any) -> Any:
    """A sort key that both databases read alike: texts by code point, what is missing first."""
    if tx.is_postgres and isinstance(column.type, String):
        column = column.collate("C")
    return column.asc().nulls_first()
