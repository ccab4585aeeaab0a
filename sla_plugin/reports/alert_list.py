"""The list of alerts: what needs a person now, what somebody has taken, what is over."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, and_, func, or_, select, text

from sla_plugin.reports.lists import PAGE, Branch, Count, Filter, Key, Listing, Page, Rest, count_rows, read_page
from sla_plugin.store.alerts import ALERTS, LEVELS, OPEN, RESOLVED, TAKEN
from sla_plugin.store.clocks import CLOCKS
from sla_plugin.store.db import Transaction
from sla_plugin.store.tickets import TICKETS

TABS: Mapping[str, str] = {"open": OPEN, "mine": TAKEN, "acknowledged": TAKEN, "resolved": RESOLVED}
LISTING = Listing(
    "alerts",
    ALERTS,
    {
        "level": Filter("level", "ix_alert_open", LEVELS),
        "metric": Filter("metric", "ix_alert_open_metric"),
    },
    {"-raised": True, "raised": False},
)
_COLUMNS = tuple(ALERTS.c)


class Listed(NamedTuple):
    """An alert of a list with its ticket, and how its clock stands (None: it has none, or is gone)."""

    Alert: Any
    subject: str
    organization: str | None
    phase: str | None
    breached_at: int | None


def list_alerts(
    tx: Transaction,
    tenant: int,
    *,
    tab: str = "open",
    actor: str = "",
    filters: Mapping[str, str] | None = None,
    sort: str = "-raised",
    after: Key | None = None,
    limit: int = PAGE,
) -> Page:
    """Alerts of a tab (TABS), one for each clock and cycle: its highest level; rows are Listed. `actor`: whose those of `mine` are."""
    branches, rest = _branches(tenant, tab, actor, filters or {})
    order = (ALERTS.c.raised_at, ALERTS.c.id)
    page = read_page(tx, _COLUMNS, branches, order, descending=LISTING.descending(sort), rest=rest, after=after, limit=limit)
    return Page(with_tickets(tx, tenant, page.rows), page.after, page.looked)


def count_alerts(tx: Transaction, tenant: int, actor: str, filters: Mapping[str, str] | None = None) -> dict[str, Count]:
    """How many alerts the tabs have (not `resolved`, which only grows), and how many of those that are not over each level has."""
    asked = filters or {}
    levels = {
        level: [*_branches(tenant, "open", actor, {"level": level})[0], *_branches(tenant, "acknowledged", actor, {"level": level})[0]] for level in LEVELS
    }
    counted = count_rows(tx, ALERTS, {**levels, "open": _branches(tenant, "open", actor, asked)[0]})
    taken = {tab: _branches(tenant, tab, actor, asked)[0] for tab in ("mine", "acknowledged")}
    return {**counted, **count_rows(tx, ALERTS, taken, _branches(tenant, "mine", actor, asked)[1])}


def count_tab(tx: Transaction, tenant: int, tab: str, filters: Mapping[str, str] | None = None) -> Count:
    """How many alerts one tab has, up to a bound."""
    branches, rest = _branches(tenant, tab, "", filters or {})
    return count_rows(tx, ALERTS, {"fit": branches}, rest)["fit"]


def matching_alerts(tx: Transaction, tenant: int, filters: Mapping[str, str], most: int) -> list[int]:
    """Ids of the open alerts that fit, the newest first, at most `most`."""
    branches, rest = _branches(tenant, "open", "", filters)
    order = (ALERTS.c.raised_at, ALERTS.c.id)
    return [row.id for row in read_page(tx, _COLUMNS, branches, order, descending=True, rest=rest, limit=most).rows]


def last_alert_at(tx: Transaction, tenant: int) -> int | None:
    """When the last alert was raised."""
    found: int | None = tx.scalar(select(func.max(ALERTS.c.raised_at)).where(ALERTS.c.tenant_id == tenant))
    return found


def _branches(tenant: int, tab: str, actor: str, filters: Mapping[str, str]) -> tuple[list[Branch], list[Rest]]:
    """One for each level that is wanted: their indexes have the level before the instant."""
    asked = LISTING.offered(filters)
    begins: list[ColumnElement[bool]] = [ALERTS.c.tenant_id == tenant, cast(ColumnElement[bool], text(TABS.get(tab, OPEN)))]
    rest: list[Rest] = []
    if tab == "mine":
        begins.append(ALERTS.c.acknowledged_by == actor[:200])
    if "metric" in asked:
        metric = asked["metric"]
        if tab == "open":
            begins.append(ALERTS.c.metric == metric)
        else:
            rest.append(lambda columns: cast(ColumnElement[bool], columns.metric == metric))
    levels = [level for level in LEVELS if asked.get("level", level) == level]
    return [[*begins, ALERTS.c.level == level] for level in levels], rest


def with_tickets(tx: Transaction, tenant: int, alerts: Sequence[Any]) -> list[Listed]:
    """Some alerts with their tickets, and how their clocks stand."""
    tickets = {
        row.id: row
        for row in tx.execute(
            select(TICKETS.c.id, TICKETS.c.subject, TICKETS.c.organization).where(
                TICKETS.c.tenant_id == tenant, TICKETS.c.id.in_([alert.ticket_id for alert in alerts])
            )
        )
    }
    keys = [and_(CLOCKS.c.promise_id == a.promise_id, CLOCKS.c.metric == a.metric, CLOCKS.c.cycle == a.cycle) for a in alerts]
    columns = (CLOCKS.c.promise_id, CLOCKS.c.metric, CLOCKS.c.cycle, CLOCKS.c.phase, CLOCKS.c.breached_at)
    found = tx.execute(select(*columns).where(CLOCKS.c.tenant_id == tenant, or_(*keys) if keys else CLOCKS.c.promise_id.is_(None)))
    clocks = {(c.promise_id, c.metric, c.cycle): c for c in found}
    rows = []
    for alert in alerts:
        ticket, clock = tickets.get(alert.ticket_id), clocks.get((alert.promise_id, alert.metric, alert.cycle))
        subject, organization = (ticket.subject, ticket.organization) if ticket is not None else ("", None)
        phase, breached_at = (clock.phase, clock.breached_at) if clock is not None else (None, None)
        rows.append(Listed(alert, subject, organization, phase, breached_at))
    return rows
