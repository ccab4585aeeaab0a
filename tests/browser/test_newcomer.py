"""A newcomer, by pages alone: sign in, connect, a calendar, a template, a breach, take its alert, read why. The desk is asked what was written."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from connectors.zendesk.simulator import ZendeskSimulator
from tests.browser.axe import collect_refusals
from tests.browser.test_walk import browser
from tests.journeys.product import Product, eventually

pytestmark = [pytest.mark.browser, pytest.mark.platform]
__all__ = ["browser"]  # a fixture
PASSWORD = "four words in a row"
SECRET = "newcomer-signing-secret"
TARGET = 6  # seconds


@pytest.fixture
def product(tmp_path: Path, free_port: int) -> Iterator[Product]:
    """The product as `make run` starts it the first time."""
    running = Product(tmp_path / "data", free_port).start()
    yield running
    running.stop()


def test_the_newcomer(browser: Browser, product: Product) -> None:
    printed = re.search(r"Sign in as (\S+) with the one-time password (\S+)", product.log.read_text())
    assert printed is not None
    with browser.new_context(locale="en-GB", timezone_id="Europe/Berlin") as context, ZendeskSimulator(secret=SECRET) as desk:
        page = context.new_page()
        refused = collect_refusals(page)
        sign_in(page, product.url, *printed.groups())
        connect(page, desk)
        make_calendar(page)
        promise(page)
        began = time.time()
        ticket = desk.create_ticket("The shop is down", "urgent")
        alert = raised(page, product.url, "Breached")
        expect(alert).to_contain_text("The shop is down")
        alert.get_by_role("button", name="Acknowledge").click()
        expect(page.get_by_role("status")).to_contain_text("Acknowledged")
        page.get_by_role("link", name="Acknowledged").click()
        page.get_by_role("link", name=re.compile("The shop is down")).first.click()
        read_why(page)
        eventually(lambda: [write for write in desk.writes if write["applied"]], 10, "the breach is written back")
        (write,) = [write for write in desk.writes if write["applied"]]
        assert write["ticket"] == ticket
        assert write["at"] >= began + TARGET - 1  # a ticket's creation has whole seconds
        comment = write["body"]["ticket"]["comment"]
        assert comment["public"] is False
        assert "First response" in comment["body"]
        assert refused == []


def sign_in(page: Page, address: str, email: str, password: str) -> None:
    page.goto(f"{address}/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Present password").fill(password)
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password, again").fill(PASSWORD)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def open_page(page: Page, title: str) -> None:
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=title, exact=True).click()


def connect(page: Page, desk: ZendeskSimulator) -> None:
    open_page(page, "Connections")
    page.get_by_role("main").get_by_role("link", name=re.compile("onnect")).first.click()
    page.get_by_role("link", name="Zendesk").click()
    page.get_by_label("Name", exact=True).fill("Desk")
    page.get_by_label("Address").fill(desk.url)
    page.get_by_label("E-mail of the token's user").fill(desk.email)
    page.get_by_label("API token").fill(desk.token)
    page.get_by_label("Webhook signing secret").fill(SECRET)
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Desk")
    desk.sender.url = page.locator("code.copy", has_text="/webhooks/").first.inner_text()  # as one pastes it into the helpdesk
    page.get_by_role("radio", name=re.compile("^Live")).check()
    page.get_by_role("button", name="Switch mode").click()
    page.get_by_role("button", name="Turn writing on for Desk").click()
    expect(page.get_by_role("radio", name=re.compile("^Live"))).to_be_checked()


def make_calendar(page: Page) -> None:
    open_page(page, "Calendars")
    page.get_by_role("link", name="New calendar").click()
    page.get_by_label("Name", exact=True).fill("Emergencies")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    page.get_by_role("checkbox", name=re.compile("24 × 7")).check()
    page.locator("form.calendar").get_by_role("button", name=re.compile("^(Save|Make)")).last.click()
    open_page(page, "Calendars")
    expect(page.get_by_role("table")).to_contain_text("Emergencies")


def promise(page: Page) -> None:
    open_page(page, "Policies")
    page.get_by_role("link", name="New policy").click()
    page.get_by_role("button", name="Use Urgent only").click()
    page.get_by_role("textbox", name="First response, Urgent").fill(f"{TARGET}s")
    page.get_by_label("Calendar", exact=True).select_option("Emergencies")
    page.get_by_role("button", name="Preview changes").last.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What would change")
    page.get_by_role("button", name="Apply").click()
    open_page(page, "Policies")
    expect(page.get_by_role("table")).to_contain_text("Urgent only")


def raised(page: Page, address: str, level: str) -> Locator:
    """The row of an alert once there is one of that level; the list is looked at again and again, as a person would."""

    def rows() -> Locator:
        return page.get_by_role("row").filter(has_text=level).filter(has_text="First response")

    def there() -> bool:
        page.goto(f"{address}/alerts")
        return rows().count() > 0

    eventually(there, TARGET + 25, f"an alert: {level}")
    return rows()


def read_why(page: Page) -> None:
    """The sentence, and a ledger whose last row is its sum."""
    why = page.locator(".clock-sentence").filter(has_text="First response").first
    expect(why).to_contain_text("breached")
    page.get_by_text(re.compile("^Ledger")).first.click()
    expect(page.get_by_role("main")).to_contain_text("Urgent only")
    expect(page.get_by_role("table").filter(has_text="running").first).to_be_visible()
