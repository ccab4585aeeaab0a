"""The schema as a whole: every table, the way to the newest version while others work, and what a version may serve.

Migrations expand first and contract a release later (docs/operations.md), so that the version before goes on serving: `demand` looks whether it can.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import structlog
from sqlalchemy import Connection, Engine, MetaData, inspect, text
from sqlalchemy.exc import OperationalError

from sla_plugin.errors import ConfigurationError
from sla_plugin.store.db import Base
from sla_plugin.store.isolation import act_as_owner, enforce, isolation

log = structlog.get_logger()
METADATA: MetaData = Base.metadata
MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"

TURN = 7_305_114_302  # the advisory lock of those who migrate (Postgres)
LOCK_WAIT = 1000  # milliseconds a statement waits for a table; all who come after it wait behind it, and the door gives up after 5 s
PATIENCE = 300.0  # seconds of trying, in all
PAUSE = 1.0  # seconds between two tries, in which those who waited behind us go on


def newest(migrations: Path = MIGRATIONS) -> str:
    """The greatest revision of the migration files, which are numbered (0001_…)."""
    return max(path.name for path in (migrations / "versions").glob("[0-9]*.py")).split("_")[0]


REVISION = newest()  # what this code was written for; read at once, because an upgrade may replace the files under a running process


def current(engine: Engine) -> str | None:
    """The revision the database has; None if it is empty."""
    with engine.connect() as connection:
        return _current(connection)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def upgrade(engine: Engine, to: str | None = None, migrations: Path = MIGRATIONS, *, patience: float = PATIENCE) -> bool:
    """Bring the database to the revision `to`, the newest unless given, and tenants apart in it (isolation.py); others may read and write meanwhile.

    False if it was there already, or is newer.

    One at a time: a second caller waits for the first and finds nothing to do. On Postgres every migration is a transaction of its own, and one that cannot
    have its tables at once lets go and tries again, for `patience` seconds. Raises ConfigurationError after that.
    """
    to = to or newest(migrations)
    end = time.monotonic() + patience
    apart = engine.dialect.name != "postgresql" or isolation(engine).on
    if (current(engine) or "") >= to and apart:
        return False
    with engine.connect() as connection, _turn(connection, end):
        behind = (_current(connection) or "") < to
        _end_transaction(connection)
        while True:
            try:
                if behind:
                    _migrate(connection, to, migrations)
                enforce(connection)
                connection.commit()
                break
            except OperationalError as problem:
                connection.rollback()
                if getattr(problem.orig, "sqlstate", None) != "55P03":  # lock_not_available
                    raise
                if time.monotonic() > end:
                    raise ConfigurationError(
                        f"a migration did not get its table within {patience:.0f} s ({_first_line(problem)}): somebody's long transaction holds it"
                        " (see pg_stat_activity); end that and run `sla-plugin migrate` again, nothing is half done"
                    ) from problem
                log.warning("a table is in use; the migration lets go and tries again", reason=_first_line(problem))
                time.sleep(PAUSE)
    if not apart:
        engine.dispose()  # connections opened before the role had its tables
    return behind


def _migrate(connection: Connection, to: str, migrations: Path) -> None:
    from alembic import command, config  # noqa: PLC0415 - they cost 0.15 s, and most starts have nothing to migrate

    told = config.Config()
    told.set_main_option("script_location", str(migrations))
    told.attributes["connection"] = connection
    command.upgrade(told, to)
    if connection.dialect.name == "sqlite" and (broken := connection.execute(text("PRAGMA foreign_key_check")).all()):
        raise ConfigurationError(f"the migration would leave rows that refer to nothing ({broken[0][0]}); nothing is changed")
    connection.commit()


@contextmanager
def _turn(connection: Connection, end: float) -> Iterator[None]:
    """The sole right to migrate, with the session set up for it; waited for until `end` (monotonic). The connection is not used again afterwards."""
    if connection.dialect.name == "postgresql":
        try:
            # no statement of ours may hold up others for long; building an index may take as long as it likes
            connection.execute(text(f"SET lock_timeout = {LOCK_WAIT}; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"))
            act_as_owner(connection)
            _wait_until(lambda: bool(connection.scalar(text("SELECT pg_try_advisory_lock(:turn)"), {"turn": TURN})), connection, end)
            yield
        finally:
            connection.invalidate()  # with it goes the lock
    else:
        # a table that is rebuilt must not take the rows that refer to it along; this can only be said outside a transaction
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA foreign_keys = OFF")
        connection.execution_options(begin="BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.invalidate()


def _end_transaction(connection: Connection) -> None:
    """On Postgres each migration begins its own; on SQLite all are one, in which the revision was read."""
    if connection.dialect.name == "postgresql":
        connection.commit()


def _wait_until(done: Callable[[], bool], connection: Connection, end: float) -> None:
    while not done():
        connection.commit()
        if time.monotonic() > end:
            raise ConfigurationError("another `sla-plugin migrate` is at work and does not end; see pg_stat_activity")
        time.sleep(PAUSE / 4)
    connection.commit()


def _first_line(problem: OperationalError) -> str:
    return str(problem.orig).strip().splitlines()[0]


def unfit(engine: Engine, code: MetaData = METADATA) -> list[str]:
    """Why tables of another revision do not fit this code: what it needs and they lack, what they demand and it does not know. Empty: it may serve them."""
    found = inspect(engine)
    reasons = []
    for table in code.sorted_tables:
        if not found.has_table(table.name):
            reasons.append(f"table {table.name} is gone")
            continue
        columns = {column["name"]: column for column in found.get_columns(table.name)}
        reasons += [f"column {table.name}.{column.name} is gone" for column in table.columns if column.name not in columns]
        reasons += [
            f"column {table.name}.{name} must be filled"
            for name, column in columns.items()
            if name not in table.columns and not column["nullable"] and column["default"] is None
        ]
    return reasons


def demand(engine: Engine) -> None:
    """Raises ConfigurationError, with what to do, when this code cannot work on the database: it is older, or newer and no longer fit."""
    found = current(engine)
    if found == REVISION:
        return
    if found is None or found < REVISION:
        raise ConfigurationError(f"the database is at revision {found or 'none'}, this version needs {REVISION}: run `sla-plugin migrate`")
    reasons = unfit(engine)
    if reasons:
        raise ConfigurationError(
            f"the database is at revision {found}, which this version (made for {REVISION}) cannot serve any more"
            f" ({', '.join(reasons[:3])}): start the newer version"
        )
    log.debug("the database is newer than this version, which goes on serving it", database=found, version=REVISION)


# at the end: some of them know this module
for _module in iter_modules([str(Path(__file__).parent)]):  # a table is known once its module is imported: none can be forgotten here
    import_module(f"sla_plugin.store.{_module.name}")
