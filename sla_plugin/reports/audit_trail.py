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
    """Entries that fit, the latest first; `after`: the number below which to go on."""
    query = select(AuditEntry).where(AuditEntry.tenant_id == tenant)
    for column, text in ((AuditEntry.actor, search.actor), (AuditEntry.what, search.what), (cast(AuditEntry.changes, String), search.thing)):
        if text:
            query = query.where(column.icontains(text, autoescape=True))
    if search.since is not None:
        query = query.where(AuditEntry.at >= search.since)
    if search.until is not None:
        query = query.where(AuditEntry.at < search.until)
    if after is not None:
        query = query.where(AuditEntry.number < after)
    rows = tx.scalars(query.order_by(AuditEntry.number.desc()).limit(limit + 1)).all()
    return Page(rows[:limit], (rows[limit - 1].number, 0) if len(rows) > limit else None)


def audit_data(entry: AuditEntry) -> dict[str, Any]:
    """An entry as it is exported."""
    told = {"number": entry.number, "at": instant_text(entry.at), "actor": entry.actor, "what": entry.what, "changes": entry.changes}
    return {**told, "digest": entry.digest, "previous": entry.previous, "chain": entry.chain}
