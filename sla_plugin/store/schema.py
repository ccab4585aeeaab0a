"""The schema as a whole: every table, and the way to the newest version."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, MetaData, inspect, text

from sla_plugin.errors import ConfigurationError
from sla_plugin.store import (
    alerts,
    audit,
    clocks,
    connections,
    credentials,
    deliveries,
    entities,
    events,
    outbox,
    people,
    policies,
    requesters,
    tenants,
    tickets,
)
from sla_plugin.store.db import Base
from sla_plugin.store.isolation import enforce, upgrade_as_owner

TABLES = (alerts, audit, clocks, connections, credentials, deliveries, entities, events, outbox, people, policies, requesters, tenants, tickets)
METADATA: MetaData = Base.metadata
MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def newest() -> str:
    """The revision this code needs: the greatest of the migration files, which are numbered (0001_…)."""
    return max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py")).split("_")[0]


def current(engine: Engine) -> str | None:
    """The revision the database has; None if it is empty."""
    if not inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(engine: Engine) -> bool:
    """Bring the database to the newest revision, and tenants apart in it (isolation.py); False if it had the revision already."""
    behind = current(engine) != newest()
    with engine.connect() as connection:
        upgrade_as_owner(connection)
        if behind:
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        enforce(connection)
        connection.commit()
        connection.invalidate()  # it is no longer like the others
    engine.dispose()  # connections opened before the role had its tables
    return behind


def demand(engine: Engine) -> None:
    """Raises ConfigurationError when the database is not at the newest revision."""
    found = current(engine)
    if found != newest():
        raise ConfigurationError(f"the database is at revision {found or 'none'}, this version needs {newest()}: run `sla-plugin migrate`")
