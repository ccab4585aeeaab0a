"""Signing in and out, and the one-time links of invitations and resets."""

from collections.abc import Sequence

from flask import Blueprint, current_app, flash, redirect, render_template, request, session, url_for
from itsdangerous import URLSafeSerializer
from werkzeug.wrappers import Response

from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext
from sla_plugin.services import forgot_password
from sla_plugin.services.passwords import hash_password
from sla_plugin.services.people import accept, check_email, link_of
from sla_plugin.services.sign_in import source_of
from sla_plugin.store.duties import Duty
from sla_plugin.store.mails import somebody_mails
from sla_plugin.store.people import Person
from sla_plugin.store.tenants import tenant_name
from sla_plugin.web.admin.frame import page_blueprint, theme, zone_of
from sla_plugin.web.formats import instant
from sla_plugin.web.runtime import Runtime
from sla_plugin.web.sessions import Refused, begin, device_cookie, device_source, end, password_problem, sign_in

_YEAR = 365 * 86400  # seconds


def blueprint(runtime: Runtime) -> Blueprint:
    """`/login`, `/forgot`, `/logout`, `/welcome/<secret>`."""
    pages = page_blueprint("signing_in", runtime, open_to_all=True)

    @pages.route("/login", methods=["GET", "POST"])
    def login() -> str | Response | tuple[str, int]:
        """Sign in with e-mail and password; somebody whom both fit in several tenants says into which."""
        errors: dict[str, str] = {}
        tenants: list[tuple[str, str]] = []
        if request.method == "POST":
            now, email, signer = runtime.clock(), request.form.get("email", ""), _signer()
            source = device_source(signer, request.cookies.get("sla_device"), email) or source_of(request.remote_addr)
            found = sign_in(runtime.database, email, request.form.get("password", ""), source, now)
            chosen = [] if isinstance(found, Refused) else [p for p in found if str(p.tenant_id) == request.form.get("tenant", str(found[0].tenant_id))]
            if isinstance(found, Refused):
                errors["email"] = _refusal(found, now)
            elif (len(found) > 1 and "tenant" not in request.form) or not chosen:
                tenants = _named(runtime, found)
                errors["tenant"] = "You belong to several tenants. Choose one, and type the password again."
            else:
                return _enter(runtime, chosen[0], now, signer)
        status = 422 if errors else 200
        to = _within(request.values.get("next", ""))
        mails = _somebody_mails(runtime)
        return render_template("login.html", errors=errors, form=request.form, next=to, theme=theme(), tenants=tenants, mails=mails), status

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
                    zone = zone_of(request.cookies.get("sla_zone"))
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
        if found is None:
            said = "This link was used, replaced or is too old. Ask your admin for a new one, or sign in."
            return render_template("problem.html", title="The link is no longer valid", said=said, code=404, theme=theme()), 404
        link, person = found
        errors: dict[str, str] = {}
        if request.method == "POST":
            typed, again = request.form.get("password", ""), request.form.get("again", "")
            problem = password_problem(typed, again, person)
            if problem is None:
                password_hash = hash_password(typed)
                with runtime.database.transaction(person.tenant_id) as tx:
                    done = accept(tx, link, person, password_hash, now)
                if done:
                    flash("Your password is set.")
                    return _enter(runtime, person, now, _signer())
                problem = "The link was used just now; sign in with the password that was set."
            errors["again" if typed != again else "password"] = problem
        return render_template("welcome.html", errors=errors, person=person, theme=theme()), 422 if errors else 200

    return pages


def _somebody_mails(runtime: Runtime) -> bool:
    with runtime.database.reading(Duty.SIGN_IN) as tx:
        return somebody_mails(tx)


def _enter(runtime: Runtime, person: Person, now: int, signer: URLSafeSerializer) -> Response:
    begin(runtime.database, session, person, now, source_of(request.remote_addr), request.user_agent.string)
    session.permanent = True
    answer = redirect(_within(request.form.get("next", "")))
    if device_source(signer, request.cookies.get("sla_device"), person.email) is None:
        secure = runtime.settings.public_url.startswith("https://")
        answer.set_cookie("sla_device", device_cookie(signer, person.email), max_age=_YEAR, httponly=True, samesite="Lax", secure=secure, path="/login")
    return answer


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer([*current_app.config["SECRET_KEY_FALLBACKS"], current_app.config["SECRET_KEY"]], salt="device")


def _refusal(found: Refused, now: int) -> str:
    if found.until is None:
        return "E-mail and password do not fit together. Check both; after five failures in a row this place has to wait, longer each time."
    zone = zone_of(request.cookies.get("sla_zone"))
    return f"Too many failed sign-ins from here: wait until {instant(found.until, now, zone, seconds=True)} ({zone.key}). Other places are not kept out."


def _named(runtime: Runtime, people: Sequence[Person]) -> list[tuple[str, str]]:
    with runtime.database.reading(Duty.SIGN_IN) as tx:
        return [(str(person.tenant_id), tenant_name(tx, person.tenant_id)) for person in people]


def _within(path: str) -> str:
    """A path of ours to go on to; anything that leads elsewhere becomes the first page."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and "\n" not in path and "\r" not in path else url_for("me.home")
