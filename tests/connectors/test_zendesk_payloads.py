"""Real and documented Zendesk payloads become exactly what ../shared/payloads/expected.json says."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.instants import parse_instant
from connectors.registry import connector
from connectors.signatures import verify_zendesk
from sla_plugin.errors import DeliveryUnreadable
from sla_plugin.ports import InboundRequest

PAYLOADS = Path(__file__).parents[3] / "shared" / "payloads"
pytestmark = [pytest.mark.shared, pytest.mark.skipif(not PAYLOADS.is_dir(), reason="no ../shared")]
EXPECTED = [one for one in (json.loads((PAYLOADS / "expected.json").read_text()) if PAYLOADS.is_dir() else []) if one["connector"] == "zendesk"]
ZENDESK = connector("zendesk")


def parse(name: str, **options: Any) -> Any:
    return ZENDESK.parse(InboundRequest({}, (PAYLOADS / name).read_bytes(), 0), options)


def outcome(entry: dict[str, Any]) -> str:
    return str(entry.get("if_posted") or entry["outcome"])


def entries(wanted: str) -> Any:
    return [pytest.param(one, id=one["file"]) for one in EXPECTED if outcome(one) == wanted] or [pytest.param({}, id="absent")]


@pytest.mark.parametrize("entry", entries("applied"))
def test_applied(entry: dict[str, Any]) -> None:
    events = parse(entry["file"]).events
    assert len(events) == len(entry["events"])
    for event, expected in zip(events, entry["events"], strict=True):
        told = {
            "kind": event.kind,
            "ticket": event.ticket,
            "actor_role": event.actor_role,
            "public": event.public,
            "actor_id": event.actor_id,
            "field": event.field,
            "from": event.before,
            "to": event.after,
            "added": list(event.added),
            "removed": list(event.removed),
            "comment_id": event.comment_id,
            "customer": event.customer,
            "values": dict(event.values),
        }
        compared = {name: value for name, value in expected.items() if name not in ("at", "at_also", "kind_also", "text")}
        assert {name: told[name] for name in compared} == compared
        assert event.at == parse_instant(expected["at"])
        assert event.opening is False


@pytest.mark.parametrize("entry", entries("ignored"))
def test_ignored_with_a_reason(entry: dict[str, Any]) -> None:
    parsed = parse(entry["file"])
    assert not parsed.events
    assert parsed.ignored


@pytest.mark.parametrize("entry", entries("unreadable"))
def test_unreadable(entry: dict[str, Any]) -> None:
    with pytest.raises(DeliveryUnreadable):
        parse(entry["file"])


def test_a_trigger_body_is_read_with_a_mapping() -> None:
    mapping = {"ticket": "ticketID", "priority": "priority", "tags": "tags", "group": "groupID", "assignee": "assigneeID"}
    (event,) = parse("zendesk/zendesk-go2__trigger_ticket_update.json", trigger=mapping).events
    (expected,) = next(one for one in EXPECTED if one["file"].endswith("trigger_ticket_update.json"))["events_if_applied"]
    assert (event.kind, event.ticket, event.at, dict(event.values)) == (expected["kind"], expected["ticket"], None, expected["values"])


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("trigger_ticket_update", "PlxjkFT3fSnU9NWSRjLHP86izLX68auazS1Xo8ZfiZE="),
        ("user_group_membership_created", "10IqYzYTLHRftNsNE+im0DeOM6/JactIRuy0XCHJ9B8="),
    ],
)
def test_signature_vectors(name: str, signature: str) -> None:
    headers = {"x-zendesk-webhook-signature": signature, "x-zendesk-webhook-signature-timestamp": "1234"}
    body = (PAYLOADS / f"zendesk/zendesk-go2__{name}.json").read_bytes()
    verify_zendesk(InboundRequest(headers, body, 1_234_000_000), ["dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="])
