"""Tickets (the mirror, folded from events) and promises (what is clocked)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import BigInteger, ColumnElement, Index, Select, String, Table, UniqueConstraint, and_, delete, func, literal, or_, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.bulk import among, insert_rows, update_rows
from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id

_SETTLED = "settled_at IS NOT NULL"
BARE_TEXTS, BARE_MIRROR = 1, 2  # of `stripped`


class PromiseRow(TenantRow, Base):
    """What is clocked: one ticket; later several linked ones.

    first_received_at   receipt of the first delivery: terms in force then cover all that went before
    next_transition_at  the earliest instant at which something happens by itself; None = nothing will
    book_revision       the revision of policies and calendars that the stored clocks were evaluated with
    horizon_at          the greatest as_of the stored clocks were evaluated at
    settled_at          the as_of of the evaluation that found nothing open any more; None while something is
    stripped            what retention took from it since then: 0 nothing, 1 texts (BARE_TEXTS), 2 names and fields of the mirror, too (BARE_MIRROR)
    """

    __tablename__ = "promise"
    __table_args__ = (
        Index(
            "ix_promise_due",
            "next_transition_at",
            "tenant_id",
            postgresql_where=text("next_transition_at IS NOT NULL"),
            sqlite_where=text("next_transition_at IS NOT NULL"),
        ),
        Index("ix_promise_terms", "tenant_id", "open", "book_revision", "id"),
        Index("ix_promise_settled", "tenant_id", "stripped", "settled_at", postgresql_where=text(_SETTLED), sqlite_where=text(_SETTLED)),
    )
    connection_id: Mapped[int]
    first_received_at: Mapped[int]
    next_transition_at: Mapped[int | None]
    book_revision: Mapped[int] = mapped_column(default=0)
    open: Mapped[bool] = mapped_column(default=True)
    history: Mapped[bool] = mapped_column(default=False)  # imported past; ends with history_end or the first live event
    horizon_at: Mapped[int] = mapped_column(default=0)
    alerts_since: Mapped[int] = mapped_column(default=0)  # what passed before is past: recorded, never announced
    policy_id: Mapped[int | None]
    choice: Mapped[dict[str, Any]]  # why this policy, for explain
    settled_at: Mapped[int | None]
    stripped: Mapped[int] = mapped_column(default=0, server_default="0")


_PLACED, _UNPLACED = "standing IS NOT NULL", "standing IS NULL"


def _placed(name: str, *columns: str, where: str = _PLACED) -> Index:
    return Index(name, "tenant_id", *columns, postgresql_where=text(where), sqlite_where=text(where))


class Ticket(TenantRow, Base):
    """The mirror of a helpdesk ticket. Words are ours in `status` and `priority`, the helpdesk's in `status_word` and `priority_word`.

    standing  the gravest state among its ticking clocks as of the last evaluation, `done` without one; None = not worked out yet (an older version wrote it)
    place     where it stands in lists, ascending: its tightest deadline, ON_HOLD without one, after that what is done, the latest change first
    """

    __tablename__ = "ticket"
    __table_args__ = (
        UniqueConstraint("tenant_id", "connection_id", "external_id"),
        Index("ix_ticket_promise", "tenant_id", "promise_id"),
        Index("ix_ticket_requester", "tenant_id", "requester"),
        # what lists filter by and are sorted by (reports/ticket_list.py)
        _placed("ix_ticket_place", "standing", "place", "id"),
        _placed("ix_ticket_connection_place", "connection_id", "standing", "place", "id"),
        _placed("ix_ticket_priority_place", "priority", "standing", "place", "id"),
        _placed("ix_ticket_assignee_place", "assignee", "standing", "place", "id"),
        _placed("ix_ticket_organization_place", "organization", "standing", "place", "id"),
        _placed("ix_ticket_unplaced", "id", where=_UNPLACED),
    )
    connection_id: Mapped[int]
    external_id: Mapped[str] = mapped_column(String(200))
    promise_id: Mapped[int]
    subject: Mapped[str] = mapped_column(String(500), default="")
    status: Mapped[str] = mapped_column(String(40), default="open")
    status_word: Mapped[str | None] = mapped_column(String(100))
    priority: Mapped[str] = mapped_column(String(40), default="P2")
    priority_word: Mapped[str | None] = mapped_column(String(100))
    type: Mapped[str | None] = mapped_column(String(100))
    category: Mapped[str | None] = mapped_column(String(100))
    channel: Mapped[str | None] = mapped_column(String(100))
    assignee: Mapped[str | None] = mapped_column(String(200))
    team: Mapped[str | None] = mapped_column(String(200))
    requester: Mapped[str | None] = mapped_column(String(200))
    organization: Mapped[str | None] = mapped_column(String(200))
    link: Mapped[str | None] = mapped_column(String(1000))
    tags: Mapped[list[Any]]
    fields: Mapped[dict[str, Any]]  # custom fields and what has no column
    gone: Mapped[str | None] = mapped_column(String(40))  # merged, deleted
    created_at: Mapped[int | None]
    updated_at: Mapped[int]
    standing: Mapped[str | None] = mapped_column(String(10))
    place: Mapped[int | None]


TICKING = ("running", "on_hold", "pending")  # phases of clocks that somebody has to work against
STANDINGS = ("breached", "critical", "warning", "running", "on_hold", "done")
ON_HOLD = 2**62  # the place of what has no deadline: after every deadline
_DONE = ON_HOLD + 2**53  # the place of what is done, less its last change


PROMISES, TICKETS = cast(Table, PromiseRow.__table__), cast(Table, Ticket.__table__)


@dataclass(slots=True)
class Promise:
    """A promise as a transaction works with it, its columns as in PromiseRow: half the cost of an object that the ORM watches."""

    tenant_id: int
    id: int
    connection_id: int
    first_received_at: int
    next_transition_at: int | None
    book_revision: int
    open: bool
    history: bool
    horizon_at: int
    alerts_since: int
    policy_id: int | None
    choice: dict[str, Any]


_PROMISE = tuple(PROMISES.c[f.name] for f in fields(Promise))


def _promises(tx: Transaction, query: Select[Any]) -> list[Promise]:
    return [Promise(*row) for row in tx.execute(query)]


def get_promise(tx: Transaction, tenant: int, promise: int) -> Promise | None:
    """One promise, not locked."""
    return next(iter(_promises(tx, select(*_PROMISE).where(PROMISES.c.tenant_id == tenant, PROMISES.c.id == promise))), None)


def find_tickets(tx: Transaction, tenant: int, connection: int, externals: Collection[str]) -> dict[str, Any]:
    """(id, promise_id) by external id."""
    rows = tx.execute(
        select(Ticket.external_id, Ticket.id, Ticket.promise_id).where(
            Ticket.tenant_id == tenant, Ticket.connection_id == connection, among(tx, TICKETS.c.external_id, externals)
        )
    ).all()
    return {r.external_id: (r.id, r.promise_id) for r in rows}


def ensure_tickets(tx: Transaction, tenant: int, connection: int, first_seen: Mapping[str, tuple[int, bool]]) -> dict[str, tuple[int, int]]:
    """Find or make tickets with their promises. `first_seen`: external id -> (received_at, history). Returns external id -> (ticket, promise)."""
    known = find_tickets(tx, tenant, connection, first_seen)
    missing = sorted(set(first_seen) - set(known))
    if missing:
        promises, tickets = [], []
        for external in missing:
            received_at, history = first_seen[external]
            promise = new_id()
            promises.append(
                {
                    "tenant_id": tenant,
                    "id": promise,
                    "connection_id": connection,
                    "first_received_at": received_at,
                    "history": history,
                    "open": True,
                    "book_revision": 0,
                    "horizon_at": 0,
                    "alerts_since": 0,
                    "choice": {},
                }
            )
            tickets.append(
                {
                    "tenant_id": tenant,
                    "id": new_id(),
                    "connection_id": connection,
                    "external_id": external,
                    "promise_id": promise,
                    "subject": "",
                    "status": "open",
                    "priority": "P2",
                    "tags": [],
                    "fields": {},
                    "updated_at": received_at,
                }
            )
        # the unique ticket decides a race; the loser's promise is never referenced and goes at once
        insert_rows(tx, PROMISES, promises)
        insert_rows(tx, TICKETS, tickets, known=("tenant_id", "connection_id", "external_id"))
        known = find_tickets(tx, tenant, connection, first_seen)
        used = {promise for _, promise in known.values()}
        lost = [p["id"] for p in promises if p["id"] not in used]
        if lost:
            tx.execute(delete(PROMISES).where(PROMISES.c.tenant_id == tenant, PROMISES.c.id.in_(lost)))
    return known


def lock_promises(tx: Transaction, tenant: int, promises: Collection[int]) -> Sequence[Promise]:
    """Lock promises in id order and return them; history is read only after this."""
    query = select(*_PROMISE).where(PROMISES.c.tenant_id == tenant, among(tx, PROMISES.c.id, promises)).order_by(PROMISES.c.id)
    return _promises(tx, query.with_for_update() if tx.is_postgres else query)


def open_promises(tx: Transaction, tenant: int, after: int, limit: int) -> Sequence[Any]:
    """The next open promises in id order, after the id `after`, none of a running import; unlocked."""
    columns = (PromiseRow.id, PromiseRow.connection_id, PromiseRow.first_received_at, PromiseRow.horizon_at, PromiseRow.book_revision, PromiseRow.policy_id)
    query = select(*columns).where(PromiseRow.tenant_id == tenant, PromiseRow.id > after, PromiseRow.open.is_(True), PromiseRow.history.is_(False))
    return tx.execute(query.order_by(PromiseRow.id).limit(limit)).all()


def count_open_promises(tx: Transaction, tenant: int, older_than: int | None = None) -> int:
    """How many promises are open; `older_than`: only those that stand under a revision of the books before that one."""
    query = select(func.count()).select_from(PromiseRow).where(PromiseRow.tenant_id == tenant, PromiseRow.open.is_(True))
    if older_than is not None:
        query = query.where(PromiseRow.book_revision < older_than)
    return int(tx.scalar(query) or 0)


def note_revision(tx: Transaction, tenant: int, promises: Collection[int], revision: int) -> None:
    """Locked promises stand under a newer book as they did under theirs."""
    if promises:
        tx.execute(update(PromiseRow).where(PromiseRow.tenant_id == tenant, PromiseRow.id.in_(list(promises))).values(book_revision=revision))


def ticket_names(tx: Transaction, tenant: int, promises: Collection[int]) -> dict[int, str]:
    """The external id of each promise's ticket."""
    rows = tx.execute(select(Ticket.promise_id, Ticket.external_id).where(Ticket.tenant_id == tenant, Ticket.promise_id.in_(list(promises))))
    return {r.promise_id: r.external_id for r in rows}


def place_of(standing: str, deadline_at: int | None, changed_at: int) -> int:
    """The place in lists of a ticket with that standing, whose tightest deadline (None: it waits) and last change these are."""
    if standing == "done":
        return _DONE - min(max(changed_at, 0), 2**53)
    return ON_HOLD if deadline_at is None else deadline_at


def unplaced_tickets(tx: Transaction, tenant: int, limit: int) -> Sequence[int]:
    """Promises of tickets whose place in lists nobody has worked out."""
    return tx.scalars(select(TICKETS.c.promise_id).where(TICKETS.c.tenant_id == tenant, text(_UNPLACED)).order_by(TICKETS.c.id).limit(limit)).all()


def promises_after(tx: Transaction, tenant: int, ticket: int, limit: int) -> Sequence[Any]:
    """(id, promise_id) of the tickets after an id, in order."""
    query = select(TICKETS.c.id, TICKETS.c.promise_id).where(TICKETS.c.tenant_id == tenant, TICKETS.c.id > ticket)
    return tx.execute(query.order_by(TICKETS.c.id).limit(limit)).all()


def horizons_of(tx: Transaction, tenant: int, promises: Collection[int]) -> dict[int, int]:
    """As of when each of some promises was evaluated last."""
    rows = tx.execute(select(PROMISES.c.id, PROMISES.c.horizon_at).where(PROMISES.c.tenant_id == tenant, among(tx, PROMISES.c.id, promises)))
    return {row.id: row.horizon_at for row in rows}


def claim_due(tx: Transaction, now: int, limit: int, held_back: Mapping[int, int]) -> Sequence[Promise]:
    """Lock promises of ONE tenant whose next transition is due, earliest first; those another process holds are passed over. In id order.

    `held_back`: connection -> watermark; its promises are due only up to there.
    """
    # asked for in a question of its own the instant is unknown to the planner, which then walks the index in its order: statistics of an hour ago know nothing
    # of ten thousand that are due now, and would have them all fetched and sorted for every slice
    at, connection = PROMISES.c.next_transition_at, PROMISES.c.connection_id
    due: ColumnElement[bool] = at <= select(literal(now, BigInteger)).scalar_subquery()
    if held_back:
        due = and_(due, or_(connection.not_in(list(held_back)), *(and_(connection == c, at <= watermark) for c, watermark in held_back.items())))
    tenant = select(PROMISES.c.tenant_id).where(due).order_by(at).limit(1).correlate(None).scalar_subquery()
    mine = PROMISES.c.tenant_id if tx.is_postgres else PROMISES.c.tenant_id + 0  # else SQLite reads all of the tenant's by its key
    query = select(*_PROMISE).where(mine == tenant, due).order_by(at).limit(limit)
    return sorted(_promises(tx, query.with_for_update(skip_locked=True) if tx.is_postgres else query), key=attrgetter("id"))


def claim_stale(tx: Transaction, tenant: int, revision: int, limit: int) -> Sequence[Promise]:
    """Lock open promises evaluated with older terms than `revision`, in id order."""
    query = select(*_PROMISE).where(PROMISES.c.tenant_id == tenant, PROMISES.c.open.is_(True), PROMISES.c.book_revision < revision)
    query = query.order_by(PROMISES.c.book_revision, PROMISES.c.id).limit(limit)  # the order of its index; nobody is waited for, so none of the locks
    return _promises(tx, query.with_for_update(skip_locked=True) if tx.is_postgres else query)


def postpone_promise(tx: Transaction, tenant: int, promise: int, at: int) -> None:
    """Look at a locked promise again at an instant, whatever is due of it."""
    tx.execute(update(PROMISES).where(PROMISES.c.tenant_id == tenant, PROMISES.c.id == promise).values(next_transition_at=at))


def imported_promises(tx: Transaction, tenant: int, connections: Collection[int]) -> Sequence[int]:
    """The promises of some connections whose import is still under way."""
    query = select(PROMISES.c.id).where(PROMISES.c.tenant_id == tenant, PROMISES.c.connection_id.in_(list(connections)), PROMISES.c.history.is_(True))
    return tx.scalars(query).all()


def end_history(tx: Transaction, tenant: int, connections: Collection[int], now: int) -> None:
    """The import of some connections is over: their promises, which are locked, live from now on."""
    tx.execute(
        update(PROMISES)
        .where(PROMISES.c.tenant_id == tenant, PROMISES.c.connection_id.in_(list(connections)), PROMISES.c.history.is_(True))
        .values(history=False, alerts_since=now, next_transition_at=now)
    )


def earliest_transition(tx: Transaction) -> int | None:
    """The earliest next transition of any promise; None if there is none."""
    return tx.scalar(select(PromiseRow.next_transition_at).where(PromiseRow.next_transition_at.is_not(None)).order_by(PromiseRow.next_transition_at).limit(1))


_TICKET_COLUMNS = tuple(c.key for c in Ticket.__table__.columns if c.key not in ("tenant_id", "id", "connection_id", "external_id", "promise_id"))


_MOVED = ("next_transition_at", "open", "horizon_at", "settled_at", "stripped")


def write_promises(
    tx: Transaction, tenant: int, moved: Sequence[Mapping[str, Any]], chosen: Sequence[Mapping[str, Any]], begun: Sequence[Mapping[str, Any]]
) -> None:
    """Update promises set-wise by `id`: those that stay with their policy and book, those that do not, and those whose import is over."""
    update_rows(tx, PROMISES, tenant, moved, _MOVED)
    update_rows(tx, PROMISES, tenant, chosen, (*_MOVED, "book_revision", "policy_id", "choice"))
    update_rows(tx, PROMISES, tenant, begun, ("history", "alerts_since"))


def write_places(tx: Transaction, tenant: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Set `standing` and `place` of tickets by `id`."""
    update_rows(tx, TICKETS, tenant, rows, ("standing", "place"))


def write_tickets(tx: Transaction, tenant: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Update ticket mirrors set-wise; each row has `id` and every mirrored column."""
    update_rows(tx, TICKETS, tenant, rows, _TICKET_COLUMNS)


_BARE: Mapping[str, Any] = {"subject": "", "assignee": None, "requester": None, "link": None, "tags": [], "fields": {}}


def bare_tickets(tx: Transaction, tenant: int, promises: Collection[int]) -> None:
    """Take names, labels and custom fields from the mirrors of locked promises; the next event folds them anew."""
    if promises:
        tx.execute(update(TICKETS).where(TICKETS.c.tenant_id == tenant, TICKETS.c.promise_id.in_(list(promises))).values(**_BARE))


def write_choice(tx: Transaction, tenant: int, promise: int, choice: Mapping[str, Any]) -> None:
    """Replace the reasons of a locked promise's choice."""
    tx.execute(update(PROMISES).where(PROMISES.c.tenant_id == tenant, PROMISES.c.id == promise).values(choice=dict(choice)))


def tickets_of(tx: Transaction, tenant: int, promises: Collection[int]) -> Sequence[Any]:
    """The tickets of some promises: plain rows with the columns of Ticket, at a fraction of what objects that the ORM watches cost."""
    return tx.execute(select(*TICKETS.c).where(TICKETS.c.tenant_id == tenant, among(tx, TICKETS.c.promise_id, promises))).all()


def get_ticket(tx: Transaction, tenant: int, ticket: int) -> Ticket | None:
    """One ticket by our id."""
    return tx.get(Ticket, (tenant, ticket))


def find_ticket(tx: Transaction, tenant: int, word: str) -> Sequence[Ticket]:
    """Tickets whose external id (or our id) is `word`, at most ten."""
    query = select(Ticket).where(Ticket.tenant_id == tenant, Ticket.external_id == word.lstrip("#")).limit(10)
    found = tx.scalars(query).all()
    if not found and word.isascii() and word.isdigit() and int(word) < 2**63:
        one = get_ticket(tx, tenant, int(word))
        return [one] if one else []
    return found
