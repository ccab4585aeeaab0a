"""Errors as RFC 9457 problem+json. Each has a type that stays whatever its words become: the table below, which docs/api.md prints."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import structlog
from flask import Response, g, json
from marshmallow import Schema, fields
from sqlalchemy.exc import IntegrityError, OperationalError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from sla_plugin.errors import ConfigurationError, ConnectorError, InvalidDefinition
from sla_plugin.logs import where
from sla_plugin.store.ids import new_id

log = structlog.get_logger()
PLACE = "/problems/"  # types are addresses on this server; each leads to its row on the reference page


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One row: the status it is answered with, its title, and what to do."""

    status: int
    title: str
    help: str


# the last word of `type` -> row
PROBLEMS: Mapping[str, ProblemType] = {
    "malformed": ProblemType(400, "The request cannot be read", "The body is not JSON, or holds what no text may hold. Send it well-formed."),
    "unauthenticated": ProblemType(401, "No valid token", "Send `Authorization: Bearer` with a token that is neither expired nor revoked."),
    "forbidden": ProblemType(403, "Not allowed", "The role, or what the token's scopes leave of it, does not include this."),
    "not-found": ProblemType(404, "Not there", "There is nothing at this address, or nothing that this token may know of."),
    "method-not-allowed": ProblemType(405, "Not with this method", "`Allow` names the methods that this address takes."),
    "not-acceptable": ProblemType(406, "Not in this format", "Answers are JSON; leave `Accept` out, or let it take `application/json`."),
    "conflict": ProblemType(409, "In the way of something else", "Somebody did the same at the same time. Read again, and decide anew."),
    "in-use": ProblemType(409, "In use", "`used_by` names what uses it; change that first."),
    "under-way": ProblemType(409, "Still under way", "A request with this Idempotency-Key is being worked on. Ask again after `Retry-After` seconds."),
    "not-possible": ProblemType(409, "Not possible as things are", "`detail` says what stands in the way; change that first."),
    "strict-mode": ProblemType(
        409, "Strict mode allows no exceptions", "Nothing has moved; the attempt is on record. An admin turns strict mode off, if it must be."
    ),
    "stale": ProblemType(412, "Changed meanwhile", "`If-Match` names an older state. Read again, and apply your change to what is there now."),
    "too-large": ProblemType(413, "Too large", "A body has at most 1 MB."),
    "unsupported-media-type": ProblemType(415, "Not in this format", "Send JSON, and say so: `Content-Type: application/json`."),
    "validation": ProblemType(422, "Not valid", "`errors` names each field or parameter with what is wrong; nothing was changed."),
    "key-reused": ProblemType(422, "Idempotency-Key used for something else", "A key belongs to one request. Take a new one for another."),
    "helpdesk": ProblemType(424, "The helpdesk did not take it", "`detail` says what it answered. Correct the credentials or the address, or ask again later."),
    "precondition-required": ProblemType(428, "If-Match is missing", "Read first, and send its `ETag` as `If-Match`; `*` means whatever is there."),
    "rate-limited": ProblemType(429, "Too many requests", "Wait `Retry-After` seconds."),
    "internal": ProblemType(500, "Something went wrong here", "It is not your request's fault. `instance` finds it in our logs."),
    "unavailable": ProblemType(503, "Not able to answer now", "The database, or who proves a token, does not answer. Ask again after `Retry-After` seconds."),
}
_BY_STATUS = {row.status: kind for kind, row in reversed(tuple(PROBLEMS.items()))}  # the first of a status is meant where nobody says which
_OURS = {  # what happened, where a library says it in general
    "not-found": "There is nothing here, or nothing that this token may know of.",
    "stale": "It is not any more as you read it.",
    "precondition-required": "Say with If-Match which state you change: the ETag of what you read.",
    "too-large": "The body is larger than 1 MB.",
}
_WAIT = 5  # seconds, until a database may answer again


class ProblemSchema(Schema):
    """An error (RFC 9457)."""

    type = fields.String(required=True, metadata={"description": f"One of the table: {PLACE}…", "format": "uri-reference"})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True, metadata={"description": "What happened, to which thing, and what to do."})
    instance = fields.String(required=True, metadata={"description": "The request, as in the header X-Request-Id and in our logs."})
    errors = fields.List(
        fields.Nested(Schema.from_dict({"field": fields.String(required=True), "problem": fields.String(required=True)}, name="FieldProblem")),
        metadata={"description": "Only of /problems/validation: each field, parameter or header with what is wrong."},
    )
    used_by = fields.List(fields.String(), metadata={"description": "Only of /problems/in-use."})


class Problem(HTTPException):
    """An error of the table. `more` are further members of the answer."""

    def __init__(self, kind: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.kind = kind
        self.code = PROBLEMS[kind].status
        self.headers = headers or {}
        self.more = more


def invalid(errors: Mapping[str, str]) -> Problem:
    """Fields or parameters that are not valid: name -> what is wrong, in a sentence."""
    said = " ".join(f"{field}: {problem}" for field, problem in errors.items())
    return Problem("validation", said, errors=[{"field": field, "problem": problem} for field, problem in errors.items()])


def invalid_definition(problem: InvalidDefinition) -> Response:
    """What a service refused."""
    return problem_answer(invalid(problem.problems))


def not_possible(problem: ConfigurationError) -> Response:
    """What cannot be done as things are."""
    return problem_answer(Problem("not-possible", as_sentence(str(problem))))


def helpdesk_trouble(problem: ConnectorError) -> Response:
    """What a helpdesk refused, or that it does not answer."""
    return problem_answer(Problem("helpdesk", as_sentence(str(problem) + (f" (HTTP {problem.status})" if problem.status else ""))))


def as_sentence(text: str) -> str:
    """What an error says, as a sentence."""
    said = text.strip().rstrip(".")
    return f"{said[:1].upper()}{said[1:]}."


def database_trouble(problem: IntegrityError | OperationalError | TimeoutError) -> Response:
    """What the database refused, or that it does not answer."""
    if isinstance(problem, IntegrityError):
        return problem_answer(Problem("conflict", "Somebody made or changed the same thing at the same time, or it is there already."))
    log.warning("the API could not answer", request=request_id(), error=type(problem).__name__)
    return problem_answer(Problem("unavailable", "The database does not answer.", {"Retry-After": str(_WAIT)}))


def problem_answer(problem: HTTPException) -> Response:
    """Any error as problem+json; nothing of the cause of one that is our own fault."""
    if problem.response is not None:
        return cast(Response, problem.response)  # an answer that somebody aborted with
    if (problem.code or 500) < 400:
        return cast(Response, problem.get_response())
    known = problem if isinstance(problem, Problem) else _known(problem)
    row = PROBLEMS[known.kind]
    told = {"type": PLACE + known.kind, "title": row.title, "status": row.status, "detail": known.description, "instance": request_id(), **known.more}
    return Response(json.dumps(told), status=row.status, content_type="application/problem+json", headers=dict(known.headers))


def request_id() -> str:
    """The id of the request that is being answered."""
    if "request_id" not in g:
        g.request_id = str(new_id())
    found: str = g.request_id
    return found


def _known(problem: HTTPException) -> Problem:
    cause = getattr(problem, "original_exception", None)
    kind = _BY_STATUS.get(problem.code or 500, "malformed" if (problem.code or 500) < 500 else "internal")
    if kind == "internal":
        if cause is not None:
            log.error("the API failed", request=request_id(), error=type(cause).__name__, where=where(cause))
        return Problem(kind, f"The request failed. Its id, {request_id()}, finds it in the logs.")
    if isinstance(problem, MethodNotAllowed):
        allowed = ", ".join(sorted(problem.valid_methods or ()))
        return Problem(kind, f"This address takes {allowed}.", {"Allow": allowed})
    if kind in _OURS and problem.description == type(problem).description:
        return Problem(kind, _OURS[kind])
    return Problem(kind, problem.description or PROBLEMS[kind].title)


def problems_markdown() -> str:
    """The table of docs/api.md."""
    lines = ["| type | status | title | what to do |", "|---|---|---|---|"]
    lines += [f"| `{PLACE}{kind}` | {row.status} | {row.title} | {row.help} |" for kind, row in PROBLEMS.items()]
    return "\n".join(lines) + "\n"
