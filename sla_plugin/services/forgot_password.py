"""Somebody has forgotten a password and may not be known here: the asking and the answering are apart, so that the asking tells nothing.

At the door every address is stored alike, sealed, and answered alike. The outbox worker looks it up afterwards and mails a link to whoever has the address,
one mail a tenant that sends mail; how long that takes shows to nobody.
"""

from collections.abc import Sequence

from sla_plugin.services.outside import Outside
from sla_plugin.services.people import reset
from sla_plugin.services.queue_mail import LINKS
from sla_plugin.services.sign_in import MOST, note_try, waits_until
from sla_plugin.services.sign_in_with_provider import passwords_open
from sla_plugin.store.db import Transaction
from sla_plugin.store.mails import ResetRequest, add_reset_request, last_mail, mail_check
from sla_plugin.store.people import Person, lock_person, people_named

APART = 600_000_000  # microseconds between two mails to one person
ASKED = "(forgot)"  # under which asking is counted like failed sign-ins: no address, so it meets none


def ask(tx: Transaction, email: str, source: str, now: int, outside: Outside) -> int | None:
    """Note that somebody asked, in a transaction of Duty.SIGN_IN; until when this source has to wait instead, None if it need not.

    The same statements whether anybody has the address or not.
    """
    until = waits_until(tx, ASKED, source, now)
    if until is not None:
        return until
    note_try(tx, ASKED, source, now, fits=False)
    add_reset_request(tx, outside.sealer.seal(email.strip().lower()), now)
    tx.after_commit(outside.queue.wake_outbox)
    return None


def who_asked(tx: Transaction, request: ResetRequest, outside: Outside) -> Sequence[Person]:
    """Those who may sign in with the address that was asked for, one a tenant; in a transaction of Duty.SIGN_IN."""
    return people_named(tx, outside.sealer.open(request.sealed))[:MOST]


def answer(tx: Transaction, person: Person, now: int, outside: Outside) -> bool:
    """Mail a person a link.

    False where their tenant sends no mail or lets no passwords in, or one has just been sent (or is on its way): a stranger who asks again and again
    neither floods them nor voids the link that they have.
    """
    locked = lock_person(tx, person.tenant_id, person.id)
    if locked is None or locked.disabled_at is not None or mail_check(tx, person.tenant_id) is None or not passwords_open(tx, person.tenant_id):
        return False
    last = last_mail(tx, person.tenant_id, person.id, LINKS)
    if last is not None and last.state in ("pending", "sent") and now - last.created_at < APART:
        return False
    reset(tx, person.tenant_id, person, now, "the sign-in page", outside)
    return True
