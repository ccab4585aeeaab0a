"""Clients for tests of pages and of the API."""

import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2.bccache import Bucket, BytecodeCache
from werkzeug.test import TestResponse

from sla_plugin.app import create_app
from sla_plugin.permissions import allowed
from sla_plugin.services.tokens import make_token
from sla_plugin.settings import Settings
from sla_plugin.store.people import list_people
from tests.conftest import postgres_copy, run_statement
from tests.web.world import NOW, PASSWORD, World, copied, empty_world, full_world


class _Compiled(BytecodeCache):
    """Templates compiled once a test process, not once an app."""

    def __init__(self) -> None:
        self.known: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """What was compiled from this very source."""
        if bucket.key + bucket.checksum in self.known:
            bucket.bytecode_from_string(self.known[bucket.key + bucket.checksum])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep it."""
        self.known[bucket.key + bucket.checksum] = bucket.bytecode_to_string()


_COMPILED = _Compiled()


def page_settings(url: str, folder: Path) -> Settings:
    """Settings for page tests on a database."""
    return Settings.from_env({"DATABASE_URL": url, "SLA_DATA_DIR": str(folder), "SLA_ALLOW_PRIVATE_URLS": "yes", "SLA_PUBLIC_URL": "http://sla.example.com"})


@pytest.fixture(scope="session")
def sqlite_company(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    """A company in the middle of its day, made once and copied by tests: its folder, and the company."""
    folder = tmp_path_factory.mktemp("company")
    shutil.copyfile(sqlite_template, folder / "sla.db")
    world = full_world(page_settings(f"sqlite:///{folder / 'sla.db'}", folder))
    with world.runtime.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    world.runtime.database.engine.dispose()
    return folder, world


@pytest.fixture(scope="session")
def postgres_company(postgres_template: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World]:
    """The same on Postgres; its database is `template_company`."""
    folder = tmp_path_factory.mktemp("company")
    run_statement(postgres_template, "CREATE DATABASE template_company TEMPLATE template_sla")
    world = full_world(page_settings(postgres_template.format(database="template_company"), folder))
    world.runtime.database.engine.dispose()
    return folder, world


@pytest.fixture
def sqlite_world(sqlite_company: tuple[Path, World], tmp_path: Path) -> Iterator[World]:
    """A company in the middle of its day, on SQLite."""
    folder, company = sqlite_company
    for name in ("sla.db", "secret.key"):
        shutil.copyfile(folder / name, tmp_path / name)
    world = copied(company, page_settings(f"sqlite:///{tmp_path / 'sla.db'}", tmp_path))
    yield world
    world.runtime.database.engine.dispose()


@pytest.fixture
def postgres_world(postgres_company: tuple[Path, World], postgres_server: str, tmp_path: Path) -> Iterator[World]:
    """A company in the middle of its day, on Postgres."""
    folder, company = postgres_company
    shutil.copyfile(folder / "secret.key", tmp_path / "secret.key")
    with postgres_copy(postgres_server, "template_company") as url:
        world = copied(company, page_settings(url, tmp_path))
        yield world
        world.runtime.database.engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def world(request: pytest.FixtureRequest) -> World:
    """A company in the middle of its day, on each database."""
    world: World = request.getfixturevalue(f"{request.param}_world")
    return world


@pytest.fixture
def small_world(sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """A tenant with people and nothing else."""
    world = empty_world(page_settings(sqlite_url, tmp_path))
    yield world
    world.runtime.database.engine.dispose()


def app_of(world: World) -> Flask:
    """An app of a world, as a process of its own would have it."""
    app = create_app(world.runtime.settings, world.runtime)
    app.testing = True
    app.jinja_env.bytecode_cache = _COMPILED
    return app


def shared_app(world: World) -> Flask:
    """One app for all browsers of a world: making one costs as much as twenty pages. Another one after its settings have changed."""
    made_of = (world.runtime, world.runtime.settings)
    if world.app is None or world.app[0] != made_of:
        world.app = (made_of, app_of(world))
    return world.app[1]


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


class Program:
    """A program that uses the API with a token."""

    def __init__(self, client: FlaskClient, token: str) -> None:
        self.client = client
        self.token = token

    def open(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> TestResponse:
        """What a request is answered; paths are below /api/v1 unless they say so."""
        address = path if path.startswith("/api") else f"/api/v1{path}"
        return self.client.open(address, method=method, json=body, headers={"Authorization": f"Bearer {self.token}", **(headers or {})})

    def get(self, path: str, status: int = 200) -> Any:
        """The body of what is read."""
        return self._body(self.open("GET", path), status)

    def post(self, path: str, body: Any = None, status: int = 201, **headers: str) -> Any:
        """The body of the answer to a POST; headers are named with underscores."""
        return self._body(self.open("POST", path, {} if body is None else body, _named(headers)), status)

    def change(self, method: str, path: str, body: Any = None, status: int = 200, match: str | None = None) -> Any:
        """The body of the answer to a PUT, PATCH or DELETE of the state that is there now, or that `match` names."""
        tag = match if match is not None else self.open("GET", path).headers["ETag"]
        return self._body(self.open(method, path, body, {"If-Match": tag}), status)

    def _body(self, answer: TestResponse, status: int) -> Any:
        assert answer.status_code == status, (answer.request.path, answer.status_code, answer.text[:2000])
        return answer.json if answer.data else None


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def program_of(world: World, role: str = "admin", scopes: Collection[str] | None = None, app: Flask | None = None) -> Program:
    """A program with a token of the world's person in a role, with all that they may do unless `scopes` say less."""
    with world.runtime.database.transaction(world.tenant) as tx:
        person = next(person for person in list_people(tx, world.tenant) if person.role == role)
        made = make_token(tx, person, "program", allowed(role) if scopes is None else scopes, None, NOW, "test")
    return Program((app or shared_app(world)).test_client(), made.secret)


def browser_of(world: World, email: str | None = "kim@example.com") -> Browser:
    """A browser, signed in as a person unless `email` is None."""
    browser = Browser(shared_app(world).test_client())
    if email is not None:
        browser.get("/login")
        browser.post("/login", email=email, password=PASSWORD)
    return browser
