"""The plan of a change: what it would move, and nothing of it written; it says what applying and sweeping then do."""

from collections.abc import Iterator
from typing import Any

import pytest

from sla_plugin.services.apply_policy_file import apply_policy_file, read_policy_file
from sla_plugin.services.plan_change import Plan, plan_change
from sla_plugin.settings import Settings
from tests.plant import MINUTE, SECOND, Plant, instant

GOLD = """
policies:
  - name: Gold
    position: 1
    applies_to: {field: tags, contains: gold}
    targets: {first_response: 1h, resolution: 8h}
  - name: Rest
    default: true
    targets: {resolution: 16h}
"""


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    made = Plant(settings)  # it is 2026-11-16T09:00
    put(made, GOLD)
    yield made
    made.close()


def put(plant: Plant, text: str) -> None:
    with plant.database.transaction(plant.tenant) as tx:
        apply_policy_file(tx, plant.tenant, read_policy_file(text), plant.now, "test")


def plan(plant: Plant, text: str) -> Plan:
    with plant.database.reading(plant.tenant) as tx:
        return plan_change(tx, plant.tenant, read_policy_file(text), plant.now, plant.outside)


def event(ticket: str, kind: str, at: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "id": f"{ticket}-{kind}-{at}", "ticket": ticket, "occurred_at": f"2026-11-16T{at}:00+00:00", **more}


def created(ticket: str, at: str = "09:00", *tags: str, **more: Any) -> dict[str, Any]:
    values = {"status": "open", "priority": "normal", "requester": "c1", "tags": list(tags)}
    return event(ticket, "ticket.created", at, actor={"id": "c1", "role": "customer"}, values=values, **more)


def moves(told: Plan) -> list[tuple[str, str, str, bool]]:
    return [(m.ticket, m.metric, m.outcome, m.breaches) for m in told.moves]


def stored(plant: Plant) -> dict[str, list[dict[str, Any]]]:
    return {table: plant.rows(table) for table in ("promise", "ticket", "clock", "record", "alert", "command", "policy", "policy_version", "audit_entry")}


def open_clocks(plant: Plant) -> dict[tuple[str, str], tuple[Any, ...]]:
    names = {t["promise_id"]: t["external_id"] for t in plant.rows("ticket")}
    return {(names[c["promise_id"]], c["metric"]): (c["deadline_at"], c["breached_at"]) for c in plant.rows("clock") if c["phase"] in ("running", "on_hold")}


NIGHT = 'calendars: {Night: {time_zone: UTC, hours: {mon: ["20:00-24:00"]}}}'
TIGHTER = GOLD.replace("resolution: 8h", "resolution: 2h")


def test_it_lists_what_moves_worst_first_and_writes_nothing(plant: Plant) -> None:
    plant.tell(created("G1", "09:00", "gold"), created("G2", "09:00", "gold"), created("R1"))
    plant.now = instant("2026-11-16T10:30")
    plant.tell(event("G2", "reply.public", "10:30", actor={"id": "a1", "role": "agent"}), created("G3", "10:30", "gold"))
    plant.now = instant("2026-11-16T11:30")
    plant.keep()
    before = stored(plant)
    told = plan(plant, TIGHTER)
    assert stored(plant) == before
    # G1 and G2 have run 2 h 30, G3 one hour
    assert moves(told) == [("G1", "resolution", "earlier", True), ("G2", "resolution", "earlier", True), ("G3", "resolution", "earlier", False)]
    assert told.counts == {"stays": 3, "earlier": 3, "later": 0, "starts": 0, "stops": 0, "breached": 2, "saved": 0, "alerts": 2}
    assert (told.promises, told.clocks, told.change.policies) == (4, 6, {"Gold": 2})
    worst = told.moves[0]
    assert worst.now is not None
    assert worst.then is not None
    assert (worst.now.due_at, worst.now.state, worst.now.policy) == (instant("2026-11-16T17:00"), "running", "Gold")
    assert (worst.then.due_at, worst.then.state, worst.by) == (instant("2026-11-16T11:00"), "breached", -6 * 60 * MINUTE)


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        (GOLD, {}),
        (TIGHTER, {"earlier": 1, "breached": 1}),
        (GOLD.replace("resolution: 8h", "resolution: 9h"), {"later": 1}),
        (GOLD.replace("first_response: 1h, ", ""), {"stops": 1, "saved": 1}),
        (GOLD.replace("contains: gold", "contains: platinum"), {"later": 1, "stops": 1, "saved": 1}),
        (GOLD.replace("{resolution: 16h}", "{resolution: 16h, first_response: 4h}"), {"starts": 1}),
        (GOLD.replace("{resolution: 16h}", "{resolution: 10m}"), {"earlier": 1, "breached": 1}),
        (GOLD.replace("    position: 1\n", "    active: false\n"), {"later": 1, "stops": 1, "saved": 1}),
        (GOLD.replace("8h}", "8h}\n    on_change: from_now"), {}),
        (GOLD.replace("8h}", "9h}\n    on_change: restart"), {"later": 1}),
        (GOLD.replace("    targets: {first", "    calendar: Night\n    targets: {first") + NIGHT, {"later": 1}),  # what is breached was due when it was
    ],
    ids=[
        *("nothing", "tighter", "looser", "less", "another policy", "more for others", "tighter for others", "switched off"),
        *("in other words", "restart", "hours"),
    ],
)
def test_what_is_planned_is_what_happens(plant: Plant, changed: str, outcome: dict[str, int]) -> None:
    plant.tell(created("G", "09:00", "gold"), created("R"))
    plant.now = instant("2026-11-16T11:30")
    plant.keep()
    told = plan(plant, changed)
    assert {name: count for name, count in told.counts.items() if count and name not in ("stays", "alerts")} == outcome
    before, announced = open_clocks(plant), len(plant.rows("alert"))
    put(plant, changed)
    plant.keep()
    after = open_clocks(plant)
    assert len({(a["promise_id"], a["metric"], a["cycle"]) for a in plant.rows("alert")[announced:]}) == told.counts["alerts"]
    moved = {key for key in {**before, **after} if before.get(key) != after.get(key)}
    assert {(m.ticket, m.metric) for m in told.moves} == moved
    for move in told.moves:
        due, breached = after.get((move.ticket, move.metric), (None, None))
        assert (move.then.due_at if move.then else None) == due
        assert (move.then is not None and move.then.state == "breached") == (breached is not None)


def test_a_quiet_change_records_and_announces_nothing(plant: Plant) -> None:
    plant.tell(created("G", "09:00", "gold"), created("R"))
    plant.now = instant("2026-11-16T11:30")
    plant.keep()
    before, asked = {a["id"] for a in plant.rows("alert")}, plant.rows("command")
    with plant.database.transaction(plant.tenant) as tx:
        apply_policy_file(tx, plant.tenant, read_policy_file(TIGHTER), plant.now, "test", quiet=True)
    plant.keep()
    (clock,) = [c for c in plant.rows("clock") if c["metric"] == "resolution" and c["breached_at"]]
    assert clock["breached_at"] == plant.now
    plant.tell(event("G", "reply.public", "11:30", actor={"id": "a1", "role": "agent"}))  # evaluated again, as all is that happens later
    assert {a["id"] for a in plant.rows("alert")} == before
    assert plant.rows("command") == asked
    plant.now = instant("2026-11-16T23:00")  # what passes by itself afterwards is announced
    plant.keep()
    assert {a["level"] for a in plant.rows("alert") if a["id"] not in before} == {"warning"}


def test_clocks_on_hold_are_compared_by_what_is_left(plant: Plant) -> None:
    plant.tell(created("G", "09:00", "gold"), event("G", "ticket.updated", "09:10", values={"status": "waiting_customer"}))
    (move,) = plan(plant, TIGHTER).moves
    assert (move.outcome, move.by, move.now and move.now.state) == ("earlier", None, "on_hold")


def test_a_breach_that_is_due_anyway_is_not_the_changes_doing(plant: Plant) -> None:
    plant.tell(created("G", "09:00", "gold"))
    plant.now = instant("2026-11-16T17:00") + SECOND  # the timekeeper has not looked yet
    told = plan(plant, TIGHTER)
    assert (told.counts["earlier"], told.counts["breached"]) == (1, 0)


def test_promises_that_an_earlier_change_has_not_reached_are_planned_too(plant: Plant) -> None:
    plant.tell(created("G", "09:00", "gold"))
    plant.now += MINUTE
    put(plant, TIGHTER)  # no sweep
    plant.now += MINUTE
    (move,) = plan(plant, TIGHTER.replace("2h", "3h")).moves
    assert (move.outcome, move.by) == ("later", 60 * MINUTE)


def test_imports_are_left_out(plant: Plant) -> None:
    plant.tell(created("H", "08:00", "gold", history=True))
    assert (plan(plant, TIGHTER).promises, plan(plant, TIGHTER).moves) == (0, [])


def test_promises_in_several_chunks(plant: Plant) -> None:
    plant.tell(*(created(f"G{n}", "09:00", "gold") for n in range(5)))
    with plant.database.reading(plant.tenant) as tx:
        told = plan_change(tx, plant.tenant, read_policy_file(TIGHTER), plant.now, plant.outside, chunk=2)
    assert (told.promises, told.counts["earlier"]) == (5, 5)


# --- the sweep passes over what a change cannot move -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changed", "written"),
    [
        (TIGHTER, {"G"}),
        (GOLD.replace("16h", "15h"), {"R"}),
        (GOLD.replace("position: 1", "position: 2"), set()),
        (GOLD.replace("contains: gold", "contains: x"), {"G"}),
    ],
    ids=["one policy", "the other", "order alone", "another choice"],
)
def test_every_promise_comes_to_the_newest_revision(plant: Plant, changed: str, written: set[str]) -> None:
    plant.tell(created("G", "09:00", "gold"), created("R"))
    before = open_clocks(plant)
    plant.now += MINUTE
    put(plant, changed)
    plant.keep()
    after = open_clocks(plant)
    assert {p["book_revision"] for p in plant.rows("promise")} == {2}
    assert {ticket for ticket, metric in before if before[ticket, metric] != after.get((ticket, metric))} == written
