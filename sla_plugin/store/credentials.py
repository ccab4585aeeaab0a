"""What people and programs prove themselves with: sessions, API tokens, one-time links; and failed sign-ins. Secrets are kept as sha256 only."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint, delete, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id
from sla_plugin.store.people import Person


class Session(TenantRow, Base):
    """A browser somebody signed in with; the signed cookie names it."""

    __tablename__ = "session"
    __table_args__ = (Index("ix_session_person", "tenant_id", "person_id"), Index("ix_session_expires_at", "tenant_id", "expires_at"))
    person_id: Mapped[int]
    begun_at: Mapped[int]
    seen_at: Mapped[int]  # to some minutes
    expires_at: Mapped[int]
    ended_at: Mapped[int | None]
    source: Mapped[str] = mapped_column(String(64))  # network address
    browser: Mapped[str] = mapped_column(String(200))
    how: Mapped[str] = mapped_column(String(10), default="password", server_default="password")  # password, link, provider


class Token(TenantRow, Base):
    """An API token: `prefix` finds it, `digest` proves it, `scopes` are names of permissions."""

    __tablename__ = "token"
    person_id: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    prefix: Mapped[str] = mapped_column(String(12), unique=True)
    digest: Mapped[str] = mapped_column(String(64), info={"secret": True})
    scopes: Mapped[list[Any]]
    made_at: Mapped[int]
    made_by: Mapped[str] = mapped_column(String(200))
    expires_at: Mapped[int | None]
    used_at: Mapped[int | None]  # to some minutes
    revoked_at: Mapped[int | None]


class OneTimeLink(TenantRow, Base):
    """A link that lets a person set a password, once."""

    __tablename__ = "one_time_link"
    __table_args__ = (UniqueConstraint("digest"),)
    person_id: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64), info={"secret": True})
    made_at: Mapped[int]
    expires_at: Mapped[int]
    used_at: Mapped[int | None]


class SignInFailure(Base):
    """Failed sign-ins to an account (sha256 of the address) from one source; before it is known whose tenant that is."""

    __tablename__ = "sign_in_failure"
    __table_args__ = (Index("ix_sign_in_failure_failed_at", "failed_at"),)
    account: Mapped[str] = mapped_column(String(64), primary_key=True)
    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int]
    failed_at: Mapped[int]


# --- sessions --------------------------------------------------------------------------------------------------------
def add_session(tx: Transaction, tenant: int, person: int, now: int, expires_at: int, source: str, browser: str, how: str = "password") -> int:
    """A new session; `how` one signed in: password, link (a one-time link) or provider. Returns its id."""
    session = new_id()
    times = {"begun_at": now, "seen_at": now, "expires_at": expires_at}
    tx.execute(insert(Session).values(tenant_id=tenant, id=session, person_id=person, source=source[:64], browser=browser[:200], how=how, **times))
    return session


def open_session(tx: Transaction, tenant: int, session: int, now: int, seen_since: int) -> tuple[Session, Person] | None:
    """A session that has not ended and was in use after an instant, with its person; None once it has not, or the person may not sign in any more."""
    row = tx.execute(
        select(Session, Person)
        .join(Person, (Person.tenant_id == Session.tenant_id) & (Person.id == Session.person_id))
        .where(Session.tenant_id == tenant, Session.id == session, Session.ended_at.is_(None), Session.expires_at > now)
        .where(Session.seen_at > seen_since, Person.disabled_at.is_(None))
    ).first()
    return (row[0], row[1]) if row is not None else None


def note_seen(tx: Transaction, tenant: int, session: int, now: int) -> None:
    """The session is in use."""
    tx.execute(update(Session).where(Session.tenant_id == tenant, Session.id == session).values(seen_at=now))


def sessions_of(tx: Transaction, tenant: int, person: int, now: int) -> Sequence[Session]:
    """The open sessions of a person, the last used first."""
    mine = (Session.tenant_id == tenant, Session.person_id == person, Session.ended_at.is_(None), Session.expires_at > now)
    return tx.scalars(select(Session).where(*mine).order_by(Session.seen_at.desc(), Session.id.desc())).all()


def end_sessions(tx: Transaction, tenant: int, person: int, now: int, *, only: int | None = None, but: int | None = None) -> int:
    """End the sessions of a person: all, `only` one, or all `but` one. Returns how many."""
    query = update(Session).where(Session.tenant_id == tenant, Session.person_id == person, Session.ended_at.is_(None), Session.expires_at > now)
    if only is not None:
        query = query.where(Session.id == only)
    if but is not None:
        query = query.where(Session.id != but)
    return tx.change(query.values(ended_at=now))


# --- tokens ----------------------------------------------------------------------------------------------------------
def add_token(tx: Transaction, tenant: int, values: dict[str, Any]) -> int:
    """A new token; returns its id."""
    token = new_id()
    tx.execute(insert(Token).values(tenant_id=tenant, id=token, **values))
    return token


def find_token(tx: Transaction, prefix: str) -> tuple[Token, Person] | None:
    """The token with that prefix and the person it acts for; one of the three doors that discover the tenant."""
    joined = select(Token, Person).join(Person, (Person.tenant_id == Token.tenant_id) & (Person.id == Token.person_id))
    row = tx.execute(joined.where(Token.prefix == prefix)).first()
    return (row[0], row[1]) if row is not None else None


def list_tokens(tx: Transaction, tenant: int) -> Sequence[Token]:
    """Every token of a tenant, the newest first; revoked ones too."""
    return tx.scalars(select(Token).where(Token.tenant_id == tenant).order_by(Token.id.desc())).all()


def get_token(tx: Transaction, tenant: int, token: int) -> Token | None:
    """One token."""
    return tx.get(Token, (tenant, token))


def note_token(tx: Transaction, tenant: int, token: int, **values: Any) -> None:
    """Set columns of a token: its last use, or that it is revoked."""
    tx.execute(update(Token).where(Token.tenant_id == tenant, Token.id == token).values(**values))


# --- one-time links --------------------------------------------------------------------------------------------------
def add_link(tx: Transaction, tenant: int, person: int, digest: str, now: int, expires_at: int) -> None:
    """A link for a person; earlier ones are void."""
    tx.execute(delete(OneTimeLink).where(OneTimeLink.tenant_id == tenant, OneTimeLink.person_id == person))
    tx.execute(insert(OneTimeLink).values(tenant_id=tenant, id=new_id(), person_id=person, digest=digest, made_at=now, expires_at=expires_at))


def find_link(tx: Transaction, digest: str, now: int) -> tuple[OneTimeLink, Person] | None:
    """The unused link with that digest, and whose it is; one of the doors that discover the tenant."""
    joined = select(OneTimeLink, Person).join(Person, (Person.tenant_id == OneTimeLink.tenant_id) & (Person.id == OneTimeLink.person_id))
    valid = (OneTimeLink.digest == digest, OneTimeLink.used_at.is_(None), OneTimeLink.expires_at > now, Person.disabled_at.is_(None))
    row = tx.execute(joined.where(*valid)).first()
    return (row[0], row[1]) if row is not None else None


def use_link(tx: Transaction, tenant: int, link: int, now: int) -> bool:
    """Use a link up; False if somebody was quicker."""
    mine = (OneTimeLink.tenant_id == tenant, OneTimeLink.id == link, OneTimeLink.used_at.is_(None))
    return tx.change(update(OneTimeLink).where(*mine).values(used_at=now)) > 0


# --- failed sign-ins -------------------------------------------------------------------------------------------------
def failures_of(tx: Transaction, account: str, source: str, since: int) -> tuple[int, int]:
    """(failures in a row, the last one's instant) of an account from a source, none of them older than `since`."""
    row = tx.get(SignInFailure, (account, source))
    return (row.failures, row.failed_at) if row is not None and row.failed_at >= since else (0, 0)


def note_failure(tx: Transaction, account: str, source: str, failures: int, now: int) -> None:
    """Keep how many there were."""
    dialect = postgresql if tx.is_postgres else sqlite
    statement = dialect.insert(SignInFailure).values(account=account, source=source, failures=failures, failed_at=now)
    tx.execute(statement.on_conflict_do_update(index_elements=["account", "source"], set_={"failures": failures, "failed_at": now}))


def forget_failures(tx: Transaction, before: int, limit: int) -> int:
    """Forget failures from before an instant, at most `limit`; returns how many."""
    key = (SignInFailure.account, SignInFailure.source)
    old = select(*key).where(SignInFailure.failed_at < before).limit(limit)
    return tx.change(delete(SignInFailure).where(tuple_(*key).in_(old)).execution_options(synchronize_session=False))


def forgive(tx: Transaction, account: str, source: str, before: int) -> None:
    """Forget the failures of an account from a source, and everybody's from before an instant."""
    mine = (SignInFailure.account == account) & (SignInFailure.source == source)
    tx.execute(delete(SignInFailure).where(mine | (SignInFailure.failed_at < before)))
