"""What finding and claiming due promises costs, whatever is open.

    python bench/due.py [--rounds 7] [--open 1000000]

Postgres of its own, 100,000 and 1,000,000 open promises in two databases, a hundred of them due. In each round, alternating: the product's own claim of the
hundred, the naive way (stream every open promise to Python and look), the claim among a tenth as many, and the question how long to sleep. The plan of each
statement is asserted: one partial index, no sort, no sequential scan, with and without the values known. SQLite the same, against its own naive way.
"""

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import event, text

from bench.open_promises import HOUR, database_url, own_postgres, seed_open
from sla_plugin.store import schema
from sla_plugin.store.db import Database, open_database
from sla_plugin.store.duties import Duty
from sla_plugin.store.ids import new_id
from sla_plugin.store.tickets import claim_due, earliest_transition

DUE = 100
INDEX = "ix_promise_due"
NOW = 1_794_906_000_000_000  # Tuesday 17 November 2026, 09:00 UTC


def make_due(database: Database) -> None:
    """Let a hundred of the open promises be due within the last second."""
    with database.transaction(Duty.CHECKING) as tx:
        tx.execute(
            text("UPDATE promise SET next_transition_at = :now - id % 1000000 WHERE id IN (SELECT id FROM promise ORDER BY next_transition_at LIMIT :due)"),
            {"now": NOW, "due": DUE},
        )


def postgres_with(server: Any, count: int, folder: Path) -> Database:
    """A database of the newest schema with that many open promises."""
    began = time.perf_counter()
    database = open_database(database_url(server, f"open_{count}"), folder)
    schema.upgrade(database.engine)
    seed_open(database, new_id(), new_id(), count, NOW, whole=False)
    make_due(database)
    print(f"Postgres: {count:,} open promises made in {time.perf_counter() - began:.1f} s", flush=True)
    return database


def sqlite_with(count: int, folder: Path) -> Database:
    """The same on SQLite, one row after the other."""
    began = time.perf_counter()
    database = open_database(f"sqlite:///{folder / 'sla.db'}", folder)
    schema.upgrade(database.engine)
    tenant, connection, choice = new_id(), new_id(), json.dumps({"revision": 1, "reasons": ["no condition: it applies to every ticket"]})
    rows = ((tenant, n, connection, NOW - HOUR, NOW + 24 * HOUR + n * 7919 % count * (8760 * HOUR // count), 1, 1, 0, NOW, 0, choice) for n in range(count))
    raw = database.engine.raw_connection()
    raw.cursor().execute("BEGIN")
    raw.cursor().executemany(
        "INSERT INTO promise"
        " (tenant_id, id, connection_id, first_received_at, next_transition_at, book_revision, open, history, horizon_at, alerts_since, choice)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    raw.commit()
    raw.close()
    make_due(database)
    print(f"SQLite: {count:,} open promises made in {time.perf_counter() - began:.1f} s", flush=True)
    return database


def claim(database: Database) -> None:
    """Claim what is due in a transaction of the product's own, and let it go again."""
    try:
        with database.transaction(Duty.TIME) as tx:
            claimed = claim_due(tx, NOW, DUE, {})
            assert len(claimed) == DUE, len(claimed)
            raise Undone
    except Undone:
        pass


class Undone(Exception):
    """So that the claim is rolled back."""


def look(database: Database) -> None:
    """How long to sleep."""
    with database.reading(Duty.TIME) as tx:
        assert earliest_transition(tx) is not None


def stream(database: Database, count: int) -> None:
    """Every open promise to Python, in blocks and with no more columns than needed, and a look at each."""
    due = []
    if database.engine.dialect.name == "postgresql":
        with database.reading(Duty.TIME) as tx, tx.connection().connection.driver_connection.cursor(name="all") as cursor:
            cursor.itersize = 50_000
            cursor.execute("SELECT tenant_id, id, next_transition_at FROM promise WHERE open")
            due = [(tenant, promise) for tenant, promise, at in cursor if at is not None and at <= NOW]
    else:
        raw = database.engine.raw_connection()
        due = [(t, p) for t, p, at in raw.cursor().execute("SELECT tenant_id, id, next_transition_at FROM promise WHERE open") if at is not None and at <= NOW]
        raw.close()
    assert len(due) == DUE, (len(due), count)


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """What is sent meanwhile: (statement, values)."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        sent.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    yield sent
    event.remove(database.engine, "before_cursor_execute", note)


def assert_plans(database: Database) -> None:
    """Each statement of claim and look walks the one partial index in its order: nothing is sorted, nothing is read through."""
    with statements(database) as sent:
        claim(database)
        look(database)
    asked = [(s, v) for s, v in sent if "promise" in s]
    assert asked
    with database.reading(Duty.TIME) as tx:
        connection = tx.connection()
        for statement, values in asked:
            if database.engine.dialect.name == "postgresql":
                plans = {"values known": [r[0] for r in connection.exec_driver_sql(f"EXPLAIN {statement}", values)]}
                numbered = statement
                for number, name in enumerate(values, 1):
                    numbered = numbered.replace(f"%({name})s", f"${number}")
                raw = connection.connection.driver_connection
                assert raw is not None
                plans["values unknown"] = [r[0] for r in raw.execute(f"EXPLAIN (GENERIC_PLAN) {numbered}".encode(), prepare=False).fetchall()]
            else:
                plans = {"plan": [r[3] for r in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]}
            for known, plan in plans.items():
                told = "\n".join(plan)
                reads = [line for line in plan if "Scan" in line or "SCAN" in line or "SEARCH" in line]
                assert reads, told
                assert all(INDEX in line or "CONSTANT ROW" in line for line in reads), f"{known}\n{told}"
                assert not any("Sort" in line or "TEMP B-TREE" in line for line in plan), f"{known}\n{told}"
    print(f"{database.engine.dialect.name}: {len(asked)} statements, each through {INDEX} alone, no sort, no sequential scan", flush=True)


def timed(work: Callable[[], None], times: int) -> float:
    """Seconds of one run, the median of `times`."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def told(name: str, values: list[float], unit: str, digits: int) -> None:
    print(f"{name:<58} {statistics.median(values):9.{digits}f}{unit}  ({min(values):.{digits}f} to {max(values):.{digits}f}, {len(values)} rounds)")


def compare(large: Database, small: Database | None, count: int, rounds: int) -> None:
    """Alternate, and print medians of the ratios of each round."""
    taken: dict[str, list[float]] = {name: [] for name in ("claim", "stream", "small", "look", "small look")}
    for database in (large, small):
        if database is not None:
            timed(partial(claim, database), 20)
            timed(partial(look, database), 20)
    for _ in range(rounds):
        taken["claim"].append(timed(lambda: claim(large), 15))
        taken["stream"].append(timed(lambda: stream(large, count), 1))
        taken["look"].append(timed(lambda: look(large), 15))
        if small is not None:
            taken["small"].append(timed(lambda: claim(small), 15))
            taken["small look"].append(timed(lambda: look(small), 15))
            # once more, so that neither size always comes first
            taken["claim"][-1] = (taken["claim"][-1] + timed(lambda: claim(large), 15)) / 2
    told(f"  claim {DUE} due of {count:,} open", [v * 1e3 for v in taken["claim"]], " ms", 2)
    told("  stream all open", [v * 1e3 for v in taken["stream"]], " ms", 0)
    told("  stream / claim", [s / c for s, c in zip(taken["stream"], taken["claim"], strict=True)], "x", 0)
    told("  sleep until: the earliest transition", [v * 1e3 for v in taken["look"]], " ms", 2)
    if small is not None:
        sweeps = [(c + k) / (s + q) for c, k, s, q in zip(taken["claim"], taken["look"], taken["small"], taken["small look"], strict=True)]
        told(f"  due sweep (look and claim), {count:,} / {count // 10:,} open", sweeps, "x", 3)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--open", type=int, default=1_000_000)
    arguments.add_argument("--database", choices=("postgres", "sqlite", "both"), default="both")
    given = arguments.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    gc.collect()
    gc.freeze()
    if given.database != "sqlite":
        with own_postgres(max_wal_size="4GB") as server, tempfile.TemporaryDirectory() as folder:
            large, small = (postgres_with(server, count, Path(folder)) for count in (given.open, given.open // 10))
            assert_plans(large)
            compare(large, small, given.open, given.rounds)
            for database in (large, small):
                database.engine.dispose()
    if given.database != "postgres":
        with tempfile.TemporaryDirectory() as folder:
            large = sqlite_with(given.open, Path(folder))
            assert_plans(large)
            compare(large, None, given.open, given.rounds)
            large.engine.dispose()


if __name__ == "__main__":
    main()
