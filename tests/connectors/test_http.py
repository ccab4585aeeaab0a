"""Statuses and broken connections as errors that say what now, against a real local server."""

import socket
from typing import Any

import pytest

from connectors.http import ANSWER_LIMIT, Http
from sla_plugin.errors import ConfigurationError, ConnectorError, PermanentFailure, TemporaryFailure, WriteConflict


@pytest.fixture
def http() -> Http:
    return Http(connect_timeout=2, read_timeout=0.3, allow_private=True)


def call(http: Http, url: str, **rest: Any) -> Any:
    return http.request("PUT", url + "/api", operation="update the ticket", auth=("a@b.example/token", "hunter2-token"), **rest)


def test_an_answer_comes_back_with_lower_case_headers(local_server: Any, http: Http) -> None:
    local_server.reply = lambda: (201, {"X-Thing": "1"}, b"yes")
    answer = call(http, local_server.url, json={"a": 1})
    assert (answer.status, answer.headers["x-thing"], answer.body) == (201, "1", b"yes")
    assert local_server.got.get(timeout=5)[3] == b'{"a": 1}'


@pytest.mark.parametrize(
    ("status", "headers", "kind", "expected"),
    [
        (301, {"Location": "https://new.example/x"}, PermanentFailure, {"said": "new.example: correct the base URL"}),
        (307, {"Location": "http://[bad"}, PermanentFailure, {"said": "another address"}),
        (400, {}, PermanentFailure, {"said": "malformed"}),
        (401, {}, PermanentFailure, {"said": "refused the token"}),
        (403, {}, PermanentFailure, {"said": "agent role"}),
        (404, {}, PermanentFailure, {"said": "may be deleted"}),
        (418, {}, PermanentFailure, {"said": "418"}),
        (422, {}, PermanentFailure, {"said": "it says: the reason"}),
        (409, {}, WriteConflict, {"said": "somebody else"}),
        (408, {}, TemporaryFailure, {"sent": True, "retry_after": None}),
        (425, {}, TemporaryFailure, {"sent": True, "retry_after": None}),
        (429, {"Retry-After": "7"}, TemporaryFailure, {"sent": False, "retry_after": 7.0}),
        (429, {}, TemporaryFailure, {"sent": False, "retry_after": None}),
        (429, {"Retry-After": "soon"}, TemporaryFailure, {"sent": False, "retry_after": None}),
        (500, {}, TemporaryFailure, {"sent": True, "retry_after": None}),
        (503, {"Retry-After": "60"}, TemporaryFailure, {"sent": True, "retry_after": 60.0}),
    ],
)
def test_statuses(local_server: Any, http: Http, status: int, headers: dict[str, str], kind: type[ConnectorError], expected: dict[str, Any]) -> None:
    local_server.reply = lambda: (status, headers, b"the reason")
    with pytest.raises(kind) as caught:
        call(http, local_server.url)
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.operation, error.body) == (status, "update the ticket", "the reason")
    assert expected.pop("said", "") in str(error)
    assert {name: getattr(error, name) for name in expected} == expected


def test_retry_after_as_a_date_is_read_against_the_answers_own_clock(local_server: Any, http: Http) -> None:
    reply = {"Date": "Mon, 16 Nov 2026 08:00:00 GMT", "Retry-After": "Mon, 16 Nov 2026 08:00:30 GMT"}
    local_server.reply = lambda: (429, reply, b"")
    with pytest.raises(TemporaryFailure) as caught:
        call(http, local_server.url)
    assert caught.value.retry_after == 30


def test_an_echoed_secret_is_blotted_out(local_server: Any, http: Http) -> None:
    local_server.reply = lambda: (422, {}, b"bad hunter2-token, Authorization: Basic YUBiOmh1bnRlcjI=, key " + b"k" * 40)
    with pytest.raises(PermanentFailure) as caught:
        call(http, local_server.url, headers={"x-key": "k" * 40})
    for secret in ("hunter2", "YUBiOmh1bnRlcjI=", "k" * 40):
        assert secret not in caught.value.body + str(caught.value)


def test_a_broken_connection_may_have_arrived(local_server: Any, http: Http) -> None:
    local_server.reply = lambda: None
    with pytest.raises(TemporaryFailure, match="before it answered") as caught:
        call(http, local_server.url)
    assert caught.value.sent


def test_a_slow_answer_may_have_arrived(http: Http) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TemporaryFailure, match="did not answer in time") as caught:
        call(http, f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert caught.value.sent


def test_a_refused_connection_did_not_arrive(http: Http) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(TemporaryFailure, match="refused the connection") as caught:
        call(http, f"http://127.0.0.1:{port}")
    assert not caught.value.sent


@pytest.mark.parametrize("allow_private", [True, False], ids=["private allowed", "guarded"])
def test_a_name_without_an_address_did_not_arrive(allow_private: bool) -> None:
    with pytest.raises(TemporaryFailure, match="no address in the DNS") as caught:
        call(Http(allow_private=allow_private), "http://helpdesk.invalid")
    assert not caught.value.sent


def test_an_endless_answer_is_cut_off(local_server: Any, http: Http) -> None:
    local_server.reply = lambda: (200, {}, b"x" * (ANSWER_LIMIT + 1))
    with pytest.raises(TemporaryFailure, match="larger than"):
        call(http, local_server.url)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "0.0.0.0", "10.1.2.3", "192.168.0.1", "169.254.169.254", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "[fe80::1]", "100.64.0.1"],
)
def test_private_addresses_are_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match="SLA_ALLOW_PRIVATE_URLS"):
        call(Http(connect_timeout=1, read_timeout=1), f"http://{host}:9")


@pytest.mark.parametrize("auth", [("a", "line\nbreak-secret"), ("a", "…secret")], ids=["line break", "not Latin"])
def test_a_credential_that_cannot_be_sent_is_said_without_telling_it(local_server: Any, http: Http, auth: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="do not belong there") as caught:
        http.request("GET", local_server.url, operation="t", auth=auth, headers={"x-key": auth[1]})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["acme.zendesk.com", "ftp://acme.example", "https://", "http://a:port", "http://[::1", "file:///etc/passwd", ""], ids=repr)
def test_what_is_no_address_is_said(http: Http, url: str) -> None:
    with pytest.raises(ConfigurationError, match="base URL"):
        call(http, url)
