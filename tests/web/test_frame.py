"""What every page shares: search, help, keys, title and icon, what may be kept by browsers, and how much a first view weighs."""

import gzip
import re

import pytest

from tests.web.conftest import Browser, app_of, browser_of
from tests.web.test_pages import path_to
from tests.web.world import PASSWORD, World

MOST = 120_000  # bytes of a first view, compressed


def landed(browser: Browser, query: str) -> str:
    """Where a search leads to, or the groups it finds."""
    answer = browser.client.get("/search", query_string={"q": query})
    if answer.status_code == 302:
        return str(answer.location)
    main = answer.text.partition("<main")[2].partition("</main>")[0]
    return "found " + " ".join(re.findall(r"<h2>(\w+)</h2>", main))


def test_search_goes_straight_to_a_number_and_groups_the_rest(world: World) -> None:
    browser = browser_of(world)
    delivery = path_to(browser, "/deliveries", r"/deliveries/\d+")
    assert re.fullmatch(r"/tickets/\d+", landed(browser, "#4812"))
    assert landed(browser, "4812") == landed(browser, "#4812 ")
    assert landed(browser, delivery.rpartition("/")[2]) == delivery
    assert landed(browser, "state:breached") == "/tickets?state=breached"
    assert landed(browser, "acme") == "found Tickets"
    assert landed(browser, "gold") == "found Policies"
    assert landed(browser, "CRM") == "found Connections"
    assert landed(browser, "kim") == "found People"
    assert "Nothing is found for “100%”" in browser.get("/search?q=100%25")
    assert "&lt;b&gt;" in browser.get("/search?q=%3Cb%3E")
    assert "Type a ticket" in browser.get("/search?q=")


def test_search_shows_a_role_only_what_it_may_read(world: World) -> None:
    agent = browser_of(world, "ana@example.com")
    delivery = path_to(browser_of(world), "/deliveries", r"/deliveries/\d+").rpartition("/")[2]
    assert [landed(agent, q) for q in ("kim", "CRM", delivery)] == ["found ", "found ", "found "]
    customer = browser_of(world, "carl@example.com")
    customer.get("/search?q=4812", 404)
    assert 'role="search"' not in customer.get("/portal")


def test_open_breaches_stand_in_titles_of_work_and_in_the_icon(world: World) -> None:
    browser = browser_of(world)
    assert "<title>(1) Alerts · Acme Support</title>" in browser.get("/alerts")
    assert "<title>(1) Tickets · Acme Support</title>" in browser.get("/tickets")
    text = browser.get("/policies")
    assert "<title>Policies · Acme Support</title>" in text
    assert "favicon-breach.svg" in text
    text = browser.get("/sla")
    for alert in re.findall(r"/alerts/(\d+)/acknowledge", text):
        browser.post(f"/alerts/{alert}/acknowledge")
    text = browser.get("/alerts")
    assert "<title>(1) Alerts" in text
    assert "favicon-breach.svg" not in text
    assert "favicon-breach.svg" not in browser_of(world, "carl@example.com").get("/portal")


def test_a_tenant_turns_live_updates_and_the_setup_list_off(small_world: World) -> None:
    browser = browser_of(small_world)
    text = browser.get("/sla")
    assert 'data-live="on"' in text
    assert "Set up: 0 of 6" in text
    assert "The setup list is hidden" in browser.post("/sla/setup")
    assert "Set up:" not in browser.get("/sla")
    browser.post("/settings/tenant", name="Acme Support", time_zone="UTC", language="en", week_start="mon", setup_list="yes")
    text = browser.get("/sla")
    assert "Set up: 0 of 6" in text
    assert 'data-live="off"' in text
    assert "Reload</a>" in text
    assert "Hide this list" not in browser_of(small_world, "ula@example.com").get("/sla")


def test_keys_are_listed_and_turned_off(small_world: World) -> None:
    browser = browser_of(small_world)
    assert "<kbd>g</kbd> <kbd>t</kbd>" in browser.get("/help")
    assert "data-keys" not in browser.get("/me")
    assert 'data-keys="off"' in browser.post("/me", language="", theme="auto")
    assert "They are turned off." in browser.get("/help")


@pytest.mark.parametrize(("query", "events"), [("", 4), ("customer", 2), ("agent", 2), ("ours", 0)])
def test_events_of_a_ticket_are_filtered(world: World, query: str, events: int) -> None:
    browser = browser_of(world)
    path = landed(browser, "4812")
    assert browser.get(f"{path}?events={query}").count('<tr id="e-') == events


def test_the_picture_shows_what_came_since_the_last_pause(world: World) -> None:
    browser = browser_of(world)
    path = landed(browser, "4812")
    assert "seg-on_hold" in browser.get(path)
    text = browser.get(f"{path}?view=open&scale=wall")
    assert "seg-on_hold" not in text
    assert "seg-over" in text
    assert f"{path}?scale=business&amp;view=open" in text  # one choice keeps the other


def test_a_first_view_is_light_and_its_files_are_kept_for_ever(small_world: World) -> None:
    client = app_of(small_world).test_client()
    page = client.get("/login")
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token
    client.post("/login", data={"csrf_token": token[1], "email": "kim@example.com", "password": PASSWORD})
    page = client.get("/sla")
    weight = len(gzip.compress(page.data))
    files = re.findall(r'(?:src|href)="(/static/[^"]+|/[^"]*bootstrap[^"]+)"', page.text)
    assert len(files) >= 5
    for file in files:
        answer = client.get(file.replace("&amp;", "&"))
        assert answer.status_code == 200, file
        assert answer.cache_control.immutable, file
        assert (answer.cache_control.max_age or 0) >= 31_536_000, file
        weight += len(gzip.compress(answer.data))
        answer.close()
    assert weight <= MOST
