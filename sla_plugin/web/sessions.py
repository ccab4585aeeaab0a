"""Who is there: Flask's signed cookie names a session, whose row says whether it still holds. Programs bear tokens (bearers.py)."""

import secrets
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer

from sla_plugin.language import gettext
from sla_plugin.permissions import Actor, allowed
from sla_plugin.services.guessable import is_guessable, is_listed
from sla_plugin.services.passwords import hash_password, password_fits
from sla_plugin.services.people import SHORTEST
from sla_plugin.services.session_settings import COARSE, idle_since
from sla_plugin.services.sign_in import account_of, note_try, waits_until, who_fits
from sla_plugin.services.sign_in_with_provider import passwords_open
from sla_plugin.store.audit import append_audit
from sla_plugin.store.credentials import add_session, end_sessions, note_seen, open_session
from sla_plugin.store.db import Database
from sla_plugin.store.duties import Duty
from sla_plugin.store.people import Person, people_named, set_password

LENGTH = 12 * 3600 * 1_000_000  # microseconds a session lives


@dataclass(frozen=True)
class Refused:
    """A sign-in that was refused; `until` (microseconds UTC) where this source has to wait, `elsewhere` the tenant whose sign-in service alone lets in."""

    until: int | None = None
    elsewhere: int | None = None


def sign_in(database: Database, email: str, password: str, source: str, now: int) -> Sequence[Person] | Refused:
    """The people whom address and password fit (one a tenant), or why nobody. A source that guesses waits longer and longer; others do not."""
    with database.reading(Duty.SIGN_IN) as tx:
        until = waits_until(tx, email, source, now)
        people = people_named(tx, email.strip())
    if until is not None:
        return Refused(until)
    fits = who_fits(people, password)
    with database.transaction(Duty.SIGN_IN) as tx:
        until = note_try(tx, email, source, now, fits=bool(fits))
        # one-time passwords come from an operator, who may let anybody in
        open_to = [person for person in fits if person.one_time or passwords_open(tx, person.tenant_id)]
    return open_to or Refused(until, elsewhere=fits[0].tenant_id if fits else None)


def device_source(signer: URLSafeSerializer, cookie: str | None, email: str) -> str | None:
    """The source of a browser that somebody signed in with before: guesses from elsewhere do not make it wait. None for a cookie that is not ours."""
    try:
        account, mark = signer.loads(cookie or "")
    except (BadSignature, ValueError, TypeError):
        return None
    return f"device {mark}" if account == account_of(email) else None


def device_cookie(signer: URLSafeSerializer, email: str) -> str:
    """What marks this browser as one that the account was signed in with."""
    return str(signer.dumps([account_of(email), secrets.token_hex(16)]))


def begin(database: Database, cookie: MutableMapping[str, Any], person: Person, now: int, source: str, browser: str, how: str) -> None:
    """Begin a session, `how` being password, link or provider; what the cookie held before is gone."""
    with database.transaction(person.tenant_id) as tx:
        session = add_session(tx, person.tenant_id, person.id, now, now + LENGTH, source, browser, how)
        append_audit(tx, person.tenant_id, now, actor_of(person).name, "signed in", {"person": person.email, "source": source, "how": how})
    _hold(cookie, person, session)


def end(database: Database, cookie: MutableMapping[str, Any], now: int) -> None:
    """End the session of a cookie, if it holds one."""
    found = signed_in(database, cookie, now)
    if found is not None:
        person, session = found
        with database.transaction(person.tenant_id) as tx:
            if end_sessions(tx, person.tenant_id, person.id, now, only=session):
                append_audit(tx, person.tenant_id, now, actor_of(person).name, "signed out", {"before": {"session": "open"}, "after": {"session": "ended"}})
    cookie.clear()


def signed_in(database: Database, cookie: MutableMapping[str, Any], now: int, *, used: bool = True) -> tuple[Person, int] | None:
    """The person of a cookie and the session; None if nobody is signed in, or the session has ended or lain idle.

    `used`: somebody does something. A page that only refreshes itself keeps no session open.
    """
    try:
        tenant, session = int(cookie["tenant"]), int(cookie["session"])
    except (KeyError, ValueError):
        return None
    with database.reading(tenant) as tx:
        found = open_session(tx, tenant, session, now, idle_since(tx, tenant, now))
    if found is None:
        return None
    if used and now - found[0].seen_at >= COARSE:
        with database.transaction(tenant) as tx:
            note_seen(tx, tenant, session, now)
    return found[1], session


def actor_of(person: Person) -> Actor:
    """The person as an actor with all that their role may do."""
    return Actor(person.tenant_id, person.id, f"{person.name} <{person.email}>", person.role, allowed(person.role))


def password_problem(password: str, again: str, person: Person, tenant_name: str, common: Path | None) -> str | None:
    """Why a new password cannot be used; None if it can. `common`: a file of those that nobody may choose."""
    if len(password) < SHORTEST:
        return gettext("Use at least %(count)d characters; a few words in a row are good.", count=SHORTEST)
    if password != again:
        return gettext("The two are not the same; type the new password twice.")
    if is_guessable(password, (tenant_name, person.name, person.email)) or (common is not None and is_listed(password, common)):
        return gettext("This is among the first to be guessed: common words, rows of keys, repeats, names from here. Take a few words without a link.")
    if password_fits(person.password_hash, password):
        return gettext("This is the password you have; choose another.")
    return None


def change_password(database: Database, cookie: MutableMapping[str, Any], person: Person, password: str, now: int, source: str, browser: str) -> None:
    """Set a password of the person's own. Every session ends, and a new one begins in this browser."""
    password_hash = hash_password(password)
    with database.transaction(person.tenant_id) as tx:
        set_password(tx, person.tenant_id, person.id, password_hash, one_time=False)
        end_sessions(tx, person.tenant_id, person.id, now)
        session = add_session(tx, person.tenant_id, person.id, now, now + LENGTH, source, browser)
        append_audit(tx, person.tenant_id, now, actor_of(person).name, "password changed", {"person": person.email})
    _hold(cookie, person, session)


def _hold(cookie: MutableMapping[str, Any], person: Person, session: int) -> None:
    cookie.clear()
    cookie["tenant"], cookie["session"] = str(person.tenant_id), str(session)
