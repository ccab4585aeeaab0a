"""The OpenAPI document: what flask-smorest makes of the code, and what is true of every route. Made once, when it is first asked for."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flask_smorest
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from marshmallow import Schema

from sla_plugin import __version__
from sla_plugin.web.access import needed
from sla_plugin.web.api.problems import PLACE, PROBLEMS, ProblemSchema
from sla_plugin.web.api.shapes import ID_PATTERN, IdInPath
from sla_plugin.web.api.writing import KEY

DESCRIPTION = """\
Everything is JSON in snake_case. Ids are texts of digits: numbers of 63 bits lose digits in JavaScript. Instants are RFC 3339 in UTC, durations seconds.
Words (roles, states, priorities) are taken in any case. Unknown parameters and fields are refused by name.
"""
# of every route: statuses that it may answer with beside its own
_EVERYWHERE = ("unauthenticated", "forbidden", "not-found", "not-acceptable", "validation", "rate-limited", "internal", "unavailable")
_WITH_BODY = ("malformed", "too-large", "unsupported-media-type", "conflict")
_OF_NOUN = {"connections": ("helpdesk", "conflict")}
_HEADERS = {
    "X-Request-Id": {"description": "The request in our logs.", "schema": {"type": "string"}},
    "RateLimit-Limit": {"description": "Requests a minute.", "schema": {"type": "integer"}},
    "RateLimit-Remaining": {"description": "Of them left.", "schema": {"type": "integer"}},
    "RateLimit-Reset": {"description": "Seconds until all are left again.", "schema": {"type": "integer"}},
}


class Api(flask_smorest.Api):  # type: ignore[misc]  # the library is not typed
    """flask-smorest, without its pages and its errors. What routes say is put into the document when that is first asked for: it is half the cost of an app."""

    DEFAULT_ERROR_RESPONSE_NAME = None
    ERROR_SCHEMA = ProblemSchema

    def __init__(self, *told: Any, **named: Any) -> None:
        self._later: list[Callable[[], None]] = []
        self._turn = threading.Lock()
        super().__init__(*told, **named)

    def later(self, describe: Callable[[], None]) -> None:
        """Keep what describes routes."""
        self._later.append(describe)

    def describe(self) -> None:
        """Describe all routes, once."""
        with self._turn:
            while self._later:
                self._later.pop(0)()

    def _register_error_handlers(self) -> None:
        """Errors are ours (problems.py)."""


def make_api(app: Flask) -> Api:
    """The collector of routes and schemas of an app."""
    app.config.update(API_TITLE="SLA plugin", API_VERSION="v1", OPENAPI_VERSION="3.1.0")
    plugin = MarshmallowPlugin(schema_name_resolver=_name)
    api = Api(app, spec_kwargs={"marshmallow_plugin": plugin, "info": {"description": DESCRIPTION, "x-version": __version__}})
    app.url_map.converters["id"] = IdInPath
    api.register_converter(IdInPath, lambda converter: {"type": "string", "pattern": ID_PATTERN})
    components = api.spec.components
    components.security_scheme("bearer", {"type": "http", "scheme": "bearer", "description": "An API token, `sla_…`, or a JWT of the provider that is set up."})
    components.parameter(
        "IDEMPOTENCY_KEY",
        "header",
        {"name": KEY, "description": "1 to 255 characters; the same request with it is answered alike for 24 hours.", "schema": {"type": "string"}},
    )
    return api


def _name(schema: type[Schema] | Schema) -> str:
    """How the document calls a schema; what may be sent in part is another one."""
    name = (schema if isinstance(schema, type) else type(schema)).__name__.removesuffix("Schema")
    return f"{name}Changes" if isinstance(schema, Schema) and schema.partial else name


def document(app: Flask, api: Api) -> dict[str, Any]:
    """The document, complete."""
    api.describe()
    told: dict[str, Any] = api.spec.to_dict()
    told["servers"] = [{"url": "/"}]
    told["security"] = [{"bearer": []}]
    told["tags"] = [{"name": tag["name"].removeprefix("api_"), "description": tag["description"]} for tag in told.get("tags", [])]
    told["components"].setdefault("responses", {}).update({kind: _response(kind) for kind in PROBLEMS})
    routes = dict(_routes(app))
    for path, item in told["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                endpoint, permission = routes[path, method]
                operation["operationId"] = endpoint.rpartition(".")[2]
                _complete(operation, permission)
    return told


def _response(kind: str) -> dict[str, Any]:
    row = PROBLEMS[kind]
    return {
        "description": f"{row.title} (`{PLACE}{kind}`). {row.help}",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        "headers": {"X-Request-Id": _HEADERS["X-Request-Id"]},
    }


def _complete(operation: dict[str, Any], permission: str) -> None:
    operation["x-permission"] = permission
    kinds = [*_EVERYWHERE, *(_WITH_BODY if "requestBody" in operation else ())]
    parameters = [p.get("$ref", "").rpartition("/")[2] for p in operation.get("parameters", ())]
    kinds += ["under-way", "key-reused", "conflict"] if "IDEMPOTENCY_KEY" in parameters else []
    kinds += ["stale", "precondition-required", "conflict"] if "IF_MATCH" in parameters else []
    kinds += [kind for tag in operation["tags"] for kind in _OF_NOUN.get(tag, ())]
    answers = operation["responses"]
    for status in ("412", "422", "428"):  # the library says less of them
        answers.pop(status, None)
    for kind in kinds:
        answers.setdefault(str(PROBLEMS[kind].status), {"$ref": f"#/components/responses/{kind}"})
    for status, answer in answers.items():
        if "$ref" not in answer:
            answer.setdefault("headers", {}).update(_HEADERS)
            if status == "201":
                answer["headers"]["Location"] = {"description": "The address of what was made.", "schema": {"type": "string"}}
    operation["responses"] = dict(sorted(answers.items()))


def _routes(app: Flask) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """(path of the document, method) -> (endpoint, the permission it needs)."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("api_"):
            path = re.sub(r"<(?:[^:>]+:)?(\w+)>", r"{\1}", rule.rule)
            for method in rule.methods or ():
                yield (path, method.lower()), (rule.endpoint, needed(app, rule.endpoint, method) or "")


def operations(told: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) in the order of the code."""
    for path, item in told["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield method.upper(), path, operation
