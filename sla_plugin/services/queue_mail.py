"""Put a mail into the queue, in the transaction of what it tells of; the outbox worker sends it after the commit.

A one-time link is made now and travels sealed, not made anew when it is sent: a repeat after a lost answer must carry the same link, for a newer one voids
the older, which may be the one that arrived.
"""

import hashlib
import json

from sla_plugin.services.outside import Outside
from sla_plugin.store.db import Transaction
from sla_plugin.store.mails import add_mail, mail_check

LINKS = ("invitation", "reset")  # kinds that carry a one-time link


def queue_link(tx: Transaction, tenant: int, person: int, kind: str, secret: str, expires_at: int, now: int, outside: Outside) -> bool:
    """Mail a one-time link to a person; False where the tenant sends no mail, and somebody has to be shown the link."""
    if mail_check(tx, tenant) is None:
        return False
    row = {
        "tenant_id": tenant,
        "key": f"{kind}:{hashlib.sha256(secret.encode()).hexdigest()[:32]}",
        "kind": kind,
        "person_id": person,
        "facts": {},
        "sealed": outside.sealer.seal(json.dumps({"link": welcome_url(outside, secret)})),
        "next_at": now,
        "expires_at": expires_at,
        "created_at": now,
    }
    added = add_mail(tx, tenant, row)
    tx.after_commit(outside.queue.wake_outbox)
    return added


def welcome_url(outside: Outside, secret: str) -> str:
    """Where a one-time link leads."""
    return f"{outside.public_url}/welcome/{secret}"
