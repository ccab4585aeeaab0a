"""A backup: one file with every row of every table as they stood at one instant, taken while everything runs, readable by both databases.

A gzipped tar: `head.json` (format, revision, tables with their columns), then per table chunks of rows, one JSON list per line (`rows/TABLE/000001.jsonl`), at
the end `manifest.json` (rows per table, sha256 of every chunk). Without the last one the file is not whole. The key that opens stored secrets is not in it.
"""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sla_plugin.errors import ConfigurationError
from sla_plugin.store.db import Transaction
from sla_plugin.store.schema import REVISION
from sla_plugin.store.snapshot import described, read_chunks

FORMAT = "sla-plugin-backup-1"
HEAD, MANIFEST = "head.json", "manifest.json"
COMPRESSION = 3  # of 9; more costs time and saves little


def write_backup(tx: Transaction, path: Path, now: int) -> dict[str, int]:
    """Write the file, which appears whole or not at all; returns how many rows of each table. `tx` must see one instant (`Database.snapshot`).

    Raises ConfigurationError where the file exists already or cannot be written.
    """
    if path.exists():
        raise ConfigurationError(f"{path} exists already: a backup overwrites nothing")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as raw:
            with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=COMPRESSION, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
                counts = _write(tx, archive, now)
            raw.flush()
            os.fsync(raw.fileno())
        os.link(draft, path)  # never over a file that somebody else made meanwhile
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be written ({problem.strerror or problem})") from problem
    finally:
        draft.unlink(missing_ok=True)
    return counts


def _write(tx: Transaction, archive: tarfile.TarFile, now: int) -> dict[str, int]:
    tables = described()
    _add_json(archive, HEAD, {"format": FORMAT, "revision": REVISION, "taken_at": now, "tables": tables})
    counts, digests = {}, {}
    for table in tables:
        counts[table] = 0
        for number, rows in enumerate(read_chunks(tx, table), 1):
            content = b"".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n" for row in rows)
            name = f"rows/{table}/{number:06}.jsonl"
            _add(archive, name, content)
            digests[name] = hashlib.sha256(content).hexdigest()
            counts[table] += len(rows)
    _add_json(archive, MANIFEST, {"rows": counts, "sha256": digests})
    return counts


def _add_json(archive: tarfile.TarFile, name: str, data: Mapping[str, Any]) -> None:
    _add(archive, name, json.dumps(data, indent=1).encode())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    archive.addfile(member, io.BytesIO(content))
