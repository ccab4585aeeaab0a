"""Who is signed in: Flask's signed cookie holds tenant, person and stamp; the stamp changes with the password and ends older sessions."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from sla_plugin.permissions import Actor, allowed
from sla_plugin.services.passwords import hash_password, one_time_password, password_fits
from sla_plugin.store.db import Database, Transaction
from sla_plugin.store.duties import Duty
from sla_plugin.store.people import Person, get_person, note_sign_in, people_named, set_password

FAILURES = 10  # in a row, then
LOCK = 15 * 60_000_000  # microseconds
SHORTEST = 12  # characters of a password

_NOBODY = hash_password(one_time_password())  # so that an unknown address takes as long as a known one


@dataclass(frozen=True)
class Refused:
    """A sign-in that was refused; `locked_until` (microseconds UTC) where the account is locked."""

    locked_until: int | None = None


def sign_in(database: Database, email: str, password: str, now: int) -> Person | Refused:
    """The person, or why not. Ten failures in a row lock the account for fifteen minutes."""
    with database.reading(Duty.SIGN_IN) as tx:
        person = next(iter(people_named(tx, email.strip())), None)
    if person is None:
        password_fits(_NOBODY, password)
        return Refused()
    if person.locked_until is not None and person.locked_until > now:
        return Refused(person.locked_until)
    fits = password_fits(person.password_hash, password)  # slow on purpose: outside of any transaction
    with database.transaction(person.tenant_id) as tx:
        fresh = get_person(tx, person.tenant_id, person.id)
        if fresh is None or fresh.stamp != person.stamp:
            return Refused()
        failures = 0 if fits else fresh.failures + 1
        locked_until = now + LOCK if failures >= FAILURES else None
        note_sign_in(tx, person.tenant_id, person.id, 0 if locked_until else failures, locked_until)
    return person if fits else Refused(locked_until)


def begin(session: MutableMapping[str, Any], person: Person) -> None:
    """Begin a session; what an earlier one held is gone."""
    session.clear()
    session["tenant"], session["person"], session["stamp"] = str(person.tenant_id), str(person.id), str(person.stamp)


def signed_in(tx: Transaction, session: MutableMapping[str, Any]) -> Person | None:
    """The person of a session; None if nobody is signed in or the session has ended."""
    try:
        tenant, person, stamp = (int(session[key]) for key in ("tenant", "person", "stamp"))
    except (KeyError, ValueError):
        return None
    found = get_person(tx, tenant, person)
    return found if found is not None and found.stamp == stamp else None


def actor_of(person: Person) -> Actor:
    """The person as an actor with all that their role may do."""
    return Actor(person.tenant_id, person.id, f"{person.name} <{person.email}>", person.role, allowed(person.role))


def password_problem(password: str, again: str, person: Person) -> str | None:
    """Why a new password cannot be used; None if it can."""
    if len(password) < SHORTEST:
        return f"Use at least {SHORTEST} characters; a few words in a row are good."
    if password != again:
        return "The two are not the same; type the new password twice."
    if password_fits(person.password_hash, password):
        return "This is the password you have; choose another."
    return None


def change_password(database: Database, person: Person, password: str) -> Person | None:
    """Set a password of the person's own; every session begun before ends. Returns the person as it is now."""
    password_hash = hash_password(password)
    with database.transaction(person.tenant_id) as tx:
        set_password(tx, person.tenant_id, person.id, password_hash, one_time=False)
    with database.reading(person.tenant_id) as tx:
        return get_person(tx, person.tenant_id, person.id)
