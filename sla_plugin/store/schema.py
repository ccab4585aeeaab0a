"""The schema as a whole: every table, and the way to the newest version."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, MetaData, inspect, text

from sla_plugin.errors import ConfigurationError
from sla_plugin.store import alerts, audit, checkpoints, clocks, connections, deliveries, events, outbox, people, policies, tenants, tickets
from sla_plugin.store.db import Base

TABLES = (alerts, audit, checkpoints, clocks, connections, deliveries, events, outbox, people, policies, tenants, tickets)
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
    """Bring the database to the newest revision; False if it was there already."""
    if current(engine) == newest():
        return False
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    return True


def demand(engine: Engine) -> None:
    """Raises ConfigurationError when the database is not at the newest revision."""
    found = current(engine)
    if found != newest():
        raise ConfigurationError(f"the database is at revision {found or 'none'}, this version needs {newest()}: run `sla-plugin migrate`")
