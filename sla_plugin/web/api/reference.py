"""What the API says of itself: the OpenAPI document, and a page to read drawn from it on the server. Open to all: it holds nothing of anybody."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, abort, json, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from sla_plugin.web.admin.frame import theme, with_headers
from sla_plugin.web.api.aliases import ALIASES, ROOT
from sla_plugin.web.api.openapi import operations
from sla_plugin.web.api.problems import PLACE, PROBLEMS


def blueprint(document: Callable[[], Mapping[str, Any]]) -> Blueprint:
    """`/api/v1/openapi.json`, `/api/docs`, `/problems/<kind>`."""
    pages = Blueprint("api_reference", __name__, template_folder="templates")

    @pages.get(f"{ROOT}/openapi.json")
    def openapi() -> Response:
        """The OpenAPI 3.1 document of this version."""
        answer = Response(json.dumps(document()), content_type="application/json")
        answer.headers["Cache-Control"] = "no-cache"
        answer.add_etag()
        answer.make_conditional(request)
        return answer

    @pages.get("/api/docs")
    def docs() -> Response:
        """The reference: every address with what it takes, gives and refuses."""
        told = document()
        nouns: dict[str, list[tuple[str, str, dict[str, Any]]]] = {tag["name"]: [] for tag in told["tags"]}
        for method, path, operation in operations(told):
            nouns[operation["tags"][0]].append((method, path, operation))
        shown = {"theme": theme(), "document": told, "nouns": nouns, "problems": PROBLEMS, "place": PLACE, "aliases": ALIASES, "root": ROOT}
        return with_headers(Response(render_template("reference.html", resolve=resolver(told), type_of=type_words, code=with_code, **shown)))

    @pages.get(f"{PLACE}<kind>")
    def problem(kind: str) -> AnyResponse:
        """Where the type of an error leads: its row of the reference."""
        if kind not in PROBLEMS:
            abort(404)
        return redirect(url_for("api_reference.docs", _anchor=f"problem-{kind}"))

    return pages


def resolver(told: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Any]:
    """A function that follows `$ref` within a document."""

    def resolve(part: Mapping[str, Any]) -> Any:
        while "$ref" in part:
            found: Any = told
            for word in part["$ref"].removeprefix("#/").split("/"):
                found = found[word]
            part = found
        return part

    return resolve


def type_words(schema: Mapping[str, Any]) -> str:
    """The type of a value in words: `string or null, date-time`; the name of a schema for one that has a name."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(type_words(one) for one in schema[several])
    kind = schema.get("type", "anything")
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if words.startswith("array"):
        words = words.replace("array", f"list of {type_words(schema.get('items', {}))}")
    return f"{words}, {schema['format']}" if "format" in schema else words


def with_code(text: str) -> Markup:
    """A text in which `backticks` mark what is typed, as a page has it."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(parts))
