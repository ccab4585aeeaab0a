"""The list of deliveries: the newest first, of a connection, in a state, of a ticket."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, select, text

from sla_plugin.reports.lists import PAGE, Branch, Count, Filter, Key, Listing, Page, Rest, count_rows, read_page
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import DELIVERIES
from sla_plugin.store.events import EVENTS
from sla_plugin.store.tickets import TICKETS

# state -> its condition as text, so that both databases see that the partial index serves. `applied` is none of them: nearly all are
STATES: Mapping[str, str] = {
    "stored": "state = 'stored'",
    "ignored": "state = 'ignored'",
    "unreadable": "state IN ('unreadable', 'failed')",
    "failed": "state IN ('unreadable', 'failed')",
}
LISTING = Listing(
    "deliveries",
    DELIVERIES,
    {
        "state": Filter("state", "ix_delivery_", tuple(STATES)),  # ix_delivery_inbox, _ignored, _set_aside
        "connection": Filter("connection_id", "ix_delivery_recent"),
    },
    {"-received": True, "received": False},
)
_OF_TICKET = 1000  # the latest events of a ticket whose deliveries are found
_SHOWN = tuple(
    DELIVERIES.c[name] for name in ("id", "connection_id", "received_at", "state", "reason", "tries", "duplicates", "applied_at", "became", "history")
)


def list_deliveries(
    tx: Transaction,
    tenant: int,
    connections: Collection[int],
    *,
    filters: Mapping[str, str] | None = None,
    text: str = "",
    since: int = 0,
    until: int | None = None,
    sort: str = "-received",
    after: Key | None = None,
    limit: int = PAGE,
) -> Page:
    """Deliveries without their bodies. `connections`: all of the tenant's; `text`: an id, a delivery key or a ticket's number; `since`, `until`: instants."""
    branches, rest, order = _walked(tx, tenant, connections, filters or {}, text, since, until)
    return read_page(tx, _SHOWN, branches, order, descending=LISTING.descending(sort), rest=rest, after=after, limit=limit)


def count_deliveries(
    tx: Transaction,
    tenant: int,
    connections: Collection[int],
    *,
    filters: Mapping[str, str] | None = None,
    text: str = "",
    since: int = 0,
    until: int | None = None,
) -> Count:
    """How many fit."""
    branches, rest, _ = _walked(tx, tenant, connections, filters or {}, text, since, until)
    return count_rows(tx, DELIVERIES, {"fit": branches}, rest)["fit"]


def count_set_aside(tx: Transaction, tenant: int) -> dict[str, Count]:
    """How many wait, and how many could not be read or applied."""
    states = ("stored", "unreadable", "failed")
    return count_rows(tx, DELIVERIES, {state: [[*_in_state(tenant, state)]] for state in states})


def unreadable_deliveries(tx: Transaction, tenant: int, connection: int | None, limit: int, state: str = "") -> Sequence[int]:
    """Ids of deliveries that could not be read or applied and still have their body, oldest first."""
    query = select(DELIVERIES.c.id).where(DELIVERIES.c.tenant_id == tenant, text_of("unreadable"), DELIVERIES.c.body.is_not(None))
    if state in ("unreadable", "failed"):
        query = query.where(DELIVERIES.c.state == state)
    if connection is not None:
        query = query.where(DELIVERIES.c.connection_id == connection)
    return tx.scalars(query.order_by(DELIVERIES.c.id).limit(limit)).all()


def text_of(state: str) -> ColumnElement[bool]:
    """The condition of the partial index that has deliveries of a state."""
    return cast(ColumnElement[bool], text(STATES[state]))


def _in_state(tenant: int, state: str) -> list[ColumnElement[bool]]:
    return [DELIVERIES.c.tenant_id == tenant, text_of(state), DELIVERIES.c.state == state]


def _walked(
    tx: Transaction, tenant: int, connections: Collection[int], filters: Mapping[str, str], wanted: str, since: int, until: int | None
) -> tuple[Sequence[Branch], list[Rest], Sequence[Any]]:
    """A state is walked in the order of ids, which is that of arrival; else every connection by its receipts."""
    asked = LISTING.offered(filters)
    state, given = asked.get("state", ""), asked.get("connection", "")
    connection = int(given) if given.isascii() and given.isdigit() and len(given) < 20 else None
    if (given and connection is None) or (state and state not in STATES):
        return [], [], (DELIVERIES.c.id,)
    received, by_id = DELIVERIES.c.received_at, (DELIVERIES.c.id,)
    rest: list[Rest] = []
    if state or wanted:
        if connection is not None:
            rest.append(lambda c: cast(ColumnElement[bool], c.connection_id == connection))
        if since:
            rest.append(lambda c: cast(ColumnElement[bool], c.received_at >= since))
        if until is not None:
            rest.append(lambda c: cast(ColumnElement[bool], c.received_at < until))
    if wanted:
        found = DELIVERIES.c.id.in_(_named(tx, tenant, connections, wanted.lstrip("#")[:200]))
        return [[DELIVERIES.c.tenant_id == tenant, found, *([DELIVERIES.c.state == state] if state else [])]], rest, by_id
    if state:
        return [_in_state(tenant, state)], rest, by_id
    of = [connection] if connection is not None else sorted(connections)
    recent = [*([received >= since] if since else []), *([received < until] if until is not None else [])]
    return [[DELIVERIES.c.tenant_id == tenant, DELIVERIES.c.connection_id == one, *recent] for one in of], rest, (received, *by_id)


def _named(tx: Transaction, tenant: int, connections: Collection[int], word: str) -> list[int]:
    """Deliveries with that id or key, and those that told of the ticket with that number."""
    number = int(word) if word.isascii() and word.isdigit() and len(word) < 19 else -1
    among = list(connections)
    mine = DELIVERIES.c.tenant_id == tenant
    keyed = select(DELIVERIES.c.id).where(mine, DELIVERIES.c.connection_id.in_(among), DELIVERIES.c.delivery_key == word).limit(100)
    found = set(tx.scalars(keyed)) | set(tx.scalars(select(DELIVERIES.c.id).where(mine, DELIVERIES.c.id == number)))
    promises = select(TICKETS.c.promise_id).where(TICKETS.c.tenant_id == tenant, TICKETS.c.connection_id.in_(among), TICKETS.c.external_id == word)
    told = select(EVENTS.c.delivery_id).where(EVENTS.c.tenant_id == tenant, EVENTS.c.promise_id.in_(promises.limit(20)), EVENTS.c.delivery_id.is_not(None))
    return sorted(found | {one for one in tx.scalars(told.order_by(EVENTS.c.occurred_at.desc()).limit(_OF_TICKET)) if one is not None})
