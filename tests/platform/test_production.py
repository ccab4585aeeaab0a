"""Production, with real processes: a rolling restart, a migration and a backup under load without a failed webhook; each part asked to end ends in order."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from connectors.signatures import sign_standard
from sla_plugin.reports.exports import EXPORTS
from sla_plugin.services.restore_backup import check_backup
from sla_plugin.store import schema
from sla_plugin.store.db import open_database
from tests.journeys.foreign_desk import Fault, ForeignDesk
from tests.journeys.product import eventually
from tests.platform.production import CLI, GUNICORN, ONCE, POLICY, Load, Production, all_applied, connect_desk, connect_log, ended, exchange
from tests.platform.test_migrations import ADDS, migrations_with

pytestmark = [pytest.mark.platform, pytest.mark.postgres]


@pytest.fixture
def production(blank_postgres_url: str, redis_url: str, tmp_path: Path, free_port: int) -> Iterator[Production]:
    """Nothing runs yet; the database is made, a policy in force: tickets of priority P1 break after 3 s."""
    made = Production(tmp_path / "data", free_port, blank_postgres_url, redis_url)
    made.cli("migrate")
    (tmp_path / "policy.yaml").write_text(POLICY)
    made.cli("policy", "apply", str(tmp_path / "policy.yaml"))
    yield made
    made.stop()


def test_a_day_in_production(production: Production, tmp_path: Path) -> None:
    """Load all the time; meanwhile one of each kind of process is replaced by another, and a backup is taken. Then all ends, and lives on from a backup."""
    kinds = (("worker", "inbox"), ("worker", "outbox"), ("timekeeper",))
    parts = {kind: production.start(*kind, count=2) for kind in kinds}
    web = production.web("--preload")  # the worse case: what is made before a fork must not be shared
    address, secret = connect_log(production)
    with ForeignDesk() as desk:
        connect_desk(production, desk)
        with Load([address], secret) as load:
            load.some(50)
            tickets = [desk.open_ticket(priority="high") for _ in range(6)]
            exchange(web, 1)
            for kind, running in parts.items():
                running += production.start(*kind)
                assert ended(running.pop(0)) < 10
            production.cli("backup", str(tmp_path / "under-load"))
            load.some(50)
            eventually(lambda: all(desk.count(ticket) == ONCE for ticket in tickets), 40, "every breach is written once")
        assert load.errors == []
        assert set(load.statuses) == {202}
        eventually(lambda: all_applied(production), 40, "every webhook is applied, the echoes too")
        assert {ticket: desk.count(ticket) for ticket in tickets} == dict.fromkeys(tickets, ONCE)
    assert sorted(row["ticket"] for row in production.export("tickets", connection="Log")) == sorted(load.taken)
    assert set(production.count("commands")) == {"sent"}
    for part in [web, *(part for running in parts.values() for part in running)]:
        assert ended(part) < 10

    # at rest: the same, in the other database
    production.cli("backup", str(tmp_path / "at-rest"))
    there = Production(tmp_path / "there", 1, f"sqlite:///{tmp_path / 'there' / 'sla.db'}", "")
    there.cli("restore", str(tmp_path / "at-rest"))
    for kind in EXPORTS:
        assert there.export(kind, ids=True) == production.export(kind, ids=True), kind
    # under load: one instant, a beginning of what came to be
    taken = check_backup(tmp_path / "under-load").rows
    assert 50 <= taken["delivery"] < len(production.export("deliveries"))


def test_a_migration_while_webhooks_are_answered(production: Production, tmp_path: Path) -> None:
    """The old version serves before, during and after it, its processes from before and new ones; the new version's backup is not the old one's to make."""
    web = production.web()
    production.start("worker", "inbox")
    address, secret = connect_log(production)
    engine = open_database(production.environment["DATABASE_URL"], tmp_path).engine
    with Load([address], secret) as load:
        load.some(50)
        assert schema.upgrade(engine, migrations=migrations_with(tmp_path, ADDS)) is True
        load.some(50)
        exchange(web, 1)
        load.some(50)
    assert load.errors == []
    assert set(load.statuses) == {202}
    eventually(lambda: all_applied(production), 40, "every webhook is applied")
    assert len(production.export("tickets")) == len(load.taken)
    engine.dispose()
    done = subprocess.run([*CLI, "backup", str(tmp_path / "b")], env=production.environment, text=True, capture_output=True, timeout=60, check=False)
    assert "back it up with the newer version" in done.stderr


# --- asked to end ------------------------------------------------------------------------------------------------------
class Waiting:
    """A connection that was accepted long ago and now has a webhook under way."""

    def __init__(self, address: str, secret: str, number: int) -> None:
        place = urlsplit(address)
        self.connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
        self.connection.request("GET", "/healthz")
        self.connection.getresponse().read()
        self.path = place.path
        self.body = json.dumps({"type": "ticket.created", "id": f"w{number}", "ticket": f"W{number}", "occurred_at": "2026-11-20T00:00:00Z"}).encode()
        self.headers = sign_standard([secret], f"w{number}", self.body, time.time_ns() // 1000)

    def send(self) -> None:
        self.connection.request("POST", self.path, self.body, {**self.headers, "Content-Type": "application/json"})

    def status(self) -> int:
        try:
            answer = self.connection.getresponse()
            answer.read()
            return answer.status
        finally:
            self.connection.close()


@pytest.mark.parametrize("words", [(*CLI, "web"), GUNICORN], ids=["waitress", "gunicorn"])
def test_requests_that_came_in_are_answered(production: Production, words: tuple[str, ...]) -> None:
    """More webhooks are under way than there are threads; all of them are stored and answered, then the web server ends."""
    web = production.run(*words)
    eventually(production.ready, 30, "it serves")
    address, secret = connect_log(production)
    waiting = [Waiting(address, secret, number) for number in range(60)]
    for one in waiting:
        one.send()
    assert ended(web) < 10
    assert [one.status() for one in waiting] == [202] * 60
    assert production.count("deliveries") == {"stored": 60}


HANDED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_whole_new_web_server_behind_a_socket_that_stays(production: Production) -> None:
    """The socket belongs to somebody else (systemd): even a stop and a start lose no webhook."""
    place = urlsplit(production.url)
    with socket.create_server((place.hostname or "", place.port or 0), backlog=1024) as listener:
        listener.set_inheritable(True)

        def start() -> "subprocess.Popen[bytes]":
            return production.run(sys.executable, "-c", HANDED, str(listener.fileno()), *GUNICORN, pass_fds=(listener.fileno(),))

        web = start()
        eventually(production.ready, 30, "it serves")
        address, secret = connect_log(production)
        with Load([address], secret) as load:
            load.some(50)
            assert ended(web) < 10
            start()
            load.some(50)
    assert load.errors == []
    assert set(load.statuses) == {202}
    assert production.count("deliveries") == {"stored": len(load.taken)}


def test_workers_asked_to_end(production: Production) -> None:
    """The inbox worker in the middle of a heap, the outbox worker in the middle of calls: one answered soon, one not. The next ones find all in order."""
    web = production.web()
    address, secret = connect_log(production)
    with Load([address], secret, threads=8, pause=0) as load:
        load.some(600)
    production.environment["SLA_BATCH_SIZE"] = "5"
    (inbox,) = production.start("worker", "inbox")
    eventually(lambda: production.count("deliveries")["applied"] > 0, 60, "it works")
    assert ended(inbox) < 10
    left = production.count("deliveries")
    production.environment["SLA_BATCH_SIZE"] = "200"
    production.start("worker", "inbox")
    eventually(lambda: all_applied(production), 20, "the next one goes on")
    assert left["applied"] + left["stored"] == len(load.taken)

    production.start("timekeeper")
    with ForeignDesk() as desk:
        connect_desk(production, desk)
        hung: list[Callable[[], None]] = [lambda: time.sleep(1.5), lambda: time.sleep(12)]
        desk.faults.extend(Fault(after=after) for after in hung)
        (outbox,) = production.start("worker", "outbox")
        tickets = [desk.open_ticket(priority="high") for _ in range(2)]
        eventually(lambda: len(desk.applied) >= 2, 60, "both calls are under way")
        assert ended(outbox) < 10
        assert production.count("calls") == {"sent": 1, "waiting": 1}
        production.start("worker", "outbox")
        eventually(lambda: production.count("calls") == {"sent": 2}, 20, "the next one finds out")
        assert {ticket: desk.count(ticket) for ticket in tickets} == dict.fromkeys(tickets, ONCE)
    assert web.poll() is None


def test_a_second_signal_ends_at_once(production: Production) -> None:
    """Nothing waits any longer, and nothing is lost: it is the same as kill -9, which every part stands."""
    production.web()
    production.start("worker", "inbox")
    production.start("timekeeper")
    with ForeignDesk() as desk:
        connect_desk(production, desk)
        desk.faults.append(Fault(after=lambda: time.sleep(4)))
        (outbox,) = production.start("worker", "outbox")
        ticket = desk.open_ticket(priority="high")
        eventually(lambda: desk.applied, 60, "a call is under way")
        outbox.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        outbox.send_signal(signal.SIGTERM)
        assert outbox.wait(2) == -signal.SIGTERM
        production.start("worker", "outbox")
        eventually(lambda: production.count("calls") == {"sent": 1}, 20, "the next one finds out")
        assert desk.count(ticket) == ONCE


# --- a database of another version -------------------------------------------------------------------------------------
def test_a_new_version_on_an_old_database_says_what_to_do(blank_postgres_url: str, redis_url: str, tmp_path: Path, free_port: int) -> None:
    """Workers refuse to start; the web server runs, keeps the proxy away, and serves as soon as the migration is done."""
    production = Production(tmp_path / "data", free_port, blank_postgres_url, redis_url)
    try:
        said = f"the database is at revision none, this version needs {schema.REVISION}: run `sla-plugin migrate`"
        done = subprocess.run([*CLI, "timekeeper"], env=production.environment, text=True, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (1, f"error: {said}\n")
        production.run(*GUNICORN)
        eventually(lambda: re.search("Booting worker", production.log.read_text()), 20, "it starts")
        eventually(lambda: said in production.log.read_text(), 20, "it says so")
        assert production.ask("/readyz") == (503, {"status": "unavailable", "database": said})
        production.cli("migrate")
        assert production.ready()
    finally:
        production.stop()
