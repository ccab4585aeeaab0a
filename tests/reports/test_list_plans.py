"""What lists offer is served by an index: every filter and sort of every list, with the plan that the database makes of the very statements.

On rows enough for a plan to mean something: some ten thousand of each, and their statistics. SQLite plans without any.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from bench.lists import TABLES, fill
from sla_plugin.reports import alert_list, command_list, delivery_list, ticket_list
from sla_plugin.reports.lists import LOOKED, MOST, Listing
from sla_plugin.store import ticket_words
from sla_plugin.store.db import Database, Transaction
from tests.web.conftest import page_settings
from tests.web.world import NOW, World, full_world

ROWS = 20_000
A_FEW = 1100  # a thousand that a search found, or a page of each branch
KIM = "Kim Lee <kim@example.com>"
VALUES = {"customer": "Customer 77", "assignee": "agent 7", "priority": "P1", "metric": "resolution"}  # of filters without a fixed set of words


def value_of(listing: Listing, name: str, world: World) -> list[str]:
    """What to try a filter with."""
    if name == "connection":
        return [str(world.connection)]
    return list(listing.filters[name].words) or [VALUES[name]]


def asked_for(world: World) -> Iterator[tuple[str, Callable[[Transaction], Any]]]:
    """Every filter with every sort of every list, first page and a later one, and every count."""
    tenant, connections = world.tenant, [world.connection]
    for listing, tabs, read, key in (
        (ticket_list.LISTING, list(ticket_list.TABS), lambda tx, tab, **more: ticket_list.list_tickets(tx, tenant, tab=tab, **more), (NOW, 5)),
        (alert_list.LISTING, list(alert_list.TABS), lambda tx, tab, **more: alert_list.list_alerts(tx, tenant, tab=tab, actor=KIM, **more), (NOW, 5)),
        (command_list.LISTING, [""], lambda tx, tab, **more: command_list.list_commands(tx, tenant, **more), (1 << 40,)),
        (delivery_list.LISTING, [""], lambda tx, tab, **more: delivery_list.list_deliveries(tx, tenant, connections, **more), (NOW, 5)),
    ):
        for tab in tabs:
            narrowings: list[Mapping[str, str]] = [{}, *({name: value} for name in listing.filters for value in value_of(listing, name, world))]
            for filters in narrowings:
                for sort in listing.sorts:
                    for after in (None, key):
                        what = f"{listing.name} {tab} {dict(filters)} by {sort}{' further down' if after else ''}"
                        yield what, lambda tx, f=filters, s=sort, a=after, r=read, t=tab: r(tx, t, filters=f, sort=s, after=a)  # type: ignore[misc]
    for name, value in VALUES.items():
        if name in ticket_list.LISTING.filters:
            yield f"count of tickets {name}", lambda tx, n=name, v=value: ticket_list.count_tickets(tx, tenant, filters={n: v})  # type: ignore[misc]
    yield "count of tickets", lambda tx: ticket_list.count_tickets(tx, tenant)
    yield "count of alerts", lambda tx: alert_list.count_alerts(tx, tenant, KIM)
    yield "count of commands", lambda tx: command_list.count_commands(tx, tenant)
    yield "count of deliveries", lambda tx: delivery_list.count_deliveries(tx, tenant, connections)
    yield "words", lambda tx: ticket_list.list_tickets(tx, tenant, tab="all", found=ticket_list.search_tickets(tx, tenant, "login printer 7000017"))
    yield "deliveries of a ticket", lambda tx: delivery_list.list_deliveries(tx, tenant, connections, text="7000017")


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """What is sent meanwhile: (statement, values)."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            sent.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    yield sent
    event.remove(database.engine, "before_cursor_execute", note)


@pytest.mark.postgres
def test_postgres_reads_no_more_than_it_shows(postgres_url: str, tmp_path: Path) -> None:
    """Run for true: no node of a plan reads a table through, and none but a search sorts more than a page or two."""
    world = full_world(page_settings(postgres_url, tmp_path))
    fill(world, ROWS)
    database, wrong = world.runtime.database, []
    for what, ask in asked_for(world):
        with database.reading(world.tenant) as tx:
            with statements(database) as sent:
                ask(tx)
            for statement, values in sent:
                plan = "\n".join(row[0] for row in tx.connection().exec_driver_sql(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {statement}", values))
                # a page that looks for what no index serves looks at so many rows, whatever there is; so does a count
                looked = ticket_words.LOOKED if "ticket_word" in statement else LOOKED if "looked" in statement else A_FEW
                bound = 2 * MOST if "count" in what else looked
                wrong += [f"{what}: {problem}\n{plan}" for problem in problems_of(plan, bound)]
    database.engine.dispose()
    assert wrong == [], "\n\n".join([*(one.partition("\n")[0] for one in wrong), *wrong[:2]])


def problems_of(plan: str, bound: int) -> list[str]:
    """What a plan does that costs with the number of rows."""
    found = [f"reads {table} through" for table in re.findall(r"Seq Scan on (\w+)", plan) if table in TABLES.split(", ")]
    steps = [int(n) for n in re.findall(r"(?:Sort|Scan)[^\n]*actual rows=(\d+)", plan)] + [int(n) for n in re.findall(r"Rows Removed by Filter: (\d+)", plan)]
    return found + [f"a step of {n} rows" for n in steps if n > bound]


def test_sqlite_walks_an_index(sqlite_url: str, tmp_path: Path) -> None:
    world = full_world(page_settings(sqlite_url, tmp_path))
    database, wrong = world.runtime.database, []
    for what, ask in asked_for(world):
        with database.reading(world.tenant) as tx:
            with statements(database) as sent:
                ask(tx)
            for statement, values in sent:
                plan = [row[3] for row in tx.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
                tables = [line for line in plan if re.match(rf"SCAN ({'|'.join(TABLES.split(', '))})\b", line)]
                # what has a LIMIT of its own is a page, and merging pages may sort them; a search sorts what it found; FOR RIGHT PART sorts equal instants
                sorts = [
                    one for one, after in pairwise(plan) if "TEMP B-TREE FOR ORDER BY" in after and re.match(r"SEARCH|SCAN", one) and "SCAN anon" not in one
                ]
                if tables or (sorts and "words" not in what and "of a ticket" not in what and sorts != ["SCAN looked"]):
                    wrong.append(f"{what}\n{statement}\n" + "\n".join(plan))
    database.engine.dispose()
    assert wrong == [], "\n\n".join(wrong[:3])


def test_every_listing_names_indexes_that_exist() -> None:
    for listing in (ticket_list.LISTING, alert_list.LISTING, command_list.LISTING, delivery_list.LISTING):
        there = {index.name for index in listing.table.indexes}
        for name, one in listing.filters.items():
            assert one.column in listing.table.c, (listing.name, name)
            assert any((index or "").startswith(one.index) for index in there), (listing.name, name)
