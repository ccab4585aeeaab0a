"""The admin pages: one blueprint per noun, registered here."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import structlog
from flask import Blueprint, Flask, Response, current_app, g, render_template, request
from flask.sessions import SecureCookieSessionInterface
from flask_bootstrap import Bootstrap5
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from sla_plugin.engine.durations import clock_text
from sla_plugin.key_ring import KeyRing
from sla_plugin.language import gettext, marked, one_or_many, preferred, speak
from sla_plugin.permissions import Actor
from sla_plugin.services.sign_in import source_of
from sla_plugin.web import formats
from sla_plugin.web.access import demand_declared, needed
from sla_plugin.web.admin import (
    alerts,
    audit,
    calendars,
    connections,
    deliveries,
    health_page,
    help,
    me,
    outbox,
    overview,
    people,
    plans,
    policies,
    portal,
    privacy,
    provider_sign_in,
    search,
    settings_page,
    signing_in,
    stable_words,
    tickets,
    tokens,
)
from sla_plugin.web.admin.frame import csrf, template_words, theme, viewer, with_headers
from sla_plugin.web.admin.stable_words import TITLES
from sla_plugin.web.cookies import cookie_name, read_cookie
from sla_plugin.web.looks import register_looks
from sla_plugin.web.runtime import Runtime

log = structlog.get_logger()
LARGEST = 2_000_000  # bytes of a form; the door and the API have limits of their own
BLUEPRINTS: tuple[Callable[[Runtime], Blueprint], ...] = (
    signing_in.blueprint,
    provider_sign_in.blueprint,
    me.blueprint,
    overview.blueprint,
    tickets.blueprint,
    portal.blueprint,
    alerts.blueprint,
    policies.blueprint,
    plans.blueprint,
    calendars.blueprint,
    connections.blueprint,
    deliveries.blueprint,
    outbox.blueprint,
    health_page.blueprint,
    people.blueprint,
    audit.blueprint,
    privacy.blueprint,
    tokens.blueprint,
    settings_page.blueprint,
    search.blueprint,
    help.blueprint,
)

# after `g`: the key of a page
GO_KEYS = {
    "overview.show": "o",
    "tickets.listing": "t",
    "alerts.listing": "a",
    "policies.listing": "p",
    "calendars.listing": "k",
    "connections.listing": "c",
    "deliveries.listing": "d",
    "outbox.listing": "x",
}

# group -> its pages; each is shown to whoever has the permission that the page itself declares
MENU = (
    (
        marked("Work"),
        (
            ("overview.show", marked("Overview")),
            ("portal.listing", marked("My tickets")),
            ("tickets.listing", marked("Tickets")),
            ("alerts.listing", marked("Alerts")),
        ),
    ),
    (marked("Promises"), (("policies.listing", marked("Policies")), ("calendars.listing", marked("Calendars")))),
    (marked("Plumbing"), (("connections.listing", marked("Connections")), ("deliveries.listing", marked("Deliveries")), ("outbox.listing", marked("Outbox")))),
    (
        marked("Account"),
        (
            ("people.listing", marked("People")),
            ("tokens.listing", marked("API tokens")),
            ("audit.listing", marked("Audit")),
            ("privacy.show", marked("Privacy")),
            ("settings.show", marked("Settings")),
            ("health_page.show", marked("Health")),
            ("me.show", marked("Me")),
        ),
    ),
)


class _Sessions(SecureCookieSessionInterface):
    """Cookies signed under keys derived from those that seal secrets: the first signs, all are accepted. A rotation reaches running processes, too.

    Tokens of forms are signed under the oldest key, so that a form that lies open goes on through a rotation.
    """

    digest_method = staticmethod(hashlib.sha256)

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._known: tuple[str, ...] = ()

    def get_signing_serializer(self, app: Flask) -> Any:
        """What signs and reads cookies now."""
        keys = self._ring.keys()
        if keys != self._known:
            derived = [hashlib.sha256(b"session:" + key.encode()).hexdigest() for key in keys]
            app.config.update(SECRET_KEY=derived[0], SECRET_KEY_FALLBACKS=derived[1:], WTF_CSRF_SECRET_KEY=derived[-1])
            self._known = keys
        return super().get_signing_serializer(app)


def register_pages(app: Flask, runtime: Runtime) -> None:
    """Add the pages to the app. Sessions live twelve hours, in a cookie signed with a key derived from the keys that seal secrets."""
    https = runtime.settings.public_url.startswith("https://")
    app.session_interface = _Sessions(KeyRing(runtime.settings))
    app.session_interface.get_signing_serializer(app)
    app.config.update(
        SESSION_COOKIE_NAME=cookie_name("sla_session", https=https),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=https,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=12),
        MAX_CONTENT_LENGTH=LARGEST,
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(days=365),
        WTF_CSRF_CHECK_DEFAULT=False,  # pages check themselves (frame.page_blueprint); the webhook door has its own signatures
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session: a form left open over lunch still saves
        WTF_CSRF_SSL_STRICT=False,  # SameSite and the token decide; proxies strip referrers
        BOOTSTRAP_SERVE_LOCAL=True,
        MAX_FORM_PARTS=12_000,  # a calendar of 2,000 holidays has five fields for each; what they may hold in all stays limited
    )
    csrf.init_app(app)
    if "bootstrap" not in app.blueprints:
        Bootstrap5(app)
    app.register_blueprint(Blueprint("admin", __name__, template_folder="templates", static_folder="static", static_url_path="/static/admin"))
    for make in BLUEPRINTS:
        app.register_blueprint(make(runtime))
    app.before_request(demand_declared)
    app.after_request(_keep_for_ever)
    register_looks(app, runtime.database, _who_looks)
    app.before_request(lambda: speak(read_cookie("sla_language") or preferred(request.headers.get("Accept-Language"))))
    app.teardown_request(lambda _: speak(None))
    app.jinja_env.globals.update(template_words(), menu=menu, GO_KEYS=GO_KEYS)
    app.jinja_env.filters.update(
        duration=formats.duration,
        moments=formats.moments,
        clock_text=clock_text,
        pair=lambda value: (value, value),
        number=formats.number,
        size=formats.size,
        say=stable_words.say,
    )
    app.jinja_env.add_extension("jinja2.ext.i18n")
    cast(Any, app.jinja_env).install_gettext_callables(gettext, one_or_many, newstyle=True)  # the extension adds it
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_error_handler(HTTPException, problem_page)


def _keep_for_ever(response: Response) -> Response:
    """A static file that is asked for with its digest never changes under that address."""
    if request.endpoint in ("admin.static", "bootstrap.static") and "v" in request.args and response.status_code == 200:
        response.cache_control.immutable = True
    return response


def _who_looks() -> tuple[Actor, int] | None:
    """The person of a page, or the actor of an API request, where one is there."""
    found = g.get("viewer") or g.get("caller")
    return (found.actor, found.now) if found is not None else None


def menu() -> list[tuple[str, list[tuple[str, str]]]]:
    """The sidebar of the viewer: groups and pages that they may see."""
    shown = [
        (gettext(group), [(endpoint, gettext(title)) for endpoint, title in pages if viewer().may(needed(current_app, endpoint, "GET") or "")])
        for group, pages in MENU
    ]
    return [(group, pages) for group, pages in shown if pages]


def problem_page(problem: HTTPException) -> Any:
    """An error as a page for people, as it is for everybody else."""
    if request.path.startswith(("/webhooks/", "/healthz", "/readyz", "/static/")) or problem.response is not None:
        return problem
    if isinstance(problem, CSRFError):
        log.warning("form refused", endpoint=request.endpoint, source=source_of(request.remote_addr))
        title, said = gettext("This form is no longer valid"), gettext("Reload the page and send the form again; you may have signed out in another tab.")
    else:
        title, said = gettext(TITLES.get(problem.code or 0, problem.name)), problem.description or ""
    page = Response(render_template("problem.html", title=title, said=said, code=problem.code, theme=theme()), status=problem.code)
    return with_headers(page)
