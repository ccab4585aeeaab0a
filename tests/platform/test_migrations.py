"""Migrations make exactly what the code declares; two at once do not collide; they run while the old version works, which goes on with what they made."""

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Engine, MetaData, Table, inspect, text

from sla_plugin.errors import ConfigurationError
from sla_plugin.settings import Settings
from sla_plugin.store import schema
from sla_plugin.store.db import open_database
from sla_plugin.store.isolation import act_as_owner
from tests.owner import as_owner
from tests.plant import Plant, iso

MIGRATION = """
revision = "9001"
down_revision = "{newest}"


def upgrade() -> None:
{body}
"""
ADDS = """
    op.add_column("delivery", sa.Column("made_up", sa.String(20), nullable=True))
    op.add_column("connection", sa.Column("also_made_up", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table("made_up", sa.Column("id", sa.BigInteger(), primary_key=True))
"""
REBUILDS = """
    with op.batch_alter_table("connection", recreate="always") as batch:
        batch.add_column(sa.Column("made_up", sa.String(20), nullable=True))
"""
CONTRACTS = """
    op.drop_column("delivery", "reason")
    op.execute("ALTER TABLE alert ADD COLUMN made_up BIGINT NOT NULL DEFAULT 1")
"""


def migrations_with(folder: Path, body: str) -> Path:
    """The project's migrations and one more, made up."""
    made = folder / "migrations"
    shutil.copytree(schema.MIGRATIONS, made, ignore=shutil.ignore_patterns("__pycache__"))
    (made / "versions" / "9001_made_up.py").write_text(
        '"""Made up."""\nimport sqlalchemy as sa\nfrom alembic import op\n' + MIGRATION.format(newest=schema.newest(), body=body.strip("\n"))
    )
    return made


@pytest.fixture
def engine(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    made = open_database(database_url, tmp_path).engine
    yield made
    made.dispose()


def test_migrated_equals_declared(engine: Engine) -> None:
    assert schema.current(engine) == schema.newest() == schema.REVISION
    assert schema.upgrade(engine) is False
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), schema.METADATA) == []
    assert schema.unfit(engine) == []
    schema.demand(engine)


def test_two_at_once(engine: Engine, tmp_path: Path) -> None:
    """One does it, the others find it done; from an empty database, too."""
    with engine.begin() as connection:
        act_as_owner(connection)
        if engine.dialect.name == "postgresql":
            connection.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
        else:
            for table in reversed(schema.METADATA.sorted_tables):
                table.drop(connection)
            connection.execute(text("DROP TABLE alembic_version"))
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(lambda _: schema.upgrade(engine), range(4))) == [False, False, False, True]
    assert schema.unfit(engine) == []


def test_the_old_version_goes_on_with_what_a_migration_added(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    plant = Plant(settings)
    try:
        plant.policy(targets={"first_response": "1h"})
        plant.tell({"type": "ticket.created", "id": "a", "ticket": "A", "occurred_at": iso(plant.now)})
        assert schema.upgrade(engine, migrations=migrations_with(tmp_path, ADDS)) is True
        assert schema.current(engine) == "9001"
        schema.demand(engine)
        assert schema.upgrade(engine) is False  # the old version's own migrate leaves it alone
        plant.tell({"type": "ticket.created", "id": "b", "ticket": "B", "occurred_at": iso(plant.now)})
        assert {row["state"] for row in plant.rows("delivery")} == {"applied"}
        assert len(plant.rows("clock")) == 2
        plant.connect("another", "generic")
    finally:
        plant.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_rebuilt_table_keeps_what_refers_to_it(settings: Settings, engine: Engine, tmp_path: Path) -> None:
    """SQLite drops and copies: with foreign keys on, that would take the rows of connection_state along."""
    plant = Plant(settings)
    try:
        plant.tell({"type": "ticket.created", "id": "a", "ticket": "A", "occurred_at": iso(plant.now)})

        def states() -> list[int]:
            with engine.connect() as connection:
                return list(connection.scalars(text("SELECT connection_id FROM connection_state")))

        before = states()
        assert before
        schema.upgrade(engine, migrations=migrations_with(tmp_path, REBUILDS))
        assert states() == before
        with engine.connect() as connection:
            assert connection.scalar(text("PRAGMA foreign_keys")) == 1
    finally:
        plant.close()


def test_a_version_that_no_longer_fits_says_so(engine: Engine, tmp_path: Path) -> None:
    schema.upgrade(engine, migrations=migrations_with(tmp_path, CONTRACTS))
    assert schema.unfit(engine) == ["column delivery.reason is gone"]  # the other one has a default
    with pytest.raises(ConfigurationError, match=r"revision 9001.*column delivery.reason is gone.*start the newer version"):
        schema.demand(engine)


def test_what_new_columns_demand(engine: Engine) -> None:
    """Code that does not know a column cannot fill it."""
    older = MetaData()
    for table in schema.METADATA.sorted_tables:
        Table(table.name, older, *(Column(column.name, column.type) for column in table.columns if (table.name, column.name) != ("delivery", "headers")))
    assert schema.unfit(engine, older) == ["column delivery.headers must be filled"]
    Table("of_tomorrow", older)
    assert "table of_tomorrow is gone" in schema.unfit(engine, older)


def test_an_old_database_says_what_to_do(engine: Engine) -> None:
    with as_owner(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(ConfigurationError, match=f"revision 0000, this version needs {schema.REVISION}: run `sla-plugin migrate`"):
        schema.demand(engine)


# --- Postgres: nobody waits long behind a migration ------------------------------------------------------------------
@pytest.fixture
def postgres(postgres_url: str, tmp_path: Path) -> Iterator[Engine]:
    made = open_database(postgres_url, tmp_path).engine
    yield made
    made.dispose()


@pytest.mark.postgres
def test_a_table_in_use_is_tried_again(postgres: Engine, tmp_path: Path) -> None:
    """While somebody reads `delivery` for seconds, others go on reading and writing it between the tries of the migration."""
    migrations = migrations_with(tmp_path, ADDS)
    with postgres.connect() as reader, ThreadPoolExecutor(1) as pool:
        reader.execute(text("SET idle_in_transaction_session_timeout = 0"))
        reader.commit()
        reader.execute(text("SELECT count(*) FROM delivery"))  # holds its lock until the end of the transaction
        migrating = pool.submit(schema.upgrade, postgres, migrations=migrations)
        for _ in range(30):
            with postgres.begin() as writer:
                writer.execute(text("SET LOCAL lock_timeout = '4s'"))  # a webhook waits 5 s for its commit
                writer.execute(text("UPDATE delivery SET tries = tries"))
            time.sleep(0.1)
        assert not migrating.done()
        reader.rollback()
        assert migrating.result(30) is True
    assert "made_up" in {column["name"] for column in inspect(postgres).get_columns("delivery")}


@pytest.mark.postgres
def test_it_gives_up_and_nothing_is_half_done(postgres: Engine, tmp_path: Path) -> None:
    migrations = migrations_with(tmp_path, ADDS)
    with postgres.connect() as reader:
        reader.execute(text("SELECT count(*) FROM connection"))  # the second statement of the migration
        with pytest.raises(ConfigurationError, match="did not get its table"):
            schema.upgrade(postgres, migrations=migrations, patience=0.5)
    assert schema.current(postgres) == schema.newest()
    assert "made_up" not in {column["name"] for column in inspect(postgres).get_columns("delivery")}
    assert schema.upgrade(postgres, migrations=migrations) is True


@pytest.mark.postgres
def test_the_turn_ends_with_its_holder(postgres: Engine, tmp_path: Path) -> None:
    """A second migration waits; when the first one's connection is gone, it goes on."""
    migrations = migrations_with(tmp_path, ADDS)
    held = threading.Event()
    with postgres.connect() as holder, ThreadPoolExecutor(1) as pool:
        holder.execute(text("SELECT pg_advisory_lock(:turn)"), {"turn": schema.TURN})
        holder.commit()
        held.set()
        waiting = pool.submit(schema.upgrade, postgres, migrations=migrations)
        time.sleep(0.6)
        assert not waiting.done()
        holder.invalidate()
        assert waiting.result(30) is True
