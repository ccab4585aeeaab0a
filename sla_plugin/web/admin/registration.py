"""The admin pages: one blueprint per noun, registered here."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Blueprint, Flask, Response, current_app, render_template, request
from flask_bootstrap import Bootstrap5
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from sla_plugin.engine.durations import clock_text, format_duration
from sla_plugin.language import gettext, preferred, speak, unfilled_ngettext
from sla_plugin.settings import secret_keys
from sla_plugin.web import formats
from sla_plugin.web.access import demand_declared, needed
from sla_plugin.web.admin import (
    alerts,
    audit,
    calendars,
    connections,
    deliveries,
    health_page,
    me,
    outbox,
    overview,
    people,
    plans,
    policies,
    portal,
    settings_page,
    signing_in,
    tickets,
    tokens,
)
from sla_plugin.web.admin.frame import csrf, template_words, theme, viewer, with_headers
from sla_plugin.web.runtime import Runtime

BLUEPRINTS: tuple[Callable[[Runtime], Blueprint], ...] = (
    signing_in.blueprint,
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
    tokens.blueprint,
    settings_page.blueprint,
)

# group -> its pages; each is shown to whoever has the permission that the page itself declares
MENU = (
    ("Work", (("overview.show", "Overview"), ("portal.listing", "My tickets"), ("tickets.listing", "Tickets"), ("alerts.listing", "Alerts"))),
    ("Promises", (("policies.listing", "Policies"), ("calendars.listing", "Calendars"))),
    ("Plumbing", (("connections.listing", "Connections"), ("deliveries.listing", "Deliveries"), ("outbox.listing", "Outbox"))),
    (
        "Account",
        (
            ("people.listing", "People"),
            ("tokens.listing", "API tokens"),
            ("audit.listing", "Audit"),
            ("settings.show", "Settings"),
            ("health_page.show", "Health"),
            ("me.show", "Me"),
        ),
    ),
)


def register_pages(app: Flask, runtime: Runtime) -> None:
    """Add the pages to the app. Sessions live twelve hours, in a cookie signed with a key derived from the keys that seal secrets."""
    keys = [hashlib.sha256(b"session:" + key.encode()).hexdigest() for key in secret_keys(runtime.settings)]
    app.config.update(
        SECRET_KEY=keys[0],
        SECRET_KEY_FALLBACKS=keys[1:],
        SESSION_COOKIE_NAME="sla_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=runtime.settings.public_url.startswith("https://"),
        PERMANENT_SESSION_LIFETIME=timedelta(hours=12),
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
    app.before_request(lambda: speak(preferred(request.headers.get("Accept-Language"))))
    app.jinja_env.globals.update(template_words(), menu=menu)
    app.jinja_env.filters.update(
        duration=format_duration, clock_text=clock_text, pair=lambda value: (value, value), number=formats.number, size=formats.size, say=_say
    )
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(gettext, unfilled_ngettext, newstyle=True)  # type: ignore[attr-defined]
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_error_handler(HTTPException, _problem_page)


def menu() -> list[tuple[str, list[tuple[str, str]]]]:
    """The sidebar of the viewer: groups and pages that they may see."""
    shown = [(group, [page for page in pages if viewer().may(needed(current_app, page[0], "GET") or "")]) for group, pages in MENU]
    return [(group, pages) for group, pages in shown if pages]


def _say(word: str) -> str:
    """A stable word of ours as people read it: `first_response` is `First response`."""
    return word.replace("_", " ").capitalize()


def _problem_page(problem: HTTPException) -> Any:
    """An error as a page for people, as it is for everybody else."""
    if request.path.startswith(("/webhooks/", "/healthz", "/readyz", "/static/")) or problem.response is not None:
        return problem
    title = "This form is no longer valid" if isinstance(problem, CSRFError) else problem.name
    said = "Reload the page and send the form again; you may have signed out in another tab." if isinstance(problem, CSRFError) else problem.description
    page = Response(render_template("problem.html", title=title, said=said, code=problem.code, theme=theme()), status=problem.code)
    return with_headers(page)
