"""Who a bearer token speaks for. Each kind of token has a reader in KINDS; one that is not of its kind is left to the next."""

from collections.abc import Callable
from dataclasses import dataclass

from sla_plugin.permissions import Actor
from sla_plugin.services.tokens import START, bear
from sla_plugin.store.credentials import note_token
from sla_plugin.store.duties import Duty
from sla_plugin.web.bearer_jwt import JwtRefused, actor_of_jwt
from sla_plugin.web.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a token lets nobody in, in a sentence. It says no more than whoever holds the token knows already. `later`: it cannot be told just now."""

    said: str
    later: bool = False


def actor_of_bearer(runtime: Runtime, token: str, now: int) -> Actor | Refusal:
    """The actor of a request that bears a token, at an instant (microseconds UTC). Nothing is remembered: what is revoked is refused at once."""
    for kind in KINDS:
        found = kind(runtime, token, now)
        if found is not None:
            return found
    return Refusal("This is no token of ours; an API token begins with sla_.")


def api_token(runtime: Runtime, token: str, now: int) -> Actor | Refusal | None:
    """The actor of an API token; its use is noted now and then."""
    if not token.startswith(START):
        return None
    with runtime.database.reading(Duty.SIGN_IN) as tx:
        borne = bear(tx, token, now)
    if borne is None:
        return Refusal("This token is unknown, expired or revoked, or whom it acts for is disabled.")
    if borne.unnoted:
        with runtime.database.transaction(borne.actor.tenant) as tx:
            note_token(tx, borne.actor.tenant, borne.token, used_at=now)
    return borne.actor


def jwt(runtime: Runtime, token: str, now: int) -> Actor | Refusal | None:
    """The actor of a JWT of the tenant's issuer."""
    found = actor_of_jwt(runtime, token, now)
    return Refusal(found.said, found.later) if isinstance(found, JwtRefused) else found


# kinds of token, in the order in which they are asked
KINDS: tuple[Callable[[Runtime, str, int], Actor | Refusal | None], ...] = (api_token, jwt)
