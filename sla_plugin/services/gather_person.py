"""Everything that is held about somebody (GDPR Art. 15 and 20): one JSON document, table by table, streamed; a new table is in it by itself."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Table, select

from sla_plugin.engine.instants import iso
from sla_plugin.services.somebody import Pseudonym, Somebody, mention_of
from sla_plugin.store.db import Transaction
from sla_plugin.store.events import EVENTS
from sla_plugin.store.mentions import SPAN, Mention, next_rows, searched_tables
from sla_plugin.store.personal_reads import PersonalRead

FORMAT = "sla-plugin-personal-data-1"
Reading = Callable[[], AbstractContextManager[Transaction]]
_TICKETS = 50  # whose whole history is read at a time


def personal_data(reading: Reading, tenant: int, somebody: Somebody, now: int) -> Iterator[str]:
    """The pieces of the document. `reading` begins a transaction; each lasts for a chunk only, so that a slow reader holds up nobody.

    `{"format", "about", "at", "tables": {table: [row, ...]}}`: every row that names them, and the whole history of the tickets that they asked for. Instants
    are ISO 8601 in UTC; secrets (also sealed or hashed) and what others wrote of themselves in other rows are not in it.
    """
    with reading() as tx:
        mention = mention_of(tx, tenant, somebody)
    words = Pseudonym("", somebody, mention)
    about = {"address": somebody.address, "name": somebody.name, "names_in_helpdesks": [name for _, name in somebody.requesters]}
    yield f'{{"format": "{FORMAT}", "about": {json.dumps(about, ensure_ascii=False)}, "at": "{iso(now)}", "tables": {{'
    comma = "\n"
    for table in searched_tables():
        begun = False
        for row in _rows(reading, tenant, table, mention, words, somebody):
            if not begun:
                yield f'{comma}"{table.name}": [\n'
            yield (",\n" if begun else "") + json.dumps(_shown(table, row), ensure_ascii=False)
            begun = True
        if begun:
            yield "\n]"
            comma = ",\n"
    yield "\n}}\n"


def _rows(reading: Reading, tenant: int, table: Table, mention: Mention, words: Pseudonym, somebody: Somebody) -> Iterator[Mapping[str, Any]]:
    """The rows of a table that are about them, each once."""
    if table.name == "personal_read" and somebody.person is not None:
        with reading() as tx:
            mine = (PersonalRead.tenant_id == tenant, PersonalRead.kind == "person", PersonalRead.thing == str(somebody.person))
            yield from [dict(row) for row in tx.execute(select(table).where(*mine)).mappings()]
    if table.name == "event":
        yield from _histories(reading, tenant, mention, words)
        return
    after = None
    while True:
        with reading() as tx:
            found, after = next_rows(tx, tenant, table, mention, after, SPAN)
        yield from (dict(row._mapping) for row in found if _is_about(table, row._mapping, words, somebody))
        if after is None:
            return


def _is_about(table: Table, told: Mapping[str, Any], words: Pseudonym, somebody: Somebody) -> bool:
    """Whether a row that may name them does."""
    own = "id" if table.name == "person" else "person_id"
    if somebody.person is not None and own in table.c and told[own] == somebody.person:
        return True
    if table.name == "person":
        return False  # somebody else who is called the same
    connection = told.get("connection_id")
    return any(
        words.is_in(bytes(value)) if isinstance(value, bytes | memoryview) else words.value(value, who=_says_who(name), connection=connection) != value
        for name, value in told.items()
        if value is not None
    )


def _says_who(column: str) -> bool:
    return column in ("requester", "assignee", "owner", "actor_id")


def _histories(reading: Reading, tenant: int, mention: Mention, words: Pseudonym) -> Iterator[Mapping[str, Any]]:
    """The events of every ticket that they asked for, and those of others that name them."""
    after, whole, table = None, set[int](), EVENTS
    tickets = next(t for t in searched_tables() if t.name == "ticket")
    place = None
    while True:  # which tickets they asked for
        with reading() as tx:
            found, place = next_rows(tx, tenant, tickets, mention, place, SPAN)
        whole |= {row.promise_id for row in found if words.is_them(row.requester, row.connection_id)}
        if place is None:
            break
    ordered = sorted(whole)
    for start in range(0, len(ordered), _TICKETS):
        with reading() as tx:
            some = select(table).where(table.c.tenant_id == tenant, table.c.promise_id.in_(ordered[start : start + _TICKETS]))
            rows = [dict(row) for row in tx.execute(some.order_by(table.c.promise_id, table.c.occurred_at)).mappings()]
        yield from rows
    while True:
        with reading() as tx:
            found, after = next_rows(tx, tenant, table, mention, after, SPAN)
        for row in found:
            changed = words.value(row.data, connection=row.connection_id) != row.data or words.is_them(row.actor_id, row.connection_id)
            if row.promise_id not in whole and (changed or words.text(row.actor_id or "") != (row.actor_id or "")):
                yield dict(row._mapping)
        if after is None:
            return


def _shown(table: Table, told: Mapping[str, Any]) -> dict[str, Any]:
    """A row as it is handed out: without secrets, instants readable, ids as text."""
    shown: dict[str, Any] = {}
    for column in table.columns:
        value = told[column.name]
        if value is None or column.name in ("tenant_id", "salt", "actor_salt") or column.info.get("sealed") or column.info.get("secret"):
            continue
        if isinstance(value, bytes | memoryview):
            value = bytes(value).decode("utf-8", errors="replace")
        elif isinstance(value, int) and not isinstance(value, bool) and (column.name.endswith("_at") or column.name in ("at", "day")):
            value = iso(value)
        elif column.name == "id" or column.name.endswith("_id"):
            value = str(value)
        shown[column.name] = value
    return shown
