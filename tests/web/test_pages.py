"""What pages say about a company in the middle of its day, and what forms do."""

import re

import pytest
import responses

from sla_plugin.store.connections import get_connection
from tests.web.conftest import Browser, browser_of
from tests.web.world import World


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
    assert "1 ticket is breached. 2 more are close." in text
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


def test_every_field_of_a_connection_that_is_wrong_says_so(small_world: World) -> None:
    browser = browser_of(small_world)
    browser.get("/connections/new/zendesk")
    text = browser.post("/connections/new/zendesk", 422, name="", base_url="acme", email="kim", token="a b", assignee="Robot", mode="observe")
    fields = ["name", "base_url", "email", "token", "assignee"]
    assert re.findall(r'id="e-(\w+)"', text) == fields
    assert re.findall(r'href="#f-(\w+)"', text) == fields, "the list above them has their order"
    assert ">Zendesk assigns to a user id" in text
    assert re.search(r'value="observe" checked', text)


@pytest.mark.parametrize(("status", "field"), [(401, "token"), (403, "token"), (404, "base_url"), (503, "base_url")])
@responses.activate
def test_what_the_helpdesk_refuses_is_said_beside_its_field(small_world: World, status: int, field: str) -> None:
    responses.get("https://acme.zendesk.com/api/v2/users/me", status=status)
    browser = browser_of(small_world)
    browser.get("/connections/new/zendesk")
    typed = {"name": "Z", "base_url": "https://acme.zendesk.com", "email": "kim@example.com", "token": "t0ken-7"}
    text = browser.post("/connections/new/zendesk", 422, **typed)
    assert re.findall(r'id="e-(\w+)"', text) == [field]
    assert "t0ken-7" not in text
    assert small_world.rows("connection") == []


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
