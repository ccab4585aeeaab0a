"""The list of a ticket's events, the latest first."""

from collections.abc import Mapping
from typing import cast

from sqlalchemy import ColumnElement

from sla_plugin.reports.lists import PAGE, Branch, Count, Filter, Key, Listing, Page, Rest, count_rows, read_page
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
    order = (EVENTS.c.occurred_at, EVENTS.c.id)
    of, rest = _of_promise(tenant, promise), _by_whom(filters or {})
    return read_page(tx, tuple(EVENTS.c), of, order, descending=LISTING.descending(sort), rest=rest, after=after, limit=limit)


def count_events(tx: Transaction, tenant: int, promise: int, filters: Mapping[str, str] | None = None) -> Count:
    """How many events a promise has."""
    return count_rows(tx, EVENTS, {"fit": _of_promise(tenant, promise)}, _by_whom(filters or {}))["fit"]


def _of_promise(tenant: int, promise: int) -> list[Branch]:
    return [[EVENTS.c.tenant_id == tenant, EVENTS.c.promise_id == promise]]


def _by_whom(filters: Mapping[str, str]) -> list[Rest]:
    who = LISTING.offered(filters).get("who", "")
    if who == "ours":
        return [lambda columns: cast(ColumnElement[bool], columns.own.is_(True))]
    return [lambda columns: cast(ColumnElement[bool], columns.actor_role == who)] if who else []
