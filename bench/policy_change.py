"""A policy change with many open promises: how long its plan takes, and the sweep that brings every promise up to it.

    DATABASE_URL=postgresql://... python bench/policy_change.py [--promises 40000] [--rounds 3] [--profile plan|sweep]

Empties nothing: the database must be a fresh one of its own. Makes the promises set-wise (8 events each, four clocks by the policy), then changes every
target of the policy in turn, plans each change and sweeps it in chunks of 500, one transaction each. Prints medians and ranges. Before that, a calendar that
moves every deadline is planned as the timekeeper does it, chunk by chunk into rows.
"""

import argparse
import cProfile
import gc
import os
import pstats
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from connectors.generic.connector import GenericConnector
from sla_plugin.engine.events import Event
from sla_plugin.services.apply_policy_file import apply_policy_file, read_policy_file
from sla_plugin.services.keep_time import sweep_terms
from sla_plugin.services.make_plan import begin, next_step, store_plan, write_step
from sla_plugin.services.outside import Outside
from sla_plugin.services.plan_change import plan_change
from sla_plugin.services.save_draft import Author, save_draft
from sla_plugin.store import schema
from sla_plugin.store.connections import add_connection
from sla_plugin.store.db import Database, open_database
from sla_plugin.store.duties import Duty
from sla_plugin.store.events import event_row, insert_events
from sla_plugin.store.plans import get_plan, plan_moves
from sla_plugin.store.policies import calendar_ids
from sla_plugin.store.sealing import Sealer
from sla_plugin.store.tenants import add_tenant, book_revision
from sla_plugin.store.tickets import ensure_tickets

MINUTE = 60_000_000
NOW = 1_794_906_000_000_000  # Tuesday 17 November 2026, 09:00 UTC
POLICY = """
calendars:
  Office: {{time_zone: Europe/Berlin, hours: {{mon: ["08:00-20:00"], tue: ["08:00-20:00"], wed: ["08:00-20:00"], thu: ["08:00-20:00"], fri: ["08:00-20:00"]}}}}
policies:
  - name: VIP
    applies_to: {{field: tags, contains: vip}}
    calendar: Office
    targets: {{resolution: 4h}}
  - name: Everybody
    default: true
    calendar: Office
    targets: {{first_response: {hours}h, next_response: {hours}h, pausable_update: {days}h, resolution: {{P1: {hours}h, "*": {days}h}}}}
"""


class Nobody:
    """No HTTP, no queue."""

    def wake_inbox(self) -> None: ...

    def wake_outbox(self) -> None: ...


def history(ticket: str, number: int) -> list[Event]:
    """Eight events of an open ticket, some hours old."""
    at = NOW - (60 + number % 600) * MINUTE
    values = {"status": "open", "priority": ("high", "normal", "low")[number % 3], "requester": "c1", "subject": "It does not work", "tags": ["mail"]}

    def happened(kind: str, minutes: int, role: str, **more: Any) -> Event:
        return Event(f"{ticket}-{minutes}", kind, ticket, at + minutes * MINUTE, actor_id=f"{role[0]}1", actor_role=role, **more)

    return [
        happened("ticket.created", 0, "customer", values=values),
        happened("group.changed", 3, "agent", field="group", after="first line"),
        happened("assignee.changed", 5, "agent", field="assignee", after="a1"),
        happened("reply.public", 10, "agent", public=True),
        happened("status.changed", 11, "agent", field="status", before="open", after="pending"),
        happened("reply.public", 25, "customer", public=True),
        happened("status.changed", 26, "customer", field="status", before="pending", after="open"),
        happened("tags.changed", 30, "agent", added=("printer",)),
    ]


def build(database: Database, outside: Outside, promises: int) -> int:
    """A tenant with that many open promises, their clocks not yet evaluated."""
    with database.transaction(Duty.TENANTS) as tx:
        tenant = add_tenant(tx, f"bench {time.time_ns()}", NOW)
        values = {"public_id": f"b{tenant}", "name": "desk", "connector": "generic", "base_url": "https://desk.example.com", "email": "", "mode": "dry_run"}
        secrets = {"sealed_token": outside.sealer.seal(""), "sealed_secrets": [], "mapping": {}, "options": {}, "facts": {}}
        connection = add_connection(tx, tenant, {**values, **secrets, "created_at": NOW - 10_000 * MINUTE})
        apply_policy_file(tx, tenant, read_policy_file(POLICY.format(hours=8, days=40)), NOW - 9000 * MINUTE, "bench")
    for first in range(0, promises, 2000):
        numbers = range(first, min(first + 2000, promises))
        with database.transaction(tenant) as tx:
            known = ensure_tickets(tx, tenant, connection, {f"T{n}": (NOW - 800 * MINUTE, False) for n in numbers})
            rows = []
            for n in numbers:
                ticket, promise = known[f"T{n}"]
                rows += [{**event_row(tenant, connection, None, e.at or NOW, e), "ticket_id": ticket, "promise_id": promise} for e in history(f"T{n}", n)]
            insert_events(tx, tenant, rows)
    return tenant


def sweep(database: Database, outside: Outside, tenant: int, now: int) -> int:
    """All chunks; returns how many promises."""
    with database.reading(tenant) as tx:
        revision = book_revision(tx, tenant)
    total = 0
    while True:
        with database.transaction(tenant) as tx:
            done = sweep_terms(tx, tenant, revision, now, outside, 500)
        if not done:
            return total
        total += done


def plan_in_background(database: Database, outside: Outside, tenant: int, now: int) -> None:
    """A calendar that moves every deadline, planned as the timekeeper does it: chunks of 500, each read in one transaction and written in another."""
    hours = {"time_zone": "Europe/Berlin", "hours": {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}}
    with database.transaction(tenant) as tx:
        owner = calendar_ids(tx, tenant)["Office"]
        draft = save_draft(tx, tenant, "calendar", owner, "Office", hours, base=1, seen=0, author=Author(1, "bench"), now=now)
        plan = store_plan(tx, tenant, draft, begin(tx, tenant, draft, now))
    before, longest, steps = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0.0, 0
    began, worked = time.perf_counter(), time.process_time()
    while True:
        at = time.perf_counter()
        with database.reading(tenant) as tx:
            step = next_step(tx, tenant, plan, now, outside, 500)
        if step is None:
            break
        with database.transaction(tenant) as tx:
            write_step(tx, tenant, step)
        steps, longest = steps + 1, max(longest, time.perf_counter() - at)
    seconds, own = time.perf_counter() - began, time.process_time() - worked
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    with database.reading(tenant) as tx:
        row = get_plan(tx, tenant, plan)
        assert row is not None
        began = time.perf_counter()
        moves = sum(1 for _ in plan_moves(tx, tenant, plan))
        read = time.perf_counter() - began
    print(
        f"calendar planned in the background: {seconds:.1f} s ({own:.1f} s of our own), {steps} steps, the longest {longest:.2f} s, {grown:.0f} MB more memory"
    )
    print(f"its {moves} moves read in {read:.1f} s; {dict(row.counts)}", flush=True)


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds that passed, seconds of this process's own work among them, and the result."""
    began, worked = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - began, time.process_time() - worked, result


@contextmanager
def profiled(wanted: bool) -> Iterator[None]:
    profile = cProfile.Profile()
    if wanted:
        profile.enable()
    yield
    if wanted:
        profile.disable()
        pstats.Stats(profile).sort_stats("cumulative").print_stats("sla_plugin|json|psycopg.cursor|orm.loading|orm.query", 45)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--promises", type=int, default=40_000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--profile", choices=("plan", "sweep"))
    told = arguments.parse_args()
    gc.collect()
    gc.freeze()  # as `up` does before it forks
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(os.environ["DATABASE_URL"], Path(folder))
        schema.upgrade(database.engine)
        outside = Outside(
            {"generic": GenericConnector(lambda: 0.0)}, cast(Any, Nobody()), cast(Any, Nobody()), Sealer(["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="])
        )
        made, _, tenant = timed(lambda: build(database, outside, told.promises))
        first, _, swept = timed(lambda: sweep(database, outside, tenant, NOW))
        print(f"{told.promises} promises made in {made:.1f} s; first evaluation of {swept} in {first:.1f} s", flush=True)
        with database.transaction(tenant) as tx:
            tx.connection().exec_driver_sql("SET LOCAL ROLE NONE")  # the owner may
            tx.connection().exec_driver_sql("ANALYZE")
        plan_in_background(database, outside, tenant, NOW)
        plans, sweeps = [], []
        for number in range(told.rounds):
            now = NOW + number * MINUTE
            file = read_policy_file(POLICY.format(hours=7 - number % 2, days=32 + number % 2))
            with profiled(told.profile == "plan"), database.reading(tenant) as tx:
                seconds, own, plan = timed(partial(plan_change, tx, tenant, file, now, outside))
            plans.append(seconds)
            print(f"plan {seconds:.2f} s ({own:.2f} s of our own): {plan.promises} promises, {plan.clocks} clocks, {dict(plan.counts)}", flush=True)
            with database.transaction(tenant) as tx:
                apply_policy_file(tx, tenant, file, now, "bench")
            with profiled(told.profile == "sweep"):
                seconds, own, swept = timed(partial(sweep, database, outside, tenant, now))
            sweeps.append(seconds)
            print(f"sweep {seconds:.2f} s ({own:.2f} s of our own): {swept} promises", flush=True)
        for name, times in (("plan", plans), ("sweep", sweeps)):
            print(f"{name}: median {statistics.median(times):.2f} s, {min(times):.2f} to {max(times):.2f} over {len(times)} rounds")


if __name__ == "__main__":
    main()
