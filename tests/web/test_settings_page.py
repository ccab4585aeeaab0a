"""What a tenant decides for itself: typed, checked beside its field, recorded; strict mode by confirmation; words in the reader's language."""

import html
import json
import re

from sla_plugin.services.tenant_settings import read_settings
from sla_plugin.store.people import change_person, find_person
from sla_plugin.store.tenants import is_strict
from tests.web.conftest import app_of, browser_of
from tests.web.world import World

GOOD = {"name": "Acme Care", "time_zone": "Europe/Berlin", "language": "de", "week_start": "sun"}


def settings_of(world: World) -> dict[str, object]:
    with world.runtime.database.reading(world.tenant) as tx:
        return read_settings(tx, world.tenant)


def test_a_section_is_saved_and_recorded(world: World) -> None:
    browser = browser_of(world)
    browser.get("/settings")
    assert "Saved." in browser.post("/settings/tenant", **GOOD)
    assert settings_of(world) == settings_of(world) | {**GOOD, "live_updates": False}
    entry = world.rows("audit_entry")[-1]
    assert (entry["what"], entry["changes"]["before"]["time_zone"], entry["changes"]["after"]["time_zone"]) == ("settings changed", "UTC", "Europe/Berlin")
    assert "Nothing was different." in browser.post("/settings/tenant", **GOOD)
    assert world.rows("audit_entry")[-1]["number"] == entry["number"]


def test_what_is_wrong_is_said_beside_its_field_and_changes_nothing(small_world: World) -> None:
    before = settings_of(small_world)
    browser = browser_of(small_world)
    browser.get("/settings")
    page = browser.post("/settings/tenant", 422, **{**GOOD, "time_zone": "Mars/Olympus", "week_start": "tue"})
    assert 'value="Mars/Olympus" ' in page
    assert "no time zone we know" in page
    assert 'aria-invalid="true"' in page
    assert "Acme Care" in page  # what was typed is kept
    assert "without control characters" in browser.post("/settings/tenant", 422, **{**GOOD, "name": "Acme\nBcc: all@example.com"})
    assert settings_of(small_world) == before
    browser.post("/settings/nonsense", 404)


def seen_by(page: str, section: str) -> str:
    """What the form of a section says that it showed."""
    found = re.search(rf'action="/settings/{section}".*?name="seen" value="([^"]*)"', page, re.DOTALL)
    assert found
    return html.unescape(found[1])


def test_two_people_overwrite_each_other_only_knowingly(small_world: World) -> None:
    ours, theirs = browser_of(small_world), browser_of(small_world)
    seen = seen_by(ours.get("/settings"), "tenant")
    old = {name: str(value) for name, value in json.loads(seen).items()}
    theirs.get("/settings")
    theirs.post("/settings/tenant", **{**old, "name": "Acme Care", "week_start": "sun"})
    # what we left alone stays theirs, what only we changed is ours
    assert "Saved." in ours.post("/settings/tenant", **{**old, "time_zone": "Europe/Berlin"}, seen=seen)
    assert settings_of(small_world) == settings_of(small_world) | {"name": "Acme Care", "week_start": "sun", "time_zone": "Europe/Berlin"}
    # what both changed is told beside the field; the same again is said knowingly
    page = ours.post("/settings/tenant", 422, **{**old, "name": "Acme Ltd"}, seen=seen)
    assert 'id="e-name"' in page
    assert "Somebody else changed this" in page
    assert 'value="Acme Ltd"' in page
    assert re.search(r'value="sun" selected', page), "what we left alone is shown as it is now"
    assert settings_of(small_world)["name"] == "Acme Care"
    now = {**json.loads(seen_by(page, "tenant")), "name": "Acme Ltd"}
    assert "Saved." in ours.post("/settings/tenant", **now, seen=seen_by(page, "tenant"))
    assert settings_of(small_world) == settings_of(small_world) | {"name": "Acme Ltd", "week_start": "sun", "time_zone": "Europe/Berlin"}


def test_what_a_form_says_that_it_showed_may_be_nonsense(small_world: World) -> None:
    browser = browser_of(small_world)
    browser.get("/settings")
    for number, seen in enumerate(("{", "[1]", "null", '{"name": 7, "nothing": "x"}')):
        assert "Saved." in browser.post("/settings/tenant", **{**GOOD, "name": f"Acme {number}"}, seen=seen)


def test_strict_mode_is_turned_on_by_typing_the_name(small_world: World) -> None:
    def strict() -> bool:
        with small_world.runtime.database.reading(small_world.tenant) as tx:
            return is_strict(tx, small_world.tenant)

    browser = browser_of(small_world)
    browser.get("/settings")
    assert "Type the tenant" in browser.post("/settings/strict", 422, strict="on", confirm="acme")
    assert not strict()
    browser.post("/settings/strict", strict="on", confirm="Acme Support")
    assert strict()
    browser.post("/settings/strict")
    assert not strict()


def test_an_auditor_reads_and_changes_nothing(small_world: World) -> None:
    browser = browser_of(small_world, "ula@example.com")
    assert "<form" not in browser.get("/settings").split("<main")[1].split("</main")[0]
    browser.post("/settings/tenant", 403, **GOOD)


def test_pages_speak_the_language_that_the_browser_asks_for_and_the_person_chose(small_world: World) -> None:
    browser = browser_of(small_world)
    german = browser.client.get("/settings", headers={"Accept-Language": "fr;q=0.9, de-CH;q=0.8, en;q=0.1"}).text
    assert '<html lang="de"' in german
    assert "<h1>Einstellungen</h1>" in german
    assert "<h1>Settings</h1>" in browser.client.get("/settings", headers={"Accept-Language": "xx, ;q=no"}).text
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        kim = find_person(tx, small_world.tenant, "kim@example.com")
        assert kim is not None
        change_person(tx, small_world.tenant, kim.id, language="de")
    assert "<h1>Einstellungen</h1>" in browser.client.get("/settings", headers={"Accept-Language": "en"}).text
    assert 'lang="en"' in app_of(small_world).test_client().get("/login").text
