"""After an erasure nobody finds the name in any column of any table, and every figure, explanation and the audit chain are what they were."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from sla_plugin.errors import InvalidDefinition
from sla_plugin.jobs.erasing import erase_step
from sla_plugin.reports.audit_trail import verify_audit
from sla_plugin.services.apply_policy_file import PolicyFile, apply_policy_file
from sla_plugin.services.erase_person import begin_erasure, plan_erasure
from sla_plugin.services.explain_ticket import choose_ticket, explain_ticket
from sla_plugin.services.keep_time import sweep_terms
from sla_plugin.services.somebody import Somebody, find_somebody
from sla_plugin.services.tombstones import forget
from sla_plugin.store.audit import append_audit
from sla_plugin.store.duties import Duty
from sla_plugin.store.schema import METADATA
from sla_plugin.store.tenants import book_revision
from tests.web.conftest import browser_of
from tests.web.world import NOW, World, event

ADDRESS, NAME, WORDS = "carl@example.com", "Carl Customer", "my daughter Mia cannot log in"
FIGURES = ("record", "correction", "clock", "alert")
VIP = {
    "name": "Only for one",
    "position": 1,
    "applies_to": {"all": [{"field": "requester", "is": ADDRESS}, {"field": "subject", "contains": "log in"}]},
    "calendar": "24x7",
    "targets": {"first_response": "30m", "resolution": "3h"},
}


def everything(world: World) -> dict[str, str]:
    """Every row of every table, of whatever tenant, as text."""
    with world.runtime.database.reading(Duty.CHECKING) as tx:
        return {name: "\n".join(repr(tuple(row)) for row in tx.execute(select(table))) for name, table in METADATA.tables.items()}


def naming(world: World, *words: str) -> list[str]:
    forms = {form.casefold() for word in words for form in (word, json.dumps(word)[1:-1])}
    return sorted(table for table, told in everything(world).items() if any(form in told.casefold() for form in forms))


def figures(world: World) -> dict[str, list[dict[str, Any]]]:
    return {table: world.rows(table) for table in FIGURES}


def explained(world: World) -> dict[str, Any]:
    said = {}
    with world.runtime.database.reading(world.tenant) as tx:
        for ticket in sorted(t["external_id"] for t in world.rows("ticket")):
            found, connection = choose_ticket(tx, world.tenant, ticket, None)
            told = explain_ticket(tx, world.tenant, found, connection, NOW, world.runtime.outside)
            said[ticket] = [{key: value for key, value in clock.items() if key != "ledger"} for clock in told["clocks"]]
    return said


def carl(world: World) -> Somebody:
    with world.runtime.database.reading(world.tenant) as tx:
        return find_somebody(tx, world.tenant, address=ADDRESS.upper())


def erase(world: World, whom: Somebody, steps: int = 10_000) -> int:
    """Begin an erasure and take so many steps of it; returns its id."""
    database, outside = world.runtime.database, world.runtime.outside
    with database.transaction(world.tenant) as tx:
        erasure, _ = begin_erasure(tx, world.tenant, whom, NOW, "Kim Lee <kim@example.com>", None, outside.sealer)
    go_on(world, erasure, steps)
    return erasure


def go_on(world: World, erasure: int, steps: int = 10_000) -> None:
    for _ in range(steps):
        if not erase_step(world.runtime.database, world.tenant, erasure, world.runtime.outside, lambda: NOW):
            return


@pytest.fixture
def busy(world: World) -> World:
    """Carl has been everywhere: as a customer who signs in, as a condition of a policy, in a delivery that nobody could read."""
    database, outside = world.runtime.database, world.runtime.outside
    with database.transaction(world.tenant) as tx:
        apply_policy_file(tx, world.tenant, PolicyFile({}, {"Only for one": VIP}), NOW - 60_000_000, f"{NAME} <{ADDRESS}>")
    with database.transaction(world.tenant) as tx:
        sweep_terms(tx, world.tenant, book_revision(tx, world.tenant), NOW, outside)
    for number, who in enumerate((ADDRESS, "Carl@Example.com", "u-1")):
        when, values = f"2026-11-04T13:32:0{number}", {"requester": who, "subject": f"{WORDS} {number}", "status": "new", "priority": "normal"}
        values |= {"custom.note": f"call {NAME}", "description": WORDS}
        world.deliver(when, [event("ticket.created", f"c{number}", f"50{number}", when, actor={"id": who, "role": "customer"}, values=values)])
    told = event("ticket.updated", "c4", "4830", "2026-11-04T13:32:04", changes={"subject": {"from": "x", "to": f"call {NAME}"}})
    world.deliver("2026-11-04T13:32:04", [told])
    world.deliver("2026-11-04T13:32:05", None, raw=json.dumps({"type": "no", "by": NAME, "mail": "CARL@example.com"}).encode())
    browser = browser_of(world, ADDRESS)
    ticket = next(t["id"] for t in world.rows("ticket") if t["external_id"] == "500")
    browser.get(f"/portal/{ticket}")
    browser.post(f"/portal/{ticket}/escalate", reason=f"{NAME} waits")
    with database.transaction(world.tenant) as tx:
        append_audit(tx, world.tenant, NOW, "Kim Lee <kim@example.com>", "talked", {"with": f"{NAME} ({ADDRESS})"})
    world.pass_time(NOW)
    return world


def test_no_table_knows_the_name_and_every_figure_stays(busy: World) -> None:
    assert {"event", "ticket", "delivery", "person", "audit_entry", "policy_version", "promise"} <= set(naming(busy, ADDRESS, NAME)), "or this proves little"
    before, said = figures(busy), explained(busy)
    assert any(clock["policy"] and clock["policy"]["name"] == "Only for one" for clocks in said.values() for clock in clocks)
    with busy.runtime.database.reading(busy.tenant) as tx:
        plan = plan_erasure(tx, busy.tenant, carl(busy))
    assert plan["ticket"] >= 5
    assert plan["session"] == 1

    erase(busy, carl(busy))
    assert naming(busy, ADDRESS, NAME, "Mia") == []
    assert figures(busy) == before
    assert explained(busy) == said
    with busy.runtime.database.reading(busy.tenant) as tx:
        verdict = verify_audit(tx, busy.tenant)
    assert (verdict.problem, verdict.erased > 1) == (None, True)
    assert next((p["name"], p["role"]) for p in busy.rows("person") if p["id"] == busy.customer) == (pseudonym(busy), "customer")
    assert {t["requester"] for t in busy.rows("ticket") if t["external_id"].startswith("50")} == {pseudonym(busy)}
    assert next(t["requester"] for t in busy.rows("ticket") if t["external_id"] == "4821") == "u-2", "somebody else"

    # and it stays so when policies are applied anew, and when time passes
    with busy.runtime.database.transaction(busy.tenant) as tx:
        sweep_terms(tx, busy.tenant, book_revision(tx, busy.tenant), NOW, busy.runtime.outside)
    assert figures(busy) == before


def pseudonym(world: World) -> str:
    (row,) = world.rows("erasure")
    return str(row["pseudonym"])


def test_what_comes_late_does_not_bring_the_name_back(busy: World) -> None:
    erase(busy, carl(busy))
    late = [
        event("ticket.updated", "l1", "500", "2026-11-04T13:32:06", actor={"id": ADDRESS, "role": "customer"}, changes={"subject": {"from": "x", "to": WORDS}}),
        event("ticket.created", "l2", "600", "2026-11-04T13:32:06", values={"requester": "u-1", "subject": WORDS, "custom.mail": f"write to {ADDRESS}"}),
        event("ticket.updated", "l3", "501", "2026-11-04T13:32:06", changes={"subject": {"from": "x", "to": WORDS}}),
    ]
    busy.deliver("2026-11-04T13:32:06", late)
    busy.deliver("2026-11-04T13:32:06", None, raw=json.dumps({"type": "?", "from": ADDRESS}).encode())
    assert naming(busy, ADDRESS, NAME, "Mia") == []
    assert next(t["requester"] for t in busy.rows("ticket") if t["external_id"] == "600") == pseudonym(busy)
    assert busy.rows("delivery")[-1]["state"] == "ignored"

    # until somebody lifts that: then it is a customer like any other
    with busy.runtime.database.transaction(busy.tenant) as tx:
        assert forget(tx, busy.tenant, Somebody(ADDRESS), busy.runtime.outside.sealer) == 1
    busy.deliver("2026-11-04T13:32:07", [event("ticket.created", "l4", "601", "2026-11-04T13:32:07", values={"requester": ADDRESS})])
    assert naming(busy, ADDRESS) != []


def test_it_may_be_ended_anywhere_and_goes_on(busy: World) -> None:
    before = figures(busy)
    erasure = erase(busy, carl(busy), steps=3)
    assert naming(busy, NAME) != []
    go_on(busy, erasure, steps=2)
    go_on(busy, erasure)
    assert naming(busy, ADDRESS, NAME, "Mia") == []
    assert figures(busy) == before
    entries = len(busy.rows("audit_entry"))
    go_on(busy, erasure)
    assert len(busy.rows("audit_entry")) == entries, "twice changes nothing"


def test_an_agent_is_erased_as_actor_and_the_chain_holds(busy: World) -> None:
    with busy.runtime.database.transaction(busy.tenant) as tx:
        agent = find_somebody(tx, busy.tenant, address="ana@example.com")
    browser = browser_of(busy, "ana@example.com")
    alert = next(a["id"] for a in busy.rows("alert") if a["acknowledged_at"] is None)
    browser.get("/alerts")
    browser.post(f"/alerts/{alert}/acknowledge", note="on it")
    assert "alert" in naming(busy, "ana@example.com")
    erase(busy, agent)
    assert naming(busy, "ana@example.com", "Ana Agent") == []
    with busy.runtime.database.reading(busy.tenant) as tx:
        assert verify_audit(tx, busy.tenant).problem is None
    assert any(entry["actor"] == pseudonym(busy) and entry["what"] == "alert acknowledged" for entry in busy.rows("audit_entry"))


def test_the_last_admin_and_oneself_stay(small_world: World) -> None:
    def refused(by: int | None) -> str:
        with small_world.runtime.database.transaction(small_world.tenant) as tx:
            kim = find_somebody(tx, small_world.tenant, address="kim@example.com")
            with pytest.raises(InvalidDefinition) as problem:
                begin_erasure(tx, small_world.tenant, kim, NOW, "x", kim.person if by else None, small_world.runtime.outside.sealer)
            return str(problem.value)

    assert "last admin" in refused(None)
    assert "nobody erases themselves" in refused(1)
