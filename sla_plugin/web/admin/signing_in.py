"""Signing in and out, and the one-time links of invitations and resets. The way through a sign-in service is in provider_sign_in.py."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from flask import Blueprint, current_app, flash, redirect, render_template, request, session, url_for
from itsdangerous import URLSafeSerializer
from werkzeug.wrappers import Response

from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext
from sla_plugin.services import forgot_password
from sla_plugin.services.passwords import hash_password
from sla_plugin.services.people import accept, check_email, link_of
from sla_plugin.services.sign_in import account_of, source_of
from sla_plugin.services.sign_in_settings import Provider
from sla_plugin.services.sign_in_with_provider import provider_in_use
from sla_plugin.store.duties import Duty
from sla_plugin.store.mails import somebody_mails
from sla_plugin.store.people import Person
from sla_plugin.store.tenants import only_tenant, tenant_name
from sla_plugin.web.admin.frame import page_blueprint, theme, zone_of
from sla_plugin.web.cookies import keep_cookie, read_cookie
from sla_plugin.web.formats import instant
from sla_plugin.web.runtime import Runtime
from sla_plugin.web.sessions import Refused, begin, device_cookie, device_source, end, password_problem, sign_in

log = structlog.get_logger()


def blueprint(runtime: Runtime) -> Blueprint:
    """`/login`, `/login/<tenant>`, `/forgot`, `/logout`, `/welcome/<secret>`."""
    pages = page_blueprint("signing_in", runtime, open_to_all=True)

    @pages.route("/login", methods=["GET", "POST"])
    @pages.route("/login/<int(max=9223372036854775807):tenant>", methods=["GET", "POST"])
    def login(tenant: int | None = None) -> str | Response | tuple[str, int]:
        """Sign in with e-mail and password, or go to the sign-in service of a tenant; somebody whom both fit in several tenants says into which."""
        errors: dict[str, str] = {}
        tenants: list[tuple[str, str]] = []
        if request.method == "POST":
            now, email, signer = runtime.clock(), request.form.get("email", ""), _signer()
            source = device_source(signer, read_cookie("sla_device"), email) or source_of(request.remote_addr)
            found = sign_in(runtime.database, email, request.form.get("password", ""), source, now)
            chosen = [] if isinstance(found, Refused) else _chosen(found, request.form.get("tenant"), tenant)
            if isinstance(found, Refused):
                log.warning("sign-in failed", account=account_of(email)[:12], source=source_of(request.remote_addr), waits=found.until is not None)
                tenant = found.elsewhere or tenant
                errors["email"] = _refusal(found, now)
            elif len(chosen) != 1:
                tenants = _named(runtime, found)
                errors["tenant"] = gettext("You belong to several tenants. Choose one, and type the password again.")
            else:
                return enter(runtime, chosen[0], now, request.form.get("next", ""), "password")
        return login_page(runtime, tenant, errors, 422 if errors else 200, tenants=tenants)

    @pages.route("/forgot", methods=["GET", "POST"])
    def forgot() -> str | Response | tuple[str, int]:
        """Ask for a link by mail. Known and unknown addresses are answered alike, after the same work."""
        errors: dict[str, str] = {}
        asked = False
        if request.method == "POST":
            now, email = runtime.clock(), request.form.get("email", "").strip()
            try:
                check_email(email)
                with runtime.database.transaction(Duty.SIGN_IN) as tx:
                    until = forgot_password.ask(tx, email, source_of(request.remote_addr), now, runtime.outside)
                asked = until is None
                if until is not None:
                    zone = zone_of(read_cookie("sla_zone"))
                    told = f"{instant(until, now, zone, seconds=True)} ({zone.key})"
                    errors["email"] = gettext("Asked for too often from here: wait until %(time)s.", time=told)
            except InvalidDefinition:
                errors["email"] = gettext("This is no mail address; write one such as kim@example.com.")
        page = render_template("forgot.html", errors=errors, form=request.form, asked=asked, theme=theme(), mails=_somebody_mails(runtime))
        return page, 422 if errors else 200

    @pages.post("/logout")
    def logout() -> Response:
        """End the session."""
        end(runtime.database, session, runtime.clock())
        return redirect(url_for("signing_in.login"))

    @pages.route("/welcome/<secret>", methods=["GET", "POST"])
    def welcome(secret: str) -> str | Response | tuple[str, int]:
        """Set a password by a one-time link, and be signed in."""
        now = runtime.clock()
        with runtime.database.reading(Duty.SIGN_IN) as tx:
            found = link_of(tx, secret, now)
            named = tenant_name(tx, found[1].tenant_id) if found is not None else ""
        if found is None:
            said = gettext("This link was used, replaced or is too old. Ask your admin for a new one, or sign in.")
            return render_template("problem.html", title=gettext("The link is no longer valid"), said=said, code=404, theme=theme()), 404
        link, person = found
        errors: dict[str, str] = {}
        if request.method == "POST":
            typed, again = request.form.get("password", ""), request.form.get("again", "")
            problem = password_problem(typed, again, person, named, runtime.settings.common_passwords)
            if problem is None:
                password_hash = hash_password(typed)
                with runtime.database.transaction(person.tenant_id) as tx:
                    done = accept(tx, link, person, password_hash, now)
                if done:
                    flash(gettext("Your password is set."))
                    return enter(runtime, person, now, "", "link")
                problem = gettext("The link was used just now; sign in with the password that was set.")
            errors["again" if typed != again else "password"] = problem
        return render_template("welcome.html", errors=errors, person=person, theme=theme()), 422 if errors else 200

    return pages


def _somebody_mails(runtime: Runtime) -> bool:
    with runtime.database.reading(Duty.SIGN_IN) as tx:
        return somebody_mails(tx)


def login_page(
    runtime: Runtime, tenant: int | None, errors: Mapping[str, str], status: int, *, tenants: Sequence[tuple[str, str]] = (), to: str | None = None
) -> tuple[str, int]:
    """The login page; `tenant` is the one whose sign-in service has a button, unless there is only one anyway or this browser used one before."""
    of, provider = _offered(runtime, tenant)
    context: dict[str, Any] = {"provider": provider, "of": of, "given": tenant, "tenants": tenants, "mails": _somebody_mails(runtime)}
    to = within(to if to is not None else request.values.get("next", ""))
    return render_template("login.html", errors=errors, form=request.form, next=to, theme=theme(), **context), status


def enter(runtime: Runtime, person: Person, now: int, to: str, how: str) -> Response:
    """Begin a session, and go on to where one wanted."""
    begin(runtime.database, session, person, now, source_of(request.remote_addr), request.user_agent.string, how)
    log.info("signed in", tenant=person.tenant_id, person=person.id, how=how, source=source_of(request.remote_addr))
    session.permanent = True
    answer, signer = redirect(within(to)), _signer()
    if device_source(signer, read_cookie("sla_device"), person.email) is None:
        keep_cookie(answer, "sla_device", device_cookie(signer, person.email))
    return answer


def _offered(runtime: Runtime, tenant: int | None) -> tuple[int | None, Provider | None]:
    """The tenant whose sign-in service has a button on the login page, and that service."""
    with runtime.database.reading(Duty.SIGN_IN) as tx:
        used = read_cookie("sla_tenant")
        of = tenant or only_tenant(tx) or (int(used) if used.isascii() and used.isdigit() and len(used) < 20 and int(used) < 1 << 63 else None)
        return of, provider_in_use(tx, of) if of is not None else None


def _chosen(people: Sequence[Person], told: str | None, tenant: int | None) -> Sequence[Person]:
    """Those of the tenant that was chosen, or whose login page it is; all of them where neither says."""
    wanted = told or (str(tenant) if any(person.tenant_id == tenant for person in people) else None)
    return [person for person in people if str(person.tenant_id) == wanted] if wanted else people


def _signer() -> URLSafeSerializer:
    keys = [*current_app.config["SECRET_KEY_FALLBACKS"], current_app.config["SECRET_KEY"]]
    return URLSafeSerializer(keys, salt="device", signer_kwargs={"digest_method": hashlib.sha256})


def _refusal(found: Refused, now: int) -> str:
    if found.elsewhere is not None:
        return gettext("Passwords do not open this door: use the button for single sign-on. An admin can make you a one-time link.")
    if found.until is None:
        return gettext("E-mail and password do not fit together. Check both; after five failures in a row this place has to wait, longer each time.")
    zone = zone_of(read_cookie("sla_zone"))
    until = instant(found.until, now, zone, seconds=True)
    return gettext("Too many failed sign-ins from here: wait until %(when)s (%(zone)s). Other places are not kept out.", when=until, zone=zone.key)


def _named(runtime: Runtime, people: Sequence[Person]) -> list[tuple[str, str]]:
    with runtime.database.reading(Duty.SIGN_IN) as tx:
        return [(str(person.tenant_id), tenant_name(tx, person.tenant_id)) for person in people]


def within(path: str) -> str:
    """A path of ours to go on to; anything that leads elsewhere becomes the first page."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and "\n" not in path and "\r" not in path else url_for("me.home")
