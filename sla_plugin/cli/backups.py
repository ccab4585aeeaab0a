"""`backup` and `restore`: everything the database holds, in one file."""

import time
from pathlib import Path

import click

from sla_plugin.cli.installation import answer, answering, open_installation, runtime_of
from sla_plugin.errors import ConfigurationError
from sla_plugin.reports.export_rows import instant_text
from sla_plugin.services.outside import Outside
from sla_plugin.services.restore_backup import Backup, check_backup, demand_empty, load_backup
from sla_plugin.services.write_backup import write_backup
from sla_plugin.settings import Settings
from sla_plugin.store import schema
from sla_plugin.store.connections import list_connections
from sla_plugin.store.db import Database, Transaction
from sla_plugin.store.duties import Duty
from sla_plugin.store.tenants import tenant_ids

KEY = "the key that opens stored tokens and secrets is not in it: keep secret.key of the data folder, or SLA_SECRET_KEYS, at another place"
CLOSED = "these secrets were sealed with another key: put the original's secret.key into the data folder, or set SLA_SECRET_KEYS, before the parts start"
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("backup")
@click.argument("file", type=FILE)
@click.pass_obj
def backup_command(settings: Settings, file: Path) -> None:
    """Write everything the database holds, as it stands at this instant, into FILE, while all goes on.

    FILE must not exist; it appears whole or not at all, readable by you alone. It fits SQLite and Postgres alike. The secret key is not in it.
    """
    installation = open_installation(settings)
    with answering():
        found = schema.current(installation.runtime.database.engine)
    if found != schema.REVISION:
        raise ConfigurationError(f"the database is at revision {found}, newer than this version knows ({schema.REVISION}): back it up with the newer version")
    begun = time.monotonic()
    with answering(), installation.runtime.database.snapshot(Duty.BACKUP) as tx:
        rows = write_backup(tx, file, installation.now())
    facts = {"file": str(file), "revision": schema.REVISION, "rows": rows, "bytes": file.stat().st_size, "seconds": round(time.monotonic() - begun, 2)}
    answer({**facts, "note": KEY})


@click.command("restore")
@click.argument("file", type=FILE)
@click.option("--as-copy", is_flag=True, help="For a copy beside the original: connections come back in dry-run and mail off, only the original writes.")
@click.pass_obj
def restore_command(settings: Settings, file: Path, as_copy: bool) -> None:
    """Load a backup into an empty database, SQLite or Postgres, and bring it up to date; all of it or nothing.

    The whole file is checked first. A database with rows, a damaged file and one of a newer version are refused. What became due meanwhile is announced when
    the parts start, dated as it was due.
    """
    backup = check_backup(file)
    runtime = runtime_of(settings)
    with answering():
        _prepare(runtime.database, backup)
        with runtime.database.transaction(Duty.BACKUP, wait=30) as tx:
            demand_empty(tx, backup)
            load_backup(tx, backup, as_copy=as_copy)
        schema.upgrade(runtime.database.engine)
        with runtime.database.reading(Duty.BACKUP) as tx:
            unopened = _unopened(tx, runtime.outside)
    facts = {"file": str(file), "taken_at": instant_text(backup.taken_at), "revision": schema.REVISION, "rows": backup.rows}
    answer({**facts, "secrets_not_opened": unopened, **({"note": CLOSED} if unopened else {})})


def _prepare(database: Database, backup: Backup) -> None:
    """Make the tables as they were when the backup was taken. Raises ConfigurationError where there are rows, or tables of a later revision."""
    with database.reading(Duty.BACKUP) as tx:
        demand_empty(tx, backup)
    found = schema.current(database.engine)
    if found is not None and found > backup.revision:
        raise ConfigurationError(f"the database has tables of revision {found}, the backup is of {backup.revision}: name a database without tables")
    schema.upgrade(database.engine, backup.revision)


def _unopened(tx: Transaction, outside: Outside) -> list[str]:
    """The names of connections whose stored secrets do not open with the key in force."""
    names = []
    for connection in (one for tenant in tenant_ids(tx) for one in list_connections(tx, tenant)):
        try:
            outside.account(connection)
        except ConfigurationError:
            names.append(connection.name)
    return names


COMMANDS = (backup_command, restore_command)
