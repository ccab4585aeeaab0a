"""Errors are problem+json of a documented type, whatever goes wrong; nothing of a cause of our own is told."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from sla_plugin.web.api.gate import LARGEST
from sla_plugin.web.api.problems import PROBLEMS, problems_markdown
from tests.web.conftest import app_of, program_of
from tests.web.world import World

DOCS = Path(__file__).resolve().parents[3] / "docs" / "api.md"
JSON = "application/json"


def test_the_docs_have_the_table() -> None:
    assert problems_markdown() in DOCS.read_text()


def test_every_type_is_used_and_none_that_is_not_documented() -> None:
    api = DOCS.parents[1] / "sla_plugin" / "web" / "api"
    code = "\n".join(path.read_text() for path in sorted(api.glob("*.py")))
    named = set(re.findall(r'Problem\(\s*"([\w-]+)"', code))
    assert named <= set(PROBLEMS)
    assert [kind for kind in PROBLEMS if code.count(f'"{kind}"') < 2 and PROBLEMS[kind].status not in (400, 403, 405, 409, 412, 413, 428)] == []


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "kind", "said"),
    [
        ("POST", "/tokens", {"data": b'{"name": ', "content_type": JSON}, 400, "malformed", "not JSON"),
        ("POST", "/tokens", {"data": b'{"name": NaN}', "content_type": JSON}, 400, "malformed", "not JSON"),
        ("POST", "/tokens", {"data": b"\xff\xfe", "content_type": JSON}, 400, "malformed", "not JSON"),
        ("POST", "/tokens", {"data": b"", "content_type": JSON}, 400, "malformed", "not JSON"),
        ("POST", "/tokens", {"data": b"[" * 5000 + b"]" * 5000, "content_type": JSON}, 400, "malformed", ""),
        ("POST", "/tokens", {"data": b'{"a":' * 200 + b"1" + b"}" * 200, "content_type": JSON}, 400, "malformed", "levels deep"),
        ("POST", "/tokens", {"data": b'{"name": "a\\u0000"}', "content_type": JSON}, 400, "malformed", "NUL"),
        ("POST", "/tokens", {"data": b'{"name": "\\ud800"}', "content_type": JSON}, 400, "malformed", "surrogate"),
        ("POST", "/tokens", {"data": b"9" * 5000, "content_type": JSON}, 400, "malformed", "not JSON"),
        ("GET", "/nothing", {}, 404, "not-found", "nothing here"),
        ("GET", "/tokens/99", {}, 404, "not-found", "no such token"),
        ("GET", "/tokens/99999999999999999999", {}, 404, "not-found", "nothing here"),
        ("GET", "/tokens/x", {}, 404, "not-found", "nothing here"),
        ("PUT", "/tokens", {}, 405, "method-not-allowed", "GET, HEAD, OPTIONS, POST"),
        ("GET", "/me", {"headers": {"Accept": "text/csv"}}, 406, "not-acceptable", "application/json"),
        ("POST", "/tokens", {"data": b" " * (LARGEST + 1), "content_type": JSON}, 413, "too-large", "1 MB"),
        ("POST", "/tokens", {"data": b"name=x", "content_type": "application/x-www-form-urlencoded"}, 415, "unsupported-media-type", "send application/json"),
        ("POST", "/tokens", {"data": b"{}"}, 415, "unsupported-media-type", "send application/json"),
        ("POST", "/tokens", {"json": [1]}, 422, "validation", "JSON object"),
        ("POST", "/tokens", {"json": None, "content_type": JSON}, 400, "malformed", "not JSON"),
        ("GET", "/me?q=1", {}, 422, "validation", "no such parameter"),
        ("GET", "/audit?actor=%00", {}, 422, "validation", "character"),
        ("DELETE", "/tokens/99", {}, 428, "precondition-required", "If-Match"),
    ],
)  # fmt: skip
def test_errors(small_world: World, method: str, path: str, sent: Mapping[str, object], status: int, kind: str, said: str) -> None:
    program = program_of(small_world)
    headers = {"Authorization": f"Bearer {program.token}", **sent.get("headers", {})}  # type: ignore[dict-item]
    answer = program.client.open(f"/api/v1{path}", method=method, **{**sent, "headers": headers})  # type: ignore[arg-type]
    told = answer.json
    assert (answer.status_code, told["status"], told["type"]) == (status, status, f"/problems/{kind}")
    assert answer.content_type == "application/problem+json"
    assert told["title"] == PROBLEMS[kind].title
    assert said in told["detail"]
    assert told["instance"] == answer.headers["X-Request-Id"]
    if status == 405:
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


def test_every_field_that_is_wrong_is_named(small_world: World) -> None:
    refused = program_of(small_world).post("/tokens", {"name": " ", "scopes": ["tokens.read", "nope"], "days": 0, "colour": "red"}, 422)
    assert {error["field"] for error in refused["errors"]} == {"name", "scopes[1]", "days", "colour"}
    assert all(error["problem"].endswith(".") for error in refused["errors"])
    refused = program_of(small_world).get("/tokens?page=0&limit=101&sort=colour&page=2", 422)
    assert {error["field"] for error in refused["errors"]} == {"page", "limit", "sort"}


def test_our_own_fault_tells_nothing_of_its_cause(small_world: World, caplog: pytest.LogCaptureFixture) -> None:
    app = app_of(small_world)
    app.testing = False
    program = program_of(small_world, app=app)

    def fail(cause: Exception) -> None:
        def clock() -> int:
            raise cause

        small_world.runtime.clock = clock  # type: ignore[method-assign]

    fail(ZeroDivisionError("the secret of kim"))
    answer = program.open("GET", "/me")
    told = answer.json
    assert (answer.status_code, told["type"]) == (500, "/problems/internal")
    assert told["instance"] in told["detail"]
    assert "secret" not in answer.text
    assert "Zero" not in answer.text
    fail(OperationalError("SELECT secret", {}, Exception("gone")))
    answer = program.open("GET", "/me")
    assert (answer.status_code, answer.json["type"], answer.headers["Retry-After"]) == (503, "/problems/unavailable", "5")
    assert "SELECT" not in answer.text


def test_pages_keep_their_own_errors(small_world: World) -> None:
    client = app_of(small_world).test_client()
    assert "<h1>Not found</h1>" in client.get("/nothing").text
    assert client.get("/api/nothing").json["type"] == "/problems/not-found"
    assert "<h1>Not found</h1>" in client.get("/apifoo").text


def test_a_type_leads_to_its_row_of_the_reference(small_world: World) -> None:
    client = app_of(small_world).test_client()
    page = client.get("/api/docs").text
    for kind in PROBLEMS:
        answer = client.get(f"/problems/{kind}")
        assert (answer.status_code, answer.headers["Location"]) == (302, f"/api/docs#problem-{kind}")
        assert f'id="problem-{kind}"' in page
    assert client.get("/problems/nothing").status_code == 404


def test_a_field_problem_quotes_no_more_than_it_must(small_world: World) -> None:
    refused = program_of(small_world).post("/tokens", {"name": "x", "scopes": ["x" * 100_000]}, 422)
    assert len(json.dumps(refused)) < 5000
