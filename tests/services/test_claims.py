"""Claiming what is due: the earliest, of one tenant, through one index whatever is open."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from sla_plugin.settings import Settings
from sla_plugin.store.db import Database
from sla_plugin.store.duties import Duty
from sla_plugin.store.ids import new_id
from sla_plugin.store.tickets import PROMISES, claim_due, earliest_transition
from tests.owner import as_owner
from tests.plant import SECOND, Plant

OPEN = 5000
DUE = 300
KNOWN = 60


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    made = Plant(settings)
    yield made
    made.close()


def put_in(plant: Plant, tenant: int, transitions: list[int], connection: int = 1) -> list[int]:
    """Promises with these next transitions; their ids."""
    fixed = {"first_received_at": 1, "book_revision": 1, "open": True, "history": False, "horizon_at": 0, "alerts_since": 0, "choice": {}}
    rows = [{"tenant_id": tenant, "id": new_id(), "connection_id": connection, "next_transition_at": at, **fixed} for at in transitions]
    with plant.database.transaction(tenant) as tx:
        tx.execute(insert(PROMISES), rows)
    return [int(str(row["id"])) for row in rows]


def claimed(plant: Plant, limit: int, held_back: dict[int, int] | None = None) -> list[int]:
    with plant.database.transaction(Duty.TIME) as tx:
        return [p.id for p in claim_due(tx, plant.now, limit, held_back or {})]


def test_the_earliest_come_first_in_id_order_and_of_one_tenant(plant: Plant) -> None:
    ours = put_in(plant, plant.tenant, [plant.now - n * SECOND for n in (1, 5, 3, -1, 4)])
    put_in(plant, plant.tenant + 1, [plant.now - 2 * SECOND])
    assert claimed(plant, 3) == [ours[1], ours[2], ours[4]]
    assert claimed(plant, 10) == [ours[n] for n in (0, 1, 2, 4)]


def test_what_is_due_at_this_instant_is_due(plant: Plant) -> None:
    (now, _later) = put_in(plant, plant.tenant, [plant.now, plant.now + 1])
    assert claimed(plant, 10) == [now]


def test_a_connection_that_is_held_back_is_due_up_to_its_watermark(plant: Plant) -> None:
    before, _after = put_in(plant, plant.tenant, [plant.now - 9 * SECOND, plant.now - 5 * SECOND], connection=7)
    (other,) = put_in(plant, plant.tenant, [plant.now - SECOND], connection=8)
    assert claimed(plant, 10, {7: plant.now - 7 * SECOND}) == [before, other]


def test_claim_and_look_walk_the_index_in_its_order(plant: Plant) -> None:
    """Even where the statistics know of some that are due (Postgres), or there are none (SQLite): nothing else is read, nothing is sorted."""
    put_in(plant, plant.tenant, [plant.now + (n + 1) * SECOND for n in range(OPEN)])
    put_in(plant, plant.tenant, [plant.now - n for n in range(KNOWN)])
    if plant.database.turn is None:
        with as_owner(plant.database.engine) as connection:
            connection.execute(text("ANALYZE promise"))
    put_in(plant, plant.tenant, [plant.now - n for n in range(KNOWN, DUE)])
    for statement, values in asked(plant.database, plant.now):
        with plant.database.reading(Duty.TIME) as tx:
            explain = "EXPLAIN" if plant.database.engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
            plan = [str(row[-1]) for row in tx.connection().exec_driver_sql(f"{explain} {statement}", values)]
        reads = [line for line in plan if any(word in line for word in ("Scan", "SEARCH", "SCAN")) and "CONSTANT ROW" not in line]
        assert reads
        assert all("ix_promise_due" in line for line in reads), plan
        assert not any("Sort" in line or "TEMP B-TREE" in line for line in plan), plan


def asked(database: Database, now: int) -> list[tuple[str, Any]]:
    """The statements of a claim of some and of a look, with their values."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if "promise" in statement:
            sent.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    with database.transaction(Duty.TIME) as tx:
        assert len(claim_due(tx, now, 100, {})) == 100
    with database.reading(Duty.TIME) as tx:
        assert earliest_transition(tx) == now - DUE + 1
    event.remove(database.engine, "before_cursor_execute", note)
    return sent
