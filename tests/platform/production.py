"""The product as companies run it: gunicorn and several of each part as processes of their own, Postgres and Redis outside; and webhooks that never pause."""

import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from connectors.signatures import sign_standard
from sla_plugin.reports.exports import export_rows
from sla_plugin.settings import Settings
from sla_plugin.store.db import open_database
from sla_plugin.store.duties import Duty
from sla_plugin.store.tenants import the_tenant
from tests.journeys.foreign_desk import ForeignDesk
from tests.journeys.product import eventually

ROOT = Path(__file__).resolve().parents[2]
CLI = (sys.executable, "-m", "sla_plugin.cli")
GUNICORN = (sys.executable, "-m", "gunicorn", "wsgi:app")
KEY = "bm90IGEgc2VjcmV0OiB0ZXN0cyBvbmx5IDAxMjM0NTY="

ONCE = {"raises": 1, "comments": 1, "assigns": 1}
POLICY = 'policies: [{name: Default, default: true, calendar: 24x7, targets: {first_response: {P1: 3s, "*": 8h}}}]'  # tickets of P1 break after 3 s


class Production:
    """An installation whose parts are started one by one; `stop` ends them and proves that nothing is left."""

    def __init__(self, folder: Path, port: int, database_url: str, redis_url: str, *, prefix: Sequence[str] = (), **settings: str) -> None:
        """`prefix`: words before each part's command (another host's)."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.url, self.prefix = folder, f"http://{settings.get('SLA_HOST', '127.0.0.1')}:{port}", tuple(prefix)
        ours = {name: value for name, value in os.environ.items() if not name.startswith("SLA_") and name not in ("DATABASE_URL", "REDIS_URL")}
        self.environment = {
            **ours,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SLA_DATA_DIR": str(folder),
            "SLA_PORT": str(port),
            "SLA_SECRET_KEYS": KEY,
            "SLA_ALLOW_PRIVATE_URLS": "yes",
            **settings,
        }
        self.log = folder / "log"
        self.parts: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str, count: int = 1) -> "list[subprocess.Popen[bytes]]":
        """Parts of the command line: `worker inbox`, `timekeeper`."""
        return [self.run(*CLI, *words) for _ in range(count)]

    def web(self, *options: str) -> "subprocess.Popen[bytes]":
        """gunicorn, until it is ready."""
        process = self.run(*GUNICORN, *options)
        eventually(lambda: self.ready() or process.poll() is not None, 60, "gunicorn serves")
        assert process.poll() is None, self.log.read_text()
        return process

    def ready(self) -> bool:
        """Does /readyz say 200?"""
        try:
            return self.ask("/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def ask(self, path: str) -> tuple[int, Any]:
        """Status and JSON of a page."""
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def run(self, *words: str, **options: Any) -> "subprocess.Popen[bytes]":
        """Another process of this host."""
        with self.log.open("ab") as log:
            process = subprocess.Popen([*self.prefix, *words], cwd=ROOT, env=self.environment, stdout=log, stderr=log, **options)
        self.parts.append(process)
        return process

    def cli(self, *words: str, settings: Mapping[str, str] | None = None) -> str:
        """What a command prints."""
        environment = {**self.environment, **(settings or {})}
        done = subprocess.run([*CLI, *words], cwd=ROOT, env=environment, text=True, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def export(self, kind: str, *, connection: str | None = None, ids: bool = False) -> list[dict[str, Any]]:
        """The rows of `export KIND`, without the seconds that the command needs to start."""
        settings = Settings.from_env(self.environment)
        database = open_database(settings.database_url, self.folder)
        try:
            with database.reading(Duty.CHECKING) as tx:
                tenant = the_tenant(tx)
                assert tenant is not None
                return list(export_rows(tx, tenant, kind, connection=connection, ids=ids))
        finally:
            database.engine.dispose()

    def count(self, kind: str) -> Counter[str]:
        """How many rows of an export are in which state."""
        return Counter(row["state"] for row in self.export(kind))

    def stop(self) -> None:
        """End what still runs; fails if anything is left."""
        tree = [child for part in self.parts if part.poll() is None for child in psutil.Process(part.pid).children(recursive=True)]
        for part in self.parts:
            if part.poll() is None:
                part.send_signal(signal.SIGTERM)
        for part in self.parts:
            try:
                part.wait(10)
            except subprocess.TimeoutExpired:
                part.kill()
                part.wait()
        _, alive = psutil.wait_procs(tree, 5)
        for process in alive:
            process.kill()
        assert not alive, f"left behind: {alive}"


def ended(part: "subprocess.Popen[bytes]") -> float:
    """SIGTERM; how many seconds the part took. It must end by itself, in order."""
    begun = time.monotonic()
    part.send_signal(signal.SIGTERM)
    code = part.wait(10)
    assert code == 0, f"ended with {code}"
    return time.monotonic() - begun


class Load:
    """Signed webhooks from several threads, without pause: every second thread keeps its connection, the others open one for each.

    Each webhook is the creation of a ticket of its own. `statuses` counts the answers, `errors` holds what broke; nothing is ever sent twice.
    """

    def __init__(self, addresses: Sequence[str], secret: str, threads: int = 6, pause: float = 0.01, first: int = 0) -> None:
        """`addresses`: webhook addresses, taken in turn; `pause`: seconds between two of a thread; `first`: the first ticket's number."""
        self.addresses, self.secret, self.pause = addresses, secret, pause
        self.statuses: Counter[int] = Counter()
        self.errors: list[str] = []
        self.taken: list[str] = []  # tickets whose webhook was answered 2xx
        self.slowest = 0.0
        self._numbers = itertools.count(first)
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(addresses[n % len(addresses)], n % 2 == 0), daemon=True) for n in range(threads)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join(30)

    def some(self, more: int) -> None:
        """Wait until so many more were answered."""
        enough = len(self.taken) + more
        eventually(lambda: len(self.taken) >= enough or self.errors, 30, "webhooks are answered")

    def _send(self, address: str, keep: bool) -> None:
        place = urlsplit(address)
        connection: http.client.HTTPConnection | None = None
        while not self._closed.is_set():
            ticket = f"L{next(self._numbers)}"
            event = {"type": "ticket.created", "id": ticket, "ticket": ticket, "occurred_at": datetime.now(UTC).isoformat(), "values": {"status": "new"}}
            body = json.dumps(event).encode()
            headers = sign_standard([self.secret], f"d-{ticket}", body, time.time_ns() // 1000)
            begun = time.monotonic()
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
                connection.request("POST", place.path, body, {**headers, "Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                self.statuses[answer.status] += 1
                if 200 <= answer.status < 300:
                    self.taken.append(ticket)
                if answer.will_close or not keep:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as problem:
                self.errors.append(f"{ticket} ({'kept' if keep else 'new'} connection): {problem!r}")
                connection = None
            self.slowest = max(self.slowest, time.monotonic() - begun)
            time.sleep(self.pause)
        if connection is not None:
            connection.close()


def connect_log(production: Production) -> tuple[str, str]:
    """A generic connection: its webhook address and its secret."""
    answer = json.loads(production.cli("connect", "generic", "--name", "Log"))
    return answer["webhook_url"], answer["secret"]


def connect_desk(production: Production, desk: ForeignDesk) -> None:
    given = ("--base-url", desk.url, "--email", desk.email, "--token", desk.token, "--secret", desk.secret)
    desk.webhook_url = json.loads(production.cli("connect", "zendesk", "--name", "Desk", *given, "--live"))["webhook_url"]


def processes_of(web: "subprocess.Popen[bytes]") -> set[int]:
    return {child.pid for child in psutil.Process(web.pid).children()}


def reload(web: "subprocess.Popen[bytes]") -> None:
    """SIGHUP, until new processes have taken the place of the old ones."""
    before = processes_of(web)
    web.send_signal(signal.SIGHUP)
    eventually(lambda: len(now := processes_of(web)) == len(before) and not now & before, 20, "the web processes are new ones")


def exchange(web: "subprocess.Popen[bytes]", pause: float) -> None:
    """As many new processes as there are, `pause` seconds for them to be ready, then the old ones end: nobody waits for a start."""
    before = processes_of(web)
    for _ in before:
        web.send_signal(signal.SIGTTIN)
        time.sleep(0.5)  # gunicorn's own pace: it queues few signals
    eventually(lambda: len(processes_of(web)) == 2 * len(before), 40, "the new ones are started")
    time.sleep(pause)
    for _ in before:
        web.send_signal(signal.SIGTTOU)
        time.sleep(0.5)
    eventually(lambda: len(now := processes_of(web)) == len(before) and not now & before, 40, "the old ones are gone")


def all_applied(production: Production) -> bool:
    return set(production.count("deliveries")) == {"applied"}
