"""The calendar editor in a real browser: the week painted by mouse and by keyboard is mirrored in the text, and axe finds nothing in any theme or width."""

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.test_walk import address, browser, signed_in

__all__ = ["address", "browser"]
pytestmark = pytest.mark.browser
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}

COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}


def opened(page: Page, address: str) -> None:
    """Open the office's calendar."""
    page.goto(f"{address}/calendars")
    page.get_by_role("link", name="Berlin office").click()


def cell(page: Page, name: str) -> Any:
    """A half hour of the painted week."""
    return page.get_by_role("gridcell", name=re.compile(f"^{name}"))


def test_the_week_is_painted_by_keyboard_and_mouse_and_the_text_says_so(browser: Browser, address: str) -> None:
    with browser.new_context(viewport={"width": 1280, "height": 1400}) as context:
        page = signed_in(context, address)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        opened(page, address)
        monday, tuesday, saturday = page.locator("#f-mon"), page.locator("#f-tue"), page.locator("#f-sat")
        # typed, and mirrored
        assert cell(page, "Monday 12:00").get_attribute("aria-selected") == "true"
        assert cell(page, "Monday 12:30").get_attribute("aria-selected") == "false"
        monday.fill("9-12:15")
        assert cell(page, "Monday 12:00").get_attribute("aria-label") == "Monday 12:00–12:30, partly open"
        # one stop of Tab, arrows inside
        page.locator("#paint td[tabindex='0']").focus()
        assert page.locator("#paint td[tabindex='0']").count() == 1
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Space")
        assert monday.input_value() == "08:30–12:15"
        assert page.locator("#painted").inner_text() == "Monday 08:30–09:00: open"
        page.keyboard.press("Shift+ArrowUp")
        assert monday.input_value() == "08:00–12:15"
        page.keyboard.press("Space")
        assert monday.input_value() == "08:30–12:15"
        assert tuesday.input_value() == "09:00–12:30, 13:30–18:00", "a day that was not painted stays as it was typed"
        # drag on a day that is switched off
        start, end = cell(page, "Saturday 10:00").bounding_box(), cell(page, "Saturday 13:30").bounding_box()
        page.mouse.move(start["x"] + 5, start["y"] + 5)
        page.mouse.down()
        page.mouse.move(end["x"] + 5, end["y"] + 5, steps=20)
        page.mouse.up()
        assert saturday.input_value() == "10:00–14:00"
        assert page.get_by_label("Saturday", exact=True).is_checked()
        # a night
        page.locator("#f-wed").fill("22-06:00")
        assert "→ Thu 06:00" in page.locator("#t-wed").inner_text()
        assert cell(page, "Thursday 05:30").get_attribute("aria-selected") == "true"
        cell(page, "Thursday 06:00").click()
        assert page.locator("#f-wed").input_value() == "22:00–06:30"
        # a text that cannot be read is not painted over
        monday.fill("nine")
        cell(page, "Monday 08:00").click()
        assert monday.input_value() == "nine"
        assert "cannot be read" in page.locator("#painted").inner_text()
        monday.fill("9-17")
        # copied in place, and kept as it is shown
        page.locator("[data-day=mon] summary").click()
        page.get_by_role("button", name="Friday", exact=True).click()
        assert page.locator("#f-fri").input_value() == "9-17"
        page.get_by_role("button", name="Preview changes").click()
        assert "Wednesday: 09:00-12:30, 13:30-18:00 → 22:00-06:30" in page.locator("main").inner_text()
        assert complaints == []


def test_all_of_it_works_without_javascript(browser: Browser, address: str) -> None:
    with browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844}) as context:
        page = signed_in(context, address)
        opened(page, address)
        assert page.locator("#drawn").is_visible()
        assert page.locator("#paint").is_hidden()
        page.fill("#f-mon", "9-23:59")
        page.get_by_role("button", name="Preview changes").click()
        page.get_by_role("button", name="Fix: write 24:00").click()
        assert page.locator("#f-mon").input_value() == "9-24:00"
        page.locator("[data-day=mon] summary").click()
        page.locator("[data-day=mon]").get_by_role("button", name="Tuesday").click()
        page.select_option("#f-country", "DE")
        page.get_by_role("button", name="List the holidays").click()
        page.get_by_label("Fri 25 Dec").uncheck()
        page.select_option("#f-subdivision", "BY")
        page.get_by_role("button", name="List the holidays").click()
        assert not page.get_by_label("Fri 25 Dec").is_checked()
        page.get_by_role("button", name="Add an exception").click()
        page.fill("#f-x-0", "2026-12-24")
        page.select_option("#x-kind-0", "hours")
        page.fill("#x-hours-0", "9-12")
        page.get_by_role("button", name="Preview changes").click()
        told = page.locator("main").inner_text()
        for said in ("Tuesday: 09:00-12:30, 13:30-18:00 → 09:00-24:00", "2026-01-06 Epiphany", "Exception 2026-12-24"):
            assert said in told
        assert "2026-12-25" not in told


@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(browser: Browser, address: str, width: int) -> None:
    axe = Axe()  # without motion: a button half way between two themes has the colours of neither
    with browser.new_context(viewport={"width": width, "height": 900}, bypass_csp=True, reduced_motion="reduce") as context:
        page = signed_in(context, address)
        opened(page, address)
        page.select_option("#f-country", "DE")
        page.get_by_role("button", name="List the holidays").click()
        page.get_by_label("Fri 25 Dec").uncheck()
        page.fill("#f-tue", "9-12, 11-13")
        page.get_by_role("button", name="Preview changes").click()
        for path in (None, f"{address}/calendars"):  # the form with all it may hold; the list
            if path is not None:
                page.goto(path)
            for scheme, rules in (("light", RULES), ("dark", COLOURS)):  # only colours differ in the dark
                # at the end of the page the sticky foot covers no half of a button, which axe would take for a small one
                page.evaluate(f"document.documentElement.dataset.bsTheme = '{scheme}'; scrollTo(0, document.body.scrollHeight)")
                found = axe.run(page, options=rules)
                assert found.violations_count == 0, (path, scheme, found.generate_report())
