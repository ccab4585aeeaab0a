"""The timekeeper's loop where one promise cannot be evaluated: the others are kept on time."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import update

from sla_plugin.jobs.erasing import PROMISES
from sla_plugin.jobs.timekeeper import LATER, Timekeeper
from sla_plugin.services.erase_person import begin_erasure
from sla_plugin.services.make_plan import begin, store_plan
from sla_plugin.services.save_draft import Author, save_draft
from sla_plugin.services.somebody import find_somebody
from sla_plugin.settings import Settings
from sla_plugin.store.connections import Connection
from sla_plugin.store.policies import policy_ids
from tests.plant import MINUTE, Plant, iso


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    """Two connections with a ticket each, both due in an hour."""
    made = Plant(settings)
    made.policy(targets={"first_response": "1h"})
    old = made.connect("old", "generic")
    for connection, ticket in ((made.crm, "T1"), (old, "T2")):
        made.tell({"type": "ticket.created", "id": ticket, "ticket": ticket, "occurred_at": iso(made.now)}, connection=connection)
    yield made
    made.close()


def test_one_that_cannot_be_evaluated_is_set_aside_and_the_others_are_kept(plant: Plant) -> None:
    with plant.database.transaction(plant.tenant) as tx:
        tx.execute(update(Connection).where(Connection.name == "old").values(connector="no-longer-installed"))
    plant.now += 61 * MINUTE
    keeper = Timekeeper(plant.database, plant.outside, lambda: plant.now, raw_days=30)
    assert keeper.keep(threading.Event()) > 0
    assert {(a["external_id"], a["level"]) for a in plant.rows("alert")} == {("T1", level) for level in ("warning", "critical", "breach")}
    assert plant.next_transition() == plant.now + LATER
    assert keeper.keep(threading.Event()) == 0

    with plant.database.transaction(plant.tenant) as tx:
        tx.execute(update(Connection).where(Connection.name == "old").values(connector="generic"))
    plant.now += LATER
    keeper.keep(threading.Event())
    assert {a["external_id"] for a in plant.rows("alert")} == {"T1", "T2"}


def test_a_plan_that_somebody_waits_for_is_worked_out_beside_the_clocks(plant: Plant) -> None:
    with plant.database.transaction(plant.tenant) as tx:
        definition = {"name": "P", "targets": {"first_response": "30m"}}
        owner = policy_ids(tx, plant.tenant)["P"]
        draft = save_draft(tx, plant.tenant, "policy", owner, "P", definition, base=1, seen=0, author=Author(1, "Kim"), now=plant.now)
        store_plan(tx, plant.tenant, draft, begin(tx, plant.tenant, draft, plant.now))
    keeper = Timekeeper(plant.database, plant.outside, lambda: plant.now, raw_days=30)
    rounds = 0
    while keeper.rounds():
        rounds += 1
        assert rounds < 9
    (plan,) = plant.rows("plan")
    assert (plan["state"], plan["counts"]["earlier"], plan["promises"]) == ("ready", 2, 2)


def test_a_plan_that_cannot_be_worked_out_says_so_and_is_not_tried_for_ever(plant: Plant) -> None:
    with plant.database.transaction(plant.tenant) as tx:
        definition = {"name": "P", "targets": {"first_response": "30m"}}
        owner = policy_ids(tx, plant.tenant)["P"]
        draft = save_draft(tx, plant.tenant, "policy", owner, "P", definition, base=1, seen=0, author=Author(1, "Kim"), now=plant.now)
        store_plan(tx, plant.tenant, draft, begin(tx, plant.tenant, draft, plant.now))
        tx.execute(update(Connection).where(Connection.name == "old").values(connector="no-longer-installed"))
    keeper = Timekeeper(plant.database, plant.outside, lambda: plant.now, raw_days=30)
    while keeper.rounds():
        pass
    (plan,) = plant.rows("plan")
    assert (plan["state"], plan["trouble"]) == ("failed", "KeyError")


def test_clocks_do_not_wait_for_an_erasure(plant: Plant) -> None:
    """One look of it finds more tickets than go into one transaction; in the first one somebody's clock becomes due."""
    carl, due = "carl@example.com", plant.now + 61 * MINUTE
    asked = {"type": "ticket.created", "occurred_at": iso(plant.now), "actor": {"id": carl, "role": "customer"}, "values": {"requester": carl}}
    plant.tell(*({**asked, "id": f"c{number}", "ticket": f"C{number}"} for number in range(PROMISES + 4)))
    with plant.database.transaction(plant.tenant) as tx:
        begin_erasure(tx, plant.tenant, find_somebody(tx, plant.tenant, address=carl), plant.now, "Kim", None, plant.outside.sealer)

    def named() -> int:
        return sum(carl in (ticket["requester"] or "") for ticket in plant.rows("ticket"))

    before = named()
    seen: list[int] = []

    def clock() -> int:
        seen.append(named())
        return due if seen[-1] < before else plant.now

    keeper = Timekeeper(plant.database, plant.outside, clock, raw_days=30)
    while named() == before:
        keeper.rounds()
    assert any(0 < left < before for left in seen), "time is looked at between two transactions"
    assert {a["external_id"] for a in plant.rows("alert") if a["level"] == "breach"} >= {"T1", "T2"}
