"""What each route needs. A route declares its permission where it is registered; one that declares none and is not listed as public answers nobody."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import structlog
from flask import Flask, abort, current_app, request

from sla_plugin.language import gettext
from sla_plugin.permissions import PERMISSIONS, Actor, allowed

View = TypeVar("View", bound=Callable[..., Any])
log = structlog.get_logger()
_READING = ("GET", "HEAD", "OPTIONS")

# endpoint -> why nobody has to be signed in
PUBLIC: Mapping[str, str] = {
    "static": "files of ours, the same for everybody",
    "admin.static": "files of ours, the same for everybody",
    "bootstrap.static": "files of Bootstrap, the same for everybody",
    "health.healthz": "says only that the process answers",
    "health.readyz": "says only whether the database answers",
    "metrics.metrics": "has its own guard: a token, or a network",
    "schemas.schema": "published formats",
    "api_reference.openapi": "says what the API offers, nothing of anybody",
    "api_reference.docs": "the same, to read",
    "api_reference.problem": "leads to the reference",
    "signing_in.login": "here one proves who one is",
    "signing_in.welcome": "the one-time link is what one proves oneself with",
    "signing_in.forgot": "who forgot a password cannot sign in; the answer tells nothing",
    "signing_in.logout": "ends a session, if there is one",
    "provider.begin": "leads to the tenant's sign-in service",
    "provider.back": "here one comes back from it, with its answer",
}


def needs(read: str, write: str | None = None) -> Callable[[View], View]:
    """Declare what a view needs: `read` to look (GET), `write` (the same unless given) for everything else. Below the route decorator."""
    for permission in (read, write or read):
        PERMISSIONS[permission]

    def declare(view: View) -> View:
        view.__dict__["needs"] = (read, write or read)
        return view

    return declare


def needed(app: Flask, endpoint: str, method: str) -> str | None:
    """The permission that an endpoint needs for a method; None if it declares none. A class of methods may declare on each method or on the class."""
    view: Any = app.view_functions[endpoint]
    kind = getattr(view, "view_class", None)
    declared = getattr(getattr(kind, method.lower(), None), "needs", None) or getattr(kind, "needs", None) or getattr(view, "needs", None)
    if declared is None:
        return None
    found: str = declared[0 if method in _READING else 1]
    return found


def demand(actor: Actor, permission: str | None) -> None:
    """Answer 404 for what the actor may not know of, 403 for what they may know but not do."""
    if permission is not None and actor.may(permission):
        return
    log.warning("not allowed", tenant=actor.tenant, person=actor.person, permission=permission, method=request.method, endpoint=request.endpoint)
    if permission is None or not actor.knows(permission):
        abort(404)
    act = gettext(PERMISSIONS[permission].help)
    if permission in allowed(actor.role):
        abort(403, gettext("What this token's scopes leave of your role may not do this: %(act)s.", act=act))
    abort(403, gettext("Your role (%(role)s) may not do this: %(act)s.", role=gettext(actor.role), act=act))


def demand_declared() -> None:
    """Before every request: 404 for a route that says neither what it needs nor that it is public."""
    if request.endpoint is not None and request.endpoint not in PUBLIC and needed(current_app, request.endpoint, request.method) is None:
        abort(404)
