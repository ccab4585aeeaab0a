"""What all parts say at DEBUG while a ticket goes its whole way: one trace from the delivery to the call, and nothing that must not be read."""

import http.client
import json
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.foreign_desk import Fault, ForeignDesk, Webhook
from tests.journeys.product import Product, eventually

pytestmark = pytest.mark.platform

SUBJECT, COMMENT, MAIL = "Printer", "my-pin-is-4711-words-of-a-customer", "carla.customer@private.example"
PASSWORD, METRICS_TOKEN, QUERY = "wrong-horse-battery", "a-token-of-the-operator", "key-in-a-query"
TARGET = 3


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """One request; its status."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("POST", f"{parts.path}?{parts.query}", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def lines_of(log: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """(lines that are JSON, the others)."""
    said, others = [], []
    for line in log.read_text().splitlines():
        try:
            said.append(json.loads(line))
        except ValueError:
            others.append(line)
    return said, others


def test_a_ticket_leaves_its_trace_and_nothing_else(launch: Callable[..., Product]) -> None:
    product = launch(SLA_LOG_LEVEL="DEBUG", SLA_LOG_FORMAT="json", SLA_METRICS_TOKEN=METRICS_TOKEN)
    with ForeignDesk() as desk:
        product.policy(f"policies: [{{name: Quick, targets: {{first_response: {TARGET}s}}}}]")
        url = product.connect(desk)
        desk.faults.extend([Fault(status=503, error=f"busy with {COMMENT}"), Fault(status=422, error=f"Email {MAIL} is taken by {COMMENT}")])
        first = desk.open_ticket()
        desk.change(first, comment={"body": f"{COMMENT} {MAIL}", "public": False})
        eventually(lambda: product.export("commands") and {c["state"] for c in product.export("commands")} == {"failed"}, 20, "503, then 422: given up")

        # what must be refused, cannot be read, or is nobody's business
        unreadable = Webhook("poison", json.dumps({"type": COMMENT, "subject": SUBJECT, "detail": {"subject": SUBJECT, "email": MAIL}}).encode())
        assert post(url, unreadable.body, {"Content-Type": "application/json", **desk.signed(unreadable)}) == 202
        assert post(url, unreadable.body, {"X-Zendesk-Webhook-Signature": "Zm9yZ2Vk", "X-Zendesk-Webhook-Signature-Timestamp": "2026-01-01T00:00:00Z"}) == 401
        post(f"{product.url}/login?token={QUERY}", urllib.parse.urlencode({"email": MAIL, "password": PASSWORD}).encode(), {})
        product.cli("retry")
        eventually(lambda: desk.count(first)["comments"] == 1, 15, "the retry is written")
        eventually(lambda: {c["state"] for c in product.export("commands")} == {"sent"}, 10, "and known to be")

        # somebody's data is looked through, handed out and erased, and the keys are changed, while all parts run
        assert product.cli("person", "plan", MAIL)["delivery"] > 0
        assert MAIL in json.dumps(product.cli("person", "export", MAIL))
        assert product.cli("person", "erase", MAIL, "--confirm", MAIL)["changed"]["delivery"] > 0
        assert product.cli("keys", "rotate")["sealed"] == 3, "token, webhook secret, the salt of erased names"
        desk.change(first, comment={"body": f"{COMMENT} {MAIL}", "public": False})
        eventually(lambda: {d["state"] for d in product.export("deliveries")} <= {"applied", "ignored"}, 15, "running parts open what the new key sealed")

        (trace,) = {name for method, name in desk.named[-2:]}  # the read and the write of the last try
        assert trace is not None
        assert all(name is not None for _, name in desk.named)
        (chain,) = product.cli("trace", trace, "--json")
        by_marker = product.cli("trace", chain["tickets"][0]["calls"][-1]["marker"], "--json")

    said, others = lines_of(product.log)
    assert [line for line in others if "sla_plugin runs at" not in line and "one-time password" not in line] == []
    whole = "\n".join(json.dumps(line) for line in said)
    planted = (SUBJECT, COMMENT, MAIL, PASSWORD, METRICS_TOKEN, QUERY, "Zm9yZ2Vk", desk.token, desk.secret, desk.email, "Nobody has answered")
    assert [word for word in planted if word in whole] == []

    # the chain in SQL, by the name the helpdesk saw, and by the call's own
    assert chain["trace"] == trace
    assert {e["ticket"] for e in chain["events"]} == {str(first)}
    assert {a["level"] for a in chain["tickets"][0]["alerts"]} >= {"breach"}
    assert chain["tickets"][0]["calls"][0]["trace"] == trace
    assert [found["trace"] for found in by_marker] == [chain["tickets"][0]["calls"][-1]["trace"]]

    # the chain in the log: every part says its piece under the same trace
    about = [line for line in said if str(line.get("trace")) == trace]
    spoken = {(line["part"], line["event"]) for line in about}
    assert {
        ("web", "delivery stored"),
        ("inbox-worker", "delivery applied"),
        ("timekeeper", "alert raised"),
        ("outbox-worker", "write-back postponed"),
        ("outbox-worker", "write-back failed"),
    } <= spoken
    assert ("outbox-worker", "written to helpdesk") in {(line["part"], line["event"]) for line in said}
    assert ("web", "delivery refused") in {(line["part"], line["event"]) for line in said}
    assert ("inbox-worker", "delivery unreadable") in {(line["part"], line["event"]) for line in said}
