"""Alerts by API: listed with their heads, taken with a note, given back; and what is breached now."""

from tests.web.conftest import program_of
from tests.web.world import World


def test_alerts_are_listed_with_their_heads(world: World) -> None:
    program = program_of(world, "agent")
    found = program.get("/sla/breach-alerts")
    raised = [one["raised_at"] for one in found["items"]]
    assert raised
    assert raised == sorted(raised, reverse=True)
    counts = found["counts"]
    assert counts["active"] == found["total"] == len(raised)
    assert counts["total"] == sum(counts[level] for level in ("warning", "critical", "breach", "requested"))
    assert {one["state"] for one in found["items"]} == {"open"}
    level = found["items"][0]["level"]
    narrowed = program.get(f"/sla/breach-alerts?level={level.upper()}&sort=raised")
    assert {one["level"] for one in narrowed["items"]} == {level}
    assert narrowed["counts"] == counts, "heads tell of all, whatever the list is narrowed by"
    assert program.get("/sla/breach-alerts?metric=nothing")["items"] == []
    for wrong in ("level=loud", "state=mine", "sort=level", "acknowledged=yes"):
        assert program.get(f"/sla/breach-alerts?{wrong}", 422)["errors"][0]["field"] == wrong.partition("=")[0]


def test_an_alert_is_taken_with_a_note_once_and_given_back(world: World) -> None:
    program, other = program_of(world, "agent"), program_of(world)
    alert = program.get("/sla/breach-alerts")["items"][0]
    path = f"/sla/breach-alerts/{alert['id']}"
    taken = program.post(f"{path}/acknowledge", {"note": "on it"}, 200)
    assert (taken["state"], taken["note"], taken["acknowledged_by"]) == ("acknowledged", "on it", "Ana Agent <ana@example.com> by token program")
    assert taken == program.get(path)
    refused = other.post(f"{path}/acknowledge", {}, 409)
    assert refused["type"] == "/problems/conflict"
    assert "Ana Agent" in refused["detail"]
    assert alert["id"] in [one["id"] for one in program.get("/sla/breach-alerts?state=acknowledged")["items"]]
    assert program.post(f"{path}/give-back", {}, 200)["state"] == "open"
    assert "Nobody has it" in program.post(f"{path}/give-back", {}, 409)["detail"]
    assert program.post(f"{path}/acknowledge", {"note": "x" * 1001}, 422)["errors"][0]["field"] == "note"
    program.post("/sla/breach-alerts/7/acknowledge", {}, 404)
    entries = [row["what"] for row in world.rows("audit_entry")]
    assert (entries.count("alert acknowledged"), entries.count("acknowledgement undone")) == (1, 1)


def test_alerts_of_a_ticket(world: World) -> None:
    program = program_of(world)
    alert = program.get("/sla/breach-alerts")["items"][0]
    of_ticket = program.get(f"/support/tickets/{alert['ticket_id']}/alerts")["items"]
    assert alert["id"] in [one["id"] for one in of_ticket]
    assert {one["ticket_id"] for one in of_ticket} == {alert["ticket_id"]}


def test_breaches_are_the_clocks_that_are_over(world: World) -> None:
    program = program_of(world)
    now = program.get("/sla/breaches")
    assert now["count"] == [row["standing"] for row in world.rows("ticket")].count("breached")
    breached = [row for row in world.rows("clock") if row["open"] and row["breached_at"] is not None]
    assert len(now["breaches"]) == len(breached)
    assert all(one["over"] >= 0 for one in now["breaches"])
