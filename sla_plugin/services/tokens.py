"""API tokens: made once, shown once, kept as a digest; a request that bears one acts as its person, with what the scopes leave."""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass

from sla_plugin.errors import InvalidDefinition
from sla_plugin.permissions import PERMISSIONS, Actor, allowed
from sla_plugin.store.audit import append_audit
from sla_plugin.store.credentials import Token, add_token, find_token, get_token, note_token
from sla_plugin.store.db import Transaction
from sla_plugin.store.people import Person

START = "sla_"
PREFIX = 8  # hexadecimal digits that find a token; the rest is 256 bits
COARSE = 300_000_000  # microseconds between two notes of a token's use
DAY = 86_400_000_000
LONGEST = 366  # days


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A new token; `secret` is what programs send, and is kept nowhere."""

    id: int
    secret: str


def make_token(tx: Transaction, person: Person, name: str, scopes: Collection[str], days: int | None, now: int, actor: str) -> MadeToken:
    """A token that acts for a person within `scopes`, for some days (None: until it is revoked).

    Raises InvalidDefinition (field name, scopes or days): no name, a scope that the person's role does not have, a span beyond a year.
    """
    name = name.strip()
    if not 0 < len(name) <= 200:
        raise InvalidDefinition("name", "say what the token is for, in at most 200 characters")
    if not scopes:
        raise InvalidDefinition("scopes", "choose at least one; a token that may do nothing is of no use")
    beyond = sorted(set(scopes) - allowed(person.role))
    if beyond:
        unknown = [scope for scope in beyond if scope not in PERMISSIONS]
        raise InvalidDefinition("scopes", f"{', '.join(beyond)}: {'there is no such permission' if unknown else f'beyond the role {person.role}'}")
    if days is not None and not 1 <= days <= LONGEST:
        raise InvalidDefinition("days", f"a whole number of days from 1 to {LONGEST}")
    prefix, rest = secrets.token_hex(PREFIX // 2), secrets.token_urlsafe(32)
    secret = f"{START}{prefix}_{rest}"
    told = {"name": name, "person": person.email, "scopes": sorted(scopes), "expires_at": None if days is None else now + days * DAY}
    values = {"person_id": person.id, "name": name, "prefix": prefix, "digest": _digest(secret), "scopes": sorted(scopes), "made_at": now}
    token = add_token(tx, person.tenant_id, {**values, "made_by": actor[:200], "expires_at": told["expires_at"]})
    append_audit(tx, person.tenant_id, now, actor, "token made", {"token": str(token), "before": None, "after": told})
    return MadeToken(token, secret)


def revoke_token(tx: Transaction, tenant: int, token: int, now: int, actor: str) -> Token | None:
    """Revoke a token: the next request with it is refused. None if there is none; revoking twice changes nothing."""
    found = get_token(tx, tenant, token)
    if found is not None and found.revoked_at is None:
        note_token(tx, tenant, token, revoked_at=now)
        append_audit(
            tx, tenant, now, actor, "token revoked", {"token": str(token), "name": found.name, "before": {"revoked": False}, "after": {"revoked": True}}
        )
    return found


@dataclass(frozen=True, slots=True)
class Borne:
    """Who a token speaks for; `unnoted` where its use is worth a note (`note_token(tx, tenant, token, used_at=now)`)."""

    actor: Actor
    token: int
    unnoted: bool


def bear(tx: Transaction, secret: str, now: int) -> Borne | None:
    """The actor behind a token in a transaction of Duty.SIGN_IN; None for one that is unknown, wrong, expired, revoked, or whose person is disabled."""
    prefix = secret[len(START) : len(START) + PREFIX]
    found = find_token(tx, prefix) if secret.startswith(START) else None
    # compared in any case, so that an unknown prefix takes as long as a wrong secret
    fits = hmac.compare_digest(_digest(secret), found[0].digest if found is not None else "0" * 64)
    if found is None or not fits:
        return None
    token, person = found
    if token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now) or person.disabled_at is not None:
        return None
    # scopes never reach beyond the role as it is now
    permissions = frozenset(token.scopes) & allowed(person.role)
    actor = Actor(person.tenant_id, person.id, f"{person.name} <{person.email}> by token {token.name}", person.role, permissions)
    return Borne(actor, token.id, token.used_at is None or now - token.used_at >= COARSE)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
