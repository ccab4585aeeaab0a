"""Policies, calendars, templates and settings by API: versions, merge patches, errors by field, nothing in use is taken away, nothing is overwritten."""

from typing import Any

from sla_plugin.services.policy_templates import TEMPLATES
from tests.web.conftest import Program, program_of
from tests.web.world import World

SILVER = {"name": "Silver", "targets": {"first_response": "2h", "resolution": {"P1": "8h", "*": {"target": "2d", "counts": "calendar"}}}, "position": 20}


def path_of(program: Program, kind: str, name: str) -> str:
    return f"/sla/{kind}/{next(one['id'] for one in program.get(f'/sla/{kind}?limit=100')['items'] if one['name'] == name)}"


def test_a_policy_lives_through_versions(world: World) -> None:
    program = program_of(world)
    made = program.open("POST", "/sla/policies", SILVER)
    assert made.status_code == 201
    path = made.headers["Location"]
    assert made.json == program.get(path)
    assert (made.json["version"], made.json["active"], made.json["calendar"], made.json["warning"]) == (1, True, "24x7", 80)
    same = program.get(path)
    assert program.change("PUT", path, same) == same, "what was read and sent back is no change"
    assert program.change("PATCH", path, {"position": 30, "description": None})["version"] == 2
    replaced = program.change("PUT", path, {"name": "Silver", "targets": {"resolution": "9h"}})
    assert (replaced["version"], replaced["position"], "first_response" in replaced["targets"]) == (3, 100, False)
    versions = program.get(f"{path}/versions")
    assert [one["version"] for one in versions["items"]] == [3, 2, 1]
    assert versions["items"][2]["definition"] == SILVER
    assert {one["made_by"] for one in versions["items"]} == {"Kim Lee <kim@example.com> by token program"}
    assert [row["what"] for row in world.rows("audit_entry")].count("policies changed") == 4  # one made the world's own


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({}, "name", "required"),
    ({"name": "x"}, "targets", "promise at least one metric"),
    ({**SILVER, "name": " "}, "name", "Say something"),
    ({**SILVER, "name": "Gold"}, "name", "already"),
    ({**SILVER, "colour": "red"}, "colour", "no such field"),
    ({**SILVER, "targets": {"resolution": "soon"}}, "targets.resolution", "duration"),
    ({**SILVER, "targets": {"resolution": {"P9": "1h"}}}, "targets.resolution.P9", "unknown priority"),
    ({**SILVER, "targets": []}, "targets", "promise at least one metric"),
    ({**SILVER, "calendar": "Nowhere"}, "calendar", "does not exist"),
    ({**SILVER, "calendar": 7}, "calendar", ""),
    ({**SILVER, "active": "maybe"}, "active", ""),
    ({**SILVER, "position": 1.5}, "position", "whole number"),
    ({**SILVER, "on_breach": ["explode"]}, "on_breach[0]", "unknown action"),
    ({**SILVER, "applies_to": {"field": "colour", "is": "red"}}, "applies_to", ""),
    ({**SILVER, "warning": 99, "critical": 50}, "warning", ""),
]


def test_a_policy_that_cannot_work_is_refused_by_field(small_world: World) -> None:
    program = program_of(small_world)
    program.post("/sla/policies", {"name": "Gold", "targets": {"resolution": "1h"}})
    wrong = []
    for body, field, said in REFUSED:
        refused = program.post("/sla/policies", body, 422)
        fields = {error["field"]: error["problem"] for error in refused["errors"]}
        if not any(name.startswith(field) and said in problem for name, problem in fields.items()):
            wrong.append((body, field, said, fields))
    assert wrong == []
    assert [row["name"] for row in small_world.rows("policy")] == ["Gold"]


def test_a_policy_in_use_stays(world: World) -> None:
    program = program_of(world)
    path = path_of(program, "policies", "Gold")
    refused = program.change("DELETE", path, status=409)
    assert refused["type"] == "/problems/in-use"
    assert "make it inactive instead" in refused["detail"]
    assert refused["used_by"][0] == "2 open tickets"
    assert program.change("PATCH", path, {"active": False})["active"] is False
    program.change("PATCH", path, {"name": "Golden"}, 422)
    assert program.change("DELETE", path, status=409)["type"] == "/problems/in-use", "its records name it"
    never = program.post("/sla/policies", {**SILVER, "active": False})
    program.change("DELETE", f"/sla/policies/{never['id']}", status=204)
    program.get(f"/sla/policies/{never['id']}", 404)


def test_of_two_who_change_a_policy_the_second_is_told(world: World) -> None:
    program = program_of(world)
    path = path_of(program, "policies", "Gold")
    read = program.open("GET", path).headers["ETag"]
    program.change("PATCH", path, {"position": 11}, match=read)
    told = program.change("PATCH", path, {"position": 12}, 412, match=read)
    assert told["type"] == "/problems/stale"
    assert program.get(path)["position"] == 11


def test_policies_are_listed_in_the_order_in_which_they_are_tried(world: World) -> None:
    program = program_of(world)
    program.post("/sla/policies", {**SILVER, "active": False})
    assert [one["name"] for one in program.get("/sla/policies")["items"]] == ["Gold", "Everyone", "Silver"]
    assert [one["name"] for one in program.get("/sla/policies?sort=-name")["items"]] == ["Silver", "Gold", "Everyone"]
    assert [one["name"] for one in program.get("/sla/policies?active=false")["items"]] == ["Silver"]
    assert program.get("/sla/policies/warnings") == {"warnings": []}
    program.change("PATCH", path_of(program, "policies", "Everyone"), {"active": False})
    assert "promised nothing" in program.get("/sla/policies/warnings")["warnings"][0]


# --- calendars -------------------------------------------------------------------------------------------------------
def test_a_calendar_lives_through_versions(world: World) -> None:
    program = program_of(world)
    made = program.open(
        "POST", "/sla/calendars", {"name": "Night", "time_zone": "Europe/Berlin", "hours": {"mon": ["22:00-06:00"]}, "holidays": ["2026-12-25"]}
    )
    assert made.status_code == 201
    path = made.headers["Location"]
    same = program.get(path)
    assert program.change("PUT", path, same) == same
    assert program.change("PATCH", path, {"holidays": None, "hours": "24x7"})["version"] == 2
    assert "holidays" not in program.get(path)
    assert program.change("PATCH", path, {"holidays_of": {"country": "DE", "years": [2026]}})["holidays"][0]["name"] == "Neujahr"
    assert [one["version"] for one in program.get(f"{path}/versions")["items"]] == [3, 2, 1]
    program.change("DELETE", path, status=204)
    assert {"name": "Night"} not in [{"name": one["name"]} for one in program.get("/sla/calendars")["items"]]


REFUSED_CALENDARS: list[tuple[dict[str, Any], str]] = [
    ({"name": "Berlin office", "time_zone": "UTC", "hours": "24x7"}, "name"),
    ({"name": "24x7", "time_zone": "UTC", "hours": "24x7"}, "name"),
    ({"name": "x", "time_zone": "Mars/Olympus", "hours": "24x7"}, "time_zone"),
    ({"name": "x", "time_zone": 5, "hours": "24x7"}, "time_zone"),
    ({"name": "x", "time_zone": "UTC"}, "hours"),
    ({"name": "x", "time_zone": "UTC", "hours": {"mon": ["9-5"]}}, "hours.mon[0]"),
    ({"name": "a.b", "time_zone": "UTC", "hours": {"mon": ["9-5"]}}, "hours.mon[0]"),
    ({"name": "x", "time_zone": "UTC", "hours": "24x7", "holidays": ["2026-13-01"]}, "holidays[0]"),
    ({"name": "x", "time_zone": "UTC", "hours": "24x7", "exceptions": {"2026-12-24": ["x"]}}, "exceptions.2026-12-24[0]"),
    ({"name": "x", "time_zone": "UTC", "hours": "24x7", "holidays_of": {"country": "XX", "years": [2026]}}, "holidays_of.country"),
]


def test_a_calendar_that_cannot_work_is_refused_by_field(small_world: World) -> None:
    program = program_of(small_world)
    program.post("/sla/calendars", {"name": "Berlin office", "time_zone": "UTC", "hours": "24x7"})
    found = [[error["field"] for error in program.post("/sla/calendars", body, 422)["errors"]] for body, _ in REFUSED_CALENDARS]
    assert found == [[field] for _, field in REFUSED_CALENDARS]


def test_a_calendar_in_use_stays(world: World) -> None:
    program = program_of(world)
    path = path_of(program, "calendars", "Berlin office")
    assert program.get(f"{path}/use") == {"used_by": ["Gold"]}
    refused = program.change("DELETE", path, status=409)
    assert (refused["type"], refused["used_by"]) == ("/problems/in-use", ["Gold (version 1)"])
    read = program.open("GET", path).headers["ETag"]
    program.change("PATCH", path, {"hours": "24x7"}, match=read)
    program.change("PATCH", path, {"hours": "24x7"}, 412, match=read)


# --- templates -------------------------------------------------------------------------------------------------------
def test_a_policy_is_made_of_a_template(small_world: World) -> None:
    program = program_of(small_world)
    assert [one["id"] for one in program.get("/sla/templates")["items"]] == list(TEMPLATES)
    made = program.open("POST", "/sla/templates/silver/create-policy", {})
    assert made.status_code == 201
    assert (made.json["name"], made.json["active"], made.json["calendar"]) == ("Standard / Silver", False, "Extended hours")
    assert program.get(made.headers["Location"]) == made.json
    assert program.get(path_of(program, "calendars", "Extended hours"))["hours"]["mon"] == ["08:00-18:00"]
    assert program.post("/sla/templates/SILVER/create-policy", {"name": "Silver 2027", "active": True})["active"] is True
    assert program.post("/sla/templates/silver/create-policy", {"name": "Silver 2027"}, 422)["errors"][0]["field"] == "name"
    assert "business_hours" in program.post("/sla/templates/platinum/create-policy", {}, 404)["detail"]


# --- settings --------------------------------------------------------------------------------------------------------
def test_settings_are_read_and_changed(small_world: World) -> None:
    program = program_of(small_world)
    told = program.get("/settings")
    assert (told["name"], told["time_zone"], told["language"], told["live_updates"], told["strict"]) == ("Acme Support", "UTC", "en", True, False)
    changed = program.change("PATCH", "/settings", {"time_zone": "Europe/Berlin", "live_updates": False, "week_start": "SUN"})
    assert (changed["time_zone"], changed["live_updates"], changed["week_start"]) == ("Europe/Berlin", False, "sun")
    assert program.change("PATCH", "/settings", changed) == changed
    refused = program.change("PATCH", "/settings", {"time_zone": "Mars", "language": "xx", "live_updates": "yes", "colour": 1}, 422)
    assert {error["field"] for error in refused["errors"]} == {"language", "live_updates", "colour"}
    assert program.change("PATCH", "/settings", {"time_zone": "Mars"}, 422)["errors"][0]["field"] == "time_zone"
    program.change("PATCH", "/settings", {"time_zone": "UTC"}, 412, match='"x"')
    assert program.get("/settings") == changed


def test_dates_are_in_the_tenants_zone(small_world: World) -> None:
    """It is 13:32 UTC on the 4th: in Kiritimati that is 3:32 on the 5th."""
    program = program_of(small_world)
    assert program.get("/audit?start_date=2026-11-05", 422)["errors"][0]["field"] == "start_date"
    program.change("PATCH", "/settings", {"time_zone": "Pacific/Kiritimati"})
    assert program.get("/audit?start_date=2026-11-05&end_date=2026-11-05")["total"] > 0
