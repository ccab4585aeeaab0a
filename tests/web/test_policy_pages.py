"""The list of policies, the editor and the versions: a draft is kept, planned, applied; nothing typed is lost; nobody overwrites anybody."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sla_plugin.services.apply_policy_file import apply_policy_file, read_policy_file, read_stored
from sla_plugin.services.passwords import hash_password
from sla_plugin.services.policy_templates import TEMPLATES, make_policy
from sla_plugin.store.people import add_person
from tests.web.conftest import Browser, browser_of, page_settings
from tests.web.test_plan_pages import plan_of, words
from tests.web.world import GOLD, PASSWORD, World, full_world

POLICY = {
    "name": "Silver",
    "position": "20",
    "active": "yes",
    "calendar": "Berlin office",
    "warning": "80",
    "critical": "95",
    "starts": "creation",
    "stops": "resolved",
    "pause_in": "waiting_customer",
    "conditions": "rows",
    "group": "all",
    "target-resolution-P1": "8h",
}
SHADOW = """
policies:
  - {name: Big, position: 20, applies_to: {all: [{field: organization, is: Acme GmbH}, {field: priority, is: P1}]}, targets: {resolution: 4h}}
  - {name: Odd, position: 30, applies_to: {field: organization, is: Nordwind}, targets: {resolution: 4h}}
"""


@pytest.fixture
def company(sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """The company on SQLite: these tests are about forms."""
    world = full_world(page_settings(sqlite_url, tmp_path))
    yield world
    world.runtime.database.engine.dispose()


def stored(world: World, name: str) -> tuple[int, dict[str, Any]]:
    with world.runtime.database.reading(world.tenant) as tx:
        return read_stored(tx, world.tenant).policies[name]


def number_of(world: World, name: str) -> int:
    return int(next(p["id"] for p in world.rows("policy") if p["name"] == name))


def gold_form(**more: str) -> dict[str, str]:
    form = {**POLICY, "version": "1", "position": "10", "field": "organization", "operator": "is", "value": "Acme GmbH"}
    form |= {f"target-first_response-{p}": "1h" for p in ("P0", "P1", "P2", "P3")}
    return {**form, "target-resolution-P0": "4h cal", "target-resolution-P1": "6h", "target-resolution-P2": "24h", **more}


def apply(browser: Browser, page: str) -> str:
    """Apply the plan that a page shows."""
    action = re.search(r'id="plan" action="([^"]+)"', page)
    assert action is not None, words(page)[:2000]
    return browser.post(action[1].replace("&amp;", "&"), action="apply", plan=plan_of(page))


# --- from nothing, from a template -------------------------------------------------------------------------------------
def test_a_policy_from_nothing_is_planned_and_applied(company: World) -> None:
    browser = browser_of(company)
    browser.get("/policies/custom")
    page = browser.post("/policies/custom", **POLICY, field="priority", operator="in", value="P1, P2", preview="yes")
    assert "New policy for priority is P1 or P2." in words(page)
    assert "Silver" not in {p["name"] for p in company.rows("policy")}
    assert "What changed" in apply(browser, page)
    version, definition = stored(company, "Silver")
    assert (version, definition["targets"], definition["applies_to"]) == (1, {"resolution": {"P1": "8h"}}, {"field": "priority", "in": ["P1", "P2"]})


@pytest.mark.parametrize("template", TEMPLATES)
def test_one_click_on_a_template_opens_a_draft_in_the_editor(company: World, template: str) -> None:
    browser = browser_of(company)
    assert TEMPLATES[template].name in browser.get("/policies/new")
    page = browser.post(f"/policies/templates/{template}")
    assert "Here is the draft" in page
    assert f'value="{TEMPLATES[template].name}"' in page
    (draft,) = company.rows("draft")
    assert {c["name"] for c in company.rows("calendar")} == {"Berlin office", *({TEMPLATES[template].calendar} - {"24x7"})}
    assert draft["definition"]["targets"] == TEMPLATES[template].definition["targets"]
    assert TEMPLATES[template].name in browser.get("/policies")  # among the drafts
    assert browser.post(f"/policies/{draft['object_id']}/delete")
    assert company.rows("draft") == []


def test_an_empty_list_offers_the_templates(small_world: World) -> None:
    page = browser_of(small_world).get("/policies")
    assert [t.name for t in TEMPLATES.values() if t.name not in page] == []
    assert "/policies/custom" in page
    assert "template" not in browser_of(small_world, "ana@example.com").get("/policies")


# --- the editor --------------------------------------------------------------------------------------------------------
def test_what_the_form_does_not_show_is_kept(company: World) -> None:
    browser = browser_of(company)
    path = f"/policies/{number_of(company, 'Gold')}"
    browser.get(path)
    apply(browser, browser.post(path, **gold_form(name="ignored", on_breach="comment_breach"), preview="yes"))
    version, definition = stored(company, "Gold")
    assert (version, definition["applies_to"]) == (2, GOLD["applies_to"]["all"][0])  # type: ignore[index]
    assert definition["targets"] == {"first_response": "1h", "resolution": {"P0": {"target": "4h", "counts": "calendar"}, "P1": "6h", "P2": "24h"}}
    assert definition["on_breach"] == ["comment_breach"]


@pytest.mark.parametrize(
    ("field", "operator", "typed", "value", "shown"),
    [
        ("created_in_hours", "is", "No", False, "no"),
        ("created_on_holiday", "is", "true", True, "yes"),
        ("created_hour", "at_least", "18", 18, "18"),
        ("created_weekday", "in", "Sat, sun", ["sat", "sun"], "sat, sun"),
    ],
)
def test_a_policy_asks_when_a_ticket_was_created(company: World, field: str, operator: str, typed: str, value: object, shown: str) -> None:
    browser = browser_of(company)
    browser.get("/policies/custom")
    page = browser.post("/policies/custom", **POLICY, field=field, operator=operator, value=typed, save="yes")
    assert "The draft is saved" in page
    assert company.rows("draft")[0]["definition"]["applies_to"] == {"field": field, operator: value}
    assert f'value="{shown}"' in page
    assert "by the calendar" in page


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        pytest.param({"target-resolution-P1": "8"}, "target-resolution-P1", "Resolution, High: 8 has no unit", id="no unit"),
        pytest.param({"target-resolution-P1": "2d"}, "target-resolution-P1", "write hours", id="days of business time"),
        pytest.param({"target-resolution-P1": ""}, "targets", "at least one metric", id="nothing promised"),
        pytest.param({"warning": "99", "critical": "90"}, "warning", "not before critical", id="thresholds crossed"),
        pytest.param({"position": "first"}, "position", "whole number", id="position"),
        pytest.param({"name": ""}, "name", "name of at most", id="no name"),
        pytest.param({"name": "Gold"}, "name", "already", id="name taken"),
        pytest.param({"field": "colour", "operator": "is", "value": "red"}, "condition-0", "known are", id="unknown field"),
        pytest.param({"conditions": "text", "applies_to": "all: [{field: x, is: 1}]"}, "applies_to", "no field", id="conditions as text"),
        pytest.param({"conditions": "text", "applies_to": "{"}, "applies_to", "no YAML", id="no YAML"),
        pytest.param({"pause_in": "resolved"}, "pause_in", "cannot pause", id="pause in the stop"),
        pytest.param({"calendar": "Moon"}, "calendar", "no calendar Moon", id="calendar that is gone"),
    ],
)
def test_a_wrong_policy_is_refused_beside_its_field(company: World, wrong: dict[str, str], field: str, said: str) -> None:
    browser = browser_of(company)
    browser.get("/policies/custom")
    text = browser.post("/policies/custom", 422, **{**POLICY, "description": "kept as typed", "preview": "yes", **wrong})
    assert 'role="alert"' in text
    assert f'href="#f-{field}"' in text
    assert f'id="f-{field}"' in text
    beside = re.search(rf'id="e-{field}">(.*?)</div>', text, re.DOTALL)
    assert beside
    assert said in beside[1]
    assert "kept as typed" in text
    assert company.rows("draft") == []


def test_buttons_inside_the_form_give_it_back_changed(company: World) -> None:
    browser = browser_of(company)
    browser.get("/policies/custom")
    typed = {**POLICY, "node": "leaf:1", "field": "type", "operator": "is", "value": "incident", "by": "", "description": "kept"}
    more = browser.post("/policies/custom", **typed, add="root")
    assert (more.count('name="field"'), 'value="incident"' in more, 'value="kept"' in more) == (2, True, True)
    assert browser.post("/policies/custom", **typed, remove="0").count('name="field"') == 0
    assert browser.post("/policies/custom", **typed, add_group="root").count('name="join"') == 1
    assert browser.post("/policies/custom", **typed, fill="resolution").count('value="8h"') == 4
    assert company.rows("draft") == []


def test_it_says_which_tickets_it_takes_and_who_else_would(company: World) -> None:
    with company.runtime.database.transaction(company.tenant) as tx:
        apply_policy_file(tx, company.tenant, read_policy_file(SHADOW), company.now, "test")
    page = words(browser_of(company).get(f"/policies/{number_of(company, 'Big')}"))
    assert "Matches 1 open ticket now, e.g. #4812 ." in page
    assert "Also matched by: “Gold” (1, comes earlier)" in page


def test_a_draft_survives_and_nothing_different_is_no_draft(company: World) -> None:
    browser = browser_of(company)
    path = f"/policies/{number_of(company, 'Gold')}"
    browser.get(path)
    browser.post(path, **gold_form(), save="yes")
    again = browser_of(company).get(path)  # another session of the same person
    assert "You edit your draft" in again
    assert 'value="6h"' in again
    assert "You edit your draft" not in browser_of(company, "ula@example.com").get(path)
    page = browser.post(path, **gold_form(**{"target-resolution-P1": "8h", "edition": "1", "on_breach": ""}), save="yes")
    assert "on_breach" in page
    with company.runtime.database.reading(company.tenant) as tx:
        assert read_stored(tx, company.tenant).policies["Gold"][0] == 1


def test_a_second_window_of_the_same_person_is_noticed(company: World) -> None:
    browser = browser_of(company)
    path = f"/policies/{number_of(company, 'Gold')}"
    browser.get(path)
    browser.post(path, **gold_form(), save="yes")
    text = browser.post(path, 422, **gold_form(**{"target-resolution-P1": "5h"}), save="yes")
    assert "in another window" in text
    assert 'value="5h"' in text
    browser.post(path, **gold_form(**{"target-resolution-P1": "5h"}), edition="1", save="yes")
    assert company.rows("draft")[0]["definition"]["targets"]["resolution"]["P1"] == "5h"


# --- two people --------------------------------------------------------------------------------------------------------
def test_of_two_editors_the_second_sees_both_texts_and_decides(world: World) -> None:
    path = f"/policies/{number_of(world, 'Gold')}"
    kim, lea = browser_of(world), browser_of(world, second_admin(world))
    kim.get(path), lea.get(path)
    hers = lea.post(path, **gold_form(**{"target-resolution-P1": "5h"}), preview="yes")
    apply(kim, kim.post(path, **gold_form(), preview="yes"))
    told = apply(lea, hers)
    assert "Somebody was faster" in told
    assert "Kim Lee" in told
    assert "Resolution, High: 8 h → 6 h" in words(told)
    assert "Resolution, High: 8 h → 5 h" in words(told)
    assert stored(world, "Gold")[0] == 2
    action = re.search(r'action="([^"]+plan\?draft=\d+)"', told)
    assert action is not None
    plan = lea.post(action[1], action="on_top")
    assert "Resolution, High: 6 h → 5 h" in words(plan)
    apply(lea, plan)
    version, definition = stored(world, "Gold")
    assert (version, definition["targets"]["resolution"]["P1"]) == (3, "5h")


def test_who_takes_theirs_loses_the_draft_only(company: World) -> None:
    path = f"/policies/{number_of(company, 'Gold')}"
    kim, lea = browser_of(company), browser_of(company, second_admin(company))
    kim.get(path), lea.get(path)
    lea.post(path, **gold_form(**{"target-resolution-P1": "5h"}), save="yes")
    apply(kim, kim.post(path, **gold_form(), preview="yes"))
    assert "after your draft was begun" in lea.get(path)
    told = lea.get(path + "/plan")
    action = re.search(r'action="([^"]+plan\?draft=\d+)"', told)
    assert action is not None
    assert "The draft is discarded" in lea.post(action[1], action="discard")
    assert (company.rows("draft"), stored(company, "Gold")[0]) == ([], 2)


def second_admin(world: World) -> str:
    with world.runtime.database.transaction(world.tenant) as tx:
        add_person(tx, world.tenant, "lea@example.com", "Lea Adams", "admin", hash_password(PASSWORD), world.now, one_time=False)
    return "lea@example.com"


# --- the list ----------------------------------------------------------------------------------------------------------
def test_the_list_is_in_the_order_of_matching_and_names_what_never_matches(company: World) -> None:
    with company.runtime.database.transaction(company.tenant) as tx:
        apply_policy_file(tx, company.tenant, read_policy_file(SHADOW), company.now, "test")
    page = browser_of(company).get("/policies")
    assert re.findall(r'class="first"><a href="[^"]+">(\w+)</a>', page) == ["Gold", "Big", "Odd", "Everyone"]
    assert "Never matches: “Gold” above takes all of these." in page
    assert page.count("Never matches") == 1


@pytest.mark.parametrize(
    ("form", "order"),
    [
        ({"move": "Odd:up"}, ["Gold", "Odd", "Big"]),
        ({"move": "Gold:down"}, ["Big", "Gold", "Odd"]),
        ({"move": "Odd:to", "place-Odd": "1"}, ["Odd", "Gold", "Big"]),
        ({"move": "", "place-Gold": "3", "place-Big": "2", "place-Odd": "3"}, ["Big", "Odd", "Gold"]),
        ({"move": "Gold:up"}, None),
        ({"move": "Odd:to", "place-Odd": "first"}, None),
        ({"move": "Everyone:up"}, None),
        ({"move": "77:up"}, None),
    ],
    ids=["up", "down", "typed", "typed and Enter", "already first", "no number", "the default", "none"],
)
def test_a_policy_is_moved(company: World, form: dict[str, str], order: list[str] | None) -> None:
    with company.runtime.database.transaction(company.tenant) as tx:
        apply_policy_file(tx, company.tenant, read_policy_file(SHADOW), company.now, "test")
    ids = {p["name"]: str(p["id"]) for p in company.rows("policy")}
    browser = browser_of(company)
    browser.get("/policies")
    sent = {re.sub(r"[A-Z]\w+", lambda m: ids[m[0]], key): re.sub(r"^[A-Z]\w+", lambda m: ids[m[0]], value) for key, value in form.items()}
    page = browser.post("/policies/order", **sent)
    assert [d["definition"]["order"] for d in company.rows("draft")] == ([order] if order else [])
    if order:
        assert "You changed the order" in page
        assert re.findall(r'class="first"><a href="[^"]+">(\w+)</a>', page)[:3] == order
        assert stored(company, "Gold")[0] == 1  # nothing is in force yet
        apply(browser, browser.get("/policies/order/plan"))
        assert re.findall(r'class="first"><a href="[^"]+">(\w+)</a>', browser.get("/policies"))[:3] == order


# --- versions, copies, off, gone -----------------------------------------------------------------------------------------
def test_versions_are_compared_and_restored(company: World) -> None:
    browser = browser_of(company)
    path = f"/policies/{number_of(company, 'Gold')}"
    browser.get(path)
    apply(browser, browser.post(path, **gold_form(), preview="yes"))
    page = words(browser.get(f"{path}/versions?from=2&to=1"))
    assert "Version 2 → version 1" in page
    assert "Resolution, High: 6 h → 8 h" in page
    assert "Resolution, High: 8 h → 6 h" in page
    restored = browser.post(f"{path}/restore", version="1")
    assert "Version 1 is your draft now" in restored
    assert 'value="8h"' in restored
    assert "There is no version 9" in browser.post(f"{path}/restore", version="9")


def test_switching_off_goes_by_the_plan(company: World) -> None:
    browser = browser_of(company)
    path = f"/policies/{number_of(company, 'Gold')}"
    browser.get(path)
    page = browser.post(f"{path}/active")
    assert "No longer active." in page
    assert stored(company, "Gold")[1].get("active", True)
    apply(browser, page)
    assert stored(company, "Gold")[1]["active"] is False
    assert "Active again." in browser.post(f"{path}/active")


def test_a_copy_is_a_draft_of_a_new_policy(company: World) -> None:
    browser = browser_of(company)
    browser.get("/policies")
    page = browser.post(f"/policies/{number_of(company, 'Gold')}/duplicate")
    assert 'value="Gold 2"' in page
    assert company.rows("draft")[0]["definition"]["position"] == 20


def test_what_was_in_force_is_not_deleted(company: World) -> None:
    browser = browser_of(company)
    path = f"/policies/{number_of(company, 'Gold')}"
    browser.get(path)
    assert "Gold stays: it was in force, 2 open tickets are under it" in browser.post(f"{path}/delete")
    with company.runtime.database.transaction(company.tenant) as tx:
        made = make_policy(tx, company.tenant, "gold", company.now, "test")
    assert "is deleted" in browser.post(f"/policies/{made}/delete")
    assert {p["name"] for p in company.rows("policy")} == {"Gold", "Everyone"}
    assert company.rows("audit_entry")[-1]["what"] == "policy deleted"


@pytest.mark.parametrize("person", ["ana@example.com", "ula@example.com"])
def test_who_may_only_read_has_nothing_to_press(company: World, person: str) -> None:
    browser = browser_of(company, person)
    number = number_of(company, "Gold")
    for path in ("/policies", f"/policies/{number}", f"/policies/{number}/versions"):
        page = browser.get(path)
        main = page[page.index("<main") : page.index("</main>")]
        assert re.findall(r"<(?:button|input|textarea|form)[^>]*>", main) == [], path
    assert "Resolution" in browser.get(f"/policies/{number}")
