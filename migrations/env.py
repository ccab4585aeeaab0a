"""How Alembic reaches the database: by the connection it is handed (`schema.upgrade`), else by the settings (`alembic revision --autogenerate -m …`)."""

import os
from pathlib import Path
from typing import Any

from alembic import context
from sqlalchemy import Connection

from sla_plugin.settings import Settings
from sla_plugin.store.db import open_database
from sla_plugin.store.schema import METADATA


def number_revision(_context: Any, _revision: Any, directives: list[Any]) -> None:
    """Revisions are numbered 0001, 0002, …: the greatest is the newest."""
    files = Path(__file__).parent.joinpath("versions").glob("[0-9]*.py")
    directives[0].rev_id = f"{max((int(file.name[:4]) for file in files), default=0) + 1:04}"


def migrate(connection: Connection) -> None:
    """Run the migrations, each in a transaction of its own where the database can; batch mode because SQLite cannot alter columns in place."""
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=True,
        compare_type=True,
        process_revision_directives=number_revision,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    settings = Settings.from_env(os.environ)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open_database(settings.database_url, settings.data_dir).engine.connect() as own:
        migrate(own)
        own.commit()
