"""The path from deliveries to verdicts, with time given: what starts, holds, warns, breaches, stops, settles, is corrected."""

from collections.abc import Iterator
from typing import Any

import pytest

from sla_plugin.settings import Settings
from tests.plant import MINUTE, OFFICE, SECOND, Plant, instant, iso


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    """Monday 2026-11-16, 09:00 UTC."""
    made = Plant(settings)
    yield made
    made.close()


def event(kind: str, at: str, ticket: str = "T1", **more: Any) -> dict[str, Any]:
    """A generic event."""
    moment = f"2026-11-16T{at}" if "T" not in at else at
    moment += ":00" if moment.count(":") == 1 else ""
    return {"type": kind, "id": more.pop("id", f"{ticket}-{kind}-{moment}"), "ticket": ticket, "occurred_at": moment + "+00:00", **more}


def created(at: str = "09:00", **values: Any) -> dict[str, Any]:
    return event("ticket.created", at, actor={"id": "c1", "role": "customer"}, values={"status": "open", "priority": "high", "requester": "c1", **values})


def status(word: str, at: str) -> dict[str, Any]:
    return event("ticket.updated", at, id=f"s-{word}-{at}", changes={"status": {"from": "?", "to": word}})


def reply(at: str, role: str = "agent", who: str = "a1") -> dict[str, Any]:
    return event("reply.public", at, id=f"r-{role}-{at}", actor={"id": who, "role": role})


def clock(plant: Plant, metric: str, cycle: int = 1) -> dict[str, Any]:
    return next(c for c in plant.rows("clock") if (c["metric"], c["cycle"]) == (metric, cycle))


def alerts(plant: Plant) -> list[tuple[str, str, int]]:
    return [(a["metric"], a["level"], a["due_at"]) for a in plant.rows("alert")]


def test_warns_and_breaches_by_time_alone(plant: Plant) -> None:
    plant.policy(targets={"first_response": "1h"})
    plant.tell(created("09:00"))
    plant.pass_time("2026-11-16T12:00")
    assert alerts(plant) == [
        ("first_response", "warning", instant("2026-11-16T09:48")),
        ("first_response", "critical", instant("2026-11-16T09:57")),
        ("first_response", "breach", instant("2026-11-16T10:00")),
    ]
    assert [a["raised_at"] - a["due_at"] for a in plant.rows("alert")] == [0, 0, 1]
    assert clock(plant, "first_response")["breached_at"] == instant("2026-11-16T10:00")
    assert plant.rows("record") == []  # the cycle is still open


@pytest.mark.parametrize(
    ("at", "met"), [("09:59:59", True), ("10:00:00", True), ("10:00:00.000001", False)], ids=["before", "equality-is-met", "a-microsecond-late"]
)
def test_reply_at_the_deadline(plant: Plant, at: str, met: bool) -> None:
    plant.policy(targets={"first_response": "1h"})
    plant.now = instant("2026-11-16T11:00")
    plant.tell(created("09:00"), reply(at))
    (record,) = plant.rows("record")
    assert bool(record["met"]) is met
    assert record["elapsed"] == instant(f"2026-11-16T{at}") - instant("2026-11-16T09:00")


@pytest.mark.parametrize(
    "late",
    [reply("09:10", "customer", "c1"), event("note.internal", "09:10", actor={"id": "a1", "role": "agent"}), reply("09:10", "agent", "c1")],
    ids=["customer", "internal-note", "requester-who-is-an-agent"],
)
def test_what_is_no_first_response(plant: Plant, late: dict[str, Any]) -> None:
    plant.policy(targets={"first_response": "1h"})
    plant.now = instant("2026-11-16T09:30")
    plant.tell(created("09:00"), late)
    assert clock(plant, "first_response")["phase"] == "running"


def test_an_agents_own_ticket_promises_no_first_response(plant: Plant) -> None:
    plant.policy(targets={"first_response": "1h", "resolution": "8h"})
    plant.tell({**created("09:00"), "actor": {"id": "a1", "role": "agent"}})
    assert {c["metric"] for c in plant.rows("clock")} == {"resolution"}


def test_hold_moves_the_deadline_and_has_none_meanwhile(plant: Plant) -> None:
    plant.policy(targets={"resolution": "2h"})
    plant.tell(created("09:00"))
    plant.now = instant("2026-11-16T10:00")
    plant.tell(status("pending", "10:00"))
    held = clock(plant, "resolution")
    assert (held["phase"], held["deadline_at"], held["elapsed"]) == ("on_hold", None, 60 * MINUTE)
    assert plant.next_transition() is None
    plant.now = instant("2026-11-16T15:00")
    plant.tell(status("open", "15:00"))
    assert clock(plant, "resolution")["deadline_at"] == instant("2026-11-16T16:00")


def test_business_hours(plant: Plant) -> None:
    plant.policy(calendars={"Office": OFFICE}, calendar="Office", targets={"resolution": "8h"})
    plant.now = instant("2026-11-16T12:00")
    plant.tell(created("12:00"))
    due = clock(plant, "resolution")
    assert (due["deadline_at"], due["deadline_next_open_at"]) == (instant("2026-11-17T12:00"), instant("2026-11-17T12:00"))


def test_spent_exactly_at_closing_is_due_at_closing_and_broken_at_the_next_opening(plant: Plant) -> None:
    plant.policy(calendars={"Office": OFFICE}, calendar="Office", targets={"resolution": "8h"})
    plant.tell(created("09:00"))
    due = clock(plant, "resolution")
    assert due["deadline_at"] == instant("2026-11-16T17:00")
    assert due["deadline_next_open_at"] == instant("2026-11-17T09:00")
    plant.pass_time("2026-11-17T08:59")
    assert clock(plant, "resolution")["breached_at"] is None
    plant.pass_time("2026-11-17T09:01")
    assert clock(plant, "resolution")["breached_at"] == instant("2026-11-17T09:00")


def test_a_tighter_priority_keeps_elapsed_and_records_the_breach_when_it_came(plant: Plant) -> None:
    plant.policy(targets={"resolution": {"P1": "8h", "P0": "2h"}})
    plant.tell(created("09:00"))
    plant.now = instant("2026-11-16T12:00")
    plant.tell(event("ticket.updated", "12:00", changes={"priority": {"from": "high", "to": "urgent"}}))
    tight = clock(plant, "resolution")
    assert tight["deadline_at"] == instant("2026-11-16T11:00")
    assert tight["breached_at"] == instant("2026-11-16T12:00")


def test_resolved_is_provisional_until_it_settles_and_a_reopen_goes_on(plant: Plant) -> None:
    plant.policy(targets={"resolution": "4h"})
    plant.tell(created("09:00"))
    plant.now = instant("2026-11-16T11:00")
    plant.tell(status("resolved", "11:00"))
    assert (clock(plant, "resolution")["phase"], plant.rows("record")) == ("stopped", [])
    plant.now = instant("2026-11-16T13:00")
    plant.tell(status("open", "13:00"))
    assert clock(plant, "resolution")["deadline_at"] == instant("2026-11-16T15:00")
    plant.now = instant("2026-11-16T14:00")
    plant.tell(status("resolved", "14:00"))
    plant.pass_time("2026-11-20T13:59")
    assert plant.rows("record") == []
    plant.pass_time("2026-11-20T14:01")
    (record,) = plant.rows("record")
    assert (record["elapsed"], record["met"], record["finished_at"]) == (180 * MINUTE, True, instant("2026-11-20T14:00"))


def test_a_close_finishes_and_a_reopen_after_it_is_a_new_cycle(plant: Plant) -> None:
    plant.policy(targets={"resolution": "4h"})
    plant.now = instant("2026-11-16T16:00")
    plant.tell(created("09:00"), status("resolved", "10:00"), status("closed", "11:00"), status("open", "14:00"), status("closed", "15:30"))
    records = plant.rows("record")
    assert [(r["cycle"], r["started_at"], r["stopped_at"], r["elapsed"]) for r in records] == [
        (1, instant("2026-11-16T09:00"), instant("2026-11-16T10:00"), 60 * MINUTE),
        (2, instant("2026-11-16T14:00"), instant("2026-11-16T15:30"), 90 * MINUTE),
    ]


def test_closed_without_an_answer_cancels_the_first_response(plant: Plant) -> None:
    plant.policy(targets={"first_response": "1h"})
    plant.now = instant("2026-11-16T09:30")
    plant.tell(created("09:00"), status("closed", "09:20"))
    assert clock(plant, "first_response")["phase"] == "cancelled"
    plant.pass_time("2026-11-17T09:00")
    assert (plant.rows("record"), plant.rows("alert")) == ([], [])


def test_a_late_fact_corrects_and_never_rewrites(plant: Plant) -> None:
    plant.policy(targets={"first_response": "1h"})
    plant.now = instant("2026-11-16T11:00")
    plant.tell(created("09:00"), reply("10:30"))
    (record,) = plant.rows("record")
    assert not record["met"]
    plant.now = instant("2026-11-16T11:30")
    plant.tell(reply("09:40"))  # its webhook was lost and came by the poll
    assert plant.rows("record") == [record]
    (correction,) = plant.rows("correction")
    assert (bool(correction["was"]["met"]), correction["now"]["met"], correction["now"]["elapsed"]) == (False, True, 40 * MINUTE)
    assert correction["cause"] == {"events": ["r-agent-09:40"]}
    plant.tell(reply("09:40"))
    assert len(plant.rows("correction")) == 1


def test_merged_and_deleted_cancel_and_restored_goes_on(plant: Plant) -> None:
    plant.policy(targets={"resolution": "4h"})
    plant.tell(created("09:00"))
    plant.now = instant("2026-11-16T10:00")
    plant.tell(event("ticket.deleted", "10:00"))
    assert clock(plant, "resolution")["phase"] == "cancelled"
    plant.pass_time("2026-11-16T15:00")
    assert plant.rows("alert") == []
    plant.tell(event("ticket.restored", "15:00"))
    assert clock(plant, "resolution")["deadline_at"] == instant("2026-11-16T18:00")


def test_a_policy_change_keeps_elapsed_and_finished_cycles(plant: Plant) -> None:
    plant.policy(targets={"first_response": "1h", "resolution": "8h"})
    plant.tell(created("09:00"))
    plant.now = instant("2026-11-16T09:30")
    plant.tell(reply("09:30"))
    (before,) = plant.rows("record")
    plant.now = instant("2026-11-16T12:00")
    plant.policy(targets={"first_response": "10m", "resolution": "2h"})
    plant.keep()
    assert plant.rows("record") == [before]
    changed = clock(plant, "resolution")
    assert (changed["deadline_at"], changed["breached_at"], changed["policy_version"]) == (instant("2026-11-16T11:00"), instant("2026-11-16T12:00"), 2)


def test_history_yields_records_and_nothing_else(plant: Plant) -> None:
    plant.policy(targets={"first_response": "1h", "resolution": "2h"})
    past = [
        {**e, "history": True, "occurred_at": e["occurred_at"].replace("2026-11-16", "2025-03-03")}
        for e in (created("09:00"), reply("10:30"), status("resolved", "12:00"), status("closed", "12:00:01"))
    ]
    for one in past:
        plant.tell(one)
        plant.pass_time(plant.now + MINUTE)
    assert {(r["metric"], bool(r["met"])) for r in plant.rows("record")} == {("first_response", False), ("resolution", False)}
    plant.tell({"type": "history.ended", "id": "end", "occurred_at": iso(plant.now)})
    plant.pass_time(plant.now + 30 * 24 * 60 * MINUTE)
    for table in ("alert", "command", "correction"):
        assert plant.rows(table) == [], table


def test_an_instant_from_the_future_is_clamped(plant: Plant) -> None:
    plant.policy(targets={"first_response": "1h"})
    plant.tell(created("09:00"), reply("2099-01-01T00:00:00"))
    late = next(e for e in plant.rows("event") if e["kind"] == "reply.public")
    assert (late["occurred_at"], late["said_at"]) == (plant.now, instant("2099-01-01T00:00"))


def test_untried_deliveries_hold_the_clock_back(plant: Plant) -> None:
    plant.policy(targets={"first_response": "1h"})
    plant.tell(created("09:00"))
    plant.now = instant("2026-11-16T09:59:30")
    plant.deliver(reply("09:59:20"))  # arrived in time, the worker is down
    plant.now = instant("2026-11-16T10:30")
    plant.keep()
    assert "breach" not in {a["level"] for a in plant.rows("alert")}, "a reply may lie in the inbox"
    plant.apply()
    (record,) = plant.rows("record")
    assert record["met"]
    assert {a["level"] for a in plant.rows("alert")} <= {"warning", "critical"}


def test_a_poison_delivery_stops_nothing(plant: Plant) -> None:
    plant.policy(targets={"first_response": "1h"})
    plant.deliver(body=b"not json", key="bad")
    plant.tell(created("09:00"))
    states = {d["delivery_key"]: (d["state"], d["reason"]) for d in plant.rows("delivery")}
    assert states["bad"][0] == "unreadable"
    assert "JSON" in states["bad"][1]
    plant.pass_time("2026-11-16T10:01")
    assert ("first_response", "breach", instant("2026-11-16T10:00")) in alerts(plant)


def test_equal_passes_count_once_whatever_wakes(plant: Plant) -> None:
    plant.policy(targets={"first_response": "2s"})
    plant.tell(created("09:00"))
    plant.pass_time(plant.now + 10 * SECOND)
    once = (plant.rows("alert"), plant.rows("command"))
    plant.tell(event("ticket.updated", "09:00:05", values={"subject": "new"}))
    plant.pass_time(plant.now + 10 * SECOND)
    assert (plant.rows("alert"), plant.rows("command")) == once


def test_a_connection_whose_connector_is_gone_stops_nobody_else(plant: Plant) -> None:
    plant.policy(targets={"first_response": "1h"})
    plant.tell(created("09:00"))
    plant.connect("old", "no-longer-installed")
    plant.pass_time("2026-11-16T10:01")
    assert ("first_response", "breach", instant("2026-11-16T10:00")) in alerts(plant)
    plant.tell(reply("10:02"))
    assert {d["state"] for d in plant.rows("delivery")} == {"applied"}


def test_whose_a_clock_is_what_it_was_granted_and_by_which_hours(plant: Plant) -> None:
    plant.policy(
        calendars={"Office": OFFICE},
        calendar="Office",
        on_change="from_now",
        targets={"resolution": {"P1": {"target": "8h", "counts": "calendar"}, "P0": "2h"}, "group_ownership": "1h"},
    )
    plant.tell(created("09:00", group="first line"))
    assert (clock(plant, "resolution")["business"], clock(plant, "group_ownership")["business"]) == (False, True)
    assert (clock(plant, "group_ownership")["owner"], clock(plant, "resolution")["owner"]) == ("first line", None)
    plant.now = instant("2026-11-16T10:30")
    plant.tell(
        event("ticket.updated", "10:30", changes={"priority": {"from": "high", "to": "urgent"}}),
        event("ticket.updated", "10:30", id="moved", changes={"group": {"from": "first line", "to": "second line"}}),
    )
    tight = clock(plant, "resolution")
    assert (tight["business"], tight["allowance"], tight["target"]) == (True, 90 * MINUTE, 210 * MINUTE)
    assert [(r["metric"], r["owner"]) for r in plant.rows("record")] == [("group_ownership", "first line")]
