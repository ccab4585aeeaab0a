"""The mail queue, step by step: claim, write, settle. The server is spoken to between these steps, never inside a transaction.

Exactly once cannot be had: when the line breaks after a mail's last byte, nobody knows whether it was taken. It is sent again then, with the same Message-ID,
Date and link, so that the worst is a second copy of the same mail.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sla_plugin.errors import ConfigurationError
from sla_plugin.language import speaking
from sla_plugin.ports import Letter, MailProblem, MailServer, MailTry
from sla_plugin.services.mail_settings import MailSettings, mail_settings
from sla_plugin.services.mail_texts import KINDS, About, html, plain
from sla_plugin.services.outside import Outside
from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction
from sla_plugin.store.mails import Mail, claim_mail, held_mail
from sla_plugin.store.people import Person, get_person

SECOND = 1_000_000
LEASE = 150 * SECOND  # longer than a try may take, and the names to be looked up before it
WAITS = (60 * SECOND, 900 * SECOND)  # after the first and the second try: greylisting lasts minutes
TRIES = len(WAITS) + 1
CANCELS = ("expired", "nobody")  # problems after which there is nothing to send any more


@dataclass(frozen=True, slots=True)
class Ready:
    """A mail that can leave."""

    server: MailServer
    letter: Letter


def claim(tx: Transaction, now: int, holder: str) -> Mail | None:
    """The mail that is due first; None if none is. It is the caller's for LEASE."""
    return claim_mail(tx, now, now + LEASE, holder)


def write(tx: Transaction, mail: Mail, now: int, outside: Outside) -> Ready | MailProblem:
    """The letter of a claimed mail and where it leaves; or why it cannot leave."""
    if mail.attempts > TRIES:  # processes that died while they sent it
        return MailProblem("interrupted", temporary=False)
    if mail.expires_at is not None and mail.expires_at <= now:
        return MailProblem("expired", temporary=False)
    person = None if mail.person_id is None else get_person(tx, mail.tenant_id, mail.person_id)
    if mail.person_id is not None and (person is None or person.disabled_at is not None):
        return MailProblem("nobody", temporary=False)
    if mail.kind not in KINDS:
        return MailProblem("kind", temporary=False)
    try:
        settings = mail_settings(tx, mail.tenant_id, outside.sealer)
        told = {**mail.facts, **(json.loads(outside.sealer.open(mail.sealed)) if mail.sealed else {})}
    except ConfigurationError:
        return MailProblem("key", temporary=False)
    if settings is None:
        return MailProblem("off", temporary=False)
    to, name = _receiver(mail, person)
    letter = letter_of(settings, mail.kind, told, to, name, language_of(settings, person), mail.id, mail.created_at, mail.expires_at)
    return Ready(settings.server, letter)


def letter_of(
    settings: MailSettings, kind: str, told: Mapping[str, Any], to: str, name: str, language: str, number: int, at: int, expires_at: int | None = None
) -> Letter:
    """A mail in a language; `number` is what its Message-ID is made of."""
    with speaking(language):
        words = KINDS[kind](About(name, settings.tenant, told, expires_at, settings.time_zone))
        message_id = f"<{kind}.{number}@{settings.sender.rpartition('@')[2].encode('idna').decode()}>"
        return Letter(message_id, at, settings.sender, settings.sender_name, to, name, words.subject, plain(words), html(words))


def language_of(settings: MailSettings, person: Person | None) -> str:
    """The language of a person's mail: their own, else the tenant's."""
    return (person.language if person is not None else None) or settings.language


def settle(tx: Transaction, mail: Mail, tried: MailTry, now: int) -> str | None:
    """Record what came of a try; the state it left, None if somebody else has settled or claimed the mail meanwhile."""
    row = held_mail(tx, mail.tenant_id, mail.id, mail.lease)
    if row is None:
        return None
    problem = tried.problem
    row.holder = None
    row.problem, row.status, row.said = (problem.why, problem.status, problem.said[:200] or None) if problem else (None, None, None)
    if problem is not None and problem.temporary and row.attempts < TRIES:
        row.next_at = now + WAITS[row.attempts - 1]
        tx.flush()
        return row.state
    row.state = "sent" if problem is None else "cancelled" if problem.why in CANCELS else "failed"
    row.settled_at, row.sealed = now, None
    tx.flush()
    person = None if row.person_id is None else get_person(tx, row.tenant_id, row.person_id)
    told = {"mail": str(row.id), "kind": row.kind, "person": person.email if person else None, "tries": row.attempts}
    append_audit(tx, row.tenant_id, now, "machine", f"mail {row.state}", {**told, **({"problem": problem.why, "status": problem.status} if problem else {})})
    return row.state


def _receiver(mail: Mail, person: Person | None) -> tuple[str, str]:
    """(address, name); an address that the mail names comes first."""
    if mail.address is not None or person is None:
        return mail.address or "", person.name if person is not None else ""
    return person.email, person.name
