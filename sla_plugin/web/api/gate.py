"""Who is let in to the API, and how often. Before everything: the network address; then the token, what it may do, and what it asks in which words."""

import hashlib
from dataclasses import dataclass

import structlog
from flask import Response, current_app, g, request

from sla_plugin.permissions import Actor
from sla_plugin.services.sign_in import source_of
from sla_plugin.web.access import PUBLIC, demand, needed
from sla_plugin.web.api.problems import Problem, invalid, request_id
from sla_plugin.web.api.rates import Rates, Standing
from sla_plugin.web.bearers import Refusal, actor_of_bearer
from sla_plugin.web.runtime import Runtime

log = structlog.get_logger()
PREFIX = "/api/"
LARGEST = 1_000_000  # bytes of a body
FAILURES = 30  # wrong tokens a minute from one address, before they are told to wait


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and at which instant (microseconds UTC)."""

    actor: Actor
    now: int

    @property
    def tenant(self) -> int:
        """The tenant whose data is answered."""
        return self.actor.tenant


def caller() -> Caller:
    """Who sent the request that is being answered."""
    found: Caller = g.caller
    return found


class Gate:
    """What every request passes."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._rates = Rates(runtime.settings.redis_url)

    def greet(self) -> None:
        """Before a request to the API: its address is counted. Raises Problem for one that asks too often."""
        if not request.path.startswith(PREFIX):
            return
        request.max_content_length = LARGEST
        if request.endpoint not in PUBLIC:
            self._within(self._rates.hit(self._runtime.settings.api_address_rate, "address", source_of(request.remote_addr)))

    def admit(self) -> None:
        """Before a request to a resource. Raises Problem: no valid token, too often, not allowed, unknown parameters."""
        now = self._runtime.clock()
        token = _token()
        found = actor_of_bearer(self._runtime, token, now) if token else Refusal("Send an API token: `Authorization: Bearer sla_…`.")
        if isinstance(found, Refusal):
            self._refuse(found, offered=bool(token))
        else:
            g.caller = Caller(found, now)
            self._within(self._rates.hit(self._runtime.settings.api_token_rate, "token", hashlib.sha256(token.encode()).hexdigest()[:32]))
            demand(found, needed(current_app, request.endpoint or "", request.method))
            _check_parameters()
            _check_acceptable()

    def finish(self, answer: Response) -> Response:
        """After every request to the API."""
        if request.path.startswith(PREFIX):
            answer.headers["X-Request-Id"] = request_id()
            answer.headers.setdefault("X-Content-Type-Options", "nosniff")
            answer.headers.setdefault("Cache-Control", "no-store")
            if answer.status_code == 204:
                answer.headers.pop("Content-Type", None)
            standing: Standing | None = g.get("standing")
            if standing is not None:
                answer.headers.update(standing.headers())
        return answer

    def _within(self, standing: Standing) -> None:
        g.standing = standing
        if not standing.allowed:
            log.warning("asks too often", request=request_id(), source=source_of(request.remote_addr), limit=standing.limit)
            raise Problem("rate-limited", f"More than {standing.limit} requests a minute. Wait {max(standing.reset, 1)} s.")

    def _refuse(self, refusal: Refusal, *, offered: bool) -> None:
        """Wrong tokens are counted by address; one too many is told to wait. Right ones from the same address are not held up."""
        if refusal.later:
            raise Problem("unavailable", refusal.said, {"Retry-After": "30"})
        if offered:
            log.warning("token refused", request=request_id(), source=source_of(request.remote_addr), reason=refusal.said)
            self._within(self._rates.hit(FAILURES, "wrong", source_of(request.remote_addr)))
        challenge = 'Bearer realm="sla_plugin"' + (', error="invalid_token"' if offered else "")
        raise Problem("unauthenticated", refusal.said, {"WWW-Authenticate": challenge})


def _token() -> str:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _check_parameters() -> None:
    known: tuple[str, ...] = getattr(current_app.view_functions[request.endpoint or ""], "parameters", ())
    offered = f"There are {', '.join(known)}." if known else "There are none here."
    unknown = {name: f"There is no such parameter. {offered}" for name in request.args if name not in known}
    broken = {name: "Holds a character that no text may hold." for name, value in request.args.items() if "\x00" in value}
    if unknown or broken:
        raise invalid({**broken, **unknown})


def _check_acceptable() -> None:
    produced: tuple[str, ...] = getattr(current_app.view_functions[request.endpoint or ""], "produces", ("application/json",))
    if request.accept_mimetypes and not request.accept_mimetypes.best_match(produced):
        raise Problem("not-acceptable", f"Answers here are {', '.join(produced)}.")
