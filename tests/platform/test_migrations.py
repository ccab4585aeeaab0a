"""The migrations make exactly the tables that the code declares, on both databases, and find nothing to do the second time."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from sla_plugin.store import schema
from sla_plugin.store.db import open_database


def test_migrated_equals_declared(database_url: str, tmp_path: Path) -> None:
    engine = open_database(database_url, tmp_path).engine
    try:
        assert schema.current(engine) == schema.newest()
        assert schema.upgrade(engine) is False
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), schema.METADATA) == []
    finally:
        engine.dispose()
