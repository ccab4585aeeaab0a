"""A program's JWT as an actor: whose it is by issuer and audience, who it acts for by a claim, what it may do by its scopes within the person's role."""

from collections.abc import Mapping
from typing import Any

from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwt import JWTClaimsRegistry

from sla_plugin.errors import SignInRefused
from sla_plugin.language import marked
from sla_plugin.permissions import Actor, allowed
from sla_plugin.ports import Http
from sla_plugin.services.kept_documents import KeptDocuments
from sla_plugin.services.read_tokens import audiences, read_token, unproved
from sla_plugin.services.sign_in_settings import BearerRules, granted
from sla_plugin.store.db import Transaction
from sla_plugin.store.identities import find_identity, tenant_of_bearer
from sla_plugin.store.people import Person, find_person

LEEWAY = 30  # seconds that the clocks of the issuer and ours may be apart
NOT_OURS = marked("No program here bears JWTs of this issuer for this audience.")
NOBODY = marked("The JWT names nobody who may act here.")


def looks_like_jwt(secret: str) -> bool:
    """A bearer's secret with the shape of a JWT; API tokens never have it."""
    return secret.count(".") == 2 and secret.startswith("ey")


def tenant_of_jwt(tx: Transaction, token: str) -> int:
    """Whose JWT that claims to be, in a transaction of Duty.SIGN_IN; nothing is proved yet. Raises SignInRefused (unreadable, issuer)."""
    _, claims = unproved(token)
    issuer = claims.get("iss")
    tenant = tenant_of_bearer(tx, issuer, audiences(claims)) if isinstance(issuer, str) else None
    if tenant is None:
        raise SignInRefused(NOT_OURS, reason="issuer")
    return tenant


def prove_jwt(rules: BearerRules, token: str, kept: KeptDocuments, http: Http, now: int) -> dict[str, Any]:
    """The claims of a JWT that is signed as agreed, of our issuer, for our audience, and valid now; may ask for keys, so outside of any transaction.

    Raises SignInRefused: unreadable, algorithm, unknown_key, signature, issuer, expired, claims; keys_down (later).
    """
    _, claims = read_token(token, kept, http, rules.keys_url, rules.algorithms, now)
    if claims.get("iss") != rules.issuer or rules.audience not in audiences(claims):
        raise SignInRefused(NOT_OURS, reason="issuer")
    try:
        JWTClaimsRegistry(now // 1_000_000, LEEWAY, exp={"essential": True}).validate(claims)
    except ExpiredTokenError:
        raise SignInRefused(marked("The JWT is expired; get a new one."), reason="expired") from None
    except (JoseError, ValueError, TypeError):
        raise SignInRefused(
            marked("The JWT is not valid yet, or says not until when it is: exp, nbf and iat are numbers of seconds."), reason="claims"
        ) from None
    return claims


def actor_of_claims(tx: Transaction, tenant: int, rules: BearerRules, claims: Mapping[str, Any]) -> Actor:
    """Who a proved JWT acts for, with what its scopes leave of the role as it is now. Raises SignInRefused (nobody)."""
    named = claims.get(rules.person)
    person: Person | None = None
    if isinstance(named, str) and 0 < len(named) <= 320:
        if rules.person == "sub":
            bound = find_identity(tx, tenant, rules.issuer, named)
            person = bound[1] if bound is not None else None
        elif rules.person != "email" or claims.get("email_verified", True) in (True, "true"):
            person = find_person(tx, tenant, named)
    if person is None or person.disabled_at is not None:
        raise SignInRefused(NOBODY, reason="nobody")
    permissions = granted(claims, rules.scopes) & allowed(person.role)
    return Actor(tenant, person.id, f"{person.name} <{person.email}> by JWT", person.role, permissions)
