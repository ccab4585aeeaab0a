"""People of a tenant: invite, change role, disable, let back in; one-time links for invitations and resets. The last admin stays."""

import hashlib
import re
import secrets
import unicodedata

from sla_plugin.errors import InvalidDefinition
from sla_plugin.permissions import ROLES
from sla_plugin.services.outside import Outside
from sla_plugin.services.passwords import hash_password, one_time_password
from sla_plugin.services.queue_mail import LINKS, queue_link
from sla_plugin.store.audit import append_audit
from sla_plugin.store.credentials import OneTimeLink, add_link, end_sessions, find_link, use_link
from sla_plugin.store.db import Transaction
from sla_plugin.store.mails import cancel_mails, last_mail
from sla_plugin.store.people import Person, add_person, change_person, find_person, get_person, lock_admins, set_password

LINK = 3 * 86_400_000_000  # microseconds a one-time link is valid
SHORTEST = 12  # characters of a password
_EMAIL = re.compile(r"[^@\s<>]{1,64}@[^@\s<>]{1,255}")


def check_email(email: str) -> None:
    """Raises InvalidDefinition (field `email`) for what cannot be a mail address."""
    if not _EMAIL.fullmatch(email):
        raise InvalidDefinition("email", f"{email!r} is no mail address; write one such as kim@example.com")


def check_role(role: str) -> None:
    """Raises InvalidDefinition (field `role`) for what is no role."""
    if role not in ROLES:
        raise InvalidDefinition("role", f"{role!r} is no role; there are {', '.join(ROLES)}")


def invite(tx: Transaction, tenant: int, email: str, name: str, role: str, now: int, actor: str, outside: Outside | None = None) -> tuple[int, str]:
    """A new person who sets a password by a one-time link; returns the person and the link's secret.

    Given `outside`, the link goes by mail where the tenant sends mail; the secret is "" then. Raises InvalidDefinition (field email, name, role).
    """
    email, name = email.strip().lower(), name.strip()
    check_email(email)
    check_role(role)
    if not 0 < len(name) <= 200 or any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in name):
        raise InvalidDefinition("name", "give a name of at most 200 characters, on one line")
    if find_person(tx, tenant, email) is not None:
        raise InvalidDefinition("email", f"{email!r} is known here already")
    # nobody knows this password; the link replaces it
    person = add_person(tx, tenant, email, name, role, hash_password(one_time_password()), now, one_time=True)
    secret, mailed = _link(tx, tenant, person, "invitation", now, outside)
    append_audit(tx, tenant, now, actor, "person invited", {"person": email, "before": None, "after": {"name": name, "role": role}, "mailed": mailed})
    return person, "" if mailed else secret


def make_link(tx: Transaction, tenant: int, person: int, now: int) -> str:
    """The secret of a new one-time link; earlier links of the person are void, and mails with them leave no more."""
    secret = secrets.token_urlsafe(32)
    cancel_mails(tx, tenant, person, LINKS, now)
    add_link(tx, tenant, person, _digest(secret), now, now + LINK)
    return secret


def reset(tx: Transaction, tenant: int, person: Person, now: int, actor: str, outside: Outside | None = None) -> str:
    """The secret of a link by which a person sets a new password. What they have stays valid until then. `outside` and "" as for `invite`."""
    before = last_mail(tx, tenant, person.id, LINKS)
    again = person.one_time and before is not None and before.kind == "invitation"  # who never came in is invited again
    secret, mailed = _link(tx, tenant, person.id, "invitation" if again else "reset", now, outside)
    append_audit(tx, tenant, now, actor, "password reset link made", {"person": person.email, "mailed": mailed})
    return "" if mailed else secret


def _link(tx: Transaction, tenant: int, person: int, kind: str, now: int, outside: Outside | None) -> tuple[str, bool]:
    secret = make_link(tx, tenant, person, now)
    return secret, outside is not None and queue_link(tx, tenant, person, kind, secret, now + LINK, now, outside)


def link_of(tx: Transaction, secret: str, now: int) -> tuple[OneTimeLink, Person] | None:
    """An unused link and whose it is, in a transaction of Duty.SIGN_IN; None for one that is unknown, used or expired."""
    return find_link(tx, _digest(secret), now)


def accept(tx: Transaction, link: OneTimeLink, person: Person, password_hash: str, now: int) -> bool:
    """Set the password that a link was for; every session of the person ends. False if the link was used meanwhile."""
    if not use_link(tx, person.tenant_id, link.id, now):
        return False
    set_password(tx, person.tenant_id, person.id, password_hash, one_time=False)
    end_sessions(tx, person.tenant_id, person.id, now)
    cancel_mails(tx, person.tenant_id, person.id, LINKS, now)
    append_audit(tx, person.tenant_id, now, f"{person.name} <{person.email}>", "password set by link", {"person": person.email})
    return True


def change_role(tx: Transaction, tenant: int, person: Person, role: str, now: int, actor: str, by: int | None) -> None:
    """Give a person another role; their sessions go on with it. `by`: the person who does it (None: the command line).

    Raises InvalidDefinition (field `role`): one's own role, or the last admin's.
    """
    check_role(role)
    if role == person.role:
        return
    if person.id == by:
        raise InvalidDefinition("role", "nobody changes their own role; let another admin do it")
    if person.role == "admin":
        keep_an_admin(tx, tenant, person, "role")
    change_person(tx, tenant, person.id, role=role)
    append_audit(tx, tenant, now, actor, "role changed", {"person": person.email, "before": {"role": person.role}, "after": {"role": role}})


def disable(tx: Transaction, tenant: int, person: Person, now: int, actor: str, by: int | None) -> None:
    """Let a person in no more: sessions end, tokens are refused. Raises InvalidDefinition (field `person`): oneself, or the last admin."""
    if person.disabled_at is not None:
        return
    if person.id == by:
        raise InvalidDefinition("person", "nobody disables themselves; let another admin do it")
    if person.role == "admin":
        keep_an_admin(tx, tenant, person, "person")
    change_person(tx, tenant, person.id, disabled_at=now)
    end_sessions(tx, tenant, person.id, now)
    cancel_mails(tx, tenant, person.id, LINKS, now)
    append_audit(tx, tenant, now, actor, "person disabled", {"person": person.email, "before": {"disabled": False}, "after": {"disabled": True}})


def enable(tx: Transaction, tenant: int, person: Person, now: int, actor: str) -> None:
    """Let a person in again, with the password they had."""
    if person.disabled_at is not None:
        change_person(tx, tenant, person.id, disabled_at=None)
        append_audit(tx, tenant, now, actor, "person enabled", {"person": person.email, "before": {"disabled": True}, "after": {"disabled": False}})


def sign_out(tx: Transaction, tenant: int, person: int, now: int, actor: str, *, only: int | None = None, but: int | None = None) -> int:
    """End sessions of a person: all, `only` one, all `but` one. Returns how many."""
    found = get_person(tx, tenant, person)
    ended = end_sessions(tx, tenant, person, now, only=only, but=but)
    if ended and found is not None:
        append_audit(tx, tenant, now, actor, "sessions ended", {"person": found.email, "sessions": ended})
    return ended


def choose_language(tx: Transaction, person: Person, language: str | None, now: int, actor: str) -> None:
    """The language of pages and mails for a person: a key of LANGUAGES, or None for what their browser asks for."""
    change_person(tx, person.tenant_id, person.id, language=language)
    changes = {"person": person.email, "before": {"language": person.language}, "after": {"language": language}}
    append_audit(tx, person.tenant_id, now, actor, "language chosen", changes)


def keep_an_admin(tx: Transaction, tenant: int, person: Person, field: str) -> None:
    """Two admins who remove each other at once are one after the other: the admins are locked."""
    if not [admin for admin in lock_admins(tx, tenant) if admin != person.id]:
        raise InvalidDefinition(field, f"{person.email} is the last admin; make somebody else an admin first")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
