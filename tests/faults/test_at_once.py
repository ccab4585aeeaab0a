"""Whoever may work on one promise works on it at once: inbox workers, timekeepers, the sweep after a policy change, the sender. What is left is what one after
the other would have left, nothing is doubled, and nobody waits for somebody who waits for him.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from sla_plugin.errors import PermanentFailure, TemporaryFailure
from sla_plugin.jobs.timekeeper import Timekeeper
from sla_plugin.ports import Answer
from sla_plugin.services.evaluate_promises import verdict_of
from sla_plugin.services.keep_time import keep_time, sweep_terms
from sla_plugin.services.read_books import read_books
from sla_plugin.services.send_calls import bind_calls, command_of, freeze, settle_conflict, settle_permanent, settle_sent, settle_temporary
from sla_plugin.settings import Settings
from sla_plugin.store.connections import Connection, get_connection
from sla_plugin.store.db import Transaction
from sla_plugin.store.duties import Duty
from sla_plugin.store.events import read_histories
from sla_plugin.store.outbox import CallRow, claim_calls, commands_of
from sla_plugin.store.tenants import book_revision
from sla_plugin.store.tickets import get_promise
from tests.faults.interleave import interleave
from tests.plant import MINUTE, SECOND, Plant, iso

pytestmark = pytest.mark.postgres
SEEDS = range(8)
LEVELS = 3
SAID = ("phase", "started_at", "stopped_at", "finished_at", "target", "deadline_at", "warning_at", "critical_at", "breached_at")


@pytest.fixture
def plant(postgres_url: str, tmp_path: Any) -> Iterator[Plant]:
    """One ticket, created at 9:00, its first response due at 10:00, its resolution at 17:00."""
    made = Plant(Settings.from_env({"DATABASE_URL": postgres_url, "SLA_DATA_DIR": str(tmp_path), "SLA_ALLOW_PRIVATE_URLS": "yes"}))
    made.policy(targets={"first_response": "1h", "resolution": "8h"})
    made.tell({"type": "ticket.created", "id": "created", "ticket": "T1", "occurred_at": iso(made.now), "values": {"status": "open", "priority": "normal"}})
    yield made
    made.close()


def told(kind: str, at: int, **more: Any) -> dict[str, Any]:
    return {"type": kind, "id": f"{kind}-{at}", "ticket": "T1", "occurred_at": iso(at), "actor": {"id": "a1", "role": "agent"}, **more}


def in_transaction(plant: Plant, work: Callable[[Any], Any]) -> None:
    with plant.database.transaction(plant.tenant) as tx:
        work(tx)


def watched(plant: Plant, actors: dict[str, Callable[[], Any]], seed: int) -> list[str]:
    return interleave(plant.database.engine, plant.database.engine.url.render_as_string(hide_password=False).replace("+psycopg", ""), actors, seed)


def timekeeper(plant: Plant) -> Callable[[], Any]:
    return lambda: in_transaction(plant, lambda tx: keep_time(tx, plant.now, plant.outside, 100))


def sweep(plant: Plant, revision: int) -> Callable[[], Any]:
    return lambda: in_transaction(plant, lambda tx: sweep_terms(tx, plant.tenant, revision, plant.now, plant.outside))


def assert_as_if_alone(plant: Plant) -> None:
    """The stored clocks are those of one evaluation of everything; records agree; every effect is there once."""
    for promise_row in plant.rows("promise"):
        with plant.database.reading(plant.tenant) as tx:
            promise = get_promise(tx, plant.tenant, promise_row["id"])
            connection = get_connection(tx, plant.tenant, promise_row["connection_id"])
            assert promise is not None
            assert connection is not None
            rows = read_histories(tx, plant.tenant, [promise.id])[promise.id]
            verdict = verdict_of(promise, rows, read_books(tx, plant.tenant), plant.outside.words(connection), connection, plant.now, plant.outside.settle)
            assert promise.book_revision == book_revision(tx, plant.tenant)
        wanted = {(c.metric, c.cycle): {"elapsed": c.counted, "counted_at": c.since, **{name: getattr(c, name) for name in SAID}} for c in verdict.clocks}
        stored = {(c["metric"], c["cycle"]): c for c in plant.rows("clock") if c["promise_id"] == promise.id}
        assert {key: {name: row[name] for name in ("elapsed", "counted_at", *SAID)} for key, row in stored.items()} == wanted
        assert promise.next_transition_at == verdict.next_transition_at
        (ticket,) = [t["external_id"] for t in plant.rows("ticket") if t["promise_id"] == promise.id]
        said = {key: net for key, net in plant.net().items() if key[0] == ticket}
        finished = {(ticket, c.metric, c.cycle): c.breached_at is None for c in verdict.clocks if c.phase == "finished"}
        assert {key: net[4] for key, net in said.items()} == finished
        alerts = [(a["metric"], a["cycle"], a["level"]) for a in plant.rows("alert") if a["promise_id"] == promise.id]
        assert len(alerts) == len(set(alerts))
        # every breach that stands was announced, each with its commands, and each command once
        assert {k for k, c in wanted.items() if c["breached_at"] is not None} <= {(m, n) for m, n, level in alerts if level == "breach"}
        kinds = [c["kind"] for c in plant.rows("command") if c["promise_id"] == promise.id]
        assert kinds.count("set_priority") <= 1
        assert kinds.count("add_comment") <= sum(level == "breach" for _, _, level in alerts)
        assert (kinds.count("add_comment") > 0) <= any(level == "breach" for _, _, level in alerts)
    numbers = [a["number"] for a in plant.rows("audit_entry")]
    assert numbers == list(range(1, len(numbers) + 1)), "the audit chain has every number once"


HEARD = {
    "answered in time": lambda due: told("reply.public", due - MINUTE),
    "answered late": lambda due: told("reply.public", due + SECOND // 2),
    "closed": lambda due: told("ticket.updated", due - SECOND, changes={"status": {"from": "open", "to": "closed"}}),
    "on hold": lambda due: told("ticket.updated", due - SECOND, changes={"status": {"from": "open", "to": "pending"}}),
    "more urgent": lambda due: told("ticket.updated", due - SECOND, changes={"priority": {"from": "normal", "to": "urgent"}}),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("heard", HEARD)
def test_apply_time_and_policy_sweep_on_one_promise(plant: Plant, heard: str, seed: int) -> None:
    due = plant.now + 60 * MINUTE
    plant.pass_time(due - MINUTE)
    plant.now = due + SECOND
    event = HEARD[heard](due)
    plant.deliver(event)
    plant.deliver({**event, "id": "again"} if seed % 2 else event, key="again")
    revision = plant.policy(targets={"first_response": ("30m", "2h")[seed % 2], "resolution": "4h"})
    order = watched(
        plant,
        {
            "inbox 1": lambda: plant.apply(batch=1),
            "inbox 2": lambda: plant.apply(batch=1),
            "timekeeper 1": timekeeper(plant),
            "timekeeper 2": timekeeper(plant),
            "sweep": sweep(plant, revision),
        },
        seed,
    )
    plant.keep()  # what one passed over because another held it
    assert_as_if_alone(plant)
    before = {name: plant.rows(name) for name in ("clock", "record", "correction", "alert", "command")}
    plant.apply()
    plant.keep()
    assert {name: plant.rows(name) for name in before} == before, order


def freeze_some(tx: Transaction, call: CallRow, connection: Connection, plant: Plant, *, frozen: bool) -> None:
    """One command was overtaken; with `frozen` the others are about to be sent."""
    rows = commands_of(tx, plant.tenant, call.id)
    left = [command_of(row) for row in rows[1:]]
    freeze(tx, call, connection, {"commands": len(left)} if frozen else {}, left, [(rows[0], "somebody was faster")], plant.now, plant.outside)


SETTLED: dict[str, Callable[..., Any]] = {
    "about to be sent": partial(freeze_some, frozen=True),
    "overtaken": partial(freeze_some, frozen=False),
    "sent": lambda tx, call, connection, plant: settle_sent(tx, call, connection, Answer(200, comment_id="c1"), plant.now, plant.outside),
    "conflict": lambda tx, call, connection, plant: settle_conflict(tx, call, connection, plant.now, plant.outside),
    "refused": lambda tx, call, connection, plant: settle_permanent(
        tx, call, connection, PermanentFailure("no", connector="generic", connection="crm", operation="write", status=422), plant.now, plant.outside
    ),
    "no answer": lambda tx, call, connection, plant: settle_temporary(
        tx, call, connection, TemporaryFailure("gone", sent=True, connector="generic", connection="crm", operation="write"), plant.now, 0.5
    ),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("settled", SETTLED)
def test_a_call_is_settled_while_its_ticket_changes(plant: Plant, settled: str, seed: int) -> None:
    """The sender notes what became of a call while the same ticket's webhooks are applied and its next deadline passes."""
    plant.pass_time(plant.now + 60 * MINUTE + SECOND)
    with plant.database.transaction(Duty.OUTBOX) as tx:
        bind_calls(tx, plant.now, 10)
        (call,) = claim_calls(tx, plant.now, plant.now + 90 * SECOND, 1, [], "test:1:1")
        connection = get_connection(tx, plant.tenant, plant.crm)
    plant.now += 8 * 60 * MINUTE
    plant.deliver(told("reply.public", plant.now - SECOND, comment_id="c1"))
    plant.deliver(told("note.internal", plant.now - SECOND))
    watched(
        plant,
        {
            "sender": lambda: in_transaction(plant, lambda tx: SETTLED[settled](tx, call, connection, plant)),
            "binder": lambda: in_transaction(plant, lambda tx: bind_calls(tx, plant.now, 10)),
            "inbox 1": lambda: plant.apply(batch=1),
            "inbox 2": lambda: plant.apply(batch=1),
            "timekeeper": timekeeper(plant),
        },
        seed,
    )
    plant.keep()
    assert_as_if_alone(plant)
    with plant.database.transaction(Duty.OUTBOX) as tx:
        bind_calls(tx, plant.now, 10)
    calls = plant.rows("call")
    assert sum(c["state"] in ("waiting", "sending") for c in calls) <= 1
    still = {"sending", "waiting"} & {c["state"] for c in calls}
    assert {c["state"] for c in plant.rows("command")} <= {"sent", "calling", "failed", "overtaken", *(("pending",) if still else ())}


@pytest.mark.parametrize("seed", SEEDS)
def test_two_deliveries_tell_the_same_events_in_another_order(plant: Plant, seed: int) -> None:
    """A helpdesk that repeats itself: two inbox workers meet the same event keys, and each event is there once."""
    events = [told("note.internal", plant.now + n * SECOND) for n in range(3)]
    plant.now += MINUTE
    plant.deliver(*events)
    plant.deliver(*reversed(events))
    watched(plant, {name: lambda: plant.apply(batch=1) for name in ("inbox 1", "inbox 2")}, seed)
    assert len(plant.rows("event")) == 1 + len(events)
    assert {d["state"] for d in plant.rows("delivery")} == {"applied"}


@pytest.mark.parametrize("seed", SEEDS)
def test_an_import_ends_while_its_tickets_change(plant: Plant, seed: int) -> None:
    """The end of an import concerns every ticket of it; another worker has some of them in its hands."""
    past = plant.now - 600 * MINUTE
    for n in range(4):
        plant.tell({**told("ticket.created", past, values={"status": "open"}, history=True), "id": f"h{n}", "ticket": f"H{n}"})
    plant.now += MINUTE
    plant.deliver(*({**told("note.internal", plant.now), "id": f"n{ticket}", "ticket": ticket} for ticket in ("H3", "T1", "H0")))
    plant.deliver({"type": "history.ended", "id": "end", "occurred_at": iso(plant.now)}, {**told("note.internal", plant.now), "id": "m", "ticket": "T1"})
    watched(plant, {"inbox 1": lambda: plant.apply(batch=1), "inbox 2": lambda: plant.apply(batch=1), "timekeeper": timekeeper(plant)}, seed)
    assert not any(p["history"] for p in plant.rows("promise"))


def test_two_timekeepers_and_four_workers_over_many_promises(plant: Plant) -> None:
    """All at once and as fast as they can: each transition is claimed by one."""
    tickets = [f"M{n}" for n in range(120)]
    start = plant.now
    for ticket in tickets:
        plant.deliver({"type": "ticket.created", "occurred_at": iso(start), "values": {"status": "open", "priority": "normal"}, "id": ticket, "ticket": ticket})
    plant.apply()
    due = start + 60 * MINUTE
    plant.now = due + SECOND
    for number, ticket in enumerate(tickets):
        plant.deliver({**told("reply.public" if number % 3 == 0 else "note.internal", due + SECOND // 2), "id": f"r{ticket}", "ticket": ticket})
    keepers = [Timekeeper(plant.database, plant.outside, lambda: plant.now, raw_days=30) for _ in range(2)]
    work = [*(partial(keeper.keep, threading.Event()) for keeper in keepers), *(partial(plant.apply, batch=7) for _ in range(4))]
    start_line = threading.Barrier(len(work))

    def at_once(one: Callable[[], int]) -> int:
        start_line.wait(10)
        return one()

    with ThreadPoolExecutor(len(work)) as pool:
        done = [job.result() for job in [pool.submit(at_once, one) for one in work]]
    assert sum(done[2:]) == len(tickets), "each delivery was applied by one"
    plant.keep()
    assert_as_if_alone(plant)
    alerts = plant.rows("alert")
    assert len(alerts) == len({(a["promise_id"], a["metric"], a["level"]) for a in alerts})
    assert sum(a["metric"] == "first_response" for a in alerts) == LEVELS * (len(tickets) + 1)
