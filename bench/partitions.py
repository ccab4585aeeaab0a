"""Whether big tables gain by being partitioned: the figures behind docs/decisions.md.

    python bench/partitions.py [--events 10000000] [--promises 1000000] [--deliveries 1000000]

A Postgres of its own. The product's tables plain, cut in 16 by a hash of the tenant, and (events, deliveries) by month; 50 tenants, one with half of all.
Prints what inserting 100 new events costs, reading one promise's history, claiming due promises, and getting rid of the oldest of ten months of deliveries.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any, LiteralString, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg

from bench.open_promises import database_url, own_postgres
from sla_plugin.store import schema
from sla_plugin.store.db import open_database

MONTH = 30 * 86_400_000_000
START = 1_770_000_000_000_000
TENANT = "CASE WHEN n % 2 = 0 THEN 1 ELSE n / 2 % 49 + 2 END"
PARTS = 16
ROUNDS = 11


def do(connection: psycopg.Connection[Any], statement: str) -> Any:
    """Run a statement made here, of names and numbers."""
    return connection.execute(cast(LiteralString, statement))


def make(connection: psycopg.Connection[Any], table: str, kind: str, by: str, rows: str, indexes: list[str]) -> str:
    """A copy of a table of the product, cut as told and filled, with its indexes; its name."""
    name = f"{table}_{kind}"
    cut = {"plain": "", "hash": " PARTITION BY HASH (tenant_id)", "month": f" PARTITION BY RANGE ({by})"}[kind]
    do(connection, f"CREATE TABLE {name} (LIKE {table}){cut}")
    if kind == "hash":
        for n in range(PARTS):
            do(connection, f"CREATE TABLE {name}_{n} PARTITION OF {name} FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {n})")
    if kind == "month":
        for n in range(11):
            do(connection, f"CREATE TABLE {name}_{n} PARTITION OF {name} FOR VALUES FROM ({START + n * MONTH}) TO ({START + (n + 1) * MONTH})")
    do(connection, rows.replace("{table}", name))
    for number, index in enumerate(indexes):
        # a unique key must contain what the table is cut by
        unique = "UNIQUE " in index
        columns = index.replace("UNIQUE ", "")
        if unique and kind == "month":
            columns = columns.replace(")", f", {by})", 1)
        do(connection, f"CREATE {'UNIQUE ' if unique else ''}INDEX {name}_i{number} ON {name} {columns}")
    do(connection, f"VACUUM ANALYZE {name}")
    return name


def timed(connection: psycopg.Connection[Any], statements: list[str]) -> float:
    """Milliseconds of a statement, the median of them all."""
    taken = []
    for statement in statements:
        began = time.perf_counter()
        do(connection, statement)
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken)


def events(connection: psycopg.Connection[Any], count: int) -> None:
    columns = "tenant_id, id, connection_id, event_key, promise_id, ticket_id, external_id, kind, occurred_at, received_at, actor_role, own, data"
    row = (
        f"{TENANT}, n, 7, 'key-' || n, n / 10, n / 10, 'T' || n / 10, 'status.changed', at, at, 'agent', false,"
        ' \'{"field": "status", "from": "open", "to": "pending"}\'::jsonb'
    )
    source = f"(SELECT n, {START} + n * {10 * MONTH // count} AS at FROM generate_series(1, {count}::bigint) n) s"
    rows = f"INSERT INTO {{table}} ({columns}) SELECT {row} FROM {source}"
    keys = ["UNIQUE (tenant_id, id)", "UNIQUE (tenant_id, connection_id, event_key)", "(tenant_id, promise_id, occurred_at)"]
    kinds = ("plain", "hash", "month")
    names = {kind: make(connection, "event", kind, "received_at", rows, keys) for kind in kinds}
    inserts: dict[str, list[str]] = {kind: [] for kind in kinds}
    reads: dict[str, list[str]] = {kind: [] for kind in kinds}
    for n in range(20 * ROUNDS):
        first, at = count + 1 + n * 100, START + 10 * MONTH + n
        source = f"(SELECT n, {at} AS at FROM generate_series({first}, {first + 99}::bigint) n) s"
        for kind, name in names.items():
            inserts[kind].append(f"INSERT INTO {name} ({columns}) SELECT {row} FROM {source} ON CONFLICT DO NOTHING")
            reads[kind].append(f"SELECT * FROM {name} WHERE tenant_id = 1 AND promise_id = {n * 7919 % (count // 10)}")
    taken: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for n in range(0, 20 * ROUNDS, 20):  # in turn, so that what else the machine does meets all of them
        for kind in kinds:
            taken[kind].append((timed(connection, inserts[kind][n : n + 20]), timed(connection, reads[kind][n : n + 20])))
    for kind in kinds:
        insert, read = (statistics.median(values) for values in zip(*taken[kind], strict=True))
        print(f"events, {kind:<6} {count:,}: insert 100 {insert:6.2f} ms, a promise's history {read:5.2f} ms", flush=True)
        do(connection, f"DROP TABLE {names[kind]}")


def promises(connection: psycopg.Connection[Any], count: int) -> None:
    columns = "tenant_id, id, connection_id, first_received_at, next_transition_at, book_revision, open, history, horizon_at, alerts_since, choice"
    row = f"{TENANT}, n, 7, 1, {START} + n * 7919 % {count} * 1000000, 1, true, false, 1, 0, '{{}}'::jsonb"
    rows = f"INSERT INTO {{table}} ({columns}) SELECT {row} FROM generate_series(1, {count}::bigint) n"
    for kind in ("plain", "hash"):
        keys = ["UNIQUE (tenant_id, id)", "(next_transition_at, tenant_id) WHERE next_transition_at IS NOT NULL"]
        name = make(connection, "promise", kind, "id", rows, keys)
        due = f"next_transition_at <= (SELECT {START + 300_000_000}::bigint)"
        tenant = f"(SELECT tenant_id FROM {name} WHERE {due} ORDER BY next_transition_at LIMIT 1)"
        claim = f"SELECT * FROM {name} WHERE tenant_id = {tenant} AND {due} ORDER BY next_transition_at LIMIT 100 FOR UPDATE SKIP LOCKED"
        look = f"SELECT next_transition_at FROM {name} WHERE next_transition_at IS NOT NULL ORDER BY next_transition_at LIMIT 1"
        print(
            f"promises, {kind:<6} {count:,}: claim 100 {timed(connection, [claim] * 200):6.2f} ms, look {timed(connection, [look] * 200):5.2f} ms", flush=True
        )
        do(connection, f"DROP TABLE {name}")


def deliveries(connection: psycopg.Connection[Any], count: int) -> None:
    columns = "tenant_id, id, connection_id, delivery_key, received_at, headers, body, state, history, tries, duplicates"
    body = "decode(repeat(md5(n::text), 32), 'hex')"  # 512 bytes
    row = f"{TENANT}, n, 7, 'd' || n, {START} + n * {10 * MONTH // count}, '{{}}'::jsonb, {body}, 'applied', false, 1, 0"
    rows = f"INSERT INTO {{table}} ({columns}) SELECT {row} FROM generate_series(1, {count}::bigint) n"
    keys = ["UNIQUE (tenant_id, id)", "UNIQUE (tenant_id, connection_id, delivery_key)", "(tenant_id, connection_id, received_at)"]
    for kind in ("plain", "month"):
        name = make(connection, "delivery", kind, "received_at", rows, keys)
        before = START + MONTH
        forget = f"UPDATE {name} SET body = NULL WHERE id IN (SELECT id FROM {name} WHERE received_at < {before} AND body IS NOT NULL LIMIT 1000)"
        none = f"SELECT id FROM {name} WHERE received_at < {START} AND body IS NOT NULL LIMIT 1000"
        told = f"forget 1000 bodies {timed(connection, [forget] * 10):7.1f} ms, find that none is old {timed(connection, [none] * 3):7.1f} ms"
        away = f"DROP TABLE {name}_0" if kind == "month" else f"DELETE FROM {name} WHERE received_at < {before}"
        print(f"deliveries, {kind:<6} {count:,}: {told}, delete a month of ten {timed(connection, [away]) / 1e3:6.2f} s", flush=True)
        do(connection, f"DROP TABLE {name}")


def main() -> None:
    arguments = argparse.ArgumentParser()
    for name, count in (("events", 10_000_000), ("promises", 1_000_000), ("deliveries", 1_000_000)):
        arguments.add_argument(f"--{name}", type=int, default=count)
    given = arguments.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    with own_postgres(max_wal_size="8GB", maintenance_work_mem="512MB", shared_buffers="512MB") as server:
        server.stop()
        server.start()
        url = database_url(server)
        database = open_database(url, Path("/nowhere"))
        schema.upgrade(database.engine)
        database.engine.dispose()
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            promises(connection, given.promises)
            deliveries(connection, given.deliveries)
            events(connection, given.events)


if __name__ == "__main__":
    main()
