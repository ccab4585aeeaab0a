"""Rows that name somebody, in whatever table: what is held about a person is found by walking the schema, so that a new column is in it by itself."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import JSON, ColumnElement, LargeBinary, String, Table, Text, cast, func, literal_column, or_, select, tuple_, update
from sqlalchemy import delete as delete_from

from sla_plugin.store.bulk import with_keys
from sla_plugin.store.db import Base, Transaction
from sla_plugin.store.isolation import owner_column

SPAN = 5000  # rows that one statement looks at
# columns, and keys inside JSON, that hold who somebody is in a helpdesk: there a name counts as a whole, however short it is
WHO = frozenset({"requester", "customer", "actor_id", "actor", "submitter", "assignee", "owner", "collaborator", "follower"})
# table -> why nothing in it is looked for or changed
PASSED_OVER: Mapping[str, str] = {
    "connection": "the accounts of helpdesks; an address there is one that we sign in with, and is changed on the connection's page",
    "audit_head": "hashes only",
    "erased_name": "digests only",
    "ticket_word": "written anew with the texts of its ticket",
    "tenant_setting": "what the tenant decided for itself",
}


@dataclass(frozen=True)
class Mention:
    """What to look for.

    texts    words that are looked for inside any text, without regard to case
    names    connection -> what they are called there, as a whole, in the columns and keys of WHO
    person   whose rows (a column `person_id`) are theirs anyway; None for somebody who does not sign in
    """

    texts: Sequence[str]
    names: Mapping[int, frozenset[str]] = field(default_factory=dict)
    person: int | None = None

    @property
    def all_names(self) -> frozenset[str]:
        """The names of every connection."""
        return frozenset[str]().union(*self.names.values())


def searched_tables() -> list[Table]:
    """Every table of a tenant in which somebody may be named."""
    return [table for name, table in sorted(Base.metadata.tables.items()) if owner_column(name) in table.c and name not in PASSED_OVER]


def named_in(tx: Transaction, table: Table, mention: Mention) -> ColumnElement[bool] | None:
    """The condition on rows of a table that they may name somebody; wider than the truth, never narrower. None: no column could."""
    found: list[Any] = []
    for column in table.columns:
        if column.info.get("sealed") or column.info.get("secret"):
            continue
        if isinstance(column.type, LargeBinary):
            text: Any = func.encode(column, literal_column("'escape'")) if tx.is_postgres else cast(column, Text)
            found += [text.ilike(_like(form), escape="\\") for word in mention.texts for form in _in_bytes(word, tx.is_postgres)]
        elif isinstance(column.type, JSON):
            told = cast(column, Text)
            words = [*mention.texts, *(f'"{name}"' for name in mention.all_names)]
            found += [told.ilike(_like(form), escape="\\") for word in words for form in {word, _escaped(word)}]
        elif isinstance(column.type, String | Text):
            found += [column.ilike(_like(word), escape="\\") for word in mention.texts]
            if column.name in WHO and mention.all_names:
                found.append(column.in_(sorted(mention.all_names)))
    if mention.person is not None and "person_id" in table.c:
        found.append(table.c.person_id == mention.person)
    if mention.person is not None and table.name == "person":
        found.append(table.c.id == mention.person)
    return or_(*found) if found else None


def _like(word: str) -> str:
    return "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def _escaped(word: str) -> str:
    """A word as JSON writes it in ASCII."""
    return json.dumps(word)[1:-1] if not word.startswith('"') else '"' + json.dumps(word[1:-1])[1:-1] + '"'


def _in_bytes(word: str, postgres: bool) -> set[str]:
    """How a word may stand in bytes: as UTF-8, or escaped by a JSON writer; on Postgres as `encode(.., 'escape')` shows that."""
    forms = {word, word.lower(), word.upper(), _escaped(word), _escaped(word.lower())}
    if not postgres:
        return forms
    return {"".join(chr(byte) if byte < 128 and byte != 92 else "\\\\" if byte == 92 else f"\\{byte:03o}" for byte in form.encode()) for form in forms}


Found = tuple[list[Any], list[Any] | None]


def next_rows(tx: Transaction, tenant: int, table: Table, mention: Mention, after: Sequence[Any] | None, span: int = SPAN) -> Found:
    """Of the next `span` rows by key those that may name somebody, and the key after which to go on (None: the table is done)."""
    condition = named_in(tx, table, mention)
    if condition is None:
        return [], None
    key = list(table.primary_key.columns)
    mine = [table.c[owner_column(table.name)] == tenant]
    if after is not None:
        mine.append(tuple_(*key) > tuple_(*after))
    last = tx.execute(select(*key).where(*mine).order_by(*key).offset(span - 1).limit(1)).first()
    if last is not None:
        mine.append(tuple_(*key) <= tuple_(*last))
    rows = list(tx.execute(select(table).where(*mine, condition).order_by(*key)))
    return rows, list(last) if last is not None else None


def rows_again(tx: Transaction, tenant: int, table: Table, keys: Sequence[Sequence[Any]]) -> list[Any]:
    """Rows as they are now, by key, locked."""
    if not keys:
        return []
    key = list(table.primary_key.columns)
    query = select(table).where(table.c[owner_column(table.name)] == tenant, with_keys(key, keys)).order_by(*key)
    return list(tx.execute(query.with_for_update() if tx.is_postgres else query))


def key_of(table: Table, row: Any) -> list[Any]:
    """The key of a row."""
    return [row._mapping[column.name] for column in table.primary_key.columns]


def change_row(tx: Transaction, tenant: int, table: Table, row: Any, values: Mapping[str, Any]) -> None:
    """Set columns of a row that `rows_again` locked."""
    mine = [column == row._mapping[column.name] for column in table.primary_key.columns]
    tx.execute(update(table).where(table.c[owner_column(table.name)] == tenant, *mine).values(dict(values)))


def remove_row(tx: Transaction, tenant: int, table: Table, row: Any) -> None:
    """Remove a row that `rows_again` locked."""
    mine = [column == row._mapping[column.name] for column in table.primary_key.columns]
    tx.execute(delete_from(table).where(table.c[owner_column(table.name)] == tenant, *mine))
