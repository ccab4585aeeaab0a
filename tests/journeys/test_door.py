"""The door as strangers meet it: a real server, raw requests, and what the command line shows of them afterwards."""

import base64
import hashlib
import hmac
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.journeys.foreign_desk import ForeignDesk, signature
from tests.journeys.product import Product, eventually, free_tcp_port

pytestmark = pytest.mark.platform

LIMIT = 1_048_576
SECRET = ForeignDesk.secret
GOOD = json.dumps({"hello": "nobody knows this shape"}).encode()


def desk_event(ticket: str, **detail: Any) -> bytes:
    """A ticket.created of Zendesk."""
    told = {"id": ticket, "actor_id": "801", "requester_id": "801", "status": "NEW", "priority": "NORMAL", "subject": "S", "created_at": "2026-11-20T10:00:00Z"}
    event = {"account_id": 1, "id": f"event-{ticket}", "type": "zen:event-type:ticket.created", "subject": f"zen:ticket:{ticket}", "event": {}}
    return json.dumps({**event, "time": "2026-11-20T10:00:00.5Z", "zendesk_event_version": "2022-11-06", "detail": {**told, **detail}}).encode()


class Shop:
    """A running product with one connection, and a way to knock at its door."""

    def __init__(self, product: Product) -> None:
        self.product = product
        account = ("--base-url", product.url, "--email", "a@b.test", "--token", "t", "--skip-check")
        self.door = urlsplit(product.cli("connect", "zendesk", "--name", "Desk", *account, "--secret", SECRET)["webhook_url"]).path
        self.key = 0

    def knock(self, body: bytes = GOOD, *, method: str = "POST", door: str | None = None, headers: Mapping[str, str] | None = None) -> int:
        """Send it; the status. Headers are a fresh invocation and signature unless given."""
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(self.product.url).port, timeout=15)
        try:
            connection.request(method, door or self.door, body, self.signed(body) if headers is None else headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def signed(self, body: bytes, secret: str = SECRET, at: float = 0.0, key: str = "") -> dict[str, str]:
        self.key += 1
        return {"X-Zendesk-Webhook-Invocation-Id": key or f"i{self.key}", **signature(secret, body, time.time() + at)}

    def shown(self) -> dict[str, Any]:
        """The connection, as `connections list` tells it."""
        (row,) = self.product.cli("connections", "list")
        return dict(row)

    def settled(self, *keys: str) -> dict[str, dict[str, Any]]:
        """Deliveries by key, once all of them (and those in `keys`) are settled."""

        def look() -> dict[str, dict[str, Any]] | None:
            rows = {row["key"]: row for row in self.product.export("deliveries")}
            return None if set(keys) - set(rows) or "stored" in {row["state"] for row in rows.values()} else rows

        found: dict[str, dict[str, Any]] = eventually(look, 15, "all deliveries are settled")
        return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    product = Product(tmp_path_factory.mktemp("door"), free_tcp_port()).start()
    try:
        yield Shop(product)
    finally:
        product.stop()


def old_order(body: bytes) -> dict[str, str]:
    """body + timestamp, as an old copy of the documentation had it."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    mac = base64.b64encode(hmac.new(SECRET.encode(), body + stamp.encode(), hashlib.sha256).digest()).decode()
    return {"X-Zendesk-Webhook-Signature": mac, "X-Zendesk-Webhook-Signature-Timestamp": stamp}


REFUSED: dict[str, Callable[[], dict[str, str]]] = {
    "no signature": dict,
    "an empty one": lambda: {**signature(SECRET, GOOD, time.time()), "X-Zendesk-Webhook-Signature": ""},
    "of another secret": lambda: signature("another", GOOD, time.time()),
    "of another body": lambda: signature(SECRET, b"{}", time.time()),
    "of no secret": lambda: signature("", GOOD, time.time()),
    "not base64": lambda: {**signature(SECRET, GOOD, time.time()), "X-Zendesk-Webhook-Signature": "\u00e9\u00e9\u00e9"},
    "six minutes old": lambda: signature(SECRET, GOOD, time.time() - 360),
    "six minutes ahead": lambda: signature(SECRET, GOOD, time.time() + 360),
    "another timestamp": lambda: {**signature(SECRET, GOOD, time.time()), "X-Zendesk-Webhook-Signature-Timestamp": "2026-01-01T00:00:00Z"},
    "no timestamp": lambda: {"X-Zendesk-Webhook-Signature": signature(SECRET, GOOD, time.time())["X-Zendesk-Webhook-Signature"]},
    "the old order": lambda: old_order(GOOD),
}


def test_forged_and_stale_deliveries_are_refused_and_counted(shop: Shop) -> None:
    before = shop.shown()["refused"]
    statuses = {name: shop.knock(headers=headers()) for name, headers in REFUSED.items()}
    assert statuses == dict.fromkeys(REFUSED, 401)
    shown = shop.shown()
    assert shown["refused"] == before + len(REFUSED)
    assert shown["refused_reason"]
    assert not [row for row in shop.product.export("deliveries") if row["key"] == hashlib.sha256(GOOD).hexdigest()]


@pytest.mark.parametrize(
    ("method", "door", "status"),
    [
        ("POST", "/webhooks/nobody", 404),
        ("POST", "/webhooks/", 404),
        ("POST", "/webhooks/%00%ff", 404),
        ("POST", "/webhooks/" + "x" * 5000, 404),
        ("GET", None, 405),
        ("HEAD", None, 405),
        ("PUT", None, 405),
    ],
    ids=["unknown", "none", "nonsense", "long", "GET", "HEAD", "PUT"],
)
def test_wrong_addresses_and_methods(shop: Shop, method: str, door: str | None, status: int) -> None:
    assert shop.knock(method=method, door=door) == status


def test_size_limit(shop: Shop) -> None:
    assert shop.knock(b" " * LIMIT) == 202
    assert shop.knock(b" " * (LIMIT + 1)) == 413
    # who announces a body that no connector takes is answered before it is sent
    assert raw(shop, f"POST {shop.door} HTTP/1.1\r\nHost: x\r\nContent-Length: 40000000\r\n\r\n".encode()).split()[1] == b"413"
    assert shop.knock() == 202


def raw(shop: Shop, content: bytes) -> bytes:
    """The first line of the answer to raw bytes; empty if the connection just ends."""
    with socket.create_connection(("127.0.0.1", urlsplit(shop.product.url).port or 0), timeout=10) as line:
        try:
            line.sendall(content)
            return line.makefile("rb").readline()
        except OSError:
            return b""


@pytest.mark.parametrize(
    "content",
    [
        b"POST %b HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 400_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"POST %b HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(40_000)) + b"Content-Length: 0\r\n\r\n",
        b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["huge header", "countless headers", "negative length", "length in words", "no HTTP", "broken chunks"],
)
def test_what_is_no_request_harms_nobody(shop: Shop, content: bytes) -> None:
    answer = raw(shop, content.replace(b"%b", shop.door.encode()))
    assert answer == b"" or answer.split()[1][:1] == b"4"
    assert shop.knock() == 202


def test_an_endless_body_in_chunks_is_cut_off(shop: Shop) -> None:
    head = f"POST {shop.door} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    answer = raw(shop, head + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 20 + b"0\r\n\r\n")
    assert answer.split()[1] == b"413"


UNREADABLE: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"status=open",
    "a list": b"[1, 2]",
    "deep": b"[" * 100_000,
    "not UTF-8": b'{"type": "\xff\xfe"}',
    "unknown shape": GOOD,
    "null": b"null",
    "a number too long": b"9" * 10_000,
}


def test_verified_but_not_understood_is_kept_with_its_reason_and_replayable(shop: Shop) -> None:
    headers = {name: shop.signed(body) for name, body in UNREADABLE.items()}
    assert {name: shop.knock(body, headers=headers[name]) for name, body in UNREADABLE.items()} == dict.fromkeys(UNREADABLE, 202)
    keys = [one["X-Zendesk-Webhook-Invocation-Id"] for one in headers.values()]
    rows = shop.settled(*keys)
    assert {rows[key]["state"] for key in keys} == {"unreadable"}
    assert all(rows[key]["reason"] for key in keys)
    assert shop.product.cli("replay", *keys)["replayed"] == len(keys)
    again = shop.settled(*keys)
    assert {again[key]["state"] for key in keys} == {"unreadable"}


def test_replay_after_a_fix(shop: Shop) -> None:
    """A trigger's body means nothing until the connection says what its keys mean."""
    body = b'{"number": "T-77", "prio": "high"}'
    headers = shop.signed(body, key="fixed-later")
    assert shop.knock(body, headers=headers) == 202
    assert shop.settled("fixed-later")["fixed-later"]["state"] == "unreadable"
    shop.product.cli("connect", "zendesk", "--name", "Desk", "--update", "--skip-check", "--option", 'trigger={"ticket": "number", "priority": "prio"}')
    shop.product.cli("replay", "fixed-later")
    row = eventually(lambda: (r := shop.settled()["fixed-later"])["state"] == "applied" and r, 5, "it is applied")
    assert row["became"]["tickets"] == ["T-77"]


def test_duplicates_change_nothing(shop: Shop) -> None:
    body = desk_event("4001")
    headers = shop.signed(body, key="twice")
    assert shop.knock(body, headers=headers) == 202
    shop.settled("twice")
    before = [shop.product.export(kind) for kind in ("events", "tickets", "clocks")]
    assert [shop.knock(body, headers=headers) for _ in range(3)] == [200, 200, 200]
    assert shop.settled("twice")["twice"]["duplicates"] == 3
    # the same event through another webhook: another delivery, the same fact
    assert shop.knock(body, headers=shop.signed(body, key="other-webhook")) == 202
    assert shop.settled("other-webhook")["other-webhook"]["state"] == "applied"
    assert [shop.product.export(kind) for kind in ("events", "tickets", "clocks")] == before


ODD: dict[str, bytes] = {
    "NUL in a text": desk_event("5001", subject="a\x00b"),
    "half a character": desk_event("5002", subject="x").replace(b'"subject": "x"', b'"subject": "\\ud800"'),
    "a very long id": desk_event("5" * 3000),
    "a huge number": desk_event("5004", assignee_id=10**40),
    "an emoji": desk_event("5005", subject="\U0001f600"),
    "lists for words": desk_event("5006", status=["NEW"], priority={"a": 1}),
    "the far future": desk_event("5007").replace(b"2026-11-20", b"9999-12-31"),
    "the year one": desk_event("5008").replace(b"2026-11-20", b"0001-01-01"),
}


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_odd_values_stop_nothing(request: pytest.FixtureRequest, shop: Shop, launch: Callable[..., Product], database: str) -> None:
    """Whatever a signed body holds is applied or kept with a reason, at once, and what comes after it is applied."""
    place = shop if database == "sqlite" else Shop(launch(DATABASE_URL=request.getfixturevalue("postgres_url")))
    headers = {name: place.signed(body, key=f"odd-{number}") for number, (name, body) in enumerate(ODD.items())}
    assert {name: place.knock(body, headers=headers[name]) for name, body in ODD.items()} == dict.fromkeys(ODD, 202)
    last = desk_event("5999")
    assert place.knock(last, headers=place.signed(last, key="after-the-odd")) == 202
    rows = place.settled("after-the-odd", *(f"odd-{number}" for number in range(len(ODD))))
    found = {name: rows[f"odd-{number}"] for number, name in enumerate(ODD)}
    assert rows["after-the-odd"]["state"] == "applied"
    assert {row["state"] for row in found.values()} <= {"applied", "unreadable"}, {name: (row["state"], row["reason"]) for name, row in found.items()}
    assert found["an emoji"]["state"] == "applied"


def test_who_asks_behind_a_proxy(launch: Callable[..., Product]) -> None:
    """The web server hands the header on where a proxy is trusted, and drops it where none is."""
    seen = {}
    for trusted in ("127.0.0.1/32", ""):
        product = launch(SLA_TRUSTED_PROXIES=trusted, SLA_METRICS_NETWORKS="203.0.113.0/24")
        for told in ("203.0.113.9", "203.0.113.9, 198.51.100.1", ""):
            connection = http.client.HTTPConnection(urlsplit(product.url).netloc, timeout=10)
            connection.request("GET", "/metrics", headers={"X-Forwarded-For": told} if told else {})
            seen[trusted, told] = connection.getresponse().status
            connection.close()
        product.stop()
    assert [place for place, status in seen.items() if status == 200] == [("127.0.0.1/32", "203.0.113.9")]
    assert set(seen.values()) == {200, 401}


def test_two_secrets_while_rotating(shop: Shop) -> None:
    def status(secret: str) -> int:
        return shop.knock(headers=shop.signed(GOOD, secret))

    shop.product.cli("connections", "secret", "Desk", "--add", "the-new-secret")
    eventually(lambda: status("the-new-secret") == 202, 4, "the new secret is accepted")
    assert status(SECRET) == 202
    shop.product.cli("connections", "secret", "Desk", "--retire", "old")
    eventually(lambda: status(SECRET) == 401, 4, "the old secret is refused")
    assert status("the-new-secret") == 202
