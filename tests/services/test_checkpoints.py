"""A long history is kept folded: what is stored is what folding all of it says, whatever comes later, late, again, or under other terms."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from sla_plugin.services.evaluate_promises import GRACE, complete_until, verdict_of
from sla_plugin.services.read_books import read_books
from sla_plugin.services.read_facts import LONG, RECENT
from sla_plugin.services.verdict_rows import clock_values
from sla_plugin.settings import Settings
from sla_plugin.store.clocks import CLOCK_SAYS
from sla_plugin.store.connections import Connection, get_connection
from sla_plugin.store.deliveries import watermarks
from sla_plugin.store.events import EventRow, delete_event, mark_own, read_histories
from sla_plugin.store.tickets import lock_promises, tickets_of
from tests.plant import MINUTE, OFFICE, Plant, instant, iso

START = instant("2026-11-02T09:00")
LENGTH = LONG + 2 * RECENT


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    """Two metrics whose cycles finish again and again, and two that run through."""
    made = Plant(settings, now="2026-11-02T09:00")
    made.policy(
        calendars={"Office": OFFICE}, calendar="Office", targets={"first_response": "1h", "next_response": "20m", "resolution": "4h", "agent_work": "3h"}
    )
    made.now = START + 30 * 24 * 60 * MINUTE
    yield made
    made.close()


def event(number: int, minute: float, kind: str, role: str = "agent", ticket: str = "T", **more: Any) -> dict[str, Any]:
    actor = {"id": f"{role}1", "role": role}
    return {"id": f"{ticket}-{number}", "ticket": ticket, "type": kind, "occurred_at": iso(START + round(minute * MINUTE)), "actor": actor, **more}


def story(length: int, ticket: str = "T") -> list[dict[str, Any]]:
    """A talk with pauses: an event every seven minutes."""
    told = [event(0, 0, "ticket.created", "customer", ticket, values={"status": "open", "priority": "high", "requester": "customer1"})]
    for number in range(1, length):
        minute = 7 * number
        if number % 10 == 5:
            told.append(event(number, minute, "ticket.updated", "agent", ticket, values={"status": "pending" if number % 20 == 5 else "open"}))
        else:
            told.append(event(number, minute, "reply.public", ("customer", "agent", "agent")[number % 3], ticket))
    return told


def checkpoint(plant: Plant) -> dict[str, Any] | None:
    with plant.database.reading(plant.tenant) as tx:
        table = EventRow.metadata.tables["checkpoint"]
        found = tx.execute(select(table)).mappings().all()
    assert len(found) <= 1
    return dict(found[0]) if found else None


def agrees(plant: Plant) -> None:
    """Stored clocks, records with their corrections, and the mirror are what folding the whole history says."""
    with plant.database.reading(plant.tenant) as tx:
        for row in plant.rows("promise"):
            (promise,) = lock_promises(tx, plant.tenant, [row["id"]])
            (ticket,) = tickets_of(tx, plant.tenant, [promise.id])
            connection = get_connection(tx, plant.tenant, promise.connection_id)
            assert connection is not None
            told = read_histories(tx, plant.tenant, [promise.id])[promise.id]
            as_of = complete_until(promise, told, plant.now, watermarks(tx, plant.now - GRACE))
            verdict = verdict_of(promise, told, read_books(tx, plant.tenant), plant.outside.words(connection), connection, as_of, plant.outside.settle)
            stored = {tuple(c[name] for name in CLOCK_SAYS) for c in plant.rows("clock") if c["promise_id"] == promise.id}
            assert stored == {clock_values(promise, ticket, clock) for clock in verdict.clocks}
            finished = {
                (ticket.external_id, c.metric, c.cycle): (c.started_at, c.stopped_at, c.target, c.elapsed, c.breached_at is None)
                for c in verdict.clocks
                if c.phase == "finished"
            }
            assert plant.net(ticket.external_id) == finished
            assert (ticket.status, ticket.updated_at, ticket.created_at) == (verdict.mirror["status"], verdict.last_at, START)


def tell_in_parts(plant: Plant, events: list[dict[str, Any]], size: int = 60) -> None:
    for first in range(0, len(events), size):
        plant.tell(*events[first : first + size])


def test_a_short_history_has_none(plant: Plant) -> None:
    plant.tell(*story(LONG))
    assert checkpoint(plant) is None


def test_the_checkpoint_and_the_rest_say_what_all_says(plant: Plant) -> None:
    tell_in_parts(plant, story(LENGTH))
    kept = checkpoint(plant)
    assert kept is not None
    assert kept["count"] == sum(e["occurred_at"] <= kept["at"] for e in plant.rows("event"))
    assert LENGTH - LONG <= kept["count"] <= LENGTH - RECENT
    agrees(plant)
    for one in story(LENGTH + 20)[LENGTH:]:  # one at a time
        plant.tell(one)
        agrees(plant)
    assert plant.rows("correction") == []
    assert checkpoint(plant) == kept  # written again only when as much has come on top


def test_what_a_checkpoint_holds_is_not_read(plant: Plant) -> None:
    tell_in_parts(plant, story(LENGTH))
    kept = checkpoint(plant)
    assert kept is not None
    clocks, records = plant.rows("clock"), plant.rows("record")
    with plant.database.transaction(plant.tenant) as tx:
        tx.execute(delete(EventRow).where(EventRow.occurred_at <= kept["at"]))
    plant.keep()
    plant.tell(event(9000, 7 * LENGTH, "note.internal"))
    assert (plant.rows("clock"), plant.rows("record"), plant.rows("correction")) == (clocks, records, [])


@pytest.mark.parametrize("minute", [3.5, 693, 7 * (LENGTH - RECENT // 2)], ids=["first of all", "in the midst", "after it"])
def test_a_late_event(plant: Plant, minute: float) -> None:
    tell_in_parts(plant, story(LENGTH))
    before = checkpoint(plant)
    assert before is not None
    plant.tell(event(9000, minute + 1, "reply.public", "agent"))
    agrees(plant)
    after = checkpoint(plant)
    if START + round((minute + 1) * MINUTE) <= before["at"]:
        assert after is not None
        assert after["count"] == sum(e["occurred_at"] <= after["at"] for e in plant.rows("event"))
        assert plant.rows("correction") != []
    else:
        assert after == before
    plant.tell(event(9001, 7 * LENGTH + 3, "reply.public", "customer"))
    agrees(plant)


def test_a_change_of_policy_and_of_calendar(plant: Plant) -> None:
    tell_in_parts(plant, story(LENGTH))
    kept = checkpoint(plant)
    plant.policy(targets={"first_response": "1h", "next_response": "10m", "resolution": "2h", "agent_work": "3h"}, calendar="Office")
    plant.keep()
    agrees(plant)
    plant.policy(calendars={"Office": {**OFFICE, "holidays": ["2026-11-04"]}}, targets={"resolution": "90m", "time_to_assign": "1h"}, calendar="Office")
    plant.keep()
    agrees(plant)  # a metric that the checkpoint did not count: all is folded again
    assert kept != checkpoint(plant)
    plant.now += MINUTE
    plant.tell(event(9000, (plant.now - START) / MINUTE, "reply.public", "agent"))
    agrees(plant)


def test_other_words_for_the_same_helpdesk(plant: Plant) -> None:
    tell_in_parts(plant, story(LENGTH))
    with plant.database.transaction(plant.tenant) as tx:
        tx.execute(update(Connection).values(mapping={"status": {"pending": "waiting_internal"}}))
    plant.tell(event(9000, 7 * LENGTH, "note.internal"))
    agrees(plant)


@pytest.mark.parametrize("taken_back", [False, True], ids=["an echo of ours", "a write that never landed"])
def test_an_event_that_is_not_what_it_was_when_it_was_folded(plant: Plant, taken_back: bool) -> None:
    tell_in_parts(plant, story(LENGTH))
    assert checkpoint(plant) is not None
    with plant.database.transaction(plant.tenant) as tx:
        if taken_back:
            tx.execute(update(EventRow).where(EventRow.event_key == "T-3").values(kind="own.write"))
            delete_event(tx, plant.tenant, plant.crm, "T-3")
        else:
            mark_own(tx, plant.tenant, [(plant.crm, "T-3"), (plant.crm, "T-4")])
    assert checkpoint(plant) is None
    plant.tell(event(9000, 7 * LENGTH, "note.internal"))
    agrees(plant)


def test_told_again_nothing_changes(plant: Plant) -> None:
    tell_in_parts(plant, story(LENGTH))
    before = [plant.rows(name) for name in ("event", "clock", "record", "correction", "alert", "ticket")]
    kept = checkpoint(plant)
    tell_in_parts(plant, story(LENGTH), 100)
    plant.keep()
    assert [plant.rows(name) for name in ("event", "clock", "record", "correction", "alert", "ticket")] == before
    assert checkpoint(plant) == kept
    agrees(plant)


def test_a_snapshot_shown_later_is_folded_in_its_turn(plant: Plant) -> None:
    """An imported or delayed event shows the ticket as it is later: no checkpoint may lie between the two."""
    events = story(LENGTH)
    tell_in_parts(plant, events)
    kept = checkpoint(plant)
    assert kept is not None
    with plant.database.transaction(plant.tenant) as tx:  # a generic delivery cannot say it; Zendesk's can
        row = tx.execute(select(EventRow).where(EventRow.event_key == f"T-{LENGTH - RECENT - 5}")).scalar_one()
        row.data = {**row.data, "seen": {"status": "open"}, "seen_at": START + (LENGTH - 10) * 7 * MINUTE}
        tx.execute(delete(EventRow.metadata.tables["checkpoint"]))
    plant.tell(event(9000, 7 * LENGTH, "note.internal"))
    agrees(plant)
    cut = checkpoint(plant)
    assert cut is not None
    assert cut["at"] < START + 7 * (LENGTH - RECENT - 5) * MINUTE
