"""A real incident log, 2,000 incidents of it, replayed through stored deliveries: the verdicts are those of the system that wrote it."""

import csv
import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import event

from connectors.generic.connector import GenericConnector
from sla_plugin.ports import InboundRequest, JobQueue
from sla_plugin.reports.exports import export_rows
from sla_plugin.services.apply_deliveries import apply_deliveries
from sla_plugin.services.apply_policy_file import apply_policy_file, read_policy_file
from sla_plugin.services.connect_helpdesk import ConnectionForm, prepare_connection, store_connection
from sla_plugin.services.import_log import LogDelivery, LogRow, open_log, pack, read_rows
from sla_plugin.services.outside import Outside
from sla_plugin.services.seed_tenant import seed_tenant
from sla_plugin.store.connections import find_by_name
from sla_plugin.store.db import Database, open_database
from sla_plugin.store.deliveries import delivery_row, insert_deliveries
from sla_plugin.store.duties import Duty
from sla_plugin.store.sealing import Sealer

LOG = Path(__file__).resolve().parents[3] / "shared" / "data" / "uci_incident_event_log.csv.gz"
INCIDENTS = 2000
NOW = 1_790_000_000_000_000
POLICY = """
calendars:
  Service desk:
    time_zone: UTC
    hours: {mon: ["14:00-23:00"], tue: ["14:00-23:00"], wed: ["14:00-23:00"], thu: ["14:00-23:00"], fri: ["14:00-23:00"]}
policies:
  - name: Incidents
    calendar: Service desk
    targets: {resolution: 62h}
    pause_in: []
    resolution: {stops: closed}
"""
pytestmark = pytest.mark.shared


class Quiet(JobQueue):
    """Nobody to wake."""

    def wake_inbox(self) -> None:
        pass

    def wake_outbox(self) -> None:
        raise AssertionError("history writes nothing back")


class NoHttp:
    """Nobody to call."""

    def request(self, *args: object, **kwargs: object) -> None:
        raise AssertionError("history calls nobody")


@dataclass(frozen=True)
class Desk:
    """A database with a generic connection and the log's policy."""

    database: Database
    tenant: int
    connection: int
    outside: Outside

    def replay(self, deliveries: Iterable[LogDelivery], at_once: int) -> None:
        """Store deliveries and apply them, `at_once` in a transaction."""
        for number, chunk in enumerate(chunks(deliveries, at_once)):
            now = NOW + number * 1000
            rows = []
            for one in chunk:
                request = InboundRequest({"webhook-id": one.key}, one.body, now)
                rows.append(delivery_row(self.tenant, self.connection, GenericConnector(lambda: 0.0).delivery_key(request), now, request.headers, one.body))
            with self.database.transaction(self.tenant) as tx:
                insert_deliveries(tx, rows)
            with self.database.transaction(Duty.INBOX) as tx:
                assert apply_deliveries(tx, now, self.outside, at_once).deliveries == len(chunk)

    def export(self, kind: str) -> list[dict[str, object]]:
        with self.database.reading(self.tenant) as tx:
            return list(export_rows(tx, self.tenant, kind))


def chunks(deliveries: Iterable[LogDelivery], size: int) -> Iterator[list[LogDelivery]]:
    waiting: list[LogDelivery] = []
    for one in deliveries:
        waiting.append(one)
        if len(waiting) == size:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


@pytest.fixture
def desk(sqlite_url: str, tmp_path: Path) -> Iterator[Desk]:
    database = open_database(sqlite_url, tmp_path)
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))  # thrown away
    outside = Outside({"generic": GenericConnector(lambda: 0.0)}, NoHttp(), Quiet(), Sealer(["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]))  # type: ignore[arg-type]
    form = ConnectionForm(name="Log", connector="generic", mode="dry_run")
    with database.transaction(Duty.TENANTS) as tx:
        seeded = seed_tenant(tx, NOW - 3_000_000)
        assert seeded is not None
        apply_policy_file(tx, seeded.tenant, read_policy_file(POLICY), NOW - 2_000_000, "test")
        draft = prepare_connection(tx, seeded.tenant, form, outside, allow_private=False, update=False)
        store_connection(tx, seeded.tenant, draft, None, NOW - 1_000_000, "test", outside)
        connection = find_by_name(tx, seeded.tenant, "Log")
        assert connection is not None
    yield Desk(database, seeded.tenant, connection.id, outside)
    database.engine.dispose()


def log_rows(incidents: int) -> list[LogRow]:
    with open_log(LOG) as log:
        return list(read_rows(log, incidents))


def made_sla() -> dict[str, bool]:
    """What the log says of each incident of priority 3, in its last row."""
    with gzip.open(LOG, "rt", newline="") as log:
        last = {row["number"]: row for row in csv.DictReader(log)}
    return {number: row["made_sla"] == "true" for number, row in last.items() if row["priority"] == "3 - Moderate"}


def assert_quiet(desk: Desk) -> None:
    assert [desk.export(kind) for kind in ("corrections", "alerts", "commands", "calls")] == [[], [], [], []]


@pytest.mark.parametrize(("batch", "at_once"), [(1, 200), (500, 1)], ids=["a row per delivery", "500 events per delivery"])
def test_verdicts_are_those_of_the_log(desk: Desk, batch: int, at_once: int) -> None:
    desk.replay(pack(log_rows(INCIDENTS), batch), at_once)
    first = {row["ticket"]: row["met"] for row in reversed(desk.export("records")) if row["metric"] == "resolution" and row["cycle"] == 1}
    said = made_sla()
    assert len(first) == INCIDENTS
    judged = {ticket: met for ticket, met in first.items() if ticket in said}
    assert len(judged) > 1500
    # 11 of 23,466 verdicts in the whole log are other than hours and target explain
    assert len([ticket for ticket, met in judged.items() if met != said[str(ticket)]]) <= 2
    assert_quiet(desk)


def test_one_at_a_time_gives_the_same_records_as_all_at_once(desk: Desk) -> None:
    rows = log_rows(150)
    desk.replay(pack(rows, 1), 1)
    # the same incidents again under other names, in one go
    others = [LogRow(f"B-{row.incident}", tuple({**e, "id": f"B-{e['id']}", "ticket": f"B-{e['ticket']}"} for e in row.events)) for row in rows]
    desk.replay([replace(one, key=f"B-{one.key}") for one in pack(others, 500)], 100)
    for kind in ("records", "clocks"):
        exported = desk.export(kind)
        singly = [row for row in exported if not str(row["ticket"]).startswith("B-")]
        together = [{**row, "ticket": str(row["ticket"]).removeprefix("B-")} for row in exported if str(row["ticket"]).startswith("B-")]
        assert len(singly) >= 150
        assert singly == together
    assert_quiet(desk)
