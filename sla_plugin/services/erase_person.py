"""Take somebody's names out of every table, and the texts of the tickets they asked for; figures, clocks, records and the audit chain stay.

An erasure is a row that says where it is: it may be ended anywhere and goes on. Somebody looks (`look`, reading), then writes what was found (`write`).
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Table, func, select

from sla_plugin.engine.policies import Book
from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.outside import Outside
from sla_plugin.services.people import keep_an_admin
from sla_plugin.services.read_books import build_books, read_books
from sla_plugin.services.rewrite_events import rewrite_events, without_texts
from sla_plugin.services.somebody import Pseudonym, Somebody, mention_of
from sla_plugin.services.tombstones import ERASED, remember
from sla_plugin.store.alerts import drop_notes
from sla_plugin.store.audit import append_audit
from sla_plugin.store.connections import get_connection
from sla_plugin.store.credentials import end_sessions
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import drop_bodies
from sla_plugin.store.erasures import add_erasure, get_erasure, is_taken, lock_erasure, note_erasure
from sla_plugin.store.events import PastEvent, deliveries_of, read_histories
from sla_plugin.store.mentions import WHO, change_row, key_of, named_in, next_rows, remove_row, rows_again, searched_tables
from sla_plugin.store.people import change_person, get_person
from sla_plugin.store.policies import calendar_versions, policy_versions
from sla_plugin.store.sealing import Sealer
from sla_plugin.store.tenants import lock_books, next_book_revision
from sla_plugin.store.tickets import Promise, lock_promises, tickets_of, write_choice

_FIRST, _LAST = ("event", "ticket"), ("policy_version", "policy", "audit_entry")  # a policy changes its words after the tickets that it chose
_OWN = ("erasure",)  # what an erasure says of itself


def plan_erasure(tx: Transaction, tenant: int, somebody: Somebody) -> dict[str, int]:
    """Table -> how many of its rows may name somebody; tables without any are not in it. Looks through everything, which takes its time."""
    mention = mention_of(tx, tenant, somebody)
    counts = {}
    for table in searched_tables():
        condition = named_in(tx, table, mention)
        if condition is not None:
            found = tx.scalar(select(func.count()).select_from(table).where(table.c[_owner(table)] == tenant, condition))
            if found:
                counts[table.name] = int(found)
    return counts


def _owner(table: Table) -> str:
    return "id" if table.name == "tenant" else "tenant_id"


def begin_erasure(tx: Transaction, tenant: int, somebody: Somebody, now: int, actor: str, by: int | None, sealer: Sealer) -> tuple[int, str]:
    """Let somebody in no more, know their names again should they come back, and write down that they are to be erased. Returns (erasure, pseudonym).

    Raises InvalidDefinition (field `confirm`): oneself (`by`), or the last admin.
    """
    if somebody.person is not None and somebody.person == by:
        raise InvalidDefinition("confirm", "nobody erases themselves; let another admin do it")
    person = get_person(tx, tenant, somebody.person) if somebody.person is not None else None
    if person is not None and person.role == "admin" and person.disabled_at is None:
        keep_an_admin(tx, tenant, person, "confirm")
    digits = os.urandom(2).hex()
    while is_taken(tx, tenant, f"erased person {digits}"):
        digits += os.urandom(1).hex()
    pseudonym = f"erased person {digits}"
    erasure = add_erasure(tx, tenant, pseudonym, now, actor, sealer.seal(somebody.as_text()))
    remember(tx, tenant, somebody, pseudonym, sealer)
    if person is not None:
        end_sessions(tx, tenant, person.id, now)
        gone = {"password_hash": "erased", "language": None, "disabled_at": person.disabled_at or now}
        change_person(tx, tenant, person.id, email=f"erased-{digits}@erased.invalid", name=pseudonym, **gone)
    append_audit(tx, tenant, now, actor, "erasure begun", {"before": None, "after": {"pseudonym": pseudonym, "signs_in": person is not None}})
    return erasure, pseudonym


@dataclass(frozen=True)
class Step:
    """What to write next: rows of a table by key, or promises; `after` is where to look on in the table (None: it is done)."""

    table: str
    keys: Sequence[Sequence[Any]]
    promises: Sequence[int]
    after: Sequence[Any] | None


def _tables() -> list[Table]:
    tables = {table.name: table for table in searched_tables() if table.name not in _OWN}
    between = [name for name in tables if name not in (*_FIRST, *_LAST)]
    return [tables[name] for name in (*_FIRST, *between, *_LAST)]


def look(tx: Transaction, tenant: int, erasure: int, sealer: Sealer) -> Step | None:
    """What the erasure has to do next; None when all tables are done."""
    row = get_erasure(tx, tenant, erasure)
    if row is None or row.sealed_about is None:
        return None
    somebody = Somebody.from_text(sealer.open(row.sealed_about))
    mention, tables = mention_of(tx, tenant, somebody), _tables()
    names = [table.name for table in tables]
    at = names.index(row.place["table"]) if row.place.get("table") in names else 0
    after = row.place.get("after")
    if row.place and after is None:
        at += 1
    while at < len(tables):
        found, on = next_rows(tx, tenant, tables[at], mention, after)
        promises: list[int] = []
        if names[at] in _FIRST:
            promises = sorted({r.promise_id for r in found if r.promise_id is not None})
            found = [r for r in found if r.promise_id is None]
        if found or promises or on is not None:
            return Step(names[at], [key_of(tables[at], r) for r in found], promises, on)
        at, after = at + 1, None
    return None


def write(tx: Transaction, tenant: int, erasure: int, step: Step, outside: Outside, *, last: bool = True) -> bool:
    """Write (a part of) a step; `last`: the step is done with it, and the erasure moves on. False if the erasure is finished or gone."""
    row = lock_erasure(tx, tenant, erasure)
    if row is None or row.sealed_about is None:
        return False
    if step.table == "policy_version":
        lock_books(tx, tenant)  # before their rows: who applies a policy takes them in this order
    somebody = Somebody.from_text(outside.sealer.open(row.sealed_about))
    pseudonym = Pseudonym(row.pseudonym, somebody, mention_of(tx, tenant, somebody))
    counts = Counter[str](row.counts)
    if step.promises:
        books = _books(tx, tenant, pseudonym)
        for promise in lock_promises(tx, tenant, step.promises):
            counts["tickets"] += 1
            counts["explained otherwise"] += not _erase_promise(tx, tenant, promise, books, pseudonym, outside)
    table = {t.name: t for t in _tables()}[step.table]
    for found in rows_again(tx, tenant, table, step.keys):
        changed = _erase_row(tx, tenant, table, found, somebody, pseudonym)
        counts[step.table] += changed
        if changed and step.table == "policy_version":
            next_book_revision(tx, tenant)
    place = {"table": step.table, "after": None if step.after is None else list(step.after)} if last else row.place
    note_erasure(tx, tenant, erasure, counts={name: n for name, n in counts.items() if n}, place=place)
    return True


def finish(tx: Transaction, tenant: int, erasure: int, now: int) -> None:
    """All tables are done: whom it was about is known to nobody any more."""
    row = lock_erasure(tx, tenant, erasure)
    if row is not None:
        counts = dict(row.counts)
        note_erasure(tx, tenant, erasure, sealed_about=None, finished_at=now)
        append_audit(tx, tenant, now, row.asked_by, "person erased", {"pseudonym": row.pseudonym, "changed": counts})


def _books(tx: Transaction, tenant: int, pseudonym: Pseudonym) -> list[list[Book]]:
    """The books in force, and those with the pseudonym in their conditions where that changes one: clocks must be the same under both."""
    books = [read_books(tx, tenant)]
    policies = [(name, version, pseudonym.value(version.definition)) for name, version in policy_versions(tx, tenant)]
    if any(definition != version.definition for _, version, definition in policies):
        renamed = [(n, SimpleNamespace(**{c.name: getattr(v, c.name) for c in v.__table__.columns} | {"definition": d})) for n, v, d in policies]
        books.append(build_books(renamed, calendar_versions(tx, tenant)))
    return books


def _erase_promise(tx: Transaction, tenant: int, promise: Promise, books: Sequence[Sequence[Book]], pseudonym: Pseudonym, outside: Outside) -> bool:
    """Names in one promise's history; where they asked for it, its texts and raw webhooks, too. False if it explains otherwise from now on."""
    connection = get_connection(tx, tenant, promise.connection_id)
    if connection is None:
        return True
    rows = read_histories(tx, tenant, [promise.id]).get(promise.id, [])
    theirs = any(pseudonym.is_them(t.requester, connection.id) for t in tickets_of(tx, tenant, [promise.id])) or any(
        _asks(row, pseudonym, connection.id) for row in rows
    )

    def without(row: PastEvent) -> PastEvent:
        data = pseudonym.value(row.data, connection=connection.id)
        data = without_texts(data) if theirs else data
        actor = pseudonym.pseudonym if pseudonym.is_them(row.actor_id, connection.id) else row.actor_id and pseudonym.text(row.actor_id)
        return row._replace(data=data, actor_id=actor)

    deliveries = deliveries_of(tx, tenant, [promise.id])
    fits = rewrite_events(tx, tenant, promise, connection, books, without, outside, must=True)
    write_choice(tx, tenant, promise.id, pseudonym.value(promise.choice))
    if theirs:
        drop_bodies(tx, tenant, deliveries)
        drop_notes(tx, tenant, [promise.id])
    return fits


def _asks(row: PastEvent, pseudonym: Pseudonym, connection: int) -> bool:
    """Whether an event says that they asked for the ticket."""
    told = [(row.data.get(part) or {}).get("requester") for part in ("values", "seen")]
    changed = [row.data.get("from"), row.data.get("to")] if row.data.get("field") == "requester" else []
    if row.actor_role == "customer":
        told.append(row.actor_id)
    return any(pseudonym.is_them(name, connection) for name in (*told, *changed) if name is not None)


def _erase_row(tx: Transaction, tenant: int, table: Table, row: Any, somebody: Somebody, pseudonym: Pseudonym) -> bool:
    """Their names in one row; a row that is theirs by `person_id` goes. Whether there was something to do."""
    told = row._mapping
    if somebody.person is not None and "person_id" in table.c and told["person_id"] == somebody.person:
        remove_row(tx, tenant, table, row)
        return True
    if table.name == "person" and told["id"] != somebody.person:
        return False  # somebody else who is called the same
    values = _audit_values(told, pseudonym) if table.name == "audit_entry" else _plain_values(table, told, pseudonym)
    if values:
        change_row(tx, tenant, table, row, values)
    return bool(values)


def _audit_values(entry: Mapping[str, Any], pseudonym: Pseudonym) -> dict[str, Any]:
    """An entry's content goes whole, its actor becomes the pseudonym; without their salts the digests say nothing, and the chain holds."""
    values: dict[str, Any] = {}
    if entry["salt"] and pseudonym.value(entry["changes"]) != entry["changes"]:
        values |= {"changes": {}, "salt": ""}
    if (actor := pseudonym.text(entry["actor"])) != entry["actor"]:
        values |= {"actor": actor[:200], "actor_salt": "", "actor_digest": entry["actor_digest"] or ""}
    return values


def _plain_values(table: Table, told: Mapping[str, Any], pseudonym: Pseudonym) -> dict[str, Any]:
    values: dict[str, Any] = {}
    connection = told.get("connection_id")
    for column in table.columns:
        value = told[column.name]
        if value is None or isinstance(value, int | bool) or column.info.get("sealed") or column.info.get("secret"):
            continue
        if isinstance(value, bytes | memoryview):
            if told.get("state") != "stored" and pseudonym.is_in(bytes(value)):
                values |= {column.name: None, **({"state": "ignored", "reason": ERASED} if told.get("state") in ("unreadable", "failed") else {})}
            continue
        new = pseudonym.value(value, who=column.name in WHO, connection=connection)
        if new != value:
            length = getattr(column.type, "length", None)
            values[column.name] = new[:length] if isinstance(new, str) and length else new
    return values
