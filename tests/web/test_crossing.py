"""Nobody gets from one tenant into another: every route, as every role, with the ids of the neighbour. A new page is in it by itself."""

import hashlib
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from sla_plugin.permissions import ROLES, allowed
from sla_plugin.store.duties import Duty
from sla_plugin.store.isolation import guarded_tables, owner_column
from sla_plugin.store.schema import METADATA
from sla_plugin.web.access import needed
from sla_plugin.web.api.openapi import operations
from tests.web.conftest import app_of, browser_of, program_of, shared_app
from tests.web.routes import BODIES, PEOPLE, TABLE_OF, first_id, routes
from tests.web.world import World, full_world


@pytest.fixture
def neighbours(world: World) -> Iterator[tuple[World, World]]:
    """Ours, and theirs in the same database."""
    theirs = full_world(world.runtime.settings, "Nordwind", "nordwind.example")
    yield world, theirs
    theirs.runtime.database.engine.dispose()


def digests(world: World) -> dict[str, str]:
    """Every table of a tenant as one word."""
    found = {}
    with world.runtime.database.reading(Duty.CHECKING) as tx:
        for table in guarded_tables():
            chosen = METADATA.tables[table]
            rows = sorted(repr(tuple(row)) for row in tx.execute(select(chosen).where(chosen.c[owner_column(table)] == world.tenant)))
            found[table] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return found


@pytest.mark.parametrize("role", ROLES)
def test_ids_of_another_tenant_lead_nowhere(neighbours: tuple[World, World], role: str) -> None:
    ours, theirs = neighbours
    app = shared_app(ours)
    browser, program = browser_of(ours, PEOPLE[role]), program_of(ours, role, app=app)
    form = {argument: str(first_id(theirs, table)) for argument, table in TABLE_OF.items()}
    form |= {"connection": form["connection_id"], "person": form.get("person_id", ""), "external": "4812", "reason": "theirs", "note": "theirs"}
    before, wrong, walked = digests(theirs), [], 0
    for route in routes(app, theirs):
        need = needed(app, route.endpoint, route.method) or ""
        if route.is_api:
            answer = program.open(route.method, route.path, BODIES.get(route.endpoint, {}) if route.method != "GET" else None, {"If-Match": "*"})
        else:
            browser.get("/me")
            sent = {"csrf_token": browser.token, **form} if route.method != "GET" else None
            answer = browser.client.open(route.path, method=route.method, data=sent, query_string={} if sent else form)
        if route.argued:
            walked += 1
            expected = (404,) if need in allowed(role) else (403, 404)
            if answer.status_code not in expected:
                wrong.append((route, need, answer.status_code))
        elif answer.status_code >= 500:
            wrong.append((route, need, answer.status_code))
        if route.method != "GET" and answer.status_code < 400 and digests(theirs) != before:
            wrong.append((route, "changed something of theirs", 0))
            before = digests(theirs)
    assert wrong == []
    assert walked > 10
    assert digests(theirs) == before, "refused, and changed something of theirs all the same"


def test_lists_show_nothing_of_another_tenant(neighbours: tuple[World, World]) -> None:
    ours, theirs = neighbours
    app = shared_app(ours)
    browser, program = browser_of(ours, PEOPLE["admin"]), program_of(ours, "admin", app=app)
    marks = [str(row["id"]) for table in set(TABLE_OF.values()) for row in theirs.rows(table)] + ["nordwind.example"]
    for route in routes(app, ours):
        if route.method == "GET" and not route.argued and (needed(app, route.endpoint, "GET") or "") in allowed("admin"):
            page = program.open("GET", route.path).text if route.is_api else browser.get(route.path)
            assert [mark for mark in marks if mark in page] == [], route.path


def test_every_route_of_the_api_that_takes_an_id_and_a_body_is_walked_with_a_body(small_world: World) -> None:
    app = app_of(small_world)
    taken = {route.endpoint.rpartition(".")[2]: route for route in routes(app, small_world) if route.is_api and route.argued}
    asked = list(operations(app.test_client().get("/api/v1/openapi.json").json))
    named = {operation["operationId"]: operation for _, _, operation in asked}
    assert len(named) == len(asked), "names of operations are unique"
    assert {taken[name].endpoint for name in taken if "requestBody" in named[name]} == set(BODIES)
