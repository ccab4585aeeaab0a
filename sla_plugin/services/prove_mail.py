"""Prove a tenant's mail settings: every day and after a change by reaching the server and signing in, and on request with a test mail."""

from sla_plugin.errors import ConfigurationError
from sla_plugin.ports import MailProblem, MailTry
from sla_plugin.services.mail_settings import MailSettings, mail_settings
from sla_plugin.services.outside import Outside
from sla_plugin.services.recheck_credentials import EVERY
from sla_plugin.services.send_mail import letter_of
from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction
from sla_plugin.store.ids import new_id
from sla_plugin.store.mails import MailCheck, mail_check, note_mail_check, overdue_mail_check, take_mail_check

SOON = 900_000_000  # microseconds until settings that were not proved are tried again
PATIENCE = 25.0  # seconds that somebody who looks at a page waits


def overdue(tx: Transaction, now: int) -> MailCheck | None:
    """A tenant whose settings want a proof: for a day, for some minutes if the last one failed, at once if they were changed."""
    return overdue_mail_check(tx, now - EVERY, now - SOON)


def claim_proof(tx: Transaction, now: int) -> int | None:
    """The tenant of such a proof, which is this caller's to make (claiming moves `checked_at` to `now`); None if none is due."""
    check = overdue(tx, now)
    return check.tenant_id if check is not None and take_mail_check(tx, check.tenant_id, check.checked_at, now) else None


def settings_to_prove(tx: Transaction, tenant: int, outside: Outside) -> MailSettings | MailProblem:
    """The settings; a problem where there are none, or no key opens the password."""
    try:
        return mail_settings(tx, tenant, outside.sealer) or MailProblem("off", temporary=False)
    except ConfigurationError:
        return MailProblem("key", temporary=False)


def prove(settings: MailSettings | MailProblem, outside: Outside) -> MailTry:
    """Reach the server and sign in; no mail."""
    return MailTry((), settings) if isinstance(settings, MailProblem) else outside.mailer.try_out(settings.server, None)


def send_test(settings: MailSettings | MailProblem, to: str, name: str, language: str | None, now: int, outside: Outside) -> MailTry:
    """The same with a test mail, while somebody waits for it."""
    if isinstance(settings, MailProblem):
        return MailTry((), settings)
    letter = letter_of(settings, "test", {}, to, name, language or settings.language, new_id(), now)
    return outside.mailer.try_out(settings.server, letter, PATIENCE)


def note_proof(tx: Transaction, tenant: int, tried: MailTry, seen: int | None, now: int, actor: str, *, always: bool = False) -> None:
    """Keep what was found, unless the settings were changed since (`checked_at` is no longer what was `seen`).

    Into the audit trail goes what is different from the last time (`always`: all).
    """
    check = mail_check(tx, tenant)
    was, problem = check.problem if check is not None else None, tried.problem
    found = problem.why if problem else None
    if check is not None and check.checked_at == seen:
        note_mail_check(tx, tenant, now, found, problem.status if problem else None, (problem.said or None) if problem else None)
    if always or found != was:
        told = {"proved": [step for step, _ in tried.proved], "problem": found, "status": problem.status if problem else None}
        append_audit(tx, tenant, now, actor, "mail settings tried", told)
