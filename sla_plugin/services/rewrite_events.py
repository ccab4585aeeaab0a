"""Change what a promise's events say, and prove that its clocks stay: texts and names go, figures do not move."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sla_plugin.engine.evaluate import Verdict
from sla_plugin.engine.policies import Book
from sla_plugin.services.evaluate_promises import verdict_of
from sla_plugin.services.outside import Outside
from sla_plugin.services.verdict_rows import ticket_row
from sla_plugin.store.checkpoints import drop_checkpoints
from sla_plugin.store.connections import Connection
from sla_plugin.store.db import Transaction
from sla_plugin.store.events import PastEvent, read_histories, write_events
from sla_plugin.store.ticket_words import words_of, write_words
from sla_plugin.store.tickets import Promise, tickets_of, write_choice, write_tickets

TEXTS = frozenset({"subject", "description", "comment", "text", "message", "body", "title", "summary"})  # fields that are free text by their name
LONG = 100  # letters from which on a value of any other field is free text
Change = Callable[[PastEvent], PastEvent]


def is_text(field: str, value: Any) -> bool:
    """Whether what a field holds is free text: words of people, which no figure needs."""
    return field in TEXTS or (isinstance(value, str) and (len(value) > LONG or "\n" in value) and field != "link")


def without_texts(data: Mapping[str, Any]) -> dict[str, Any]:
    """What an event says, without free text. A key that is gone was not told, which is not the same as cleared."""
    kept = {key: value for key, value in data.items() if key != "reason" or isinstance(value, Mapping)}
    for part in ("values", "seen"):
        if isinstance(told := kept.get(part), Mapping):
            kept[part] = _fields(told)
    field = str(kept.get("field") or "")
    if field and any(is_text(field, kept.get(side)) for side in ("from", "to")):
        kept = {key: value for key, value in kept.items() if key not in ("from", "to")}
    return kept


def _fields(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _fields(value) if isinstance(value, Mapping) else value
        for name, value in told.items()
        if not is_text(name, value) or name == "reason"  # a decision by hand keeps why it was taken
    }


def rewrite_events(
    tx: Transaction, tenant: int, promise: Promise, connection: Connection, books: Sequence[Sequence[Book]], change: Change, outside: Outside, *, must: bool
) -> bool:
    """Change every event of a locked promise, and its mirror with them; its checkpoint goes. False where that would move a clock: then nothing is changed.

    `books`: under each of these every clock must stay as it is. Where a condition read what is gone, the policy that it chose is pinned to the first event
    (`data.pinned`). `must`: change in any case (an erasure); False then says that an explanation may read otherwise from now on.
    """
    rows = read_histories(tx, tenant, [promise.id]).get(promise.id, [])
    changed = [change(row) for row in rows]
    words = outside.words(connection)
    as_of = max([promise.horizon_at, *(row.occurred_at for row in rows)])

    def verdict(events: Sequence[PastEvent], of: Sequence[Book]) -> Verdict:
        return verdict_of(promise, events, of, words, connection, as_of, outside.settle)

    before = verdict(rows, books[0])
    fits = all(_figures(verdict(changed, of)) == _figures(before) for of in books)
    if not fits and before.terms is not None and changed:
        first = min(range(len(changed)), key=lambda n: (changed[n].occurred_at, changed[n].kind != "ticket.created", changed[n].id))
        pinned = [*changed]
        pinned[first] = changed[first]._replace(data={**changed[first].data, "pinned": before.terms.policy.name})
        if fits := all(_figures(verdict(pinned, of)) == _figures(before) for of in books):
            changed = pinned
    if not fits and not must:
        return False
    write_events(tx, tenant, [row for row, was in zip(changed, rows, strict=True) if row is not was and row != was])
    drop_checkpoints(tx, tenant, [promise.id])
    after = verdict(changed, books[-1])
    _forget_reasons(tx, tenant, promise, TEXTS & (after.book.fields if after.book is not None else TEXTS))
    for ticket in tickets_of(tx, tenant, [promise.id]):
        row = ticket_row(ticket, after, as_of)
        if row is not None:
            write_tickets(tx, tenant, [row])
            write_words(
                tx,
                tenant,
                {
                    ticket.id: (
                        words_of(ticket.external_id, ticket.subject, ticket.organization),
                        words_of(ticket.external_id, row["subject"], row["organization"]),
                    )
                },
            )
    return fits


def _forget_reasons(tx: Transaction, tenant: int, promise: Promise, fields: Collection[str]) -> None:
    """Why a policy was chosen quotes what its condition read: the quotes of texts go."""
    reasons = (promise.choice or {}).get("reasons") or []
    told = [{**r, "because": "what its condition read is erased"} if any(f in str(r.get("because")) for f in fields) else r for r in reasons]
    if told != reasons:
        write_choice(tx, tenant, promise.id, {**promise.choice, "reasons": told})


def _figures(verdict: Verdict) -> list[tuple[Any, ...]]:
    """What must not move: every cycle with its instants, its target, its time and its terms."""
    return [
        (c.metric, c.cycle, c.phase, c.started_at, c.stopped_at, c.finished_at, c.target, c.elapsed, c.deadline_at, dict(c.passed), c.terms and c.terms.key)
        for c in verdict.clocks
    ]
