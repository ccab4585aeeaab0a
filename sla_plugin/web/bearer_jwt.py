"""A request that bears a JWT: the actor it speaks for, or why nobody."""

from dataclasses import dataclass

import structlog

from sla_plugin.errors import SignInRefused
from sla_plugin.language import gettext
from sla_plugin.permissions import Actor
from sla_plugin.services.bear_jwt import NOT_OURS, actor_of_claims, looks_like_jwt, prove_jwt, tenant_of_jwt
from sla_plugin.services.sign_in_settings import bearer_rules
from sla_plugin.services.tenant_settings import read_settings
from sla_plugin.store.duties import Duty
from sla_plugin.web.runtime import Runtime

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class JwtRefused:
    """A JWT that lets nobody in; `said` is a sentence for the program's author, `later` that the issuer's keys cannot be had just now (a 503, not a 401)."""

    said: str
    reason: str
    later: bool = False


def actor_of_jwt(runtime: Runtime, token: str, now: int) -> Actor | JwtRefused | None:
    """Whom a JWT speaks for; `now` is in microseconds UTC. None for what is no JWT.

    Nothing is believed before the signature is proved, and then only within the person's role.
    """
    if not looks_like_jwt(token):
        return None
    try:
        with runtime.database.reading(Duty.SIGN_IN) as tx:
            tenant = tenant_of_jwt(tx, token)
        with runtime.database.reading(tenant) as tx:
            rules = bearer_rules(read_settings(tx, tenant, "jwt"))
        if rules is None:
            raise SignInRefused(NOT_OURS, reason="issuer")
        claims = prove_jwt(rules, token, runtime.outside.kept, runtime.outside.http_in_person, now)
        with runtime.database.reading(tenant) as tx:
            return actor_of_claims(tx, tenant, rules, claims)
    except SignInRefused as refused:
        log.info("JWT refused", reason=refused.reason, operator=refused.operator)
        return JwtRefused(gettext(str(refused), **refused.names), refused.reason, refused.later)
