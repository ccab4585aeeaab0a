"""Every page as every role that sees it: axe finds nothing, light and dark, wide and narrow; nothing is refused; nothing scrolls sideways at 320 px."""

import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from sla_plugin.settings import Settings
from tests.browser.axe import LOOKS, collect_refusals, found_by_axe
from tests.browser.test_walk import DETAILS, PAGES, browser
from tests.web.conftest import app_of, page_settings
from tests.web.routes import PEOPLE
from tests.web.world import PASSWORD, World, empty_world, full_world

pytestmark = pytest.mark.browser
__all__ = ["browser"]  # the fixture
OPEN = ("/login", "/nowhere")
MORE = ("/help", "/search?q=acme", "/search?q=nothing-like-it", "/me/password", "/connections/new/generic", "/deliveries/replay", "/outbox?state=failed")
EVERY_LOOK = ((1280, "light"), (1280, "dark"), (390, "dark"), (390, "light"))
ONE_LOOK = ((390, "dark"),)  # of pages that admins have been shown with every look; customers have their own


@pytest.fixture(scope="module")
def serve(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Callable[[Settings], World]], str]]:
    """Serves a world; returns its address."""
    ends: list[Callable[[], None]] = []

    def serving(make: Callable[[Settings], World]) -> str:
        folder = tmp_path_factory.mktemp("axe")
        shutil.copyfile(sqlite_template, folder / "sla.db")
        world = make(page_settings(f"sqlite:///{folder / 'sla.db'}", folder))
        server = make_server("127.0.0.1", 0, app_of(world), threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        ends.extend((server.shutdown, thread.join, server.server_close, world.runtime.database.engine.dispose))
        return f"http://127.0.0.1:{server.server_port}"

    yield serving
    for end in ends:
        end()


@pytest.fixture(scope="module")
def company(serve: Callable[[Callable[[Settings], World]], str]) -> str:
    """The address of a company in the middle of its day."""
    return serve(full_world)


def entered(page: Page, address: str, email: str) -> None:
    """Sign in."""
    page.goto(f"{address}/login")
    page.fill("#f-email", email)
    page.fill("#f-password", PASSWORD)
    page.locator("main .btn-primary").click()
    page.wait_for_load_state()


def seen_by(page: Page, address: str, role: str) -> list[str]:
    """Paths that a role sees: what its menu offers, and the first page behind each list."""
    if role == "customer":
        page.goto(f"{address}/portal")
        return ["/portal", *sorted(set(re.findall(r'href="(/portal/\d+)"', page.content())))[:1], "/me", "/help"]
    found = []
    for path in (*PAGES, *MORE):
        answer = page.request.get(address + path)
        if answer.ok:
            found.append(path)
        for pattern in [DETAILS[path]] if path in DETAILS and answer.ok else []:
            found += sorted(set(re.findall(f'href="({pattern})"', answer.text())))[: 2 if path.startswith("/tickets") else 1]
    return found


def looked_at(page: Page, address: str, path: str, looks: Sequence[tuple[int, str]]) -> list[str]:
    """What is wrong with a page: of all rules in the first look (width, colours), of those about looks in the others."""
    wrong = []
    for number, (width, scheme) in enumerate(looks):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        if not number:
            page.goto(address + path)
            page.evaluate("document.querySelectorAll('details:not(.copy-menu)').forEach((one) => { one.open = true; })")  # of menus a person opens one
        wrong += [f"{path} {width} {scheme}: {one}" for one in found_by_axe(page, LOOKS if number else None)]
    page.set_viewport_size({"width": 320, "height": 900})
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        wrong.append(f"{path}: scrolls sideways at 320")
    return wrong


@pytest.mark.parametrize("role", sorted(PEOPLE))
def test_axe_finds_nothing(browser: Browser, company: str, role: str) -> None:
    with browser.new_context(timezone_id="Europe/Berlin") as context:
        page = context.new_page()
        refused = collect_refusals(page)
        wrong = [] if role != "admin" else [one for path in OPEN[:1] for one in looked_at(page, company, path, EVERY_LOOK)]
        entered(page, company, PEOPLE[role])
        for path in seen_by(page, company, role):
            wrong += looked_at(page, company, path, EVERY_LOOK if role in ("admin", "customer") else ONE_LOOK)
        assert wrong == []
        assert refused == []


def test_axe_finds_nothing_where_nothing_is_yet_in_german(browser: Browser, serve: Callable[[Callable[[Settings], World]], str]) -> None:
    address = serve(empty_world)
    with browser.new_context(locale="de-DE") as context:
        page = context.new_page()
        entered(page, address, PEOPLE["admin"])
        wrong = [one for path in ("/sla", "/tickets", "/alerts", "/policies", "/calendars", "/connections", "/deliveries", "/outbox", "/tokens") for one in looked_at(page, address, path, ONE_LOOK)]  # fmt: skip  # noqa: E501
        assert page.locator("html").get_attribute("lang") == "de"
        assert wrong == []
