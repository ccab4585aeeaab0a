"""What a page of a list costs with a million tickets, deliveries and alerts behind it.

    python bench/lists.py [--tickets 1000000] [--times 60] [--only NAME]

Postgres of its own, filled set-wise: tickets in every state with two clocks each, words, deliveries, alerts, commands and audit entries of one tenant, and a
second tenant beside it. Every list is asked for through Flask's test client as a signed-in admin: query and render, no network. The base is measured in the
same rounds, alternating: 50 tickets by primary key in one SELECT, and an empty page behind the same guard. Medians, p95 and ratios are printed, and the CPU
that our process took, which a busy machine does not stretch as it does waiting.
"""

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from bench.open_promises import database_url, own_postgres
from sla_plugin.app import build, create_app
from sla_plugin.reports.ticket_list import LISTING, list_tickets
from sla_plugin.settings import Settings
from sla_plugin.store.tickets import ON_HOLD, TICKETS
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import page_blueprint
from tests.owner import as_owner
from tests.web.world import NOW, PASSWORD, SilentQueue, World, full_world

DONE = ON_HOLD + 2**53

# n -> deadline: a thousand overdue, the rest spread over a year
_DUE = "(:now + CASE WHEN n <= 1000 THEN -n * 60000000::bigint ELSE (n::bigint * 7919 % :count) * (31536000000000 / :count) END)"
_STANDING = (
    "CASE WHEN n % 5 = 0 THEN 'done' WHEN n <= 1000 THEN 'breached' WHEN n % 11 = 0 THEN 'on_hold'"
    " WHEN n % 97 = 1 THEN 'critical' WHEN n % 13 = 1 THEN 'warning' ELSE 'running' END"
)
_WORDS = "('{invoice,login,export,search,password,report,slow,broken,printer,refund}'::text[])"
FILL = (
    f"""
INSERT INTO promise
  (tenant_id, id, connection_id, first_received_at, next_transition_at, book_revision, open, history, horizon_at, alerts_since, policy_id, choice)
SELECT :tenant, :first + n, :connection, :now - 3600000000, {_DUE}, 1, n % 5 <> 0, false, :now, 0, NULL, '{{}}'::jsonb FROM generate_series(1, :count) n
""",
    f"""
INSERT INTO ticket
  (tenant_id, id, connection_id, external_id, promise_id, subject, status, status_word, priority, assignee, requester, organization, tags, fields,
   created_at, updated_at, standing, place)
SELECT :tenant, :first + 100000000 + n, :connection, (7000000 + n)::text, :first + n,
  {_WORDS}[1 + n % 10] || ' of customer ' || n || ' ' || {_WORDS}[1 + (n / 10) % 10], 'open', 'Open', 'P' || n % 4,
  CASE WHEN n % 3 = 0 THEN NULL ELSE 'agent ' || n % 200 END, 'requester ' || n % 5000, 'Customer ' || n % 5000, '[]'::jsonb, '{{}}'::jsonb,
  :now - 3600000000, :now - n, s,
  CASE s WHEN 'done' THEN {DONE} - (:now - n) WHEN 'on_hold' THEN {ON_HOLD} ELSE {_DUE} END
FROM (SELECT n, {_STANDING} AS s FROM generate_series(1, :count) n) x
""",
    f"""
INSERT INTO clock
  (tenant_id, id, promise_id, ticket_id, metric, cycle, phase, open, started_at, target, elapsed, counted_at, deadline_at, warning_at, critical_at, breached_at)
SELECT :tenant, :first + 200000000 + 2 * n + k, :first + n, :first + 100000000 + n, CASE k WHEN 0 THEN 'resolution' ELSE 'first_response' END, 1,
  CASE s WHEN 'done' THEN 'finished' WHEN 'on_hold' THEN 'on_hold' ELSE 'running' END, s <> 'done', :now - 3600000000, 36000000000, 0, :now - 3600000000,
  CASE s WHEN 'on_hold' THEN NULL ELSE {_DUE} + k * 3600000000 END,
  CASE s WHEN 'warning' THEN :now - 2 WHEN 'critical' THEN :now - 2 ELSE NULL END, CASE s WHEN 'critical' THEN :now - 1 ELSE NULL END,
  CASE s WHEN 'breached' THEN :now - n ELSE NULL END
FROM (SELECT n, {_STANDING} AS s FROM generate_series(1, :count) n) x, generate_series(0, 1) k
""",
    """
INSERT INTO ticket_word (tenant_id, word, ticket_id)
SELECT DISTINCT tenant_id, w, id FROM ticket, regexp_split_to_table(lower(external_id || ' ' || subject || ' ' || organization), ' ') w
WHERE tenant_id = :tenant AND id > :first + 100000000 ORDER BY 2, 3 ON CONFLICT DO NOTHING
""",
    """
INSERT INTO delivery (tenant_id, id, connection_id, delivery_key, received_at, headers, body, state, history, reason, tries, duplicates, applied_at, became)
SELECT :tenant, :first + 400000000 + n, :connection, 'key-' || n, :now - (:count - n) * 86400000::bigint, '{}'::jsonb, '\\x7b7d'::bytea,
  CASE WHEN n % 500 = 0 THEN 'unreadable' WHEN n % 101 = 0 THEN 'ignored' ELSE 'applied' END, false, NULL, 1, 0, :now - (:count - n) * 86400000::bigint + 80000,
  '{"events": 1, "kinds": ["ticket.updated"], "tickets": ["1"]}'::jsonb FROM generate_series(1, :count) n
""",
    """
INSERT INTO alert (tenant_id, id, promise_id, ticket_id, connection_id, external_id, metric, cycle, level, due_at, raised_at, acknowledged_at, acknowledged_by,
  resolved_at, surpassed)
SELECT :tenant, :first + 500000000 + n, :first + n, :first + 100000000 + n, :connection, (7000000 + n)::text, 'resolution', 1,
  (ARRAY['warning', 'critical', 'breach'])[1 + n % 3], :now - n * 1000000::bigint, :now - n * 1000000::bigint,
  CASE WHEN n % 4 = 0 THEN :now END, CASE WHEN n % 4 = 0 THEN 'Kim Lee <kim@example.com>' END, CASE WHEN n % 5 = 0 THEN :now END, n % 7 = 0
FROM generate_series(1, :count) n
""",
    """
INSERT INTO command (tenant_id, id, key, connection_id, promise_id, ticket_id, external_id, kind, payload, cause, state, created_at, due_at)
SELECT :tenant, :first + 600000000 + n, 'k' || n, :connection, :first + n, :first + 100000000 + n, (7000000 + n)::text, 'set_priority',
  '{"to": "P0", "expected": "P1"}'::jsonb, '{"policy": "Gold", "policy_version": 1, "metric": "resolution", "level": "breach"}'::jsonb,
  (ARRAY['sent', 'sent', 'sent', 'overtaken', 'dry_run', 'failed'])[1 + n % 6], :now - (:count - n), :now FROM generate_series(1, :count) n
""",
    """
INSERT INTO audit_entry (tenant_id, id, number, at, actor, what, changes, salt, digest, previous, chain)
SELECT :tenant, :first + 700000000 + n, 1000000 + n, :now - (:count - n), 'machine', 'time passed', '{"clocks": 1}'::jsonb, 's', '', '', ''
FROM generate_series(1, :count) n
""",
)
TABLES = "promise, ticket, clock, ticket_word, delivery, alert, command, audit_entry"


def fill(world: World, count: int) -> None:
    """Everything, of the world's tenant; then the statistics that a server has after its first autovacuum."""
    with as_owner(world.runtime.database.engine) as connection:  # indexes are made once the rows are there
        secondary = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%s) AND indexname LIKE 'ix%%'"
        indexes = connection.exec_driver_sql(secondary, (TABLES.split(", "),)).all()
        for name, _ in indexes:
            connection.exec_driver_sql(f"DROP INDEX {name}")
    values = {"tenant": world.tenant, "connection": world.connection, "count": count, "now": NOW, "first": 1 << 40}
    for statement in FILL:
        began = time.perf_counter()
        with as_owner(world.runtime.database.engine) as connection:
            connection.exec_driver_sql("SET statement_timeout = 0")
            said = re.sub(r"(?<!:):(\w+)", lambda name: str(values[name[1]]), statement).replace("%", "%%")
            connection.exec_driver_sql(said)
        print(f"  {statement.split()[2]:<14} {time.perf_counter() - began:6.1f} s", flush=True)
    with as_owner(world.runtime.database.engine) as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        for _, definition in indexes:
            connection.exec_driver_sql(definition)
        connection.exec_driver_sql(f"VACUUM ANALYZE {TABLES}")
        connection.exec_driver_sql("CHECKPOINT")


def base_app(world: World) -> Flask:
    """The product's app and one page more: behind the same guard, 50 tickets by primary key, and nothing drawn of them."""
    app = create_app(world.runtime.settings, world.runtime)
    app.testing = True
    pages = page_blueprint("base", world.runtime)
    with world.runtime.database.reading(world.tenant) as tx:
        ids = [row[0] for row in tx.execute(text("SELECT id FROM ticket ORDER BY id LIMIT 50"))]

    @pages.get("/base")
    @needs("tickets.read")
    def base() -> str:
        with world.runtime.database.reading(world.tenant) as tx:
            assert len(tx.execute(TICKETS.select().where(TICKETS.c.tenant_id == world.tenant, TICKETS.c.id.in_(ids))).all()) == 50
        return "ok"

    app.register_blueprint(pages)
    return app


def signed_in(app: Flask) -> FlaskClient:
    """A client of Kim's."""
    client = app.test_client()
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login").text)
    assert found
    client.post("/login", data={"csrf_token": found[1], "email": "kim@example.com", "password": PASSWORD})
    return client


def deep(world: World, count: int) -> str:
    """The key of a page half-way through everything that is open."""
    with world.runtime.database.reading(world.tenant) as tx:
        row = tx.execute(text("SELECT place, id FROM ticket WHERE standing = 'running' ORDER BY place, id OFFSET :n LIMIT 1"), {"n": count // 3}).one()
    return f"{row.place}-{row.id}"


def pages_of(world: World, count: int) -> dict[str, str]:
    """What is asked for, by name."""
    key = deep(world, count)
    return {
        "tickets, due next": "/tickets",
        "  a page far down": f"/tickets?after={key}&n=300001",
        "  the other way": "/tickets?sort=-due",
        **{f"  tab {tab}": f"/tickets?state={tab}" for tab in ("breached", "critical", "warning", "running", "on_hold", "done", "all")},
        "  a connection (all of them)": f"/tickets?connection={world.connection}",
        "  a connection, all, far down": f"/tickets?connection={world.connection}&state=all&after={key}",
        "  a priority (every fourth)": "/tickets?priority=P1",
        "  an assignee (1 in 200)": "/tickets?assignee=agent+7",
        "  a customer (1 in 5,000)": "/tickets?customer=Customer+77",
        "  nobody's": "/tickets?assignee=nobody",
        "  assignee and priority that never meet": "/tickets?assignee=agent+8&priority=P1",
        "  a number": "/tickets?state=all&q=7500001",
        "  a word (1 in 5)": "/tickets?q=invoice",
        "  two words": "/tickets?q=login+printer",
        "  a beginning": "/tickets?q=Custo",
        "overview": "/sla",
        "alerts, open": "/alerts",
        "  mine": "/alerts?show=mine",
        "  acknowledged": "/alerts?show=acknowledged",
        "  resolved": "/alerts?show=resolved",
        "  of a clock": "/alerts?metric=resolution",
        "  of a clock that has none": "/alerts?show=resolved&metric=first_response",
        "deliveries, last 24 h": "/deliveries",
        "  all": "/deliveries?period=all",
        "  ignored": "/deliveries?state=ignored&period=all",
        "  unreadable": "/deliveries?state=unreadable&period=all",
        "  of a ticket": "/deliveries?q=%234812",
        "outbox": "/outbox",
        "  failed": "/outbox?state=failed",
        "  of a connection": f"/outbox?connection={world.connection}",
        "audit": "/audit",
        "  a word that is nowhere": "/audit?what=nowhere",
    }


def measured(work: Callable[[], Any], into: list[float], worked: list[float] | None = None) -> None:
    began, busy = time.perf_counter(), time.process_time()
    work()
    into.append((time.perf_counter() - began) * 1e3)
    if worked is not None:
        worked.append((time.process_time() - busy) * 1e3)


def p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--tickets", type=int, default=1_000_000)
    arguments.add_argument("--times", type=int, default=60, help="how often each page is asked for")
    arguments.add_argument("--only", default="", help="pages whose name has this in it")
    given = arguments.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    with own_postgres(max_wal_size="8GB", maintenance_work_mem="512MB", work_mem="64MB") as server, tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_env({"DATABASE_URL": database_url(server), "SLA_DATA_DIR": folder, "SLA_ALLOW_PRIVATE_URLS": "yes"})
        build(settings, queue=SilentQueue()).migrate()
        world = full_world(settings)
        full_world(settings, "Nordwind", "nordwind.example")
        fill(world, given.tickets)
        client = signed_in(base_app(world))
        print(f"load average {os.getloadavg()[0]:.1f}; {given.tickets:,} of each, {given.times} times, alternating with the base", flush=True)
        print(f"{'page':<42}{'median':>9}{'p95':>9}{'base':>8}{'ratio':>7}{'our CPU':>9}")
        for name, path in pages_of(world, given.tickets).items():
            if given.only not in name:
                continue
            taken: list[float] = []
            base: list[float] = []
            worked: list[float] = []
            for _ in range(5):
                assert client.get(path).status_code == 200, path
            for _ in range(given.times):
                measured(partial(client.get, path), taken, worked)
                measured(lambda: client.get("/base"), base)
            ratio = statistics.median(t / b for t, b in zip(taken, base, strict=True))
            print(
                f"{name:<42}{statistics.median(taken):7.1f}ms{p95(taken):7.1f}ms{statistics.median(base):6.1f}ms{ratio:6.1f}x{statistics.median(worked):7.1f}ms",
                flush=True,
            )
        taken = []
        with world.runtime.database.reading(world.tenant) as tx:
            for _ in range(given.times):
                measured(lambda: list_tickets(tx, world.tenant, sort=next(iter(LISTING.sorts))), taken)
        print(f"{'the query of the first page alone':<42}{statistics.median(taken):7.1f}ms{p95(taken):7.1f}ms")
        world.runtime.database.engine.dispose()


if __name__ == "__main__":
    main()
