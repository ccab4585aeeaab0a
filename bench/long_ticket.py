"""What one more event costs on a ticket with a very long history: the whole path, from a delivery that is stored to clocks that are committed, on Postgres.

    python bench/long_ticket.py [--events 100000] [--more 300]

Two tickets: `talk`, where most events are messages and one in twenty changes the status, and `flapping`, where every second event pauses or resumes the
clocks. The first event applied folds all of it and leaves a checkpoint; every one after that goes on from there. A ticket with eight events is the measure.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.apply import OUTSIDE, POLICY, SECOND, postgres, statement
from sla_plugin.engine.events import Event
from sla_plugin.jobs.inbox import drain_inbox
from sla_plugin.services.apply_policy_file import apply_policy_file, read_policy_file
from sla_plugin.store import schema
from sla_plugin.store.connections import add_connection
from sla_plugin.store.db import Database, open_database
from sla_plugin.store.deliveries import delivery_row, insert_deliveries
from sla_plugin.store.duties import Duty
from sla_plugin.store.events import event_row, insert_events
from sla_plugin.store.tenants import add_tenant
from sla_plugin.store.tickets import ensure_tickets
from tests.owner import as_owner

START = 1_735_689_600 * SECOND  # 2025-01-01
STEP = 300 * SECOND


def past(name: str, length: int) -> list[Event]:
    """A ticket's events, one every five minutes."""
    values = {"status": "open", "priority": "high", "requester": "c"}
    events = [Event(f"{name}-0", "ticket.created", name, START, actor_id="c", actor_role="customer", values=values)]
    for n in range(1, length):
        turn = n if name == "flapping" else n // 20
        if name == "flapping" or n % 20 == 0:
            events.append(
                Event(f"{name}-{n}", "status.changed", name, START + n * STEP, actor_role="agent", field="status", after=("open", "pending")[turn % 2])
            )
        else:
            role = ("agent", "customer")[n % 2]
            events.append(Event(f"{name}-{n}", "reply.public", name, START + n * STEP, actor_id=role[0], actor_role=role, public=True))
    return events


def apply_one(database: Database, tenant: int, connection: int, ticket: str, number: int, at: int) -> float:
    """Seconds that applying one more message takes."""
    told = {"id": f"more-{ticket}-{number}", "type": "reply.public", "ticket": ticket, "occurred_at": datetime.fromtimestamp(at / SECOND, UTC).isoformat()}
    body = json.dumps({**told, "actor": {"id": "x", "role": ("agent", "customer")[number % 2]}}).encode()
    with database.transaction(tenant) as tx:
        insert_deliveries(tx, [delivery_row(tenant, connection, told["id"], at, {}, body)])
    began = time.perf_counter()
    assert drain_inbox(database, OUTSIDE, lambda: at + SECOND, 200) == 1
    return time.perf_counter() - began


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--events", type=int, default=100_000)
    arguments.add_argument("--more", type=int, default=300)
    given = arguments.parse_args()
    with postgres() as server, tempfile.TemporaryDirectory(prefix="sla-long-") as folder:
        statement(server, "CREATE DATABASE made")
        database = open_database(server.format(database="made"), Path(folder))
        schema.upgrade(database.engine)
        with database.transaction(Duty.TENANTS) as tx:
            tenant = add_tenant(tx, "bench", START)
            values = {"public_id": "bench", "name": "desk", "connector": "generic", "base_url": "https://desk.example.com", "email": "", "mode": "dry_run"}
            secrets = {"sealed_token": "", "sealed_secrets": [], "mapping": {}, "options": {}, "facts": {}}
            connection = add_connection(tx, tenant, {**values, **secrets, "created_at": START - SECOND})
            apply_policy_file(tx, tenant, read_policy_file(POLICY), START, "bench")
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        for name, length in (("short", 8), ("talk", given.events), ("flapping", given.events)):
            events = past(name, length)
            with database.transaction(tenant) as tx:
                ticket, promise = ensure_tickets(tx, tenant, connection, {name: (START, False)})[name]
            for first in range(0, length, 5000):
                rows = [event_row(tenant, connection, None, e.at or START, e) for e in events[first : first + 5000]]
                with database.transaction(tenant) as tx:
                    insert_events(tx, tenant, [{**row, "ticket_id": ticket, "promise_id": promise} for row in rows])
            with as_owner(database.engine) as plain:
                plain.execute(text("VACUUM ANALYZE"))
            end = START + length * STEP
            first_one = apply_one(database, tenant, connection, name, 0, end)
            taken = [1e3 * apply_one(database, tenant, connection, name, n, end + n * SECOND * 60) for n in range(1, given.more + 1)]
            with database.reading(tenant) as tx:
                stored = tx.execute(text("SELECT count(*) FROM event WHERE promise_id = :p"), {"p": promise}).scalar_one()
                kept = tx.execute(text("SELECT count, length(data) FROM checkpoint WHERE promise_id = :p"), {"p": promise}).first()
            assert stored == length + given.more + 1
            print(
                f"{name}: the first event {first_one:.2f} s; one more {statistics.median(taken):.1f} ms (p99 {statistics.quantiles(taken, n=100)[98]:.1f},"
                f" max {max(taken):.1f}, n={len(taken)}); checkpoint of {kept[0] if kept else 0:,} events, {kept[1] if kept else 0:,} bytes",
                flush=True,
            )
        database.engine.dispose()


if __name__ == "__main__":
    main()
