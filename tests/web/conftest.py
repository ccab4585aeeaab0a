"""Clients for page tests."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from sla_plugin.app import create_app
from sla_plugin.settings import Settings
from tests.web.world import PASSWORD, World, empty_world, full_world


def page_settings(url: str, folder: Path) -> Settings:
    """Settings for page tests on a database."""
    return Settings.from_env({"DATABASE_URL": url, "SLA_DATA_DIR": str(folder), "SLA_ALLOW_PRIVATE_URLS": "yes", "SLA_PUBLIC_URL": "http://sla.example.com"})


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A company in the middle of its day, on each database."""
    world = full_world(page_settings(database_url, tmp_path))
    yield world
    world.runtime.database.engine.dispose()


@pytest.fixture
def small_world(sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """A tenant with people and nothing else."""
    world = empty_world(page_settings(sqlite_url, tmp_path))
    yield world
    world.runtime.database.engine.dispose()


def app_of(world: World) -> Flask:
    """The app of a world."""
    app = create_app(world.runtime.settings, world.runtime)
    app.testing = True
    return app


class Browser:
    """A client that keeps the form's token and says what it sees."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.token = ""

    def get(self, path: str, status: int = 200) -> str:
        """A page's text; its token is kept."""
        answer = self.client.get(path, follow_redirects=True)
        assert answer.status_code == status, (path, answer.status_code, answer.text[:2000])
        found = re.search(r'name="csrf_token" value="([^"]+)"', answer.text)
        self.token = found[1] if found else self.token
        return answer.text

    def post(self, path: str, status: int = 200, **form: object) -> str:
        """What a form answers, redirects followed."""
        answer = self.client.post(path, data={"csrf_token": self.token, **form}, follow_redirects=True)
        assert answer.status_code == status, (path, answer.status_code, answer.text[:2000])
        return answer.text


def browser_of(world: World, email: str | None = "kim@example.com") -> Browser:
    """A browser, signed in as a person unless `email` is None."""
    browser = Browser(app_of(world).test_client())
    if email is not None:
        browser.get("/login")
        browser.post("/login", email=email, password=PASSWORD)
    return browser
