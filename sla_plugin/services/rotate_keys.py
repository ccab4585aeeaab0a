"""Bring stored secrets under the newest key, a chunk at a time: what is done stays done, so that it may be ended anywhere and begun again."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction
from sla_plugin.store.sealing import Sealer, sealed_columns, sealed_rows, sealed_values, store_sealed, with_sealed

CHUNK = 50  # rows of a transaction
UNKNOWN = "unknown"  # how values are counted that no key opens


def count_sealed(tx: Transaction, tenant: int, sealer: Sealer) -> Counter[str]:
    """How many stored values of a tenant are under which key (fingerprint); UNKNOWN for those that no key opens."""
    found: Counter[str] = Counter()
    for name, columns in sealed_columns().items():
        after: Sequence[Any] | None = None
        while True:
            table, rows = sealed_rows(tx, tenant, name, after, 500)
            for row in rows:
                found.update(sealer.key_of(value) or UNKNOWN for column in columns for value in sealed_values(row._mapping[column]))
            if len(rows) < 500:
                break
            after = tuple(rows[-1]._mapping[column.name] for column in table.primary_key.columns)
    return found


def seal_anew(tx: Transaction, tenant: int, name: str, after: Sequence[Any] | None, sealer: Sealer, now: int, actor: str) -> Sequence[Any] | None:
    """Seal the next rows of a table with the first key where they are under another; what no key opens stays as it is.

    Returns the key after which to go on; None when the table is done.
    """
    first, changed = sealer.fingerprints[0], 0

    def anew(value: str) -> str:
        nonlocal changed
        if sealer.key_of(value) in (first, None):
            return value
        changed += 1
        return sealer.seal(sealer.open(value))

    table, rows = sealed_rows(tx, tenant, name, after, CHUNK)
    for row in rows:
        was = {column: row._mapping[column] for column in sealed_columns()[name]}
        values = {column: with_sealed(value, anew) for column, value in was.items()}
        if different := {column: value for column, value in values.items() if value != was[column]}:
            store_sealed(tx, tenant, table, row, different)
    if changed:
        append_audit(tx, tenant, now, actor, "secrets sealed anew", {"table": name, "values": changed, "after": {"key": first}})
    if len(rows) < CHUNK:
        return None
    return tuple(rows[-1]._mapping[column.name] for column in table.primary_key.columns)
