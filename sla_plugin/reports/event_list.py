"""The list of a ticket's events, the latest first."""

from collections.abc import Mapping
from typing import cast

from sqlalchemy import ColumnElement

from sla_plugin.reports.lists import PAGE, Filter, Key, Listing, Page, Rest, read_page
from sla_plugin.store.db import Transaction
from sla_plugin.store.events import EVENTS

# who is looked at row by row: the events of one ticket are few but for a handful of tickets
LISTING = Listing("events", EVENTS, {"who": Filter("actor_role", "ix_event_history", ("customer", "agent", "ours"))}, {"-happened": True, "happened": False})


def list_events(
    tx: Transaction,
    tenant: int,
    promise: int,
    *,
    filters: Mapping[str, str] | None = None,
    sort: str = "-happened",
    after: Key | None = None,
    limit: int = PAGE,
) -> Page:
    """Events of a promise; `ours` are those that a write of ours caused."""
    who = LISTING.offered(filters or {}).get("who", "")
    rest: list[Rest] = []
    if who == "ours":
        rest.append(lambda columns: cast(ColumnElement[bool], columns.own.is_(True)))
    elif who:
        rest.append(lambda columns: cast(ColumnElement[bool], columns.actor_role == who))
    of = [[EVENTS.c.tenant_id == tenant, EVENTS.c.promise_id == promise]]
    order = (EVENTS.c.occurred_at, EVENTS.c.id)
    return read_page(tx, tuple(EVENTS.c), of, order, descending=LISTING.descending(sort), rest=rest, after=after, limit=limit)
