"""Reading a backup: first the whole file is checked, then its rows are loaded into an empty database. What a backup is: `write_backup`."""

import gzip
import hashlib
import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, update

from sla_plugin.errors import ConfigurationError
from sla_plugin.services.write_backup import FORMAT, HEAD, MANIFEST
from sla_plugin.store.db import Transaction
from sla_plugin.store.schema import REVISION
from sla_plugin.store.snapshot import KINDS, first_filled, tables_of, write_chunk


@dataclass(frozen=True)
class Backup:
    """A file that was read to its end and found whole.

    revision   of the schema its rows are in
    taken_at   microseconds UTC
    tables     table -> column -> kind, in an order in which they can be filled
    rows       how many of each table
    """

    path: Path
    revision: str
    taken_at: int
    tables: Mapping[str, Mapping[str, str]]
    rows: Mapping[str, int]


def check_backup(path: Path) -> Backup:
    """Read the whole file. Raises ConfigurationError when it is none of ours, damaged, or made by a newer version than this."""
    head: Mapping[str, Any] = {}
    manifest: Mapping[str, Any] = {}
    counts: dict[str, int] = {}
    digests: dict[str, str] = {}
    try:
        for name, content in _members(path):
            if name == HEAD:
                head = json.loads(content)
                counts = dict.fromkeys(head["tables"], 0)
            elif name == MANIFEST:
                manifest = json.loads(content)
            else:
                digests[name] = hashlib.sha256(content).hexdigest()
                counts[_table(name)] += content.count(b"\n")
        if head["format"] != FORMAT:
            raise _damaged(path, f"format {head['format']!r} is not known")
        if not manifest:
            raise _damaged(path, "its end is missing")
        if (counts, digests) != (manifest["rows"], manifest["sha256"]):
            raise _damaged(path, "rows are missing or changed")
        if not {kind for columns in head["tables"].values() for kind in columns.values()} <= set(KINDS):
            raise _damaged(path, "it has columns of a kind that is not known")
        found = Backup(path, str(head["revision"]), int(head["taken_at"]), head["tables"], counts)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, KeyError, TypeError, IndexError) as problem:
        raise _damaged(path, f"{type(problem).__name__}: {problem}") from problem
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be read ({problem.strerror or problem})") from problem
    if found.revision > REVISION:
        raise ConfigurationError(f"{path} was made by a newer version (revision {found.revision}, this one knows {REVISION}): restore it with that version")
    return found


def demand_empty(tx: Transaction, backup: Backup) -> None:
    """Raises ConfigurationError where a table has rows already."""
    table = first_filled(tx, backup.tables)
    if table is not None:
        raise ConfigurationError(f"the database is not empty (table {table} has rows): a backup is restored into an empty one only; name one with DATABASE_URL")


def load_backup(tx: Transaction, backup: Backup, *, as_copy: bool) -> None:
    """Load all rows; the tables must be empty and at the backup's revision. `as_copy`: with every connection in dry-run, and mail turned off.

    Raises ConfigurationError when the file changed since it was checked.
    """
    tables = {table.name: table for table in tables_of(backup.tables)}
    loaded = dict.fromkeys(tables, 0)
    for name, content in _members(backup.path):
        if name not in (HEAD, MANIFEST):
            rows = [json.loads(line) for line in content.splitlines()]
            write_chunk(tx, tables[_table(name)], rows)
            loaded[_table(name)] += len(rows)
    if loaded != backup.rows:
        raise _damaged(backup.path, "it changed while it was read")
    if as_copy:
        tx.execute(update(tables["connection"]).values(mode="dry_run"))
        if "mail" in tables:  # a backup of a version that sent mail
            mail, setting = tables["mail"], tables["tenant_setting"]
            tx.execute(update(mail).where(mail.c.state == "pending").values(state="cancelled", settled_at=backup.taken_at, sealed=None))
            tx.execute(delete(setting).where(setting.c.name == "mail_host"))
            tx.execute(delete(tables["mail_check"]))
            tx.execute(delete(tables["reset_request"]))


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each member, one at a time."""
    with gzip.open(path) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                yield member.name, file.read()
        while packed.read(1 << 20):  # to the end: gzip's own checksum stands there
            pass


def _table(name: str) -> str:
    return name.split("/")[1]


def _damaged(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(f"{path} is damaged, or no backup of ours ({why}); nothing was restored")
