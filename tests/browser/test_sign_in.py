"""Signing in through a sign-in service in a real browser, there and back; with scripts and without."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import make_server

from sla_plugin.services.tenant_settings import change_settings
from sla_plugin.settings import Settings
from tests.browser.test_walk import ARGUMENTS
from tests.conftest import chromium
from tests.web.conftest import app_of
from tests.web.oidc_provider import Provider, serving
from tests.web.world import NOW, World, empty_world

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture
def served(sqlite_url: str, tmp_path: Path, free_port: int) -> Iterator[tuple[str, World, Provider]]:
    """A tenant with a sign-in service, both served."""
    address = f"http://127.0.0.1:{free_port}"
    environment = {"DATABASE_URL": sqlite_url, "SLA_DATA_DIR": str(tmp_path), "SLA_ALLOW_PRIVATE_URLS": "yes", "SLA_PUBLIC_URL": address}
    world = empty_world(Settings.from_env(environment))
    person = {"sub": "k-1", "email": "kim@example.com", "email_verified": True}
    with serving(Provider(clock=lambda: NOW / 1e6, people={"kim": person}, redirects={f"{address}/login/{world.tenant}/back"})) as provider:
        told = {"sign_in_issuer": provider.issuer, "sign_in_client": provider.client, "sign_in_secret": provider.secret, "sign_in_name": "Acme ID"}
        with world.runtime.database.transaction(world.tenant) as tx:
            change_settings(tx, world.tenant, {**told, "sign_in_on": "yes"}, NOW, "test", world.runtime.outside.sealer)
        server = make_server("127.0.0.1", free_port, app_of(world), threaded=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield address, world, provider
        server.shutdown()
        thread.join()
        server.server_close()
    world.runtime.database.engine.dispose()


@pytest.mark.parametrize("scripts", [True, False])
def test_there_and_back(browser: Browser, served: tuple[str, World, Provider], scripts: bool) -> None:
    address, _, provider = served
    with browser.new_context(java_script_enabled=scripts, viewport={"width": 390, "height": 844}) as context:
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") and "favicon" not in message.text else None)
        page.goto(f"{address}/calendars")
        button = page.get_by_role("link", name="Sign in with Acme ID")
        assert button.bounding_box()["y"] < page.get_by_label("E-mail").bounding_box()["y"]  # type: ignore[index]
        button.click()
        assert page.url.startswith(provider.issuer)
        page.get_by_label("Login").fill("kim")
        page.get_by_role("button", name="Deny").click()
        assert "let nobody in" in page.get_by_role("alert").inner_text()
        page.get_by_role("link", name="Sign in with Acme ID").click()
        page.get_by_label("Login").fill("kim")
        page.get_by_role("button", name="Allow").click()
        page.wait_for_url(f"{address}/calendars")
        assert page.get_by_role("heading", name="Calendars", level=1).is_visible()
        assert [one for one in complaints if "403" not in one and "404" not in one] == []
    assert provider.complaints == []
