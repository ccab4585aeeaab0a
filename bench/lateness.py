"""How late breaches are: deadline to the alert's commit, and to the helpdesk's receipt, while webhooks are applied.

    python bench/lateness.py [--database sqlite|postgres] [--breaches N] [--seconds S] [--rate WEBHOOKS_PER_SECOND] [--open N]

The product runs as `sla-plugin up` beside the Zendesk simulator; another connection sends signed updates of other tickets all the time. A commit counts from
when another connection to the database sees the alert (looked for every 10 ms), which is honest by that much. Prints one line per figure.
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import text

from bench.load import Load, quantile
from bench.open_promises import database_url, own_postgres, seed_open
from connectors.zendesk.simulator import ZendeskSimulator
from sla_plugin.store.connections import find_by_name
from sla_plugin.store.db import Database, open_database
from sla_plugin.store.duties import Duty
from sla_plugin.store.tenants import book_revision, the_tenant
from tests.journeys.product import Product, free_tcp_port

TARGET = 10  # seconds
RATES = {"sqlite": 20, "postgres": 50}  # webhooks a second
POLICY = f"""
policies:
  - {{name: Load, applies_to: {{field: tags, contains: load}}, targets: {{first_response: 4h, resolution: 120h}}}}
  - {{name: Quick, targets: {{first_response: {TARGET}s}}}}
"""


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
    return f"{name:<38} p50 {statistics.median(ordered):.3f}  p99 {quantile(ordered, 0.99):.3f}  max {ordered[-1]:.3f} s  ({len(ordered)} breaches)"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--database", choices=sorted(RATES), default="sqlite")
    arguments.add_argument("--breaches", type=int, default=300)
    arguments.add_argument("--seconds", type=float, default=240.0, help="over which the breaches are spread")
    arguments.add_argument("--open", type=int, default=0, help="so many other open promises lie in the tables (Postgres)")
    arguments.add_argument("--rate", type=float, help="webhooks a second [20 on sqlite, 50 on postgres]")
    given = arguments.parse_args()
    rate = given.rate or RATES[given.database]
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sla-lateness-"))
        urls = {"DATABASE_URL": database_url(stack.enter_context(own_postgres(max_wal_size="4GB")))} if given.database == "postgres" else {}
        product = Product(Path(folder) / "data", free_tcp_port(), **urls).start()
        stack.callback(product.stop)
        measure(product, given.database, given.breaches, given.seconds, rate, given.open)


def measure(product: Product, kind: str, breaches: int, seconds: float, rate: float, others: int) -> None:
    product.policy(POLICY)
    desk = ZendeskSimulator()
    account = ("--base-url", desk.url, "--email", desk.email, "--token", desk.token, "--secret", desk.sender.secret, "--live")
    with desk:
        desk.sender.url = product.cli("connect", "zendesk", "--name", "Desk", *account)["webhook_url"]
        told = product.cli("connect", "generic", "--name", "Load")
        database = open_database(product.environment.get("DATABASE_URL") or f"sqlite:///{product.folder / 'sla.db'}", product.folder)
        if others:
            with database.reading(Duty.CHECKING) as tx:
                tenant = the_tenant(tx)
                assert tenant is not None
                connection = find_by_name(tx, tenant, "Load")
                assert connection is not None
                revision = book_revision(tx, tenant)
            seed_open(database, tenant, connection.id, others, time.time_ns() // 1000, revision=revision)
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
    print(f"{kind}, {others:,} other open promises, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{breaches} breaches over {seconds:.0f} s, {rate:g} webhooks/s")
    print(line("deadline to the alert's commit", [watch.seen[t][1] - watch.seen[t][0] for t in tickets if t in watch.seen]))
    print(line("  of it, until the verdict was made", [watch.seen[t][2] - watch.seen[t][0] for t in tickets if t in watch.seen]))
    print(line("deadline to the simulator's receipt", [received[t] - watch.seen[t][0] for t in tickets if t in received and t in watch.seen]))
    applied = [write["ticket"] for write in desk.writes if write["applied"]]
    print(f"writes: {len(applied)} for {len(set(applied))} tickets, {sum(not write['applied'] for write in desk.writes)} refused")
    slowest = max(answer.took for answer in load.answers)
    print(f"webhooks of the load: {load.statuses}, slowest answer {slowest:.3f} s, {waiting} deliveries unapplied at the end")


if __name__ == "__main__":
    main()
