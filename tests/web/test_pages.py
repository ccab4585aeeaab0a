"""What pages say about a company in the middle of its day, and what forms do."""

import re

import pytest

from sla_plugin.services.apply_policy_file import read_stored
from sla_plugin.store.connections import get_connection
from tests.web.conftest import Browser, browser_of
from tests.web.world import GOLD, World

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


def path_to(browser: Browser, page: str, pattern: str) -> str:
    """The first link on a page that matches."""
    found = re.search(f'href="({pattern})"', browser.get(page))
    assert found, (page, pattern)
    return found[1]


def ticket_path(browser: Browser, number: str) -> str:
    """The page of the ticket with that number in the helpdesk."""
    found = re.search(rf'href="(/tickets/\d+)">#{number} ', browser.get("/tickets?state=all"))
    assert found
    return found[1]


def test_overview_says_what_breaks_next(world: World) -> None:
    text = browser_of(world).get("/sla")
    assert "1 ticket is breached, 2 more are close." in text
    assert text.index("#4812") < text.index("#4820") < text.index("#4821") < text.index("#4822")
    assert "4 of 4 finished clocks" in text
    assert "1 unreadable: kept, replay them after a fix" in text


def test_overview_of_a_new_tenant_says_what_to_do(small_world: World) -> None:
    text = browser_of(small_world).get("/sla")
    assert "Set up: 0 of 6" in text
    assert "Connect a helpdesk" in text


@pytest.mark.parametrize("path", ["/tickets", "/alerts", "/policies", "/calendars", "/connections", "/deliveries", "/outbox"])
def test_empty_lists_say_what_to_do_next(small_world: World, path: str) -> None:
    assert 'class="empty"' in browser_of(small_world).get(path)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        pytest.param("", ["4812", "4820", "4821", "4822", "4830"], id="by due instant"),
        pytest.param("?state=breached", ["4812"], id="breached"),
        pytest.param("?state=on_hold", ["4830"], id="on hold"),
        pytest.param("?state=warning", ["4821"], id="warning"),
        pytest.param("?state=all&q=invoice", ["4812", "4822"], id="text"),
        pytest.param("?state=all&q=%23482", [], id="a part of a number is no number"),
        pytest.param("?state=all&q=100%25", [], id="percent is no wildcard"),
        pytest.param("?connection=1", [], id="another connection"),
    ],
)
def test_tickets_are_filtered_and_sorted(world: World, query: str, numbers: list[str]) -> None:
    found = re.findall(r'/tickets/\d+">#(\d+) ', browser_of(world).get(f"/tickets{query}"))
    assert (found if "all" not in query else sorted(found)) == numbers


def test_text_of_tickets_is_escaped(world: World) -> None:
    browser = browser_of(world)
    for path in ("/sla", "/tickets", ticket_path(browser, "4812"), "/alerts"):
        text = browser.get(path)
        assert "<script>alert" not in text, path
        assert "&lt;script&gt;alert" in text, path


def test_ticket_explains_itself(world: World) -> None:
    browser = browser_of(world)
    text = browser.get(ticket_path(browser, "4812")).replace("\u00a0", " ")
    assert "Resolution breached: promised 8 h of business time, 16 h 55 m used, over by 8 h 55 m." in text
    assert "Gold v1: applies, organization is Acme GmbH" in text
    counted = re.findall(r'<td class="num">([\d:]*)</td><td class="num">[\d:]*</td><td class="num">[\d:]+</td>', text.partition("<tfoot>")[0])
    seconds = sum(int(h) * 3600 + int(m) * 60 + int(s) for h, m, s in (c.split(":") for c in counted if c))
    assert seconds == 16 * 3600 + 55 * 60 + 7
    assert "sums to the elapsed time" in text
    assert "Set priority P0 instead of P1" in text


def test_alert_is_taken_with_a_note(world: World) -> None:
    browser = browser_of(world)
    path = re.search(r'action="(/alerts/\d+/acknowledge)"', browser.get("/alerts"))
    assert path
    before = browser.get("/alerts").count("/acknowledge")
    text = browser.post(path[1], note="called the customer")
    assert "The clock keeps running." in text
    assert text.count("/acknowledge") == before - 1
    assert "called the customer" in browser.get("/alerts?show=acknowledged")
    assert "taken this alert already" in browser.post(path[1])


# --- policies and calendars ------------------------------------------------------------------------------------------
def test_a_policy_is_made_and_changed(world: World) -> None:
    browser = browser_of(world)
    browser.get("/policies/new")
    text = browser.post("/policies/new", **POLICY, field="priority", operator="in", value="P1, P2")
    assert "Saved as version 1" in text
    with world.runtime.database.reading(world.tenant) as tx:
        definition = read_stored(tx, world.tenant).policies["Silver"][1]
    assert definition["targets"] == {"resolution": {"P1": "8h"}}
    assert definition["applies_to"] == {"all": [{"field": "priority", "in": ["P1", "P2"]}]}


@pytest.mark.parametrize(
    ("field", "operator", "typed", "stored", "shown"),
    [
        ("created_in_hours", "is", "No", False, "no"),
        ("created_on_holiday", "is", "true", True, "yes"),
        ("created_hour", "at_least", "18", 18, "18"),
        ("created_weekday", "in", "Sat, sun", ["sat", "sun"], "sat, sun"),
    ],
)
def test_a_policy_asks_when_a_ticket_was_created(world: World, field: str, operator: str, typed: str, stored: object, shown: str) -> None:
    browser = browser_of(world)
    browser.get("/policies/new")
    assert "Saved as version 1" in browser.post("/policies/new", **POLICY, field=field, operator=operator, value=typed)
    with world.runtime.database.reading(world.tenant) as tx:
        assert read_stored(tx, world.tenant).policies["Silver"][1]["applies_to"] == {"all": [{"field": field, operator: stored}]}
    path = re.search(r'href="(/policies/\d+)"[^>]*>Silver', browser.get("/policies"))
    assert path
    assert f'value="{shown}"' in browser.get(path[1])


def test_a_policy_keeps_what_the_form_does_not_show(world: World) -> None:
    browser = browser_of(world)
    path = path_to(browser, "/policies", r"/policies/\d+")
    browser.get(path)
    form = {**POLICY, "name": "ignored", "version": "1", "position": "10", "field": "organization", "operator": "is", "value": "Acme GmbH"}
    form |= {f"target-first_response-{p}": "1h" for p in ("P0", "P1", "P2", "P3")}
    form |= {"target-resolution-P0": "4h cal", "target-resolution-P1": "6h", "target-resolution-P2": "24h", "on_breach": "comment_breach"}
    assert "Saved as version 2" in browser.post(path, **form)
    with world.runtime.database.reading(world.tenant) as tx:
        version, definition = read_stored(tx, world.tenant).policies["Gold"]
    assert version == 2
    assert definition["applies_to"] == GOLD["applies_to"]
    assert definition["targets"] == {"first_response": "1h", "resolution": {"P0": {"target": "4h", "counts": "calendar"}, "P1": "6h", "P2": "24h"}}
    assert definition["on_breach"] == ["comment_breach"]


def test_the_second_editor_is_told(world: World) -> None:
    browser = browser_of(world)
    path = path_to(browser, "/policies", r"/policies/\d+")
    browser.get(path)
    browser.post(path, **{**POLICY, "version": "1", "target-resolution-P1": "7h"})
    text = browser.post(path, 422, **{**POLICY, "version": "1", "target-resolution-P1": "5h"})
    assert "saved version 2" in text
    assert 'value="5h"' in text
    assert "Saved as version 3" in browser.post(path, **{**POLICY, "version": "2", "target-resolution-P1": "5h"})


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        pytest.param({"target-resolution-P1": "8"}, "target-resolution-P1", "no unit", id="no unit"),
        pytest.param({"target-resolution-P1": "2d"}, "target-resolution-P1", "write hours", id="days of business time"),
        pytest.param({"target-resolution-P1": ""}, "targets", "at least one metric", id="nothing promised"),
        pytest.param({"warning": "99", "critical": "90"}, "warning", "not before critical", id="thresholds crossed"),
        pytest.param({"position": "first"}, "position", "whole number", id="position"),
        pytest.param({"name": ""}, "name", "name of at most", id="no name"),
        pytest.param({"name": "Gold"}, "name", "already", id="name taken"),
        pytest.param({"field": "colour", "operator": "is", "value": "red"}, "condition-0", "known are", id="unknown field"),
        pytest.param({"field": "type", "operator": "is", "value": ""}, "condition-0", "compare with", id="nothing to compare with"),
        pytest.param({"field": "created_hour", "operator": "at_least", "value": "25"}, "condition-0", "a whole hour from 0 to 23", id="no hour"),
        pytest.param({"conditions": "text", "applies_to": "all: [{field: x, is: 1}]"}, "applies_to", "no field", id="conditions as text"),
        pytest.param({"conditions": "text", "applies_to": "{"}, "applies_to", "no YAML", id="no YAML"),
        pytest.param({"pause_in": "resolved"}, "pause_in", "cannot pause", id="pause in the stop"),
    ],
)
def test_a_wrong_policy_is_refused_beside_its_field(world: World, wrong: dict[str, str], field: str, said: str) -> None:
    browser = browser_of(world)
    browser.get("/policies/new")
    text = browser.post("/policies/new", 422, **{**POLICY, "description": "kept as typed", **wrong})
    assert 'role="alert"' in text
    assert f'href="#f-{field}"' in text
    assert f'id="f-{field}"' in text
    beside = re.search(rf'id="e-{field}">(.*?)</div>', text, re.DOTALL)
    assert beside
    assert said in beside[1]
    assert "kept as typed" in text


def test_conditions_are_added_and_removed_without_javascript(world: World) -> None:
    browser = browser_of(world)
    browser.get("/policies/new")
    text = browser.post("/policies/new", **POLICY, add="yes", field="type", operator="is", value="incident")
    assert text.count('name="field"') == 2
    assert 'value="incident"' in text
    assert browser.post("/policies/new", **POLICY, remove="0", field="type", operator="is", value="incident").count('name="field"') == 0


def test_a_calendar_is_changed_and_drawn(world: World) -> None:
    browser = browser_of(world)
    path = path_to(browser, "/calendars", r"/calendars/\d+")
    browser.get(path)
    form = {"version": "1", "time_zone": "Europe/Berlin", "mon": "09:00–12:30, 13:30–18:00", "wed": "22:00-06:00", "holidays": "2026-12-25 Christmas Day", "exceptions": "2026-12-24 09:00-12:00"}  # fmt: skip  # noqa: E501
    text = browser.post(path, **form)
    assert "Saved as version 2" in text
    assert "Wednesday 22:00 to 24:00" in text
    assert "Thursday 00:00 to 06:00" in text
    assert "Nothing was different" in browser.post(path, **{**form, "version": "2"})


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"time_zone": "Europe/Berlyn"}, "time_zone"),
        ({"mon": "09:00-23:59"}, "mon"),
        ({"tue": "09:00-12:00, 11:00-13:00"}, "tue"),
        ({"mon": "22:00-06:00", "tue": "05:00-09:00"}, "tue"),
        ({"mon": ""}, "hours"),
        ({"holidays": "25.12.2026 Christmas"}, "holidays"),
        ({"exceptions": "2026-12-24 9 to 12"}, "exceptions"),
        ({"exceptions": "2026-12-24 09:00-12:00\n2026-12-24 closed"}, "exceptions"),
        ({"name": ""}, "name"),
    ],
)
def test_a_wrong_calendar_is_refused_beside_its_field(small_world: World, wrong: dict[str, str], field: str) -> None:
    browser = browser_of(small_world)
    browser.get("/calendars/new")
    text = browser.post(
        "/calendars/new", 422, **{"name": "Office", "time_zone": "Europe/Berlin", "mon": "09:00-17:00", "breaks": "2026-05-04 10:00-11:00", **wrong}
    )
    assert f'id="e-{field}"' in text
    assert f'id="f-{field}"' in text
    assert "2026-05-04 10:00-11:00" in text


# --- connections, deliveries, outbox ---------------------------------------------------------------------------------
def test_a_generic_connection_shows_its_secret_once(small_world: World) -> None:
    browser = browser_of(small_world)
    browser.get("/connections/new/generic")
    text = browser.post("/connections/new/generic", name="CRM", base_url="")
    secret = re.search(r"whsec_[0-9a-f]{32}", text)
    assert secret
    assert "http://sla.example.com/webhooks/" in text
    assert secret[0] not in browser.get("/connections") + browser.get(path_to(browser, "/connections", r"/connections/\d+"))


def test_a_refused_connection_keeps_what_was_typed_but_no_token(small_world: World) -> None:
    browser = browser_of(small_world)
    browser.get("/connections/new/zendesk")
    text = browser.post("/connections/new/zendesk", 422, name="Zendesk EU", base_url="ftp://acme", email="kim@example.com", token="t0ken")
    assert 'id="e-base_url"' in text
    assert 'value="Zendesk EU"' in text
    assert "t0ken" not in text


def test_writing_is_turned_on_only_after_a_look(world: World) -> None:
    browser = browser_of(world)
    path = path_to(browser, "/connections", r"/connections/\d+")
    browser.get(path)
    text = browser.post(f"{path}/mode", mode="live")
    assert "Turn writing on for CRM EU?" in text
    assert "Set priority P0 instead of P1" in text
    with world.runtime.database.reading(world.tenant) as tx:
        assert get_connection(tx, world.tenant, world.connection).mode == "dry_run"  # type: ignore[union-attr]
    assert "writing: live" in browser.post(f"{path}/mode", mode="live", sure="yes")


def test_secrets_rotate(world: World) -> None:
    browser = browser_of(world)
    path = path_to(browser, "/connections", r"/connections/\d+")
    browser.get(path)
    text = browser.post(f"{path}/secrets")
    assert "Both secrets are valid now" in text
    assert re.search(r"whsec_[0-9a-f]{32}", text)
    old = re.findall(r'name="retire" value="(\w+)"', text)[-1]
    text = browser.post(f"{path}/secrets", retire=old)
    assert "The secret is retired" in text
    assert old not in text


def test_settings_refuse_unknown_words_and_the_second_editor(world: World) -> None:
    browser = browser_of(world)
    path = path_to(browser, "/connections", r"/connections/\d+")
    browser.get(path)
    text = browser.post(f"{path}/settings", 422, version="1", base_url="https://crm.example.com/hook", mapping="status: {Triage: opened}")
    assert 'id="e-mapping"' in text
    assert "Triage: opened" in text
    assert "Saved." in browser.post(f"{path}/settings", version="1", base_url="https://crm.example.com/hook", mapping="status: {Triage: open}")
    assert "Somebody else changed" in browser.post(f"{path}/settings", 422, version="1", base_url="https://crm.example.com/other")


def test_a_test_delivery_says_what_it_became(world: World) -> None:
    browser = browser_of(world)
    path = path_to(browser, "/connections", r"/connections/\d+")
    browser.get(path)
    text = browser.post(f"{path}/test")
    assert "The signature was accepted" in text
    assert "stored, waiting" in text


def test_an_unreadable_delivery_says_why_and_is_replayed(world: World) -> None:
    browser = browser_of(world)
    path = path_to(browser, "/deliveries?state=unreadable", r"/deliveries/\d+")
    text = browser.get(path)
    assert "occurred_at" in text
    assert "&#34;ticket&#34;: &#34;9&#34;" in text
    assert "1 put back into the inbox" in browser.post(f"{path}/replay")
    assert "There is nothing unreadable" in browser.get("/deliveries/replay")


def test_all_unreadable_ones_are_replayed_after_a_plan(world: World) -> None:
    browser = browser_of(world)
    assert "Replay 1 unreadable delivery?" in browser.get("/deliveries/replay")
    assert "1 put back into the inbox" in browser.post("/deliveries/replay")


def test_auditors_see_no_bodies(world: World) -> None:
    browser = browser_of(world, "ula@example.com")
    text = browser.get(path_to(browser, "/deliveries?state=unreadable", r"/deliveries/\d+"))
    assert "Only admins see bodies" in text
    assert "yesterday&#34;" not in text.partition("<h2>Body</h2>")[2]


def test_outbox_says_what_would_have_been_sent(world: World) -> None:
    text = browser_of(world).get("/outbox")
    assert text.count("would have been sent") == 4
    assert "Gold v1, Resolution breach" in text


def test_what_belongs_to_nobody_is_not_found(world: World) -> None:
    browser = browser_of(world)
    for path in ("/tickets/1", "/policies/1", "/calendars/1", "/connections/1", "/deliveries/1", "/connections/new/none"):
        browser.get(path, 404)


def test_no_page_has_inline_style_or_script(world: World) -> None:
    browser = browser_of(world)
    paths = ["/sla", "/tickets", "/alerts", "/policies", "/policies/new", "/calendars", "/connections", "/deliveries", "/outbox", "/health-page", "/me"]
    paths += [ticket_path(browser, n) for n in ("4812", "4820", "4830", "4831")] + [path_to(browser, "/calendars", r"/calendars/\d+")]
    for path in paths:
        text = browser.get(path)
        assert not re.search(r"<[^>]+ (style|on\w+)=", text), path
        assert not re.search(r"<script(?![^>]*src=)", text), path
        for moment in re.findall(r"<time[^>]*>", text):
            assert "datetime=" in moment, path
            assert "title=" in moment, path


def test_the_zone_and_theme_of_a_browser_are_kept(world: World) -> None:
    browser = browser_of(world)
    browser.get("/me")
    assert "is not a time zone we know" in browser.post("/me", 422, theme="dark", zone="Mars/Olympus")
    text = browser.post("/me", theme="dark", zone="America/New_York")
    assert 'data-bs-theme="dark"' in text
    assert "America/New_York" in text
    assert 'title="Wed 4 Nov 2026, 08:32:07 EST · 13:32:07 UTC"' in text
