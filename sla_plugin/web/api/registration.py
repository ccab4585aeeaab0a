"""The API as a whole: one module per noun, registered here, behind one gate."""

from collections.abc import Callable
from functools import cache
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from sla_plugin.web.api import (
    actions,
    alerts,
    audit,
    calendars,
    compliance,
    connections,
    deliveries,
    me,
    overrides,
    people,
    policies,
    policy_templates,
    portal,
    reference,
    settings,
    tickets,
    tokens,
)
from sla_plugin.web.api.aliases import ROOT, ours
from sla_plugin.web.api.gate import PREFIX, Gate
from sla_plugin.web.api.openapi import document, make_api
from sla_plugin.web.api.problems import problem_answer
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.runtime import Runtime

# nouns in the order of the reference
RESOURCES: tuple[Callable[[Runtime], Resource], ...] = (
    me.resource,
    tickets.resource,
    overrides.resource,
    compliance.resource,
    alerts.resource,
    portal.resource,
    policies.resource,
    policy_templates.resource,
    calendars.resource,
    connections.resource,
    deliveries.resource,
    actions.resource,
    people.resource,
    tokens.resource,
    settings.resource,
    audit.resource,
)


def register_api(app: Flask, runtime: Runtime, otherwise: Callable[[HTTPException], Any]) -> None:
    """Add the API to the app. Errors below /api/ are its own; those of other addresses are answered by `otherwise`."""
    gate, api = Gate(runtime), make_api(app)
    for make in RESOURCES:
        resource = make(runtime)
        resource.before_request(gate.admit)
        api.register_blueprint(resource, url_prefix=ROOT)
    app.register_blueprint(reference.blueprint(cache(lambda: document(app, api))))
    app.before_request(gate.greet)
    app.after_request(_link)
    app.after_request(gate.finish)

    def problem(error: HTTPException) -> Any:
        """An error in the form of the place where it happened."""
        if not request.path.startswith(PREFIX):
            return otherwise(error)
        known_as = ours(request.path) if error.code == 404 and request.endpoint is None else None
        if known_as is not None and _is_there(app, known_as):
            query = request.query_string.decode("latin-1")
            return Response(status=308, headers={"Location": f"{known_as}?{query}" if query else known_as})
        return problem_answer(error)

    app.register_error_handler(HTTPException, problem)


def _is_there(app: Flask, path: str) -> bool:
    """Whether an address answers, with whatever method."""
    try:
        app.url_map.bind("").match(path)
    except MethodNotAllowed:
        return True
    except HTTPException:
        return False
    return True


def _link(answer: Response) -> Response:
    """The header that names the next page of a list."""
    if g.get("next_page"):
        answer.headers["Link"] = f'<{g.next_page}>; rel="next"'
    return answer
