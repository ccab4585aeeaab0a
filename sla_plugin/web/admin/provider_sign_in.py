"""Signing in through the tenant's sign-in service: there and back. What is said and believed is decided in services/ask_provider.py."""

import hashlib

import structlog
from flask import Blueprint, redirect, request, url_for
from sqlalchemy.exc import IntegrityError
from werkzeug.wrappers import Response

from sla_plugin.errors import ConfigurationError, SignInRefused
from sla_plugin.language import gettext
from sla_plugin.services import ask_provider
from sla_plugin.services.ask_provider import AGAIN, VALID, Attempt, Claimed, unsealed
from sla_plugin.services.check_provider import note_provider
from sla_plugin.services.passwords import hash_password, one_time_password
from sla_plugin.services.sign_in_settings import Provider
from sla_plugin.services.sign_in_with_provider import admit, provider_in_use
from sla_plugin.store.identities import provider_check, spend_state
from sla_plugin.store.people import Person
from sla_plugin.web.admin.frame import page_blueprint
from sla_plugin.web.admin.signing_in import enter, login_page, within
from sla_plugin.web.cookies import drop_cookie, keep_cookie, read_cookie
from sla_plugin.web.runtime import Runtime

log = structlog.get_logger()
COOKIE = "sla_sign_in"  # the attempt under way, sealed; a browser has one


def redirect_uri(public_url: str, tenant: int) -> str:
    """Where a service sends people back to, as it is registered there: one for each tenant, so that the answer of one is never taken for another's."""
    return f"{public_url}/login/{tenant}/back"


def blueprint(runtime: Runtime) -> Blueprint:
    """`/login/<tenant>/begin`, `/login/<tenant>/back`."""
    pages = page_blueprint("provider", runtime, open_to_all=True)

    @pages.get("/login/<int(max=9223372036854775807):tenant>/begin")
    def begin(tenant: int) -> Response | tuple[str, int]:
        """Send the browser to the service; what must be remembered until it comes back is in a sealed cookie."""
        now, to = runtime.clock(), within(request.args.get("next", ""))
        provider = _provider(runtime, tenant)
        if provider is None:
            return redirect(url_for("signing_in.login", next=to))
        try:
            offer = ask_provider.offer_of(provider, runtime.outside.kept, runtime.outside.http_in_person, now)
        except SignInRefused as refused:
            return _refuse(runtime, tenant, provider, refused, now, to)
        url, attempt = ask_provider.begin(provider, offer, tenant, redirect_uri(runtime.settings.public_url, tenant), to, now)
        answer = redirect(url)
        sealed = attempt.sealed(runtime.outside.sealer)
        keep_cookie(answer, COOKIE, sealed, VALID // 1_000_000)
        return answer

    @pages.get("/login/<int(max=9223372036854775807):tenant>/back")
    def back(tenant: int) -> Response | tuple[str, int]:
        """Believe the service, or say why not; a session begins as after a password."""
        now = runtime.clock()
        provider, attempt = _provider(runtime, tenant), unsealed(runtime.outside.sealer, read_cookie(COOKIE), now)
        to = attempt.next if attempt is not None else ""
        if provider is None:
            return login_page(runtime, tenant, {"": gettext(AGAIN)}, 403, to=to)
        try:
            attempt = ask_provider.begun_here(provider, tenant, attempt, request.args.get("state", ""))
            person = _admitted(runtime, tenant, provider, _claimed(runtime, provider, attempt, now), now)
        except SignInRefused as refused:
            return _refuse(runtime, tenant, provider, refused, now, to)
        _note(runtime, tenant, None, now)
        answer = enter(runtime, person, now, to, "provider")
        drop_cookie(answer, COOKIE)
        keep_cookie(answer, "sla_tenant", str(tenant))
        return answer

    return pages


def _provider(runtime: Runtime, tenant: int) -> Provider | None:
    with runtime.database.reading(tenant) as tx:
        return provider_in_use(tx, tenant)


def _claimed(runtime: Runtime, provider: Provider, attempt: Attempt, now: int) -> Claimed:
    """Whom the service vouches for in the answer that came back; the attempt is used up whatever comes of it."""
    with runtime.database.transaction(attempt.tenant) as tx:
        first = spend_state(tx, attempt.tenant, hashlib.sha256(attempt.state.encode()).hexdigest(), now, attempt.begun_at + VALID)
    if not first:
        raise SignInRefused(AGAIN, reason="replayed")
    kept, http, address = runtime.outside.kept, runtime.outside.http_in_person, redirect_uri(runtime.settings.public_url, attempt.tenant)
    offer = ask_provider.offer_of(provider, kept, http, now)
    code = ask_provider.read_answer(provider, offer, request.args)
    try:
        secret = runtime.outside.sealer.open(provider.sealed_secret)
    except ConfigurationError as problem:  # a lost key
        raise SignInRefused(ask_provider.STRANGE, reason="secret", operator=f"client secret: {problem}", later=True, name=provider.name) from None
    return ask_provider.claimed(provider, offer, attempt, code, secret, address, kept, http, now)


def _admitted(runtime: Runtime, tenant: int, provider: Provider, claimed: Claimed, now: int) -> Person:
    nobodys = hash_password(one_time_password())
    try:
        with runtime.database.transaction(tenant) as tx:
            return admit(tx, tenant, provider, claimed, nobodys, now)
    except IntegrityError:  # a second sign-in of the same person was quicker, and has bound or made them
        with runtime.database.transaction(tenant) as tx:
            return admit(tx, tenant, provider, claimed, nobodys, now)


def _refuse(runtime: Runtime, tenant: int, provider: Provider, refused: SignInRefused, now: int, to: str) -> tuple[str, int]:
    """The login page with what to do; what an admin should know goes to the log, and to the light where the service is to blame."""
    log.warning("sign-in refused", tenant=tenant, reason=refused.reason, operator=refused.operator)
    if refused.later:
        _note(runtime, tenant, refused.operator or refused.reason, now)
    status = 503 if refused.reason in ("provider_down", "keys_down") else 403
    return login_page(runtime, tenant, {"": gettext(str(refused), **refused.names)}, status, to=to)


def _note(runtime: Runtime, tenant: int, problem: str | None, now: int) -> None:
    """Keep how the service was, where that is news."""
    with runtime.database.reading(tenant) as tx:
        check = provider_check(tx, tenant)
    if check is not None and check.problem != problem:
        with runtime.database.transaction(tenant) as tx:
            note_provider(tx, tenant, problem, now)
