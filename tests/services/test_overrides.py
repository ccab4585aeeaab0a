"""Deciding by hand: extensions, taking them back, a chosen policy; strict mode refuses and records; what cannot be changes nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sla_plugin.cli.tickets import explain_lines
from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.choose_policy import choose_policy
from sla_plugin.services.explain_ticket import choose_ticket, explain_ticket
from sla_plugin.services.extend_deadline import extend_deadline
from sla_plugin.services.record_override import Override
from sla_plugin.services.set_strict_mode import set_strict_mode
from sla_plugin.services.withdraw_extension import withdraw_extension
from sla_plugin.settings import Settings
from tests.plant import MINUTE, OFFICE, Plant, instant, iso

HOUR = 60 * MINUTE
TABLES = ("event", "clock", "alert", "command", "audit_entry", "record", "correction")


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    """A ticket of 09:00 with a resolution of four hours of any day, and a policy that nobody matches."""
    made = Plant(settings)
    made.policy(targets={"resolution": "4h", "first_response": "30m"}, on_breach=["comment_breach"])
    made.policy(name="Gold", position=1, applies_to={"field": "tags", "is": "gold"}, targets={"resolution": "1h"}, on_breach=[])
    made.tell(said(made, "ticket.created", values={"status": "open", "priority": "high"}, actor={"id": "c1", "role": "customer"}))
    made.pass_time("2026-11-16T10:00")
    yield made
    made.close()


def said(plant: Plant, kind: str, **told: Any) -> dict[str, Any]:
    return {"type": kind, "id": f"{kind}-{plant.now}", "ticket": "T1", "occurred_at": iso(plant.now), "actor": {"id": "a1", "role": "agent"}, **told}


def status(plant: Plant, word: str) -> None:
    plant.tell(said(plant, "ticket.updated", changes={"status": {"from": "", "to": word}}))


def decide(plant: Plant, service: Callable[..., Override], reason: str = "the customer agreed", **asked: Any) -> Override:
    with plant.database.transaction(plant.tenant) as tx:
        ticket, _ = choose_ticket(tx, plant.tenant, "T1", None)
        return service(tx, plant.tenant, ticket, **asked, reason=reason, now=plant.now, actor="Kim", outside=plant.outside)


def extend(plant: Plant, by: str = "2h", metric: str = "resolution", **more: Any) -> Override:
    return decide(plant, extend_deadline, metric=metric, by=by, **more)


def strict(plant: Plant, on: bool = True) -> bool:
    with plant.database.transaction(plant.tenant) as tx:
        return set_strict_mode(tx, plant.tenant, on, plant.now, "Kim")


def resolution(plant: Plant) -> dict[str, Any]:
    return next(row for row in plant.rows("clock") if row["metric"] == "resolution")


def explained(plant: Plant) -> dict[str, Any]:
    with plant.database.reading(plant.tenant) as tx:
        ticket, owner = choose_ticket(tx, plant.tenant, "T1", None)
        return explain_ticket(tx, plant.tenant, ticket, owner, plant.now, plant.outside)


def everything(plant: Plant) -> dict[str, Any]:
    return {table: plant.rows(table) for table in TABLES}


def test_an_extension_moves_the_deadline_and_is_shown_everywhere(plant: Plant) -> None:
    done = extend(plant)
    assert not done.refused
    assert resolution(plant)["deadline_at"] == instant("2026-11-16T15:00")
    extend(plant, "30m", reason="and a little more")
    data = explained(plant)
    clock = next(c for c in data["clocks"] if c["metric"] == "resolution")
    assert (clock["target_us"], clock["granted_us"], clock["sums"]) == (6 * HOUR + 30 * MINUTE, 2 * HOUR + 30 * MINUTE, True)
    assert "2 h 30 m were granted by hand" in clock["sentence"].replace("\u00a0", " ")
    assert [(d["actor"], d["reason"]) for d in data["by_hand"]] == [("Kim", "the customer agreed"), ("Kim", "and a little more")]
    assert any("resolution extended by 2 h by Kim: the customer agreed" in line.replace("\u00a0", " ") for line in explain_lines(data))
    audit = plant.rows("audit_entry")[-1]
    assert (audit["actor"], audit["what"], audit["changes"]["reason"]) == ("Kim", "deadline extended", "and a little more")
    plant.pass_time("2026-11-16T15:29")
    status(plant, "closed")
    record = next(r for r in plant.rows("record") if r["metric"] == "resolution")
    assert (record["met"], record["target"], record["granted"]) == (True, 6 * HOUR + 30 * MINUTE, 2 * HOUR + 30 * MINUTE)


def test_what_has_passed_stays_passed(plant: Plant) -> None:
    plant.pass_time("2026-11-16T13:30")
    extend(plant)
    row = resolution(plant)
    assert (row["breached_at"], row["deadline_at"]) == (instant("2026-11-16T13:00"), instant("2026-11-16T15:00"))


@pytest.mark.parametrize(("until", "breached"), [("2026-11-16T12:00", "2026-11-16T13:00"), ("2026-11-16T14:00", "2026-11-16T14:00")])
def test_taking_an_extension_back_is_never_back_dated(plant: Plant, until: str, breached: str) -> None:
    done = extend(plant)
    plant.pass_time(until)
    decide(plant, withdraw_extension, extension=done.event)
    assert resolution(plant)["deadline_at"] == instant("2026-11-16T13:00")
    plant.pass_time("2026-11-16T14:30")
    assert resolution(plant)["breached_at"] == instant(breached)
    assert [d["what"] for d in explained(plant)["by_hand"]] == ["resolution extended by 2\u00a0h", "extension taken back"]


def test_business_time_is_extended_in_business_time(plant: Plant) -> None:
    plant.policy({"Office": OFFICE}, targets={"resolution": "7h"}, calendar="Office")
    plant.keep()
    extend(plant)
    assert resolution(plant)["deadline_at"] == instant("2026-11-17T10:00")


def test_a_chosen_policy_holds_until_another_is_chosen(plant: Plant) -> None:
    decide(plant, choose_policy, policy="Gold")
    row = resolution(plant)
    assert (row["target"], row["deadline_at"], row["breached_at"]) == (HOUR, instant("2026-11-16T10:00"), None)
    assert explained(plant)["choice"][0]["because"] == "set by hand"
    plant.pass_time("2026-11-16T10:05")
    assert resolution(plant)["breached_at"] == instant("2026-11-16T10:00")
    decide(plant, choose_policy, policy=None)
    assert (resolution(plant)["target"], resolution(plant)["deadline_at"]) == (4 * HOUR, instant("2026-11-16T13:00"))
    decide(plant, choose_policy, policy="P")
    plant.tell(said(plant, "ticket.updated", changes={"tags": {"from": [], "to": ["gold"]}}))
    assert resolution(plant)["target"] == 4 * HOUR


def test_a_policy_chosen_too_late_breaches_now(plant: Plant) -> None:
    plant.pass_time("2026-11-16T11:00")
    decide(plant, choose_policy, policy="Gold")
    row = resolution(plant)
    assert (row["breached_at"], row["deadline_at"]) == (instant("2026-11-16T11:00"), instant("2026-11-16T10:00"))


def test_strict_mode_refuses_and_records(plant: Plant) -> None:
    granted = extend(plant)
    before = everything(plant)
    assert strict(plant)
    assert not strict(plant)  # it was on already
    for asked in (
        lambda: extend(plant, reason="please"),
        lambda: decide(plant, choose_policy, policy="Gold"),
        lambda: decide(plant, withdraw_extension, extension=granted.event),
    ):
        assert asked().refused
    after = everything(plant)
    for table in ("clock", "alert", "command", "record", "correction"):
        assert after[table] == before[table]
    assert [e["kind"] for e in after["event"][-3:]] == ["override.refused"] * 3
    assert [e["data"]["values"]["asked"] for e in after["event"][-3:]] == ["deadline.extended", "policy.chosen", "extension.withdrawn"]
    assert [a["what"] for a in after["audit_entry"][-4:]] == ["strict mode on", *["override refused"] * 3]
    assert explained(plant)["by_hand"][1]["what"] == "refused by strict mode: resolution extended by 2h"
    plant.pass_time("2026-11-16T15:01")  # what was granted before stays granted, what was refused moved nothing
    assert resolution(plant)["breached_at"] == instant("2026-11-16T15:00")
    assert strict(plant, on=False)
    assert not extend(plant).refused


@pytest.mark.parametrize(
    ("asked", "place", "words"),
    [
        ({"by": "0m"}, "by", "zero"),
        ({"by": "-2h"}, "by", "negative"),
        ({"by": "2"}, "by", "no unit"),
        ({"by": "soon"}, "by", "unclear"),
        ({"by": ""}, "by", "unclear"),
        ({"by": "2d"}, "by", "different length"),
        ({"by": "90000h"}, "by", "ten years"),
        ({"by": "87670h"}, "by", "with what is promised already"),
        ({"metric": "agent_work"}, "metric", "has no clock 'agent_work'; running are first_response, resolution"),
        ({"metric": ""}, "metric", "running are"),
        ({"reason": "  "}, "reason", "say why"),
        ({"reason": "x" * 501}, "reason", "500 characters"),
    ],
)
def test_an_extension_that_cannot_be_changes_nothing(plant: Plant, asked: dict[str, str], place: str, words: str) -> None:
    before = everything(plant)
    with pytest.raises(InvalidDefinition, match=words) as problem:
        extend(plant, **asked)
    assert problem.value.field == place
    assert everything(plant) == before


@pytest.mark.parametrize(
    ("words", "asked", "place", "said_why"),
    [
        (["resolved"], {"service": extend_deadline, "metric": "resolution", "by": "1h"}, "metric", "its resolution clock is stopped"),
        (["closed"], {"service": extend_deadline, "metric": "resolution", "by": "1h"}, "metric", "is finished, and what is over is not extended; no clock"),
        (["closed"], {"service": choose_policy, "policy": "Gold"}, "ticket", "it is closed"),
        ([], {"service": choose_policy, "policy": "Gld"}, "policy", "known are Gold, P"),
        ([], {"service": choose_policy, "policy": None}, "policy", "none is chosen"),
        ([], {"service": withdraw_extension, "extension": "hand:1"}, "extension", "no running clock"),
    ],
)
def test_what_is_over_or_unknown_is_refused(plant: Plant, words: list[str], asked: dict[str, Any], place: str, said_why: str) -> None:
    for word in words:
        status(plant, word)
    before = everything(plant)
    with pytest.raises(InvalidDefinition, match=said_why) as problem:
        decide(plant, **asked)
    assert problem.value.field == place
    assert everything(plant) == before


def test_a_policy_is_chosen_once_and_an_extension_taken_back_once(plant: Plant) -> None:
    decide(plant, choose_policy, policy="P")
    done = extend(plant)
    decide(plant, withdraw_extension, extension=done.event)
    for again in ({"service": choose_policy, "policy": "P"}, {"service": withdraw_extension, "extension": done.event}):
        with pytest.raises(InvalidDefinition, match="already"):
            decide(plant, **again)


def test_nothing_is_decided_while_the_past_is_imported(plant: Plant) -> None:
    plant.tell({**said(plant, "ticket.created", values={"status": "open"}, history=True), "ticket": "T2", "id": "old"})
    with plant.database.reading(plant.tenant) as tx:
        ticket, _ = choose_ticket(tx, plant.tenant, "T2", None)
    with plant.database.transaction(plant.tenant) as tx, pytest.raises(InvalidDefinition, match="imported"):
        extend_deadline(tx, plant.tenant, ticket, "resolution", "1h", "why not", plant.now, "Kim", plant.outside)
