"""The audit trail: is it whole, and what does it say? Read only."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import String, cast, select

from sla_plugin.reports.export_rows import instant_text
from sla_plugin.reports.lists import PAGE, Page
from sla_plugin.store.audit import AuditEntry, audit_head, chain_digest, content_digest
from sla_plugin.store.db import Transaction

CHUNK = 1000
LOOKED = 20_000  # entries that one page of a search looks at


@dataclass(frozen=True, slots=True)
class Verdict:
    """`number`: entries that fit, or the first that does not; `problem` says how, None where all is well; `erased`: entries without content."""

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
    number, previous, erased, seen_anchor = 0, "", 0, anchor is None
    for entry in _in_order(tx, tenant):
        number += 1
        if entry.number != number:
            return Verdict(number, "it is missing" if entry.number > number else "its number is there twice")
        if entry.previous != previous:
            return Verdict(number, "it does not follow the entry before it")
        gone = not entry.salt
        erased += gone
        if not gone and content_digest(entry.salt, entry.changes) != entry.digest:
            return Verdict(number, "its content was changed")
        if chain_digest(previous, entry.number, entry.at, entry.actor, entry.what, entry.digest) != entry.chain:
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
    query = select(AuditEntry).where(AuditEntry.tenant_id == tenant, AuditEntry.number >= (last if last is not None else 0))
    for column, text in ((AuditEntry.actor, search.actor), (AuditEntry.what, search.what), (cast(AuditEntry.changes, String), search.thing)):
        if text:
            query = query.where(column.icontains(text, autoescape=True))
    if search.since is not None:
        query = query.where(AuditEntry.at >= search.since)
    if search.until is not None:
        query = query.where(AuditEntry.at < search.until)
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


def audit_data(entry: AuditEntry) -> dict[str, Any]:
    """An entry as it is exported."""
    told = {"number": entry.number, "at": instant_text(entry.at), "actor": entry.actor, "what": entry.what, "changes": entry.changes}
    return {**told, "digest": entry.digest, "previous": entry.previous, "chain": entry.chain}
