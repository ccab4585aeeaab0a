"""The door as a WSGI callable, on both databases: what it answers, and what is committed when it has answered."""

import contextlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, update

from connectors.signatures import sign_standard
from sla_plugin.settings import Settings
from sla_plugin.store.connections import Connection
from sla_plugin.web import committer as committer_module
from sla_plugin.web.committer import Committer, NotStored
from sla_plugin.web.door import Doors, WebhookDoor
from sla_plugin.web.tally import Tally
from tests.owner import as_owner
from tests.plant import Plant

SECRET = "secret"


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    """One generic connection, `crm`."""
    made = Plant(settings)
    yield made
    made.close()


def flask(_environ: Any, start: Any) -> list[bytes]:
    """Stands for the rest of the application."""
    start("204 No Content", [])
    return []


@pytest.fixture
def door(plant: Plant, settings: Settings) -> Iterator[WebhookDoor]:
    """The door before it."""
    made = WebhookDoor(flask, plant.database, plant.outside, lambda: plant.now, Tally(settings.data_dir / "tally"))
    yield made
    made.committer.close()


def post(
    door: WebhookDoor, body: bytes, *, path: str = "/webhooks/crm", method: str = "POST", headers: dict[str, str] | None = None, **environ: Any
) -> tuple[int, dict[str, Any]]:
    """One request through WSGI."""
    answered: list[str] = []
    sent = {f"HTTP_{k.replace('-', '_').upper()}": v for k, v in (headers or {}).items()}
    given = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "application/json",
        "wsgi.input": io.BytesIO(body),
        **sent,
        **environ,
    }
    content = b"".join(door(given, lambda status, _headers: answered.append(status)))
    return int(answered[0].split()[0]), json.loads(content) if content else {}


def signed(plant: Plant, key: str, body: bytes, secret: str = SECRET, at: int | None = None) -> dict[str, str]:
    """Standard Webhooks headers."""
    return dict(sign_standard([secret], key, body, plant.now if at is None else at))


def test_committed_before_the_answer_and_known_the_second_time(plant: Plant, door: WebhookDoor) -> None:
    status, answer = post(door, b"{}", headers=signed(plant, "d1", b"{}"))
    (row,) = plant.rows("delivery")
    assert (status, answer) == (202, {"delivery": str(row["id"]), "duplicate": False})
    assert (row["state"], bytes(row["body"]), row["received_at"]) == ("stored", b"{}", plant.now)
    assert "signature" not in json.dumps(row["headers"])
    assert post(door, b"{}", headers=signed(plant, "d1", b"{}")) == (200, {"delivery": None, "duplicate": True})
    (again,) = plant.rows("delivery")
    assert again == {**row, "duplicates": 1}
    assert plant.queue.wakes == ["inbox", "inbox"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"path": "/webhooks/nobody"}, 404),
        ({"method": "GET"}, 405),
        ({"headers": {}}, 401),
        ({"secret": "wrong"}, 401),
        ({"at": -301}, 401),
        ({"at": 301}, 401),
        ({"size": 2_097_153}, 413),
        ({"CONTENT_LENGTH": "999999999999"}, 413),
        ({"CONTENT_LENGTH": "-1"}, 413),
        ({"path": "/elsewhere"}, 204),
    ],
    ids=["unknown", "get", "unsigned", "wrong-secret", "stale", "early", "large", "said-large", "nonsense-length", "not-a-webhook"],
)
def test_refused_and_nothing_kept(plant: Plant, door: WebhookDoor, change: dict[str, Any], status: int) -> None:
    change = dict(change)
    body = b" " * change.pop("size", 2)
    at = plant.now + change.pop("at", 0) * 1_000_000
    headers = change.pop("headers", signed(plant, "d1", body, change.pop("secret", SECRET), at))
    assert post(door, body, headers=headers, **change)[0] == status
    assert plant.rows("delivery") == []
    with plant.database.reading(plant.tenant) as tx:
        refused = tx.connection().exec_driver_sql("SELECT refused FROM connection_state").scalar_one()
    assert refused == (1 if status == 401 else 0)


def test_many_at_once_share_commits_and_each_is_answered(plant: Plant, door: WebhookDoor) -> None:
    written, answers = [], []
    event.listen(plant.database.engine, "before_cursor_execute", lambda _c, _k, statement, *_: written.append(statement))
    go_on = threading.Event()
    door.committer = Committer(plant.database, lambda: go_on.wait(10))  # after the first commit all others arrive

    def send(number: int) -> None:
        body = json.dumps({"n": number}).encode()
        answers.append(post(door, body, headers=signed(plant, f"d{number % 30}", body))[0])

    send(0)
    threads = [threading.Thread(target=send, args=(n,)) for n in range(1, 40)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: door.committer._queue.qsize() == 39)
    go_on.set()
    for thread in threads:
        thread.join()
    door.committer.close()
    assert sorted(answers) == [200] * 10 + [202] * 30
    assert sum(statement.startswith("INSERT INTO delivery") for statement in written) == 2
    rows = {row["delivery_key"]: row["duplicates"] for row in plant.rows("delivery")}
    assert rows == {f"d{n}": int(n < 10) for n in range(30)}


def test_while_a_commit_hangs_the_sender_is_asked_to_come_again_and_nothing_is_lost(plant: Plant, door: WebhookDoor) -> None:
    door.committer = Committer(plant.database, plant.queue.wake_inbox, patience=0.1)
    with nobody_writes(plant):
        assert ask(door, plant, "d1") == (503, "5")  # waits in vain
        assert eventually(lambda: ask(door, plant, "d2") == (503, "5") and door.committer._queue.empty())  # not even queued
    door.committer.close()
    assert [row["delivery_key"] for row in plant.rows("delivery")] == ["d1"]
    assert (ask(door, plant, "d1"), ask(door, plant, "d2")) == ((200, None), (202, None))


@pytest.mark.postgres
def test_a_restarted_server_is_not_the_senders_matter(postgres_url: str, tmp_path: Path) -> None:
    plant = Plant(Settings.from_env({"DATABASE_URL": postgres_url, "SLA_DATA_DIR": str(tmp_path)}))
    door = WebhookDoor(flask, plant.database, plant.outside, lambda: plant.now, Tally(tmp_path / "tally"))
    assert ask(door, plant, "d1") == (202, None)
    with as_owner(plant.database.engine) as connection:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
    assert ask(door, plant, "d2") == (202, None)
    door.committer.close()
    plant.close()


@pytest.mark.parametrize(
    ("looked_up_elsewhere", "answers"),
    [(False, {0: True, 1.9: True, 2.1: False}), (True, {0: True, 1.9: True, 2.1: True, 3.9: True, 4.1: False})],
    ids=["nobody-looks", "another-thread-looks"],
)
def test_a_retired_secret_ends_soon_and_one_thread_looks_it_up(plant: Plant, looked_up_elsewhere: bool, answers: dict[float, bool]) -> None:
    now = [0.0]
    doors = Doors(plant.database, plant.outside, lambda: now[0])
    assert doors.find("nobody") is None
    assert doors.find("crm") is not None
    with plant.database.transaction(plant.tenant) as tx:
        tx.connection().execute(update(Connection.__table__).values(sealed_secrets=[]))  # type: ignore[arg-type]
    if looked_up_elsewhere:
        assert doors._looking.acquire(blocking=False)
    found = {}
    for now[0] in answers:
        door = doors.find("crm")
        found[now[0]] = door is not None and door.secrets == (SECRET,)
    assert found == answers


def ask(door: WebhookDoor, plant: Plant, key: str) -> tuple[int, str | None]:
    """Send a good delivery: status and Retry-After."""
    told: dict[str, str] = {}
    environ = {f"HTTP_{k.replace('-', '_').upper()}": v for k, v in signed(plant, key, b"{}").items()}
    environ |= {"REQUEST_METHOD": "POST", "PATH_INFO": "/webhooks/crm", "CONTENT_LENGTH": "2"}
    door({**environ, "wsgi.input": io.BytesIO(b"{}")}, lambda status, headers: told.update(headers, status=status))
    return int(told["status"].split()[0]), told.get("Retry-After")


@contextlib.contextmanager
def nobody_writes(plant: Plant) -> Iterator[None]:
    """Somebody else holds the write turn (SQLite) or the table (Postgres)."""
    with plant.database.transaction(plant.tenant) as tx:
        if tx.is_postgres:
            tx.connection().exec_driver_sql("LOCK TABLE delivery IN EXCLUSIVE MODE")
        yield


def eventually(what: Callable[[], bool]) -> bool:
    """True once it is; False if it is not within 10 s."""
    end = time.monotonic() + 10
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def test_one_bad_row_fails_one_request(plant: Plant) -> None:
    rows = [
        {"tenant_id": plant.tenant, "id": n, "connection_id": plant.crm, "delivery_key": f"k{n}", "received_at": plant.now, "headers": {}, "body": b"{}"}
        for n in (1, 2, 3)
    ]
    rows = [{**row, "state": "stored", "history": False, "tries": 0, "duplicates": 0} for row in rows]
    rows[1]["received_at"] = None
    committer = Committer(plant.database, plant.queue.wake_inbox)
    slots = [committer_module._Slot(row) for row in rows]
    committer._commit(slots)
    assert [(slot.wait(1), slot.fresh) for slot in slots] == [(True, True), (True, False), (True, True)]
    assert [r["id"] for r in plant.rows("delivery")] == [1, 3]
    with pytest.raises(NotStored):
        committer.store({**rows[1], "id": 4})
    committer.close()


def test_a_database_that_is_gone_means_send_it_again(plant: Plant, door: WebhookDoor) -> None:
    assert ask(door, plant, "d1") == (202, None)
    door.committer.close()
    good = plant.database.engine
    try:
        plant.database.engine = _gone(good)
        assert ask(door, plant, "d2") == (503, "5")
    finally:
        plant.database.engine = good
    assert ask(door, plant, "d2") == (202, None)


def _gone(engine: Any) -> Any:
    """The same kind of database where nobody answers."""
    if engine.dialect.name == "sqlite":
        return create_engine("sqlite:////nowhere/at/all.db")
    return create_engine("postgresql+psycopg://nobody@127.0.0.1:9/none", connect_args={"connect_timeout": 1})
