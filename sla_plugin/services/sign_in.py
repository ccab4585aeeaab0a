"""Signing in with a password: who it is, and how long a source that guesses has to wait. Accounts are never locked."""

import hashlib
import ipaddress
from collections.abc import Sequence

from sla_plugin.services.passwords import hash_password, one_time_password, password_fits
from sla_plugin.store.credentials import failures_of, forgive, note_failure
from sla_plugin.store.db import Transaction
from sla_plugin.store.people import Person

SECOND = 1_000_000
FREE = 5  # failures in a row from one source before it waits
FIRST_WAIT, LONGEST_WAIT = 15 * SECOND, 3600 * SECOND
MEMORY = 24 * 3600 * SECOND  # failures older than this are forgotten
MOST = 5  # people of one address (one a tenant) that a sign-in looks at

_NOBODY = hash_password(one_time_password())  # so that an unknown address takes as long as a known one


def wait_after(failures: int) -> int:
    """Microseconds a source waits after so many failures in a row: none up to five, then 15 s, twice as long each time, an hour at most."""
    return 0 if failures < FREE else min(FIRST_WAIT << min(failures - FREE, 20), LONGEST_WAIT)


def account_of(email: str) -> str:
    """An address as failures are kept under: its digest, known or not."""
    return hashlib.sha256(email.strip().lower().encode()).hexdigest()


def source_of(address: str | None) -> str:
    """A network address as a source: of IPv6 the network (/64), which one subscriber has."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))


def waits_until(tx: Transaction, email: str, source: str, now: int) -> int | None:
    """Until when this source may not try this account; None if it may."""
    failures, failed_at = failures_of(tx, account_of(email), source, now - MEMORY)
    until = failed_at + wait_after(failures)
    return until if failures >= FREE and until > now else None


def who_fits(people: Sequence[Person], password: str) -> list[Person]:
    """Those of the people whose password it is. Slow on purpose: outside of any transaction."""
    fits = [person for person in people[:MOST] if password_fits(person.password_hash, password)]
    if not people:
        password_fits(_NOBODY, password)
    return fits


def note_try(tx: Transaction, email: str, source: str, now: int, *, fits: bool) -> int | None:
    """Keep how a try went; after a failure until when the source has to wait (None: it need not)."""
    account = account_of(email)
    if fits:
        forgive(tx, account, source, now - MEMORY)
        return None
    failures = failures_of(tx, account, source, now - MEMORY)[0] + 1
    note_failure(tx, account, source, failures, now)
    wait = wait_after(failures)
    return now + wait if wait else None
