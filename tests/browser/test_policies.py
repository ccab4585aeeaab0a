"""Policies in a real browser: from a template to a promise without JavaScript, the order by keyboard alone, and nothing for axe to find."""

import re

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.axe import LOOKS, collect_refusals, found_by_axe
from tests.browser.test_walk import address, browser, signed_in

pytestmark = pytest.mark.browser
__all__ = ["address", "browser"]  # the fixtures


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


def test_from_a_template_to_a_promise_without_javascript(browser: Browser, address: str) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = signed_in(context, address)
        page.get_by_role("link", name="Policies").click()
        page.get_by_role("link", name="New policy").click()
        page.get_by_role("button", name="Use Standard / Silver").click()
        assert "The calendar Extended hours was made, too." in page.get_by_role("status").first.inner_text()
        page.get_by_role("button", name="Add a group").first.click()
        page.get_by_label("Field of condition 3").fill("organization")
        page.get_by_label("Value of condition 3").fill("Nordwind")
        page.get_by_label("Resolution, Low").fill("1h")
        page.get_by_role("button", name="Preview changes").click()
        assert heading(page) == "What would change"
        moves = page.locator(".plan-moves tbody tr")
        assert moves.count() > 0
        page.get_by_role("button", name=re.compile("^Apply")).click()
        assert "tickets follow" in page.get_by_role("status").first.inner_text()
        page.get_by_role("link", name="Policies").first.click()
        assert "Standard / Silver" in page.locator("table").inner_text()


def test_a_policy_is_moved_by_keyboard_alone(browser: Browser, address: str) -> None:
    with browser.new_context() as context:
        page = signed_in(context, address)
        page.goto(f"{address}/policies")
        page.get_by_role("link", name="Gold", exact=True).click()
        page.get_by_role("button", name="Duplicate").click()
        page.get_by_role("button", name="Preview changes").click()
        page.get_by_role("button", name="Apply").click()
        page.goto(f"{address}/policies")
        up = page.get_by_role("button", name="Move Gold 2 up")
        up.focus()
        with page.expect_navigation(url="**/policies?moved=*"):
            page.keyboard.press("Enter")
        names = page.locator("tbody .first > a:first-child")
        assert names.all_inner_texts()[:2] == ["Gold 2", "Gold"]
        page.get_by_label("Position of Gold 2").focus()
        page.keyboard.press("Control+A")
        page.keyboard.type("2")
        with page.expect_navigation(url="**way=to*"):
            page.keyboard.press("Enter")
        assert names.all_inner_texts()[:2] == ["Gold", "Gold 2"]
        assert page.get_by_text("You changed the order").count() == 0  # it is the old one again


def test_arrows_go_from_row_to_row_and_a_time_is_echoed(browser: Browser, address: str) -> None:
    with browser.new_context() as context:
        page = signed_in(context, address)
        page.goto(f"{address}/policies/custom")
        cell = page.get_by_label("First response, High")
        cell.fill("90m")
        cell.press("ArrowDown")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Next response, High"
        echo = cell.locator("xpath=..").locator("[data-echo]")
        assert echo.inner_text().replace("\u00a0", " ") == "1 h 30 m"


def test_axe_finds_nothing(browser: Browser, address: str) -> None:
    """The list with a new order, the editor with a mistake, the plan, two texts, the versions: light and dark, wide and narrow."""
    with browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light", bypass_csp=True) as context:
        page = signed_in(context, address)
        refused, found = collect_refusals(page), []
        page.goto(f"{address}/policies")
        gold = page.get_by_role("link", name="Gold", exact=True).get_attribute("href")
        page.goto(f"{address}{gold}")
        page.get_by_role("button", name="Add a group").first.click()
        page.get_by_label("Resolution, High").fill("2h")
        page.get_by_label("First response, High").fill("3h")
        page.get_by_role("button", name="Preview changes").last.click()
        assert heading(page) == "What would change"
        plan = page.url
        for path in ("/policies", "/policies/new", gold, f"{gold}/versions", plan):
            page.goto(path if str(path).startswith("http") else f"{address}{path}")
            found += found_by_axe(page)
            for width, scheme in ((1280, "dark"), (390, "light"), (390, "dark")):
                page.set_viewport_size({"width": width, "height": 844})
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                page.reload()
                found += found_by_axe(page, LOOKS)
                assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), (path, width)
            page.set_viewport_size({"width": 1280, "height": 900})
            page.emulate_media(color_scheme="light")
        assert found == []
        assert refused == []
