"""The audit trail: is it whole, and what does it say? Read only."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, String, cast, select

from sla_plugin.reports.export_rows import instant_text
from sla_plugin.reports.lists import PAGE, Key, Page
from sla_plugin.store.audit import AuditEntry, actor_digest, audit_head, chain_digest, content_digest
from sla_plugin.store.db import Transaction
from sla_plugin.store.personal_reads import DAY, PersonalRead

CHUNK = 1000
LOOKED = 20_000  # entries that one page of a search looks at


@dataclass(frozen=True, slots=True)
class Verdict:
    """`number`: entries that fit, or the first that does not; `problem` says how, None where all is well; `erased`: entries without content or actor."""

    number: int
    problem: str | None = None
    erased: int = 0


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for; empty means anything. Instants are microseconds UTC, `until` is the first that is too late."""

    actor: str = ""
    what: str = ""
    thing: str = ""
    since: int | None = None
    until: int | None = None


def verify_audit(tx: Transaction, tenant: int, anchor: str | None = None) -> Verdict:
    """Follow the chain to its head (and through an anchor `NUMBER:HASH`)."""
    anchored, _, anchor_chain = (anchor or "").partition(":")
    number, previous, erased, digested, seen_anchor = 0, "", 0, False, anchor is None
    for entry in _in_order(tx, tenant):
        number += 1
        if entry.number != number:
            return Verdict(number, "it is missing" if entry.number > number else "its number is there twice")
        if entry.previous != previous:
            return Verdict(number, "it does not follow the entry before it")
        gone = not entry.salt
        erased += gone or entry.actor_salt == ""
        if not gone and content_digest(entry.salt, entry.changes) != entry.digest:
            return Verdict(number, "its content was changed")
        digested = digested or bool(entry.actor_digest)
        if digested and entry.actor_digest == "":
            return Verdict(number, "its actor's digest is gone, which only entries from before there were digests may lack")
        by = entry.actor_digest if entry.actor_digest is not None else entry.actor
        if not _actor_fits(entry) or (by and chain_digest(previous, entry.number, entry.at, by, entry.what, entry.digest) != entry.chain):
            return Verdict(number, "its actor, time, subject or digest was changed")
        previous = entry.chain
        if str(number) == anchored:
            if previous != anchor_chain:
                return Verdict(number, "it is not the entry that the anchor was taken of")
            seen_anchor = True
    if (number, previous) != audit_head(tx, tenant):
        return Verdict(number + 1, "the end of the trail does not fit its head: entries were cut off or added")
    if not seen_anchor:
        return Verdict(number + 1, f"the trail ends before the anchor {anchored}")
    return Verdict(number, erased=erased)


def _actor_fits(entry: AuditEntry) -> bool:
    """Whether the actor is the one of the entry's digest; an old entry has none, an erased actor no salt."""
    return not entry.actor_salt or actor_digest(entry.actor_salt, entry.actor) == entry.actor_digest


def _in_order(tx: Transaction, tenant: int) -> Iterator[AuditEntry]:
    last: tuple[int, int] = (-(2**62), 0)
    while True:
        after = (AuditEntry.number > last[0]) | ((AuditEntry.number == last[0]) & (AuditEntry.id > last[1]))
        rows = tx.scalars(select(AuditEntry).where(AuditEntry.tenant_id == tenant, after).order_by(AuditEntry.number, AuditEntry.id).limit(CHUNK)).all()
        yield from rows
        if len(rows) < CHUNK:
            return
        last = (rows[-1].number, rows[-1].id)
        tx.expunge_all()


def fitting(query: Select[Any], tenant: int, search: Search) -> Select[Any]:
    """A query of entries, narrowed to those that fit."""
    query = query.where(AuditEntry.tenant_id == tenant)
    for column, text in ((AuditEntry.actor, search.actor), (AuditEntry.what, search.what), (cast(AuditEntry.changes, String), search.thing)):
        if text:
            query = query.where(column.icontains(text, autoescape=True))
    if search.since is not None:
        query = query.where(AuditEntry.at >= search.since)
    return query.where(AuditEntry.at < search.until) if search.until is not None else query


def search_audit(tx: Transaction, tenant: int, search: Search, after: int | None = None, limit: int = PAGE) -> Page:
    """Entries that fit, the latest first; `after`: the number below which to go on.

    Words are looked for in LOOKED entries at a time (an index for them would cost every transaction of the tenant): a page that ends short says so, and where
    to look further. Days are found by the index of instants, which grow with the numbers.
    """
    top = after
    if search.until is not None:
        first_late = tx.scalar(
            select(AuditEntry.number).where(AuditEntry.tenant_id == tenant, AuditEntry.at >= search.until).order_by(AuditEntry.at, AuditEntry.number).limit(1)
        )
        top = first_late if top is None or (first_late is not None and first_late < top) else top
    looked = select(AuditEntry.number).where(AuditEntry.tenant_id == tenant)
    if top is not None:
        looked = looked.where(AuditEntry.number < top)
    some = looked.order_by(AuditEntry.number.desc()).offset(LOOKED - 1).limit(1)
    last = tx.scalar(some)  # where to stop looking; None: the beginning comes first
    query = fitting(select(AuditEntry), tenant, search).where(AuditEntry.number >= (last if last is not None else 0))
    if top is not None:
        query = query.where(AuditEntry.number < top)
    rows = tx.scalars(query.order_by(AuditEntry.number.desc()).limit(limit + 1)).all()
    if len(rows) > limit:
        return Page(rows[:limit], (rows[limit - 1].number, 0))
    if last is None or (search.since is not None and _before(tx, tenant, last, search.since)):
        return Page(rows, None)
    return Page(rows, (last, 0), LOOKED)


def _before(tx: Transaction, tenant: int, number: int, at: int) -> bool:
    """Whether an entry, and so all before it, was made before an instant."""
    made = tx.scalar(select(AuditEntry.at).where(AuditEntry.tenant_id == tenant, AuditEntry.number == number))
    return made is not None and made < at


def search_reads(tx: Transaction, tenant: int, search: Search, after: Key | None = None, limit: int = PAGE) -> Page:
    """Who looked at personal data, the latest day and first look first; `after`: (first look, how many of that instant were shown). `what` is a kind."""
    query = select(PersonalRead).where(PersonalRead.tenant_id == tenant)
    for column, text in ((PersonalRead.actor, search.actor), (PersonalRead.kind, search.what), (PersonalRead.thing, search.thing)):
        if text:
            query = query.where(column.icontains(text, autoescape=True))
    if search.since is not None:
        query = query.where(PersonalRead.day >= search.since - search.since % DAY, PersonalRead.last_at >= search.since)
    if search.until is not None:
        query = query.where(PersonalRead.day < search.until, PersonalRead.first_at < search.until)
    if after is not None:
        query = query.where(PersonalRead.day <= after[0], PersonalRead.first_at <= after[0]).offset(after[1])
    order = (PersonalRead.day.desc(), PersonalRead.first_at.desc(), PersonalRead.actor, PersonalRead.kind, PersonalRead.thing)
    rows = tx.scalars(query.order_by(*order).limit(limit + 1)).all()
    if len(rows) <= limit:
        return Page(rows, None)
    last = rows[limit - 1].first_at
    before = after[1] if after is not None and after[0] == last else 0
    return Page(rows[:limit], (last, before + sum(row.first_at == last for row in rows[:limit])))


def read_data(read: PersonalRead) -> dict[str, Any]:
    """A read as it is exported."""
    told = {"first_at": instant_text(read.first_at), "last_at": instant_text(read.last_at)}
    return {**told, "actor": read.actor, "kind": read.kind, "thing": read.thing, "count": read.count}


def audit_data(entry: AuditEntry) -> dict[str, Any]:
    """An entry as it is exported."""
    told = {"number": entry.number, "at": instant_text(entry.at), "actor": entry.actor, "what": entry.what, "changes": entry.changes}
    return {**told, "digest": entry.digest, "previous": entry.previous, "chain": entry.chain}
