"""The list of tickets: by their tightest clock, narrowed by what an index serves, found by words."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, case, func, select

from sla_plugin.reports.lists import PAGE, Branch, Count, Filter, Key, Listing, Page, Rest, count_rows, read_page
from sla_plugin.store.bulk import among
from sla_plugin.store.clocks import Clock
from sla_plugin.store.db import Transaction
from sla_plugin.store.ticket_words import search_words, wanted_words
from sla_plugin.store.tickets import ON_HOLD, STANDINGS, TICKETS, TICKING

OPEN = STANDINGS[:-1]
TABS: Mapping[str, tuple[str, ...]] = {"": OPEN, **{standing: (standing,) for standing in STANDINGS}, "all": STANDINGS}
# the filter named first is the one whose index is walked; the narrowest comes first
LISTING = Listing(
    "tickets",
    TICKETS,
    {
        "customer": Filter("organization", "ix_ticket_organization_place"),
        "assignee": Filter("assignee", "ix_ticket_assignee_place"),
        "connection": Filter("connection_id", "ix_ticket_connection_place"),
        "priority": Filter("priority", "ix_ticket_priority_place", ("P0", "P1", "P2", "P3")),
    },
    {"due": False, "-due": True},
)
_SHOWN = tuple(
    TICKETS.c[name]
    for name in (
        *("id", "connection_id", "external_id", "promise_id", "subject", "status", "status_word", "priority", "priority_word"),
        *("assignee", "requester", "organization", "gone", "created_at", "updated_at", "standing", "place"),
    )
)


class Listed(NamedTuple):
    """A ticket of a list with its place there: its tightest deadline, or a number beyond every deadline."""

    Ticket: Any
    due: int


def list_tickets(
    tx: Transaction,
    tenant: int,
    *,
    tab: str = "",
    filters: Mapping[str, str] | None = None,
    found: Collection[int] | None = None,
    sort: str = "due",
    after: Key | None = None,
    limit: int = PAGE,
) -> Page:
    """Tickets of a tab (TABS; a word that is none: all), rows are Listed. `filters`: those of LISTING, as text; `found`: of these only (`search_tickets`)."""
    narrowed, rest = _narrowed(tx, tenant, filters or {}, found)
    if narrowed is None:
        return Page([], None)
    standings = TABS.get(tab, STANDINGS)
    if found is not None:  # few: they are sorted
        branches: list[Branch] = [[*narrowed, TICKETS.c.standing.in_(standings)]]
    else:
        branches = [[*narrowed, TICKETS.c.standing == standing] for standing in standings]
    order = (TICKETS.c.place, TICKETS.c.id)
    page = read_page(tx, _SHOWN, branches, order, descending=LISTING.descending(sort), rest=rest, after=after, limit=limit)
    return Page([Listed(row, row.place) for row in page.rows], page.after, page.looked)


def count_tickets(
    tx: Transaction, tenant: int, *, filters: Mapping[str, str] | None = None, found: Collection[int] | None = None, tabs: Collection[str] = STANDINGS
) -> dict[str, Count]:
    """How many tickets some tabs have, each up to a bound."""
    narrowed, rest = _narrowed(tx, tenant, filters or {}, found)
    if narrowed is None:
        return {tab: Count(0) for tab in tabs}
    if found is not None:
        counted = tx.execute(select(TICKETS.c.standing, func.count().label("number")).where(*narrowed).group_by(TICKETS.c.standing)).all()
        return {tab: Count(sum(row.number for row in counted if row.standing in TABS[tab])) for tab in tabs}
    return count_rows(tx, TICKETS, {tab: [[*narrowed, TICKETS.c.standing == standing] for standing in TABS[tab]] for tab in tabs}, rest)


def unplaced(tx: Transaction, tenant: int) -> bool:
    """Whether tickets are still to be sorted into lists, as after an upgrade."""
    query = select(TICKETS.c.id).where(TICKETS.c.tenant_id == tenant, TICKETS.c.standing.is_(None)).order_by(TICKETS.c.id).limit(1)
    return tx.scalar(query) is not None


def search_tickets(tx: Transaction, tenant: int, text: str) -> list[int] | None:
    """The newest tickets with all these words in number, subject or customer (`store/ticket_words.py` says how many); None: nothing is searched for."""
    if not text:
        return None
    words = wanted_words(text)
    return list(tx.scalars(search_words(tenant, words))) if words else []


def _narrowed(tx: Transaction, tenant: int, filters: Mapping[str, str], found: Collection[int] | None) -> tuple[list[ColumnElement[bool]] | None, list[Rest]]:
    """What the index walked begins with, and what is looked at row by row. None: nothing can fit."""
    begins: list[ColumnElement[bool]] = [TICKETS.c.tenant_id == tenant]
    rest: list[Rest] = []
    if found is not None:
        if not found:
            return None, []
        begins.append(among(tx, TICKETS.c.id, found))
    asked = LISTING.offered(filters)
    for number, (name, one) in enumerate((n, f) for n, f in LISTING.filters.items() if n in asked):
        value: Any = asked[name]
        if one.column == "connection_id":
            if not (value.isascii() and value.isdigit() and len(value) < 20):
                return None, []
            value = int(value)
        if number == 0 or found is not None:  # what words found is few: everything else is looked at anyway
            begins.append(TICKETS.c[one.column] == value)
        else:
            rest.append(partial(_is, one.column, value))
    return begins, rest


def _is(name: str, value: Any, columns: Any) -> ColumnElement[bool]:
    return cast(ColumnElement[bool], columns[name] == value)


def clocks_of_tickets(tx: Transaction, tenant: int, tickets: Collection[int]) -> dict[int, list[Clock]]:
    """The clocks of some tickets: ticking ones first, the breached and then the tightest before the others."""
    found: dict[int, list[Clock]] = {}
    promises = select(TICKETS.c.promise_id).where(TICKETS.c.tenant_id == tenant, TICKETS.c.id.in_(list(tickets)))
    query = select(Clock).where(Clock.tenant_id == tenant, Clock.promise_id.in_(promises))
    ticking = case((Clock.phase.in_(TICKING), 0), else_=1)
    broken = case((Clock.breached_at.is_not(None), 0), else_=1)
    for clock in tx.scalars(query.order_by(ticking, broken, func.coalesce(Clock.deadline_at, ON_HOLD), Clock.id)):
        found.setdefault(clock.ticket_id, []).append(clock)
    return found
