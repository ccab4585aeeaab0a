"""The door as a WSGI callable, on both databases: what it answers, and what is committed when it has answered."""

import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine

from connectors.signatures import sign_standard
from sla_plugin.settings import Settings
from sla_plugin.web import committer as committer_module
from sla_plugin.web.committer import Committer, NotStored
from sla_plugin.web.door import WebhookDoor
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
def door(plant: Plant) -> Iterator[WebhookDoor]:
    """The door before it."""
    made = WebhookDoor(flask, plant.database, plant.outside, lambda: plant.now)
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
    answers: list[int] = []

    def send(number: int) -> None:
        body = json.dumps({"n": number}).encode()
        answers.append(post(door, body, headers=signed(plant, f"d{number % 30}", body))[0])

    threads = [threading.Thread(target=send, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] * 10 + [202] * 30
    assert len(plant.rows("delivery")) == 30
    assert len(plant.queue.wakes) <= 40


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
    assert [(slot.wait(), slot.fresh) for slot in slots] == [(True, True), (True, False), (True, True)]
    assert [r["id"] for r in plant.rows("delivery")] == [1, 3]
    with pytest.raises(NotStored):
        committer.store({**rows[1], "id": 4})
    committer.close()


def test_a_database_that_is_gone_means_send_it_again(plant: Plant, door: WebhookDoor) -> None:
    assert post(door, b"{}", headers=signed(plant, "d1", b"{}"))[0] == 202
    good = plant.database.engine
    try:
        plant.database.engine = _gone(good)
        assert post(door, b"{}", headers=signed(plant, "d2", b"{}"))[0] == 503
    finally:
        plant.database.engine = good
    assert post(door, b"{}", headers=signed(plant, "d2", b"{}"))[0] == 202


def _gone(engine: Any) -> Any:
    """The same kind of database where nobody answers."""
    if engine.dialect.name == "sqlite":
        return create_engine("sqlite:////nowhere/at/all.db")
    return create_engine("postgresql+psycopg://nobody@127.0.0.1:9/none", connect_args={"connect_timeout": 1})
