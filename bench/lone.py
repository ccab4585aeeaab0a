"""How long a lone webhook waits: from its answer to when another connection to the database sees what it did to a clock.

    python bench/lone.py [--database postgres|sqlite] [--webhooks 150]

The product runs as `sla-plugin up`. One signed webhook at a time, each about a ticket of its own, at random gaps of 0.2 to 0.8 s, so that nothing is ever
batched and nobody is awake. Commits are looked for every millisecond, which is honest by that much.
"""

import argparse
import http.client
import json
import os
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.open_promises import database_of
from connectors.signatures import sign_standard
from sla_plugin.store.db import open_database
from tests.journeys.product import Product, free_tcp_port
from tests.owner import as_owner

POLICY = "policies: [{name: Lone, targets: {first_response: 4h, next_response: 8h, resolution: 16h, agent_work: 12h}}]"
SEEN = text("SELECT 1 FROM clock c JOIN ticket t ON t.tenant_id = c.tenant_id AND t.id = c.ticket_id WHERE t.external_id = :ticket LIMIT 1")
LONGEST = 10.0  # seconds


def measure(product: Product, webhooks: int) -> tuple[list[float], list[float]]:
    """Seconds each webhook took to its answer, and from there to its effect."""
    product.policy(POLICY)
    told = product.cli("connect", "generic", "--name", "Lone")
    address = urlsplit(told["webhook_url"])
    database = open_database(product.environment.get("DATABASE_URL") or f"sqlite:///{product.folder / 'sla.db'}", product.folder)
    chance, answered, waited = random.Random(1), [], []
    with as_owner(database.engine) as watching:
        for number in range(webhooks + 5):
            time.sleep(chance.uniform(0.2, 0.8))
            values = {"status": "open", "priority": "normal"}
            event = {"id": f"e{number}", "type": "ticket.created", "ticket": f"L{number}", "occurred_at": datetime.now(UTC).isoformat(), "values": values}
            body = json.dumps(event).encode()
            headers = sign_standard([told["secret"]], f"lone-{number}", body, time.time_ns() // 1000)
            connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
            began = time.perf_counter()
            connection.request("POST", address.path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            answer.read()
            at = time.perf_counter()
            assert 200 <= answer.status < 300, answer.status
            connection.close()
            while watching.execute(SEEN, {"ticket": f"L{number}"}).first() is None:
                watching.rollback()
                assert time.perf_counter() - at < LONGEST, f"no effect within {LONGEST} s"
                time.sleep(0.001)
            done = time.perf_counter()
            watching.rollback()
            if number >= 5:  # the first ones find nothing compiled
                answered.append(at - began)
                waited.append(done - at)
    database.engine.dispose()
    return answered, waited


def line(name: str, seconds: list[float]) -> str:
    """Median, p99 and the extremes in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return f"{name}: p50 {1e3 * cuts[49]:.1f} ms, p99 {1e3 * cuts[98]:.1f} ms (range {1e3 * min(seconds):.1f} to {1e3 * max(seconds):.1f}, n={len(seconds)})"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--database", choices=("postgres", "sqlite"), default="postgres")
    arguments.add_argument("--webhooks", type=int, default=150)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="sla-lone-") as folder, database_of(given.database) as url:
        product = Product(Path(folder) / "data", free_tcp_port(), **({"DATABASE_URL": url} if url else {})).start()
        try:
            time.sleep(2)
            answered, waited = measure(product, given.webhooks)
        finally:
            product.stop()
    print(f"{given.database}, {given.webhooks} webhooks, one at a time, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(line("webhook to answer", answered))
    print(line("answer to effects committed", waited))


if __name__ == "__main__":
    main()
