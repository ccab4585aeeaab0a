"""Privacy by page: somebody's data as a file, erasing by typing who it is, who looked at whom; and what is not kept any longer."""

import json
from typing import Any

from sqlalchemy import select

from sla_plugin.jobs.erasing import erase_step
from sla_plugin.store.db import Transaction
from sla_plugin.store.personal_reads import DAY, PersonalRead
from sla_plugin.web.looks import TOGETHER, Looks
from tests.web.conftest import Browser, browser_of
from tests.web.world import NOW, World


def reads(world: World) -> list[tuple[str, str, int]]:
    with world.runtime.database.reading(world.tenant) as tx:
        return _reads(tx, world)


def _reads(tx: Transaction, world: World) -> list[tuple[str, str, int]]:
    return [(r.actor.split(" <")[0], r.kind, r.count) for r in tx.scalars(select(PersonalRead).order_by(PersonalRead.first_at, PersonalRead.kind))]


def export(browser: Browser, **who: str) -> dict[str, Any]:
    browser.get("/privacy")
    with browser.client.post("/privacy/export", data={"csrf_token": browser.token, **who}) as answer:
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Disposition"] == 'attachment; filename="personal-data.json"'
        told: dict[str, Any] = json.loads(answer.text)
    return told


def test_somebodys_data_is_one_file_without_secrets(world: World) -> None:
    browser_of(world, "carl@example.com")
    browser = browser_of(world)
    told = export(browser, address="Carl@example.com")
    assert told["about"] == {"address": "carl@example.com", "name": "Carl Customer", "names_in_helpdesks": ["u-1"]}
    tables = told["tables"]
    assert {t["external_id"] for t in tables["ticket"]} == {"4820", "4822"}, "by mail address, and by the name that is bound"
    assert {e["external_id"] for e in tables["event"]} >= {"4820", "4822", "4812"}, "what they asked for, and what they did"
    assert [p["email"] for p in tables["person"]] == ["carl@example.com"]
    assert len(tables["session"]) == 1
    assert [r["external_id"] for r in tables["requester"]] == ["u-1"]
    assert any(e["what"] == "signed in" for e in tables["audit_entry"])
    assert not {"password_hash", "digest", "sealed_token", "salt"} & {key for rows in (tables["person"], tables["requester"]) for row in rows for key in row}
    assert "ana@example.com" not in json.dumps(tables["person"])
    assert world.rows("audit_entry")[-1]["what"] == "personal data exported"
    assert ("Kim Lee", "export", 1) in reads(world)

    assert {t["requester"] for t in export(browser, connection="CRM EU", name="u-2")["tables"]["ticket"]} == {"u-2"}
    assert set(export(browser, address="nobody@example.com")["tables"]) <= {"audit_entry", "personal_read"}
    page = browser.post("/privacy/export", 422, address="no address")
    assert "is no mail address" in page
    assert 'value="no address"' in page
    assert "choose the connection" in browser.post("/privacy", 422, name="u-1").lower()


def test_erasing_is_confirmed_and_shown(world: World) -> None:
    browser_of(world, "carl@example.com")
    browser = browser_of(world)
    browser.get("/privacy")
    page = browser.post("/privacy", person=str(world.customer))
    assert "Erase carl@example.com" in page
    assert "Tickets" in page
    assert "Type carl@example.com" in browser.post("/privacy/erase", 422, person=str(world.customer), confirm="carl")
    assert world.rows("erasure") == []
    page = browser.post("/privacy/erase", person=str(world.customer), confirm="CARL@example.com")
    (erasure,) = world.rows("erasure")
    assert erasure["pseudonym"] in page
    assert "under way" in page
    while erase_step(world.runtime.database, world.tenant, erasure["id"], world.runtime.outside, lambda: NOW):
        pass
    page = browser.get("/privacy")
    assert "erased" in page
    assert "Entries of the audit trail: " in page
    assert "carl@example.com" not in page.replace("carl@example.com is", "")
    assert "Erased on" in browser.get(f"/people/{world.customer}")
    assert erasure["pseudonym"] in browser.get("/people")
    assert "erased on" in browser.get("/audit?actor=erased")
    assert "their hashes stand" in browser.get("/audit?verify=1")


def test_an_agent_and_an_auditor_do_neither(small_world: World) -> None:
    auditor = browser_of(small_world, "ula@example.com")
    assert "<form" not in auditor.get("/privacy").split("<main")[1].split("</main")[0]
    auditor.post("/privacy/erase", 403, address="carl@example.com", confirm="carl@example.com")
    browser_of(small_world, "ana@example.com").get("/privacy", 404)


def test_looks_are_noted_once_a_day_after_the_answer(world: World) -> None:
    browser = browser_of(world, "ula@example.com")
    ticket = min(t["id"] for t in world.rows("ticket"))

    def look(path: str) -> None:
        with browser.client.get(path) as answer:
            assert answer.status_code == 200

    for _ in range(3):
        look(f"/tickets/{ticket}")
    assert reads(world) == [("Ula Audit", "ticket", 1)], "the others wait for company"
    look(f"/people/{world.customer}")
    assert sorted(reads(world)) == [("Ula Audit", "person", 1), ("Ula Audit", "ticket", 3)]
    look("/tickets")
    with browser.client.get(f"/tickets/{2**60}") as answer:
        assert answer.status_code == 404
    assert len(reads(world)) == 2, "lists, and what is not there, show nobody"

    page = browser.get("/audit?show=reads")
    assert "Ula Audit" in page
    assert f"/people/{world.customer}" in page
    assert "Nothing fits" in browser.get("/audit?show=reads&what=body")
    rows = [json.loads(line) for line in browser.get("/audit/export.jsonl?show=reads&what=ticket").splitlines()]
    assert [(r["kind"], r["thing"], r["count"]) for r in rows] == [("ticket", str(ticket), 3)]
    assert browser.get("/audit/export.csv?show=reads").splitlines()[0] == "first_at,last_at,actor,kind,thing,count"
    assert "Ula Audit" in browser_of(world).get(f"/people/{world.customer}")


def test_looks_are_written_together_and_survive_a_busy_database(small_world: World) -> None:
    looks = Looks(small_world.runtime.database)
    tenant, day = small_world.tenant, NOW - NOW % DAY

    def look(at: int, thing: str = "1") -> None:
        looks.take(tenant, "Kim", [("ticket", thing)], at)

    look(day + 1)
    look(day + 2)
    look(day + 3)
    assert reads(small_world) == [("Kim", "ticket", 1)]
    look(day + 1 + TOGETHER)
    assert reads(small_world) == [("Kim", "ticket", 4)]
    look(day + DAY)  # another day has a row of its own, another thing too
    look(day + DAY, "2")
    assert sorted(count for _, _, count in reads(small_world)) == [1, 1, 4]


def test_the_settings_page_says_what_would_go(world: World) -> None:
    browser = browser_of(world)
    assert "Older than that now: 0" in browser.get("/settings")
    days = {f"keep_{kind}": "" for kind in ("bodies", "deliveries", "texts", "tickets", "commands", "sessions", "reads", "audit")}
    assert "Saved." in browser.post("/settings/retention", **{**days, "keep_texts": "1", "keep_audit": "400"})
    page = browser.get("/settings")
    assert "The installation keeps them 30 days at most." in page
    assert "whole number of days" in browser.post("/settings/retention", 422, **{**days, "keep_texts": "soon"})
    assert "whole number of days" in browser.post("/settings/retention", 422, **{**days, "keep_deliveries": "3"})
