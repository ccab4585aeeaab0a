"""Rule 4: order of arrival, repetition and splitting of deliveries change neither events, ticket, clocks nor the net verdict of any cycle."""

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as profile

from sla_plugin.settings import Settings
from tests.plant import MINUTE, OFFICE, Plant, instant, iso

START = instant("2026-11-16T09:00")
_numbers = itertools.count()


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    """A policy with two metrics in office hours."""
    made = Plant(settings)
    made.policy(
        calendars={"Office": OFFICE},
        calendar="Office",
        targets={"first_response": {"P0": "30m", "P1": "1h", "P2": "2h"}, "resolution": {"P0": "2h", "P1": "4h", "P2": "8h"}},
    )
    yield made
    made.close()


minutes = strategies.integers(0, 600)
changes = strategies.one_of(
    strategies.tuples(strategies.just("status"), strategies.sampled_from(["open", "pending", "on hold", "resolved", "closed"])),
    strategies.tuples(strategies.just("priority"), strategies.sampled_from(["urgent", "high", "normal", None])),
    strategies.tuples(strategies.just("reply"), strategies.sampled_from(["agent", "customer"])),
    strategies.tuples(strategies.just("gone"), strategies.sampled_from(["ticket.deleted", "ticket.restored"])),
)
histories = strategies.lists(strategies.tuples(minutes, changes), min_size=1, max_size=9)


def story(ticket: str, history: list[tuple[int, tuple[str, Any]]]) -> list[dict[str, Any]]:
    """The generic events of a ticket."""
    made = [{"type": "ticket.created", "at": 0, "values": {"status": "open", "priority": "high", "requester": "c1"}, "actor": {"id": "c1", "role": "customer"}}]
    for at, (what, value) in history:
        if what in ("status", "priority"):
            made.append({"type": "ticket.updated", "at": at, "values": {what: value}})
        elif what == "reply":
            made.append({"type": "reply.public", "at": at, "actor": {"id": "a1" if value == "agent" else "c1", "role": value}})
        else:
            made.append({"type": value, "at": at})
    events = []
    for number, one in enumerate(made):
        at = START + int(one.pop("at")) * MINUTE  # type: ignore[call-overload]
        events.append({**one, "id": f"{ticket}-{number}", "ticket": ticket, "occurred_at": iso(at)})
    return events


def outcome(plant: Plant, ticket: str) -> dict[str, Any]:
    """What must not depend on arrival."""
    row = next(t for t in plant.rows("ticket") if t["external_id"] == ticket)
    apart = ("id", "promise_id", "ticket_id", "delivery_id", "received_at", "external_id", "event_key")
    return {
        "events": sorted(
            (e["event_key"].removeprefix(ticket), e["kind"], e["occurred_at"], str(e["data"])) for e in plant.rows("event") if e["external_id"] == ticket
        ),
        "ticket": {k: v for k, v in row.items() if k not in apart},
        "clocks": sorted(
            str({k: v for k, v in c.items() if k not in apart}).replace(ticket, "") for c in plant.rows("clock") if c["promise_id"] == row["promise_id"]
        ),
        "net": {k[1:]: v for k, v in plant.net(ticket).items()},
    }


@profile(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories, seed=strategies.integers(0, 2**32), batch=strategies.sampled_from([1, 3, 200]))
def test_arrival_does_not_matter(plant: Plant, history: list[tuple[int, tuple[str, Any]]], seed: int, batch: int) -> None:
    plain, mixed = f"A{next(_numbers)}", f"B{next(_numbers)}"
    plant.now = START + 700 * MINUTE
    plant.tell(*story(plain, history))

    chance = random.Random(seed)
    events = story(mixed, history)
    chance.shuffle(events)
    events += chance.choices(events, k=len(events) // 2)
    while events:
        size = chance.randint(1, 3)
        part, events = events[:size], events[size:]
        plant.deliver(*part, *(part if chance.random() < 0.3 else ()))
        if chance.random() < 0.6:
            plant.apply(batch)
            plant.apply(batch)
    plant.apply(batch)
    plant.keep()
    assert outcome(plant, mixed) == outcome(plant, plain)
    # bounded: at most one alert per clock, cycle and level
    raised = [(a["metric"], a["cycle"], a["level"]) for a in plant.rows("alert") if a["external_id"] == mixed]
    assert len(raised) == len(set(raised))


def test_facts_in_time_give_the_same_alerts_and_no_correction(plant: Plant) -> None:
    history = [(30, ("priority", "urgent")), (40, ("reply", "agent")), (300, ("status", "pending")), (400, ("status", "open")), (500, ("status", "resolved"))]
    for size, name in ((1, "one"), (9, "all")):
        events = story(name, history)
        for at in range(0, len(events), size):
            plant.now = START + 510 * MINUTE
            plant.deliver(*events[at : at + size])
        plant.apply()
    assert plant.rows("correction") == []
    by_ticket = [{(a["metric"], a["level"]) for a in plant.rows("alert") if a["external_id"] == name} for name in ("one", "all")]
    assert by_ticket[0] == by_ticket[1]


def test_batches_of_one_and_of_five_hundred_end_alike(plant: Plant) -> None:
    chance = random.Random(7)
    words = [("status", "pending"), ("status", "open"), ("status", "resolved"), ("priority", "urgent"), ("reply", "agent"), ("reply", "customer")]
    histories = [[(chance.randint(0, 600), chance.choice(words)) for _ in range(chance.randint(1, 8))] for _ in range(12)]
    plant.now = START + 700 * MINUTE
    for prefix, batch in (("one", 1), ("many", 500)):
        events = [event for number, history in enumerate(histories) for event in story(f"{prefix}{number}", history)]
        random.Random(8).shuffle(events)
        for event in events:
            plant.deliver(event)
        assert plant.apply(batch) == len(events)
    for number in range(len(histories)):
        assert outcome(plant, f"many{number}") == outcome(plant, f"one{number}")
