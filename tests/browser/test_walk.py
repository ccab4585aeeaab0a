"""The pages in a real browser: nothing is refused by the content policy, phones do not scroll sideways, all works without JavaScript."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from werkzeug.serving import make_server

from tests.conftest import chromium
from tests.web.conftest import app_of, page_settings
from tests.web.world import PASSWORD, full_world

pytestmark = pytest.mark.browser
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PAGES = (
    "/sla",
    "/tickets",
    "/tickets?state=all",
    "/tickets?state=running&customer=Nordwind&q=invoice",
    "/alerts",
    "/alerts?show=acknowledged",
    "/alerts?show=resolved",
    "/alerts/acknowledge",
    "/policies",
    "/policies/new",
    "/policies/custom",
    "/calendars",
    "/calendars/new",
    "/connections",
    "/connections/new",
    "/connections/new/zendesk",
    "/deliveries",
    "/deliveries?state=unreadable&period=all",
    "/deliveries/replay",
    "/outbox",
    "/outbox?state=dry_run",
    "/outbox/retry",
    "/people",
    "/tokens",
    "/audit",
    "/audit?verify=1",
    "/audit?show=reads",
    "/privacy",
    "/settings",
    "/health-page",
    "/me",
    "/forgot",
    "/help",
    "/search?q=acme",
    "/api/docs",
)
DETAILS = {"/tickets?state=all": r"/tickets/\d+", "/policies": r"/policies/\d+", "/calendars": r"/calendars/\d+", "/connections": r"/connections/\d+", "/deliveries": r"/deliveries/\d+", "/people": r"/people/\d+"}  # fmt: skip  # noqa: E501


@pytest.fixture
def address(sqlite_url: str, tmp_path: Path) -> Iterator[str]:
    """A served company in the middle of its day."""
    world = full_world(page_settings(sqlite_url, tmp_path))
    server = make_server("127.0.0.1", 0, app_of(world), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    world.runtime.database.engine.dispose()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        yield launched
        launched.close()


def signed_in(context: BrowserContext, address: str) -> Page:
    """A page of somebody who came in through the form."""
    page = context.new_page()
    page.goto(f"{address}/login")
    page.fill("#f-email", "kim@example.com")
    page.fill("#f-password", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/sla")
    return page


def every_page(page: Page, address: str) -> list[str]:
    """The lists and every first detail page."""
    paths = list(PAGES)
    for listing, pattern in DETAILS.items():
        page.goto(address + listing)
        paths += sorted(set(re.findall(f'href="({pattern})"', page.content())))[:2]
    return paths


@pytest.mark.parametrize(
    ("width", "scheme", "scripts"),
    [
        pytest.param(1280, "light", True, id="desk"),
        pytest.param(390, "dark", True, id="phone in the dark"),
        pytest.param(390, "light", False, id="phone without JavaScript"),
    ],
)
def test_every_page_shows_itself(browser: Browser, address: str, width: int, scheme: str, scripts: bool) -> None:
    with browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, java_script_enabled=scripts, timezone_id="Europe/Berlin"
    ) as context:  # type: ignore[arg-type]
        page = signed_in(context, address)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(f"{page.url}: {message.text}") if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        for path in every_page(page, address):
            answer = page.goto(address + path)
            assert answer is not None
            assert answer.ok, path
            assert page.locator("h1").count() == 1, path
            box = page.locator("main").bounding_box()
            assert box is not None
            if scripts:
                assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), f"{path} scrolls sideways at {width}"
                assert page.evaluate("document.documentElement.dataset.bsTheme") == scheme
        assert complaints == []


def test_a_german_browser_gets_german_pages(browser: Browser, address: str) -> None:
    with browser.new_context(locale="de-DE", timezone_id="Europe/Berlin") as context:
        page = context.new_page()
        page.goto(f"{address}/login")
        page.get_by_label("E-Mail").fill("kim@example.com")
        page.get_by_label("Passwort").fill(PASSWORD)
        page.get_by_role("button", name="Anmelden").click()
        page.wait_for_url("**/sla")
        assert page.locator("html").get_attribute("lang") == "de"
        assert page.locator(".figure").inner_text() == "100,0\u00a0%"
        assert page.locator(".zone time").get_attribute("title") == "Mi 4. Nov. 2026, 14:32:07 CET · 13:32:07 UTC"
        left = page.locator("[data-left]").first
        left.evaluate("(text) => { text.dataset.left = 61; text.textContent = ''; }")
        expect(left).to_have_text(re.compile("^noch "))  # the browser counts on in the same words


def test_keys_move_about_and_stay_out_of_fields(browser: Browser, address: str) -> None:
    with browser.new_context() as context:
        page = signed_in(context, address)
        page.keyboard.press("g")
        page.keyboard.press("t")
        page.wait_for_url("**/tickets")
        page.keyboard.press("j")
        assert page.evaluate("document.activeElement.textContent").startswith("#4812")
        page.keyboard.press("j")
        page.keyboard.press("k")
        assert page.evaluate("document.activeElement.textContent").startswith("#4812")
        page.keyboard.press("/")
        page.keyboard.type("?gajk 4812")
        assert page.locator("#search").input_value() == "?gajk 4812"
        page.locator("#search").fill("4812")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/tickets/\d+"))
        page.goto(f"{address}/me")
        page.get_by_label("Keys").uncheck()
        page.get_by_role("button", name="Save").click()
        page.locator("h1").click()
        page.keyboard.press("?")
        page.keyboard.press("g")
        page.keyboard.press("a")
        page.wait_for_timeout(200)
        assert page.url.endswith("/me")


def test_a_phone_can_install_it(browser: Browser, address: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{address}/login")
        devtools = context.new_cdp_session(page)
        assert devtools.send("Page.getAppManifest")["errors"] == []
        # a private window installs nothing; whatever else is wrong would stand beside it
        assert {one["errorId"] for one in devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]} == {"in-incognito"}


def test_the_zone_of_the_browser_is_used(browser: Browser, address: str) -> None:
    with browser.new_context(timezone_id="America/New_York") as context:
        page = signed_in(context, address)
        assert page.locator(".zone").inner_text().replace("\u00a0", " ") == "08:32 America/New_York"


def test_a_policy_is_saved_and_a_breach_explained_without_javascript(browser: Browser, address: str) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = signed_in(context, address)
        page.get_by_role("link", name="Policies").click()
        page.get_by_role("link", name="Gold", exact=True).click()
        page.get_by_label("Resolution, High").fill("6")
        page.get_by_role("button", name="Preview changes").click()
        assert "no unit" in page.get_by_role("alert").inner_text()
        page.get_by_label("Resolution, High").fill("6h")
        page.get_by_role("button", name="Preview changes").click()
        assert "Resolution, High: 8\u00a0h → 6\u00a0h" in page.locator(".sentences").inner_text()
        page.get_by_role("button", name="Apply").click()
        assert "Applied by Kim Lee" in page.get_by_role("status").first.inner_text()
        page.get_by_role("link", name="Tickets").click()
        page.get_by_role("link", name="Breached").click()
        page.get_by_role("link", name="#4812").click()
        assert "Resolution breached" in page.locator(".clock-sentence").first.inner_text()
        assert page.get_by_role("img", name="Resolution clock").is_visible()


def test_fragments_are_refreshed_and_time_ticks(browser: Browser, address: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.clock.install()
        page.goto(f"{address}/login")
        page.fill("#f-email", "kim@example.com")
        page.fill("#f-password", PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/sla")
        left = page.locator("[data-left]").first
        before = left.inner_text()
        page.clock.run_for(2000)
        assert left.inner_text() != before
        with page.expect_response(lambda answer: answer.request.headers.get("x-fragment") == "overview"):
            page.clock.run_for(2000)
