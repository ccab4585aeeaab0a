"""Once and not twice: the same POST with the same Idempotency-Key does one thing and is answered alike; and nobody overwrites what they have not read."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from sla_plugin.jobs.timekeeper import Timekeeper
from sla_plugin.store.idempotency import REMEMBERED, take_key
from tests.web.conftest import app_of, page_settings, program_of
from tests.web.world import NOW, World, empty_world

BODY = {"name": "report", "scopes": ["tokens.read"]}


def test_the_same_request_gets_the_same_answer(world: World) -> None:
    program = program_of(world)
    first = program.open("POST", "/tokens", BODY, {"Idempotency-Key": "k-1"})
    second = program.open("POST", "/tokens", BODY, {"Idempotency-Key": "k-1"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.data == second.data
    assert first.headers["Location"] == second.headers["Location"]
    assert ("Idempotent-Replay" in first.headers, second.headers["Idempotent-Replay"]) == (False, "true")
    assert program.post("/tokens", BODY, Idempotency_Key="k-2")["id"] != first.json["id"]
    assert program.post("/tokens", BODY)["id"] != program.post("/tokens", BODY)["id"]
    assert sum(row["name"] == "report" for row in world.rows("token")) == 5  # one was there


def test_what_is_kept_is_sealed(small_world: World) -> None:
    secret = program_of(small_world).post("/tokens", BODY, Idempotency_Key="k")["secret"]
    with small_world.runtime.database.engine.connect() as connection:
        assert secret not in str(connection.exec_driver_sql("SELECT * FROM idempotency_key").all())


@pytest.mark.parametrize("other", ["body", "person", "address"])
def test_a_key_belongs_to_one_request(small_world: World, other: str) -> None:
    app = app_of(small_world)
    program = program_of(small_world, app=app)
    program.post("/tokens", BODY, Idempotency_Key="k")
    path, body = "/tokens", BODY
    if other == "body":
        body = {**BODY, "name": "another"}
    elif other == "address":
        path = "/people"
        body = {"email": "bob@example.com", "name": "Bob", "role": "agent"}
    else:
        with small_world.runtime.database.transaction(small_world.tenant) as tx:
            tx.connection().exec_driver_sql("UPDATE person SET role = 'admin' WHERE name = 'Ana Agent'")
            tx.connection().exec_driver_sql("UPDATE person SET role = 'agent' WHERE name = 'Kim Lee'")
        program = program_of(small_world, app=app)
    assert program.post(path, body, 422, Idempotency_Key="k")["type"] == "/problems/key-reused"


@pytest.mark.parametrize("key", ["", "x" * 256, "é"], ids=["empty", "long", "not ascii"])
def test_a_key_that_is_none(small_world: World, key: str) -> None:
    refused = program_of(small_world).post("/tokens", BODY, 422, Idempotency_Key=key)
    assert refused["errors"][0]["field"] == "Idempotency-Key"


def test_a_refused_request_leaves_the_key_free(small_world: World) -> None:
    program = program_of(small_world)
    program.post("/tokens", {**BODY, "days": 0}, 422, Idempotency_Key="k")
    program.post("/tokens", BODY, Idempotency_Key="k")


def test_a_day_later_it_is_another_request(world: World) -> None:
    program = program_of(world)
    first = program.post("/tokens", BODY, Idempotency_Key="k")
    world.runtime.clock = lambda: NOW + REMEMBERED  # type: ignore[method-assign]
    assert program.post("/tokens", BODY, Idempotency_Key="k") == first
    world.runtime.clock = lambda: NOW + REMEMBERED + 1  # type: ignore[method-assign]
    assert program.post("/tokens", BODY, Idempotency_Key="k") != first


def test_old_answers_are_swept(world: World) -> None:
    program_of(world).post("/tokens", BODY, Idempotency_Key="k")
    for later, left in ((0, 1), (REMEMBERED, 1), (2 * REMEMBERED, 0), (3 * REMEMBERED, 0)):
        Timekeeper(world.runtime.database, world.runtime.outside, lambda later=later: NOW + later, REMEMBERED).rounds()  # type: ignore[misc]
        with world.runtime.database.reading(world.tenant) as tx:
            assert len(tx.connection().exec_driver_sql("SELECT 1 FROM idempotency_key").all()) == left


def test_two_at_once_do_it_once(world: World) -> None:
    app = app_of(world)
    program = program_of(world, app=app)
    statuses: list[int] = []
    ids: list[str] = []

    def send() -> None:
        with app.test_client() as client:
            answer = client.post("/api/v1/tokens", json=BODY, headers={"Authorization": f"Bearer {program.token}", "Idempotency-Key": "k"})
        statuses.append(answer.status_code)
        ids.extend([answer.json["id"]] if answer.status_code == 201 else [])

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {201, 409}
    assert len(set(ids)) == 1
    assert sum(row["name"] == "report" and row["made_by"].startswith("Kim") and "program" in row["made_by"] for row in world.rows("token")) == 1


@pytest.mark.postgres
def test_one_under_way_is_told_and_not_waited_for(postgres_url: str, tmp_path: Path) -> None:
    world = empty_world(page_settings(postgres_url, tmp_path))
    program = program_of(world)
    with world.runtime.database.transaction(world.tenant) as tx:
        assert take_key(tx, world.tenant, "k")
        answer = program.open("POST", "/tokens", BODY, {"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json["type"], answer.headers["Retry-After"]) == (409, "/problems/under-way", "1")
    program.post("/tokens", BODY, Idempotency_Key="k")
    world.runtime.database.engine.dispose()


def test_a_crash_in_between_leaves_neither_the_thing_nor_the_answer(world: World) -> None:
    """The process dies after the thing was made and before the commit: the same request, sent again, does it."""
    app = app_of(world)
    app.testing = False
    program = program_of(world, app=app)
    was = len(world.rows("token"))
    whole = world.runtime.outside
    world.runtime.outside = replace(whole, sealer=_Broken())  # type: ignore[arg-type]  # sealing the answer is the last thing before the commit
    assert program.open("POST", "/tokens", BODY, {"Idempotency-Key": "k"}).status_code == 500
    world.runtime.outside = whole
    assert len(world.rows("token")) == was
    assert program.open("POST", "/tokens", BODY, {"Idempotency-Key": "k"}).status_code == 201
    assert len(world.rows("token")) == was + 1


class _Broken:
    def seal(self, text: str) -> str:
        raise MemoryError


# --- ETags -----------------------------------------------------------------------------------------------------------
def test_a_write_names_what_it_changes(small_world: World) -> None:
    program = program_of(small_world)
    path = f"/tokens/{program.post('/tokens', BODY)['id']}"
    tag = program.open("GET", path).headers["ETag"]
    assert program.open("GET", path, headers={"If-None-Match": tag}).status_code == 304
    assert program.open("GET", path, headers={"If-None-Match": tag}).headers["ETag"] == tag
    assert program.open("GET", path, headers={"If-None-Match": '"x"'}).status_code == 200
    assert program.open("DELETE", path).json["type"] == "/problems/precondition-required"
    assert program.change("DELETE", path, status=412, match='"x"')["type"] == "/problems/stale"
    program.change("DELETE", path, status=204, match=tag)
    program.change("DELETE", path, status=412, match=tag)
    program.change("DELETE", path, status=204, match="*")
