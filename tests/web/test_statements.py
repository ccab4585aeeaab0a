"""A page asks the database the same number of questions, however much there is: every route that is read, from the URL map. A new page is in it by itself."""

import copy
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import event, insert, select

from sla_plugin.permissions import allowed
from sla_plugin.store.duties import Duty
from sla_plugin.store.ids import new_id
from sla_plugin.store.schema import METADATA
from sla_plugin.web.access import needed
from tests.web.conftest import app_of, browser_of
from tests.web.routes import PEOPLE, routes
from tests.web.world import World

COPIES = 8
# what a list shows a row of, and what stands behind such a row; a new table of a list is named here
COPIED = {
    "person": ("email",),
    "session": (),
    "token": (),
    "policy": ("name",),
    "policy_version": (),
    "calendar": ("name",),
    "calendar_version": (),
    "connection": ("name", "public_id"),
    "connection_state": (),
    "delivery": ("delivery_key",),
    "promise": (),
    "ticket": ("external_id",),
    "clock": (),
    "event": ("event_key",),
    "record": (),
    "alert": (),
    "call": (),
    "command": ("key",),
    "requester": (),
}
OWNERS = {f"{table}_id": table for table in ("person", "policy", "calendar", "connection", "promise", "ticket", "delivery", "call")}


def multiply(world: World) -> None:
    """Every row of those tables some times more, each copy of a thing with copies of what belongs to it."""
    rows = {table: everything(world, table) for table in COPIED if table in METADATA.tables}
    with world.runtime.database.transaction(Duty.CHECKING) as tx:
        for number in range(COPIES):
            fresh = {table: {row["id"]: new_id() for row in found if "id" in row} for table, found in rows.items()}
            for table, found in rows.items():
                made = []
                for row in found:
                    one = copy.deepcopy(row)
                    if "id" in one:
                        one["id"] = fresh[table][row["id"]]
                    for column, owner in OWNERS.items():
                        if one.get(column) is not None and column in one and one[column] in fresh.get(owner, {}):
                            one[column] = fresh[owner][one[column]]
                    for column, value in one.items():
                        if column in COPIED[table] or (isinstance(value, str) and METADATA.tables[table].c[column].unique):
                            one[column] = f"{value}-{number}"
                        elif isinstance(value, str) and column.endswith(("digest", "hash")):
                            one[column] = f"{number}{value[1:]}"
                    made.append(one)
                if made:
                    tx.execute(insert(METADATA.tables[table]), made)


def everything(world: World, table: str) -> list[dict[str, Any]]:
    """Every row of a table of the world's tenant."""
    chosen = METADATA.tables[table]
    with world.runtime.database.reading(world.tenant) as tx:
        return [dict(row) for row in tx.execute(select(chosen).where(chosen.c.tenant_id == world.tenant)).mappings()]


def asked(world: World, role: str) -> dict[str, list[str]]:
    """Path -> the statements that the page sends, asked for a second time so that what is read once is read."""
    app, sent = app_of(world), []
    browser = browser_of(world, PEOPLE[role])
    engine = world.runtime.database.engine

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(" ".join(statement.split())[:160])

    found = {}
    event.listen(engine, "before_cursor_execute", note)
    for route in routes(app, world):
        if route.method == "GET" and (needed(app, route.endpoint, "GET") or "") in allowed(role):
            browser.client.get(route.path)
            sent.clear()
            browser.client.get(route.path)
            found[route.path] = list(sent)
    event.remove(engine, "before_cursor_execute", note)
    return found


@pytest.mark.parametrize("role", ["admin", "customer"])
@pytest.mark.parametrize("world", ["sqlite"], indirect=True)
def test_every_page_asks_a_fixed_number_of_questions(world: World, role: str) -> None:
    few = asked(world, role)
    multiply(world)
    many = asked(world, role)
    assert len(few) >= (20 if role == "admin" else 3)
    more = {path: list((Counter(many[path]) - Counter(few[path])).items()) for path in few if len(many[path]) != len(few[path])}
    assert more == {}
