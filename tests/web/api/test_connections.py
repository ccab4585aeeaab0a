"""Connections, deliveries and actions by API: wired, proved, rotated, replayed, tried again; secrets are told once, bodies to whoever may see them."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import update

from sla_plugin.store.outbox import CommandRow
from sla_plugin.store.personal_reads import reads_of
from tests.web.conftest import Program, program_of
from tests.web.world import SECRET, World

NEW = {"name": "CRM US", "connector": "generic", "base_url": "https://crm-us.example.com/hook"}


def connection_of(program: Program, name: str = "CRM EU") -> str:
    return f"/connections/{next(one['id'] for one in program.get('/connections')['items'] if one['name'] == name)}"


# --- connections -----------------------------------------------------------------------------------------------------
def test_a_connection_is_made_once_and_its_secret_told_once(world: World) -> None:
    program = program_of(world)
    made = program.open("POST", "/connections", NEW, {"Idempotency-Key": "wire"})
    assert made.status_code == 201
    assert made.json["secret"].startswith("whsec_")
    assert (made.json["mode"], made.json["connector"], made.json["has_token"]) == ("dry_run", "generic", False)
    again = program.open("POST", "/connections", NEW, {"Idempotency-Key": "wire"})
    assert (again.json, again.headers["Idempotent-Replay"]) == (made.json, "true"), "its name is not taken by itself"
    shown = program.open("GET", made.headers["Location"])
    assert made.json["secret"] not in shown.text
    assert shown.json == {name: value for name, value in made.json.items() if name != "secret"}
    assert [one["name"] for one in program.get("/connections?sort=-name")["items"]] == ["CRM US", "CRM EU"]
    assert SECRET not in program.open("GET", "/connections").text


REFUSED: list[tuple[Mapping[str, Any], str]] = [
    ({}, "name"),
    ({"name": "x"}, "connector"),
    ({**NEW, "name": "CRM EU"}, "name"),
    ({**NEW, "connector": "pigeon"}, "connector"),
    ({**NEW, "base_url": "ftp://x"}, "base_url"),
    ({**NEW, "base_url": "http://crm.example.com"}, "base_url"),
    ({**NEW, "mode": "live"}, "mode"),
    ({**NEW, "mapping": {"status": {"Neu": "brand new"}}}, "mapping.status.Neu"),
    ({"name": "Z", "connector": "zendesk", "base_url": "https://z.zendesk.com"}, "email"),
    ({**NEW, "colour": "red"}, "colour"),
]


def test_a_connection_that_cannot_work_is_refused_by_field(small_world: World) -> None:
    program = program_of(small_world)
    program.post("/connections", {**NEW, "name": "CRM EU"})
    found = [program.post("/connections", body, 422)["errors"][0]["field"] for body, _ in REFUSED]
    assert found == [field for _, field in REFUSED]
    assert [row["name"] for row in small_world.rows("connection")] == ["CRM EU"]


def test_a_helpdesk_that_does_not_answer_connects_nothing(small_world: World) -> None:
    program = program_of(small_world)
    body = {"name": "Z", "connector": "zendesk", "base_url": "http://127.0.0.1:9", "email": "a@example.com", "token": "t0ken"}
    refused = program.post("/connections", body, 424)
    assert refused["type"] == "/problems/helpdesk"
    assert "t0ken" not in str(refused)
    assert small_world.rows("connection") == []


def test_settings_are_changed_by_whoever_has_read_the_newest(world: World) -> None:
    program = program_of(world)
    path = connection_of(program)
    same = program.get(path)
    assert program.change("PATCH", path, same) == same, "what was read and sent back is no change"
    assert [row["version"] for row in world.rows("connection")] == [1]
    read = program.open("GET", path).headers["ETag"]
    changed = program.change("PATCH", path, {"assignee": None, "mapping": {"unset_priority": "P3"}}, match=read)
    assert (changed["assignee"], changed["mapping"]) == ("", {"unset_priority": "P3"})
    program.change("PATCH", path, {"assignee": "a-8"}, 412, match=read)
    assert program.change("PATCH", path, {"base_url": "gopher://x"}, 422)["errors"][0]["field"] == "base_url"
    assert program.change("PATCH", path, {"mode": "observe", "assignee": "a-9"})["mode"] == "observe"
    assert program.get(path)["assignee"] == "a-9"


def test_it_goes_live_only_for_whoever_is_sure(world: World) -> None:
    program = program_of(world)
    path = connection_of(program)
    refused = program.change("PATCH", path, {"mode": "live"}, 422)
    assert (refused["errors"][0]["field"], program.get(path)["mode"]) == ("sure", "dry_run")
    assert program.change("PATCH", path, {"mode": "LIVE", "sure": True})["mode"] == "live"
    assert program.change("PATCH", path, {"mode": "dry-run"})["mode"] == "dry_run"
    program.change("PATCH", path, {"base_url": None})
    dead = program.change("PATCH", path, {"mode": "live", "sure": True}, 409)
    assert (dead["type"], "nowhere to write" in dead["detail"]) == ("/problems/not-possible", True)


def test_a_secret_is_rotated(world: World) -> None:
    program = program_of(world)
    path = connection_of(program)
    (old,) = program.get(path)["secrets"]
    made = program.post(f"{path}/secrets")
    assert made["secret"].startswith("whsec_")
    assert [one["fingerprint"] for one in program.get(path)["secrets"]] == [made["fingerprint"], old["fingerprint"]]
    assert program.post(f"{path}/secrets", {"secret": "another"}, 409)["type"] == "/problems/not-possible"
    assert len(program.post(f"{path}/secrets/retire", {"fingerprint": "old"}, 200)["secrets"]) == 1
    assert program.post(f"{path}/secrets/retire", {"fingerprint": made["fingerprint"]}, 409)["type"] == "/problems/not-possible"
    assert program.post(f"{path}/secrets", {"secret": "senders-own"})["secret"] is None


def test_credentials_are_checked_and_traffic_is_told(world: World) -> None:
    program = program_of(world)
    path = connection_of(program)
    assert program.post(f"{path}/check", None, 200)["checked_at"] == "2026-11-04T13:32:07Z"
    health = program.get(f"{path}/health")
    assert (health["last_delivery_at"], health["refused"], health["paused_until"]) == ("2026-11-04T13:30:11Z", 0, None)
    assert sum(health["commands"].values()) == len(world.rows("command"))
    sent = program.open("POST", f"{path}/test", {})
    assert sent.status_code == 201
    assert program.get(sent.headers["Location"])["state"] == "stored"


# --- deliveries ------------------------------------------------------------------------------------------------------
def test_deliveries_are_listed_over_a_period(world: World) -> None:
    program = program_of(world)
    everything = program.get("/deliveries?limit=100")
    assert everything["total"] == len(everything["items"]) == len(world.rows("delivery"))
    today = program.get("/deliveries?start_date=2026-11-04&limit=100")["items"]
    assert today
    assert all(one["received_at"] >= "2026-11-04" for one in today)
    before = program.get("/deliveries?end_date=2026-11-03&limit=100")
    assert before["total"] + len(today) == everything["total"]
    assert [one["state"] for one in program.get("/deliveries?state=unreadable")["items"]] == ["unreadable"]
    assert len(program.get("/deliveries?q=4812")["items"]) == 4
    assert program.get("/deliveries?connection=1")["items"] == []
    second = program.get("/deliveries?limit=5&page=2")
    assert second["items"] == everything["items"][5:10]
    assert program.get(program.get("/deliveries?limit=5")["next"])["items"] == second["items"]
    assert program.get("/deliveries?state=applied", 422)["errors"][0]["field"] == "state"


def test_a_delivery_tells_what_became_of_it_and_its_body_to_whoever_may_see_it(world: World) -> None:
    admin, auditor = program_of(world), program_of(world, "auditor")
    first = world.rows("delivery")[0]
    told = auditor.get(f"/deliveries/{first['id']}")
    assert (told["state"], told["has_body"], [one["ticket"] for one in told["tickets"]]) == ("applied", True, ["4812"])
    assert "Invoice export" not in str(told)
    auditor.get(f"/deliveries/{first['id']}/body", 403)
    with admin.open("GET", f"/deliveries/{first['id']}/body") as answer:  # looks are noted once it is closed, as servers do
        assert "Invoice export" in answer.json["body"]
    with world.runtime.database.reading(world.tenant) as tx:
        assert [row.actor for row in reads_of(tx, world.tenant, "body", str(first["id"]))] == ["Kim Lee <kim@example.com> by token program"]


def test_a_delivery_is_replayed(world: World) -> None:
    program = program_of(world)
    unreadable = program.get("/deliveries?state=unreadable")["items"][0]
    path = f"/deliveries/{unreadable['id']}/replay"
    assert program.post(path, None, 202)["state"] == "stored"
    assert world.rows("audit_entry")[-1]["what"] == "deliveries replayed"
    program.post("/deliveries/7/replay", None, 404)
    program_of(world, "auditor").post(path, None, 403)


# --- actions ---------------------------------------------------------------------------------------------------------
def test_actions_are_listed(world: World) -> None:
    program = program_of(world, "auditor")
    rows = world.rows("command")
    assert rows, "or this proves less than it says"
    found = program.get("/actions")
    assert [one["id"] for one in found["items"]] == [str(row["id"]) for row in reversed(rows)]
    assert program.get("/actions?state=dry-run")["total"] == len(rows)
    assert program.get("/actions?state=failed")["items"] == []
    assert program.get("/actions?connection=1")["total"] == 0
    assert program.get(f"/actions/{rows[0]['id']}") == found["items"][-1]
    program.get("/actions/7", 404)


@pytest.mark.parametrize(("mode", "status", "said"), [("dry_run", 409, "is not live"), ("live", 202, "")])
def test_an_action_that_failed_is_tried_again_where_its_connection_is_live(world: World, mode: str, status: int, said: str) -> None:
    program = program_of(world)
    first, path = world.rows("command")[0]["id"], connection_of(program)
    assert "has not failed" in program.post(f"/actions/{first}/retry", None, 409)["detail"]
    with world.runtime.database.transaction(world.tenant) as tx:
        tx.execute(update(CommandRow).where(CommandRow.tenant_id == world.tenant).values(state="failed", reason="HTTP 500"))
    if mode == "live":
        program.change("PATCH", path, {"mode": "live", "sure": True})
    answer = program.post(f"/actions/{first}/retry", None, status)
    assert said in answer.get("detail", "")
    states = {row["id"]: row["state"] for row in world.rows("command")}
    assert states.pop(first) == ("pending" if mode == "live" else "failed")
    assert set(states.values()) <= {"failed"}, "no other one is tried with it"
