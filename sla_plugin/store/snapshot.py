"""Every table as plain rows and back, in a form that both databases read: what a backup is made of.

A value is JSON as it stands; bytes are base64 text. Columns are described by a few kinds, so that rows can be loaded at the revision they were taken at.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, MetaData, String, Table, inspect, select, text

from sla_plugin.store.bulk import insert_rows
from sla_plugin.store.db import Json, Transaction
from sla_plugin.store.schema import METADATA

CHUNK = 500  # rows in memory at a time, unless their bytes say otherwise
FEW = 50  # where a row may be large
BYTES = 2_000_000
KINDS: Mapping[str, Any] = {"integer": BigInteger(), "boolean": Boolean(), "text": String(), "json": Json, "bytes": LargeBinary()}
Description = Mapping[str, Mapping[str, str]]  # table -> column -> kind; a table comes after those it refers to


def described() -> dict[str, dict[str, str]]:
    """Every table of this version, in an order in which they can be filled. Raises KeyError for a column of no known kind."""
    return {table.name: {column.name: _kind(column) for column in table.columns} for table in METADATA.sorted_tables}


def _kind(column: Column[Any]) -> str:
    for kind, known in KINDS.items():
        if isinstance(column.type, type(known)):
            return kind
    raise KeyError(f"{column.table.name}.{column.name} has a type that backups do not know: add it to KINDS")


def tables_of(description: Description) -> list[Table]:
    """The described tables, to be written to; independent of what this version declares."""
    metadata = MetaData()
    return [Table(name, metadata, *(Column(column, KINDS[kind]) for column, kind in columns.items())) for name, columns in description.items()]


def read_chunks(tx: Transaction, name: str) -> Iterator[list[list[Any]]]:
    """All rows of a table, ordered by key, in chunks that fit into memory whatever the table's size: lists of values in the order of the columns."""
    table = METADATA.tables[name]
    binary = [index for index, column in enumerate(table.columns) if isinstance(column.type, LargeBinary)]
    if tx.is_postgres:
        tx.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))  # the disk behind the backup may be slow
    chunk: list[list[Any]] = []
    size = 0
    for row in tx.execute(select(table).order_by(*table.primary_key.columns), execution_options={"yield_per": FEW if binary else CHUNK}):
        values = list(row)
        for index in binary:
            if values[index] is not None:
                values[index] = base64.b64encode(values[index]).decode()
                size += len(values[index])
        chunk.append(values)
        if len(chunk) >= CHUNK or size > BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def write_chunk(tx: Transaction, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows as `read_chunks` gave them."""
    columns = list(table.columns)
    binary = {column.name for column in columns if isinstance(column.type, LargeBinary)}
    insert_rows(
        tx,
        table,
        [{c.name: base64.b64decode(value) if c.name in binary and value is not None else value for c, value in zip(columns, row, strict=True)} for row in rows],
    )


def first_filled(tx: Transaction, description: Description) -> str | None:
    """The name of a table that has rows; None if all that there are are empty."""
    there = set(inspect(tx.connection()).get_table_names())
    for table in tables_of(description):
        if table.name in there and tx.execute(select(text("1")).select_from(table).limit(1)).first() is not None:
            return table.name
    return None
