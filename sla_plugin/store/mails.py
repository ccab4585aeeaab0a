"""Mails on their way out, what is known of each tenant's mail server, and who asked for a new password before it is known whose tenant that is."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Index, String, Table, UniqueConstraint, delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.bulk import insert_rows, of_tenant
from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id
from sla_plugin.store.people import Person

MAIL_STATES = ("pending", "sent", "failed", "cancelled")
_PENDING, _FAILED = "state = 'pending'", "state = 'failed'"  # as text, so that both databases see that the partial index serves


class Mail(TenantRow, Base):
    """One mail to one person: pending -> sent | failed | cancelled; failed -> cancelled once something newer stands in its place.

    A claim counts the try, numbers it (`lease`) and moves `next_at` past the time that a try may take: only the holder of the current number may record
    what came of it, and a mail whose holder died is due again by itself. What must not be read is in `sealed`, and erased as soon as the mail is settled.
    """

    __tablename__ = "mail"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        Index("ix_mail_due", "next_at", postgresql_where=text(_PENDING), sqlite_where=text(_PENDING)),
        Index("ix_mail_failed", "tenant_id", postgresql_where=text(_FAILED), sqlite_where=text(_FAILED)),
        Index("ix_mail_person", "tenant_id", "person_id"),
    )
    key: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(40))
    person_id: Mapped[int | None]
    address: Mapped[str | None] = mapped_column(String(320))  # of somebody outside; None: the person's own, read when it leaves
    facts: Mapped[dict[str, Any]]  # what its words need and everybody may read
    sealed: Mapped[str | None] = mapped_column(info={"sealed": True})  # what they need and nobody else may read, as sealed JSON
    state: Mapped[str] = mapped_column(String(10))
    attempts: Mapped[int] = mapped_column(default=0)
    lease: Mapped[int] = mapped_column(default=0)
    holder: Mapped[str | None] = mapped_column(String(120))  # host, pid and start of the process that tries
    next_at: Mapped[int]
    expires_at: Mapped[int | None]  # from then on there is no use in sending it
    created_at: Mapped[int]
    settled_at: Mapped[int | None]
    problem: Mapped[str | None] = mapped_column(String(40))  # of the last try: a key of reports.mail_words.PROBLEMS
    status: Mapped[int | None]
    said: Mapped[str | None] = mapped_column(String(200))  # the server's words


class MailCheck(Base):
    """What the last proof of a tenant's mail settings found; there is one as long as mail is set up. `checked_at` 0: not proved since it was changed."""

    __tablename__ = "mail_check"
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    checked_at: Mapped[int]
    problem: Mapped[str | None] = mapped_column(String(40))
    status: Mapped[int | None]
    said: Mapped[str | None] = mapped_column(String(200))


class ResetRequest(Base):
    """Somebody asked for a new password. Known and unknown addresses are stored alike, sealed, and looked up later: the answer's time tells nothing."""

    __tablename__ = "reset_request"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sealed: Mapped[str]
    asked_at: Mapped[int]


# --- the queue -------------------------------------------------------------------------------------------------------
def add_mail(tx: Transaction, tenant: int, row: Mapping[str, Any]) -> bool:
    """Put a mail into the queue; False if its key is known already."""
    fresh = {"tenant_id": tenant, "id": new_id(), "state": "pending", "attempts": 0, "lease": 0, **row}
    return bool(insert_rows(tx, cast(Table, Mail.__table__), of_tenant(tenant, [fresh]), known=("tenant_id", "key"), returning=("id",)))


def claim_mail(tx: Transaction, now: int, due_again: int, holder: str) -> Mail | None:
    """The mail that is due first, claimed until `due_again`; None if none is due."""
    query = select(Mail).where(text(f"mail.{_PENDING}"), Mail.next_at <= now).order_by(Mail.next_at).limit(1)
    mail = tx.scalar(query.with_for_update(skip_locked=True) if tx.is_postgres else query)
    if mail is None:
        return None
    mail.lease += 1
    mail.attempts += 1
    mail.next_at = due_again
    mail.holder = holder
    tx.flush()
    return mail


def held_mail(tx: Transaction, tenant: int, mail: int, lease: int) -> Mail | None:
    """The mail, locked, if `lease` is still its current number and nobody has settled it; else None."""
    query = select(Mail).where(Mail.tenant_id == tenant, Mail.id == mail, Mail.lease == lease, Mail.state == "pending")
    return tx.scalar((query.with_for_update() if tx.is_postgres else query).execution_options(populate_existing=True))


def cancel_mails(tx: Transaction, tenant: int, person: int, kinds: Sequence[str], now: int) -> int:
    """Cancel a person's mails of some kinds that wait or failed; how many. What was sealed in them is erased."""
    mine = (Mail.tenant_id == tenant, Mail.person_id == person, Mail.kind.in_(list(kinds)), Mail.state.in_(("pending", "failed")))
    return tx.change(update(Mail).where(*mine).values(state="cancelled", settled_at=now, sealed=None))


def last_mail(tx: Transaction, tenant: int, person: int, kinds: Sequence[str]) -> Mail | None:
    """The newest mail of some kinds to a person."""
    return tx.scalar(select(Mail).where(Mail.tenant_id == tenant, Mail.person_id == person, Mail.kind.in_(list(kinds))).order_by(Mail.id.desc()).limit(1))


def list_mails(tx: Transaction, tenant: int, state: str | None, most: int) -> Sequence[tuple[Mail, str | None]]:
    """The newest mails, of one state if given, each with the address of the person it goes to (None: somebody outside, or gone)."""
    joined = select(Mail, Person.email).outerjoin(Person, (Person.tenant_id == Mail.tenant_id) & (Person.id == Mail.person_id))
    query = joined.where(Mail.tenant_id == tenant, *([Mail.state == state] if state else [])).order_by(Mail.id.desc()).limit(most)
    return [(row[0], row[1]) for row in tx.execute(query)]


def failed_mails(tx: Transaction, tenant: int, most: int) -> Sequence[Mail]:
    """Mails that could not be sent and in whose place nothing newer stands, the oldest first; at most so many."""
    return tx.scalars(select(Mail).where(text(f"mail.{_FAILED}"), Mail.tenant_id == tenant).order_by(Mail.id).limit(most)).all()


def waiting_mails(tx: Transaction, most: int) -> Sequence[Any]:
    """(tenant_id, count, oldest): mails that wait, with the instant at which the first of each tenant is due; `most` are looked at."""
    some = select(Mail.tenant_id, Mail.next_at).where(text(f"mail.{_PENDING}")).order_by(Mail.next_at).limit(most).subquery()
    return tx.execute(select(some.c.tenant_id, func.count().label("count"), func.min(some.c.next_at).label("oldest")).group_by(some.c.tenant_id)).all()


def next_mail_at(tx: Transaction) -> int | None:
    """When the next mail is due (one under way: when its lease ends); None if none waits."""
    return tx.scalar(select(func.min(Mail.next_at)).where(text(f"mail.{_PENDING}")))


def mail_holders(tx: Transaction) -> list[str]:
    """The processes that have mails under way."""
    return [one for one in tx.scalars(select(Mail.holder).where(text(f"mail.{_PENDING}"), Mail.holder.is_not(None)).distinct()) if one]


def free_mails(tx: Transaction, holders: Sequence[str], now: int) -> None:
    """Mails of processes that are gone are due at once."""
    tx.execute(update(Mail).where(text(f"mail.{_PENDING}"), Mail.holder.in_(list(holders))).values(next_at=now, holder=None))


# --- what is known of the server -------------------------------------------------------------------------------------
def note_mail_check(tx: Transaction, tenant: int, checked_at: int, problem: str | None = None, status: int | None = None, said: str | None = None) -> None:
    """Keep what a proof found; `checked_at` 0 asks for one soon."""
    values = {"checked_at": checked_at, "problem": problem, "status": status, "said": said and said[:200]}
    dialect = postgresql if tx.is_postgres else sqlite
    tx.execute(dialect.insert(MailCheck).values(tenant_id=tenant, **values).on_conflict_do_update(index_elements=["tenant_id"], set_=values))


def forget_mail_check(tx: Transaction, tenant: int) -> None:
    """Mail is set up no more."""
    tx.execute(delete(MailCheck).where(MailCheck.tenant_id == tenant))


def mail_check(tx: Transaction, tenant: int) -> MailCheck | None:
    """What the last proof found; None where mail is not set up."""
    return tx.scalar(select(MailCheck).where(MailCheck.tenant_id == tenant))


def overdue_mail_check(tx: Transaction, before: int, before_if_bad: int) -> MailCheck | None:
    """A tenant whose mail settings were last proved before an instant (where that found a problem, before another), if any."""
    old = (MailCheck.checked_at < before) | (MailCheck.problem.is_not(None) & (MailCheck.checked_at < before_if_bad))
    return tx.scalar(select(MailCheck).where(old).order_by(MailCheck.checked_at).limit(1))


def take_mail_check(tx: Transaction, tenant: int, seen: int, now: int) -> bool:
    """Claim a proof by moving `checked_at` from what was `seen`; False if another process was first."""
    return tx.change(update(MailCheck).where(MailCheck.tenant_id == tenant, MailCheck.checked_at == seen).values(checked_at=now)) > 0


def somebody_mails(tx: Transaction) -> bool:
    """Whether any tenant of the installation has mail set up."""
    return tx.scalar(select(MailCheck.tenant_id).limit(1)) is not None


# --- who asked for a new password ------------------------------------------------------------------------------------
def add_reset_request(tx: Transaction, sealed: str, now: int) -> None:
    """Somebody asked, with an address (sealed) that may be nobody's."""
    tx.execute(insert(ResetRequest).values(id=new_id(), sealed=sealed, asked_at=now))


def next_reset_request(tx: Transaction) -> ResetRequest | None:
    """The oldest that nobody has looked at."""
    return tx.scalar(select(ResetRequest).order_by(ResetRequest.id).limit(1))


def drop_reset_request(tx: Transaction, request: int) -> None:
    """It is dealt with."""
    tx.execute(delete(ResetRequest).where(ResetRequest.id == request))
