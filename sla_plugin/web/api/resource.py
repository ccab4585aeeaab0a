"""What a module of the API is made of: a blueprint whose routes say what they take and give, from which the OpenAPI document is made."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import flask_smorest
from flask import Request, Response, abort, request
from marshmallow import Schema, ValidationError
from sqlalchemy.exc import IntegrityError, OperationalError
from webargs.flaskparser import FlaskParser

from sla_plugin.errors import ConfigurationError, ConnectorError, InvalidDefinition
from sla_plugin.web.api.problems import Problem, database_trouble, helpdesk_trouble, invalid, invalid_definition, not_possible
from sla_plugin.web.api.writing import once

View = TypeVar("View", bound=Callable[..., Any])
JSON_TYPES = ("application/json", "application/merge-patch+json")
_DEEPEST = 100  # braces and brackets within each other


class _Parser(FlaskParser):
    """Reads what a request says, strictly; what is wrong is said by field."""

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The body. Raises Problem for one that is not JSON, or does not say so."""
        text = req.get_data()
        if req.mimetype not in JSON_TYPES:
            raise Problem("unsupported-media-type", f"This is {req.mimetype or 'nothing that is named'}; send application/json.")
        return read_json(text)

    def handle_error(self, error: ValidationError, req: Request, schema: Schema, **_: Any) -> Any:
        """422 with every field."""
        raise invalid(dict(_flat(messages for messages in error.messages_dict.values()))) from error


def read_json(text: bytes) -> Any:
    """A body as data. Raises Problem for what is not JSON, goes too deep, or holds what no database takes as a text."""
    try:
        data = json.loads(text, parse_constant=_refuse)
        plain = json.dumps(data, ensure_ascii=False)
        plain.encode()
    except UnicodeEncodeError:
        raise Problem("malformed", "The body holds half a surrogate pair, which is no character.") from None
    except (ValueError, RecursionError):
        raise Problem("malformed", "The body is not JSON.") from None
    if "\\u0000" in plain:
        raise Problem("malformed", "The body holds the character NUL, which no text may hold.")
    if _depth(data) > _DEEPEST:
        raise Problem("malformed", f"The body goes more than {_DEEPEST} levels deep.")
    return data


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _depth(data: Any) -> int:
    deepest, level = 0, [data]
    while level and deepest <= _DEEPEST:
        deepest += 1
        level = [inner for one in level if isinstance(one, dict | list) for inner in (one.values() if isinstance(one, dict) else one)]
    return deepest


def _flat(levels: Any, place: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for messages in levels:
        if isinstance(messages, Mapping):
            for key, inner in messages.items():
                part = f"{place}[{key}]" if isinstance(key, int) else place if key == "_schema" else f"{place}.{key}" if place else str(key)
                found += _flat([inner], part)
        else:
            found.append((place or "body", " ".join(map(str, messages)) if isinstance(messages, Sequence) and not isinstance(messages, str) else str(messages)))
    return found


class Resource(flask_smorest.Blueprint):  # type: ignore[misc]  # the library is not typed
    """The routes of one noun, below /api/v1. `description` stands at its head in the reference."""

    ARGUMENTS_PARSER = _Parser()

    def __init__(self, name: str, description: str) -> None:
        super().__init__(f"api_{name}", __name__, description=description)
        self.noun = name
        self.register_error_handler(InvalidDefinition, invalid_definition)
        self.register_error_handler(ConfigurationError, not_possible)
        self.register_error_handler(ConnectorError, helpdesk_trouble)
        for trouble in (IntegrityError, OperationalError, TimeoutError):
            self.register_error_handler(trouble, database_trouble)

    def register_views_in_doc(self, api: Any, *told: Any, **named: Any) -> None:
        """What flask-smorest does as soon as it registers routes; we do it when somebody asks for the document."""
        api.later(partial(super().register_views_in_doc, api, *told, **named))

    # --- routes, outermost -------------------------------------------------------------------------------------------
    def get(self, rule: str) -> Callable[[View], View]:
        """A route that reads."""
        return self._add(rule, "GET")

    def post(self, rule: str, *, writes: bool = True) -> Callable[[View], View]:
        """A route that makes or does something. One that writes opens its transaction with `writing.begin`, which makes an Idempotency-Key work."""
        add = self._add(rule, "POST")
        if not writes:
            return add

        def declare(view: View) -> View:
            return cast(View, add(self.doc(parameters=["IDEMPOTENCY_KEY"])(once(view))))

        return declare

    def put(self, rule: str) -> Callable[[View], View]:
        """A route that replaces a thing; below it, `versioned`."""
        return self._add(rule, "PUT")

    def patch(self, rule: str) -> Callable[[View], View]:
        """A route that changes a thing in part (JSON merge patch); below it, `versioned`."""
        return self._add(rule, "PATCH")

    def delete(self, rule: str) -> Callable[[View], View]:
        """A route that takes a thing away; below it, `versioned`."""
        return self._add(rule, "DELETE")

    def _add(self, rule: str, method: str) -> Callable[[Any], Any]:
        def declare(view: Any) -> Any:
            self.add_url_rule(rule, None, view, methods=[method], tags=[self.noun])
            return view

        return declare

    # --- what a route takes and gives --------------------------------------------------------------------------------
    def versioned(self, view: View) -> View:
        """A thing with an ETag: GET says it, a write needs it as If-Match, which the view compares (`check_etag`) once nobody else can write."""
        return cast(View, self.etag(view))

    def query(self, schema: type[Schema]) -> Callable[[View], View]:
        """Parameters of the address, as the first argument."""

        def declare(view: View) -> View:
            declared = self.arguments(schema, location="query")(view)
            declared.parameters = tuple(field.data_key or name for name, field in schema().load_fields.items())
            return cast(View, declared)

        return declare

    def body(self, schema: type[Schema], *, partial: bool = False) -> Callable[[View], View]:
        """The JSON body, as the next argument; `partial` where only what is to be changed is sent."""
        return cast(Callable[[View], View], self.arguments(schema(partial=True) if partial else schema()))

    def gives(self, schema: type[Schema] | None, status: int = 200) -> Callable[[View], View]:
        """The answer when all is well."""
        return cast(Callable[[View], View], self.response(status, schema))

    def check(self, data: Any, schema: type[Schema]) -> None:
        """Compare If-Match with what is there, in the transaction that has locked it. Raises Problem for another."""
        self.check_etag(data, schema)

    def _check_not_modified(self, etag: str) -> None:
        """304 with the ETag, which the library leaves out."""
        if request.method in self.METHODS_CHECKING_NOT_MODIFIED and etag in request.if_none_match:
            answer = Response(status=304)
            answer.set_etag(etag)
            abort(answer)
