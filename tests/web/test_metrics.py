"""`/metrics`: who may read it, that it tells what SQL and the door know, that it costs the same however much is stored, and that it names nobody."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event as listen
from sqlalchemy import text

from sla_plugin import __version__
from sla_plugin.app import create_app
from sla_plugin.reports.machine import LATELY, MOST, lateness_of, read_machine
from sla_plugin.settings import Settings
from sla_plugin.store.connections import CIRCUIT_OPEN, note_state
from sla_plugin.store.deliveries import delivery_row, insert_deliveries
from sla_plugin.store.duties import Duty
from sla_plugin.store.outbox import CallRow
from sla_plugin.web.metric_table import METRICS, table_markdown
from sla_plugin.web.tally import BOUNDS, Tally
from tests.owner import as_owner
from tests.plant import MINUTE, SECOND, Plant, iso
from tests.web.conftest import app_of, page_settings
from tests.web.world import NOW, World, full_world

TOKEN = "a-token-of-the-operator"
HERE = {"REMOTE_ADDR": "127.0.0.1"}


def settings_of(url: str, folder: Path, **more: str) -> Settings:
    return Settings.from_env({"DATABASE_URL": url, "SLA_DATA_DIR": str(folder), "SLA_METRICS_TOKEN": TOKEN, **more})


@pytest.fixture
def watched(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A company whose metrics may be read with a token."""
    world = full_world(settings_of(database_url, tmp_path))
    yield world
    world.runtime.database.engine.dispose()


def scrape(world: World) -> dict[str, dict[tuple[str, ...], float]]:
    """What a new web process says: metric -> label values (without the tenant) -> value. A family without samples is there, too."""
    answer = app_of(world).test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        found.setdefault(family.name + ("_total" if family.type == "counter" else ""), {})
        for sample in family.samples:
            labels = tuple(value for name, value in sample.labels.items() if name != "tenant")
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


# --- who may read it -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("setting", "headers", "peer", "status"),
    [
        pytest.param({}, {}, "127.0.0.1", 401, id="nobody, not even from here: a proxy comes from here, too"),
        pytest.param({"SLA_METRICS_TOKEN": TOKEN}, {}, "127.0.0.1", 401, id="no token"),
        pytest.param({"SLA_METRICS_TOKEN": TOKEN}, {"Authorization": f"Bearer {TOKEN}"}, "192.0.2.1", 200, id="token"),
        pytest.param({"SLA_METRICS_TOKEN": TOKEN}, {"Authorization": f"bearer  {TOKEN} "}, "192.0.2.1", 200, id="token, loosely written"),
        pytest.param({"SLA_METRICS_TOKEN": TOKEN}, {"Authorization": f"Bearer {TOKEN}x"}, "192.0.2.1", 401, id="another token"),
        pytest.param({"SLA_METRICS_TOKEN": TOKEN}, {"Authorization": "Bearer ü"}, "192.0.2.1", 401, id="no ascii"),
        pytest.param({"SLA_METRICS_TOKEN": TOKEN}, {"Authorization": f"Basic {TOKEN}"}, "192.0.2.1", 401, id="another scheme"),
        pytest.param({}, {"Authorization": "Bearer "}, "192.0.2.1", 401, id="an empty token is none"),
        pytest.param({"SLA_METRICS_NETWORKS": "10.0.0.0/8, ::1/128"}, {}, "10.1.2.3", 200, id="network"),
        pytest.param({"SLA_METRICS_NETWORKS": "10.0.0.0/8, ::1/128"}, {}, "::1", 200, id="network, version 6"),
        pytest.param({"SLA_METRICS_NETWORKS": "10.0.0.0/8"}, {"X-Forwarded-For": "10.1.2.3"}, "192.0.2.1", 401, id="what a stranger claims does not count"),
    ],
)
def test_who_may_read(sqlite_url: str, tmp_path: Path, setting: dict[str, str], headers: dict[str, str], peer: str, status: int) -> None:
    app = create_app(Settings.from_env({"DATABASE_URL": sqlite_url, "SLA_DATA_DIR": str(tmp_path), **setting}))
    answer = app.test_client().get("/metrics", headers=headers, environ_overrides={"REMOTE_ADDR": peer})
    assert answer.status_code == status
    assert TOKEN not in answer.text


# --- what it says ----------------------------------------------------------------------------------------------------
def test_every_metric_of_the_table_is_exported_and_no_other(watched: World) -> None:
    found = scrape(watched)
    told = {row.name for row in METRICS}
    assert {name for name in found if re.sub(r"_(bucket|count|sum)$", "", name) not in told} == set()
    assert told - set(found) == set()


def test_the_table_of_the_docs_is_the_one_of_the_code() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text()
    assert table_markdown() in page
    assert set(re.findall(r"(?m)^\| `(sla_\w+)`", page)) == {row.name for row in METRICS}


def test_it_tells_what_is_stored(watched: World) -> None:
    found = scrape(watched)
    assert found["sla_database_up"] == {(): 1}
    ((revision, needed, version),) = found["sla_build_info"]
    assert (revision, version) == (needed, __version__)
    assert found["sla_deliveries_set_aside"] == {("unreadable",): 1, ("failed",): 0}
    assert found["sla_deliveries_5m"]["CRM EU", "unreadable"] == 1
    assert found["sla_inbox_deliveries"] == {("live",): 0, ("history",): 0, ("retrying",): 0}
    assert found["sla_connection_mode"]["CRM EU", "live"] + found["sla_connection_mode"]["CRM EU", "dry_run"] == 1
    assert found["sla_connection_lag_seconds"]["CRM EU", "applying"] == pytest.approx(0.08)
    assert found["sla_lateness_seconds"].keys() == {("0.5",), ("0.99",), ("1",)}


def test_names_of_tickets_and_people_are_in_no_label(watched: World) -> None:
    text_ = app_of(watched).test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    with watched.runtime.database.reading(watched.tenant) as tx:
        for table, column in (
            ("ticket", "external_id"),
            ("ticket", "subject"),
            ("ticket", "organization"),
            ("person", "email"),
            ("person", "name"),
            ("connection", "email"),
        ):
            for (value,) in tx.execute(text(f"SELECT DISTINCT {column} FROM {table} WHERE {column} <> ''")):
                assert f'"{value}"' not in text_
                assert len(value) < 5 or value not in text_


def test_an_inbox_that_waits_and_a_connection_that_is_paused(watched: World) -> None:
    def stored(key: str, age: int, **more: Any) -> dict[str, Any]:
        return {**delivery_row(watched.tenant, watched.connection, key, NOW - age, {}, b"{}"), **more}

    with watched.runtime.database.transaction(watched.tenant) as tx:
        insert_deliveries(tx, [stored("w1", 90 * SECOND), stored("w2", 2 * SECOND), stored("w3", 9 * MINUTE, tries=2), stored("w4", 30 * MINUTE, history=True)])
        reason = f"{CIRCUIT_OPEN} after 5 failures in a row: the helpdesk is in trouble"
        note_state(tx, watched.tenant, watched.connection, paused_until=NOW + 30 * SECOND, paused_reason=reason, failures=5, limit_remaining=17, refused=3)
    found = scrape(watched)
    assert found["sla_inbox_deliveries"] == {("live",): 2, ("history",): 1, ("retrying",): 1}
    assert found["sla_inbox_age_seconds"] == {("live",): 90, ("history",): 1800, ("retrying",): 540}
    assert found["sla_connection_paused_seconds"]["CRM EU", "circuit"] == 30
    assert found["sla_connection_paused_seconds"]["CRM EU", "asked"] == 0
    assert found["sla_connection_failures"]["CRM EU",] == 5
    assert found["sla_write_budget_left"]["CRM EU", "vendor"] == 17
    assert found["sla_deliveries_refused_total"]["CRM EU",] == 3


def test_a_database_that_is_gone_is_said_not_hidden(watched: World, tmp_path: Path) -> None:
    app = app_of(watched)
    with as_owner(watched.runtime.database.engine) as connection:
        connection.execute(text("ALTER TABLE connection_state RENAME TO elsewhere"))
    answer = app.test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert "sla_database_up 0.0" in answer.text
    assert "sla_webhook_answers_total" in answer.text


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        ([], (0, 0, 0, 0)),
        ([7], (1, 7, 7, 7)),
        ([1, 2], (2, 1, 2, 2)),
        (list(range(1, 101)), (100, 50, 99, 100)),
        (list(range(1, 1001)), (1000, 500, 990, 1000)),
    ],
    ids=["none", "one", "two", "hundred", "thousand"],
)
def test_percentiles(late: list[int], expected: tuple[int, ...]) -> None:
    found = lateness_of(late[::-1])
    assert (found.count, found.p50, found.p99, found.worst) == expected


def test_lateness_and_overdue(settings: Settings) -> None:
    plant = Plant(settings)
    try:
        plant.policy(targets={"first_response": "1h"})
        plant.tell({"type": "ticket.created", "id": "e1", "ticket": "T1", "occurred_at": iso(plant.now)})
        due = plant.next_transition() or 0
        plant.now = due + 3 * SECOND
        with plant.database.reading(Duty.CHECKING) as tx:
            machine = read_machine(tx, plant.now, {})
        assert machine.overdue == 3 * SECOND
        plant.keep()
        with plant.database.reading(Duty.CHECKING) as tx:
            machine = read_machine(tx, plant.now, {})
        assert (machine.overdue, machine.tenants[0].lateness.worst, machine.tenants[0].alerts["warning"]) == (0, 3 * SECOND, 1)
        with plant.database.reading(Duty.CHECKING) as tx:
            assert read_machine(tx, plant.now + LATELY + 1, {}).tenants[0].lateness.count == 0
    finally:
        plant.close()


# --- what it costs ---------------------------------------------------------------------------------------------------
BIG = ("delivery", "event", "promise", "ticket", "clock", "record", "alert", "command", "call")


@pytest.mark.postgres
def test_no_query_reads_a_large_table_in_full(postgres_url: str, tmp_path: Path) -> None:
    """Each statement of a reading is explained on tables of some thousand rows: none is scanned whole."""
    world = full_world(page_settings(postgres_url, tmp_path))
    engine = world.runtime.database.engine
    try:
        call = {"connection_id": world.connection, "promise_id": 1, "ticket_id": 1, "external_id": "1", "marker": "m", "state": "waiting", "next_at": NOW}
        with world.runtime.database.transaction(world.tenant) as tx:
            tx.add(CallRow(tenant_id=world.tenant, id=1, **call, created_at=NOW, tried_at=NOW))
        with as_owner(engine) as connection:
            for table in ("delivery", "alert", "command", "call", "promise", "event"):
                columns = [row[0] for row in connection.execute(text("SELECT column_name FROM information_schema.columns WHERE table_name = :t"), {"t": table})]
                fresh = {"id": "g + 1", "delivery_key": "'k' || g", "event_key": "'k' || g", "key": "'k' || g", "cycle": "g + 1000", "state": "CASE WHEN g % 400 = 0 THEN state ELSE " + ("'applied'" if table == "delivery" else "'sent'") + " END", "received_at": "received_at - g * 1000000::bigint", "raised_at": "raised_at - g * 1000000::bigint", "tried_at": "tried_at - g * 1000000::bigint", "next_transition_at": "NULL"}  # fmt: skip  # noqa: E501
                assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar(), table
                values = ", ".join(fresh.get(column, column) for column in columns)
                connection.execute(
                    text(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM (SELECT * FROM {table} LIMIT 1) one, generate_series(1, 20000) g")
                )
            for table in BIG:
                connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = off)"))
            connection.execute(text("VACUUM ANALYZE"))
        asked: list[tuple[str, Any]] = []
        listen.listen(engine, "before_cursor_execute", lambda _c, _cursor, statement, parameters, *_: asked.append((statement, parameters)))
        with world.runtime.database.reading(Duty.CHECKING) as tx:
            read_machine(tx, NOW, {name: connector.limits for name, connector in world.runtime.outside.connectors.items()})
        statements = [one for one in asked if one[0].lstrip().upper().startswith("SELECT")]
        assert len(statements) > 8
        with world.runtime.database.reading(Duty.CHECKING) as tx:
            for statement, parameters in statements:
                plan = "\n".join(row[0] for row in tx.connection().exec_driver_sql(f"EXPLAIN {statement}", parameters))
                scanned = set(re.findall(r"Seq Scan on (\w+)", plan)) & {"delivery", "alert", "promise", "event", "command", "call"}
                assert not scanned, f"{statement}\n{plan}"
    finally:
        engine.dispose()


def test_readings_are_shared(watched: World) -> None:
    client = app_of(watched).test_client()
    asked: list[str] = []
    listen.listen(watched.runtime.database.engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: asked.append(statement))
    for _ in range(5):
        client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert sum("FROM tenant" in statement for statement in asked) == 1


def test_a_full_inbox_is_counted_to_a_limit(small_world: World) -> None:
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        rows = [delivery_row(small_world.tenant, 1, f"k{number}", NOW, {}, b"") for number in range(MOST + 5)]
        insert_deliveries(tx, rows)
    with small_world.runtime.database.reading(Duty.CHECKING) as tx:
        assert read_machine(tx, NOW, {}).tenants[0].inbox["live"].count == MOST


# --- the door's own counts -------------------------------------------------------------------------------------------
def test_the_tally_of_several_processes_is_one_sum(tmp_path: Path) -> None:
    first, second = Tally(tmp_path), Tally(tmp_path)
    first.count(202, 0.0004)
    second.count(202, 0.03)
    second.count(401, 9.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["door-0", "door-1"]
    for tally in (first, second, Tally(tmp_path)):
        read = tally.read()
        assert (read.by_status[202], read.by_status[401], read.by_status[503]) == (2, 1, 0)
        assert (read.within[0], read.within[-1], sum(read.within)) == (1, 1, 3)
        assert read.seconds == pytest.approx(9.0304)
    assert len(first.read().within) == len(BOUNDS) + 1


def test_a_restart_counts_on_and_an_old_slot_starts_anew(tmp_path: Path) -> None:
    def live_once() -> None:
        tally = Tally(tmp_path)
        tally.count(202, 0.001)
        tally.close()

    live_once()
    live_once()
    assert Tally(tmp_path).read().by_status[202] == 2
    (tmp_path / "door-0").write_bytes(b"of another version")
    live_once()
    assert Tally(tmp_path).read().by_status[202] == 1


def test_without_a_folder_it_counts_for_itself(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    tally = Tally(tmp_path / "file" / "no folder")
    tally.count(202, 0.001)
    assert tally.read().by_status[202] == 1


def test_the_door_counts_its_answers(watched: World) -> None:
    client = app_of(watched).test_client()
    for path, method in (("/webhooks/nobody", "POST"), ("/webhooks/nobody", "POST")):
        client.open(path, method=method)
    found = scrape(watched)
    assert found["sla_webhook_answers_total"][("404",)] == 2
    assert found["sla_webhook_seconds_count"][()] == 2
    assert found["sla_webhook_seconds_bucket"][("+Inf",)] == 2
    assert time.monotonic() > found["sla_webhook_seconds_sum"][()] > 0
