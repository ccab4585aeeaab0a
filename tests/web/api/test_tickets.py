"""Tickets by API: listed, found, explained, escalated, excepted; customers see their own and nothing else."""

import pytest

from sla_plugin.reports.export_rows import written_out
from sla_plugin.services.explain_ticket import choose_ticket, explain_ticket
from sla_plugin.services.set_strict_mode import set_strict_mode
from sla_plugin.store.clocks import insert_corrections
from sla_plugin.store.personal_reads import reads_of
from tests.web.conftest import Program, program_of
from tests.web.world import NOW, World


def ticket_of(world: World, number: str) -> str:
    return next(str(row["id"]) for row in world.rows("ticket") if row["external_id"] == number)


def numbers(page: dict[str, list[dict[str, str]]]) -> list[str]:
    return [one["external_id"] for one in page["items"]]


def test_tickets_are_listed_by_their_tightest_deadline(world: World) -> None:
    program = program_of(world, "agent")
    found = program.get("/support/tickets")
    assert found["total"] == len(found["items"]) == 5
    due = [one["due_at"] for one in found["items"] if one["due_at"]]
    assert due == sorted(due)
    assert numbers(program.get("/support/tickets?sort=-due")) == numbers(found)[::-1]
    login = next(one for one in found["items"] if one["external_id"] == "4820")
    assert (login["subject"], login["organization"], login["standing"]) == ("Login loop on SSO", "Nordwind", login["clocks"][0]["state"])
    clock = login["clocks"][0]
    assert (clock["metric"], clock["target"], clock["elapsed"] + clock["remaining"]) == ("first_response", 7200, 7200)
    assert (clock["due_at"], clock["counts"], clock["started_at"]) == ("2026-11-04T13:36:00Z", "business", "2026-11-04T11:36:00Z")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=login", ["4820"]),
        ("q=4831&standing=all", ["4831"]),
        ("q=inv&standing=open", ["4812", "4822"]),
        ("organization=Nordwind", ["4820", "4821", "4822"]),
        ("priority=p1", ["4812"]),
        ("standing=DONE", ["4831"]),
        ("standing=on-hold", ["4830"]),
        ("assignee=nobody", []),
        ("connection=1", []),
        ("limit=2&page=2&standing=all&organization=Nordwind", ["4822"]),
        ("limit=2&page=9", []),
    ],
)
def test_tickets_are_found(world: World, query: str, found: list[str]) -> None:
    assert sorted(numbers(program_of(world).get(f"/support/tickets?{query}"))) == found


def test_the_list_is_followed_to_its_end(world: World) -> None:
    program, seen, path = program_of(world), [], "/support/tickets?limit=2&standing=all"
    while path:
        page = program.get(path)
        seen += numbers(page)
        path = page["next"]
    assert seen == numbers(program.get("/support/tickets?standing=all"))
    place = program.get("/support/tickets?limit=2")["next"]
    for wrong in (place.replace("limit=2", "limit=2&sort=-due"), "/support/tickets?after=x", "/sla/breach-alerts?after=WyJhbGVydHMgLXJhaXNlZCIsInkiXQ"):
        assert program.get(wrong, 422)["errors"][0]["field"] == "after"


@pytest.mark.parametrize("query", ["status=open", "sort=updated", "priority=P7", "standing=late", "connection=x", "limit=0"])
def test_what_no_index_carries_is_refused_by_name(world: World, query: str) -> None:
    assert program_of(world).get(f"/support/tickets?{query}", 422)["errors"][0]["field"] == query.partition("=")[0]


def test_one_ticket_with_its_history_and_who_looked(world: World) -> None:
    program = program_of(world, "agent")
    ticket = ticket_of(world, "4812")
    with program.open("GET", f"/support/tickets/{ticket}") as answer:  # looks are noted once it is closed, as servers do
        told = answer.json
    assert (told["external_id"], told["policy_id"] is None, told["importing"], told["fields"]) == ("4812", False, False, {})
    assert [clock["metric"] for clock in told["clocks"]] == ["resolution", "first_response"]
    history = program.get(f"/support/tickets/{ticket}/history?limit=3")
    assert ([one["kind"] for one in history["items"]][-1], history["total"]) == ("reply.public", 4)
    assert program.get(history["next"])["items"][0]["kind"] == "ticket.created"
    assert {one["actor_role"] for one in program.get(f"/support/tickets/{ticket}/history?who=customer")["items"]} == {"customer"}
    with world.runtime.database.reading(world.tenant) as tx:
        assert [row.actor for row in reads_of(tx, world.tenant, "ticket", ticket)] == ["Ana Agent <ana@example.com> by token program"]
    program.get("/support/tickets/7", 404)


def test_explain_says_what_the_command_says(world: World) -> None:
    ticket = ticket_of(world, "4812")
    with world.runtime.database.reading(world.tenant) as tx:
        same = written_out(explain_ticket(tx, world.tenant, *choose_ticket(tx, world.tenant, "4812", None), NOW, world.runtime.outside))
    told = program_of(world).get(f"/sla/tickets/{ticket}/explain")
    assert told == same
    assert all(clock["sum_us"] == clock["elapsed_us"] for clock in told["clocks"])


def test_compliance_of_a_ticket_and_of_all(world: World) -> None:
    program = program_of(world)
    told = program.get(f"/sla/tickets/{ticket_of(world, '4831')}/compliance")
    assert [(row["metric"], row["met"], row["counts_as_met"], row["corrections"]) for row in told["records"]] == [
        ("first_response", True, True, []),
        ("resolution", True, True, []),
    ]
    assert (told["met"], told["breached"], told["open"]) == (2, 0, [])
    whole = program.get("/sla/compliance?days=7")
    assert whole["finished"] == whole["met"] + whole["breached"] == sum(row["finished"] for row in whole["metrics"]) == len(world.rows("record"))
    assert whole["rate"] == round(100 * whole["met"] / whole["finished"], 2)
    none = program.get("/sla/compliance?start_date=2026-10-01&end_date=2026-10-02")
    assert (none["finished"], none["rate"], none["metrics"], none["until"]) == (0, None, [], "2026-10-03T00:00:00Z")
    assert program.get("/sla/compliance?start_date=2026-11-02&end_date=2026-11-01", 422)["errors"][0]["field"] == "end_date"


def test_a_late_fact_corrects_what_counts(world: World) -> None:
    """The reply to 4831 turns out to have been earlier than was told: its record stays, a correction says so."""
    before = program_of(world).get("/sla/compliance")
    world.deliver(
        "2026-11-04T13:31:00",
        [{"type": "reply.public", "id": "late", "ticket": "4831", "occurred_at": "2026-11-03T15:05:00Z", "actor": {"id": "a-7", "role": "agent"}}],
    )
    told = program_of(world).get(f"/sla/tickets/{ticket_of(world, '4831')}/compliance")
    record = next(row for row in told["records"] if row["metric"] == "first_response")
    assert (record["elapsed"], record["corrections"][0]["now"]["elapsed"], record["counts_as_met"]) == (1200, 300, True)
    after = program_of(world).get("/sla/compliance")
    assert (after["finished"], after["corrected"]) == (before["finished"], 1), "corrected, not counted twice"


def test_a_cycle_that_never_was_does_not_count(world: World) -> None:
    program = program_of(world)
    before, record = program.get("/sla/compliance"), next(row for row in world.rows("record") if row["external_id"] == "4831")
    net = {"started_at": NOW, "stopped_at": NOW, "target": 1, "elapsed": 0, "met": True}
    row = {"record_id": record["id"], "promise_id": record["promise_id"], "metric": record["metric"], "cycle": record["cycle"], "was": net, "made_at": NOW}
    with world.runtime.database.transaction(world.tenant) as tx:
        for number, now in enumerate(({**net, "met": False}, None), 1):
            of = {"tenant_id": world.tenant, "id": number, "number": number, "digest": str(number), "now": now, "cause": {"events": ["e9"]}}
            insert_corrections(tx, world.tenant, [{**row, **of}])
    after = program.get("/sla/compliance")
    assert (after["finished"], after["met"], after["breached"]) == (before["finished"] - 1, before["met"] - 1, before["breached"])
    told = program.get(f"/sla/tickets/{record['ticket_id']}/compliance")
    (corrected,) = [one for one in told["records"] if one["corrections"]]
    assert (corrected["met"], corrected["counts_as_met"], told["met"]) == (True, None, 1)
    assert [one["now"] and one["now"]["met"] for one in corrected["corrections"]] == [False, None]


def test_stats_say_how_things_stand(world: World) -> None:
    program = program_of(world, "auditor")
    told = program.get("/sla/stats")
    standings = [row["standing"] for row in world.rows("ticket")]
    assert {name: one["number"] for name, one in told["tickets"].items()} == {name: standings.count(name) for name in told["tickets"]}
    assert told["active_alerts"] == {"number": program.get("/sla/breach-alerts")["total"], "is_capped": False}
    assert told["compliance"]["finished"] == len(world.rows("record"))


# --- what somebody asks and decides ----------------------------------------------------------------------------------
def test_an_agent_asks_to_escalate_once(world: World) -> None:
    program, path = program_of(world, "agent"), f"/support/tickets/{ticket_of(world, '4820')}/escalate"
    assert program.post(path, {"reason": " "}, 422)["errors"][0]["field"] == "reason"
    assert program.post(path, {"reason": "the plant stands still"}, Idempotency_Key="one") == {"number": 1}
    assert program.post(path, {"reason": "the plant stands still"}, Idempotency_Key="one") == {"number": 1}
    assert "already" in program.post(path, {"reason": "again"}, 422)["detail"]
    assert program.get("/sla/breach-alerts?level=requested")["total"] == 1
    assert program_of(world, "auditor").post(path, {"reason": "me, too"}, 403)["type"] == "/problems/forbidden"


def test_a_deadline_is_extended_and_taken_back_and_a_policy_chosen(world: World) -> None:
    program, path = program_of(world, "agent"), f"/support/tickets/{ticket_of(world, '4820')}"
    target = resolution(program, path)["target"]
    made = program.post(f"{path}/extensions", {"metric": "resolution", "by": "2h", "reason": "asked for"}, Idempotency_Key="once")
    assert made == program.post(f"{path}/extensions", {"metric": "resolution", "by": "2h", "reason": "asked for"}, Idempotency_Key="once")
    assert resolution(program, path)["target"] == target + 7200
    program.post(f"{path}/extensions/withdraw", {"event": made["event"], "reason": "a mistake"})
    assert resolution(program, path)["target"] == target
    program.post(f"{path}/policy", {"policy": "Gold", "reason": "a pilot"})
    assert program.get(f"/sla/tickets/{ticket_of(world, '4820')}/explain")["by_hand"][-1]["what"] == "policy Gold chosen"
    program.post(f"{path}/policy", {"policy": None, "reason": "no pilot"})
    assert [row["what"] for row in world.rows("audit_entry")].count("deadline extended") == 1


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("extensions", {"metric": "resolution", "by": "2", "reason": "x"}, "by"),
        ("extensions", {"metric": "nothing", "by": "2h", "reason": "x"}, "metric"),
        ("extensions", {"metric": "resolution", "by": "2h"}, "reason"),
        ("extensions/withdraw", {"event": "hand:7", "reason": "x"}, "extension"),
        ("policy", {"policy": "Platinum", "reason": "x"}, "policy"),
        ("policy", {"reason": "x"}, "policy"),
    ],
)
def test_a_wrong_exception_is_refused_by_field(world: World, path: str, body: dict[str, str], field: str) -> None:
    refused = program_of(world).post(f"/support/tickets/{ticket_of(world, '4820')}/{path}", body, 422)
    assert refused["errors"][0]["field"] == field
    assert [row for row in world.rows("event") if row["kind"].startswith("deadline")] == []


def test_strict_mode_refuses_and_records(world: World) -> None:
    with world.runtime.database.transaction(world.tenant) as tx:
        set_strict_mode(tx, world.tenant, True, NOW, "Kim")
    program, path = program_of(world, "agent"), f"/support/tickets/{ticket_of(world, '4820')}"
    target = resolution(program, path)["target"]
    for _ in range(2):
        refused = program.post(f"{path}/extensions", {"metric": "resolution", "by": "2h", "reason": "please"}, 409, Idempotency_Key="strict")
        assert refused["type"] == "/problems/strict-mode"
    assert resolution(program, path)["target"] == target
    assert [row["kind"] for row in world.rows("event") if row["kind"] == "override.refused"] == ["override.refused"], "asked twice with one key, recorded once"
    assert world.rows("audit_entry")[-1]["what"] == "override refused"


def resolution(program: Program, path: str) -> dict[str, int]:
    return next(clock for clock in program.get(path)["clocks"] if clock["metric"] == "resolution")


# --- customers -------------------------------------------------------------------------------------------------------
def test_a_customers_token_sees_their_own_tickets_and_nothing_else(world: World) -> None:
    program = program_of(world, "customer")
    page = program.get("/portal/tickets")
    assert numbers(page) == ["4822", "4820"], "the last changed first"
    whole = program.open("GET", "/portal/tickets").text + program.open("GET", f"/portal/tickets/{ticket_of(world, '4820')}").text
    for internal in ("organization", "Nordwind", "policy", "calendar", "hold_cause", "requester", "connection", "4821", "4812"):
        assert internal not in whole
    assert page["items"][1]["promises"][0]["metric"] == "first_response"
    assert numbers(program.get("/portal/tickets?limit=1&sort=updated")) == ["4820"]
    assert program.get(program.get("/portal/tickets?limit=1")["next"])["items"][0]["external_id"] == "4820"
    program.get(f"/portal/tickets/{ticket_of(world, '4821')}", 404)
    program.post(f"/portal/tickets/{ticket_of(world, '4821')}/escalate", {"reason": "mine!"}, 404)
    for path in ("/support/tickets", f"/support/tickets/{ticket_of(world, '4820')}", "/sla/breach-alerts", "/sla/breaches", "/sla/compliance", "/sla/stats"):
        program.get(path, 404)


def test_a_customer_asks_to_escalate_and_sees_when_it_is_taken(world: World) -> None:
    customer, agent = program_of(world, "customer"), program_of(world, "agent")
    path = f"/portal/tickets/{ticket_of(world, '4820')}"
    assert customer.post(f"{path}/escalate", {"reason": "The plant stands still"}) == {"number": 1}
    assert customer.post(f"{path}/escalate", {"reason": "Again"}, 422)["errors"][0]["field"] == "reason"
    assert customer.get(path)["requests"] == [{"number": 1, "asked_at": "2026-11-04T13:32:07Z", "taken_at": None}]
    (alert,) = agent.get("/sla/breach-alerts?level=requested")["items"]
    agent.post(f"/sla/breach-alerts/{alert['id']}/acknowledge", {}, 200)
    assert customer.get(path)["requests"][0]["taken_at"] == "2026-11-04T13:32:07Z"
