"""What every connector must hold; runs over the registry, and a connector without a sample fails."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import connectors
from connectors.registry import CONNECTORS, connector
from sla_plugin.errors import ConfigurationError, DeliveryRejected, DeliveryUnreadable, UnsupportedCommand
from sla_plugin.ports import COMMANDS, Account, AddComment, Assign, Connector, HttpAnswer, InboundRequest, SetPriority, SetStatus, TicketSnapshot

NOW = 1_795_000_000  # seconds
COMMANDS_OF_A_CALL = (
    SetPriority("P1", "P2"),
    SetStatus("in_progress", ("open", "waiting_customer")),
    Assign("9001"),
    AddComment("Promised 08:00."),
)
STATUSES = {"open", "in_progress", "waiting_customer", "waiting_internal", "resolved", "closed", "cancelled"}


def mac(key: bytes, message: bytes) -> str:
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()


def sign_as_zendesk(secret: str, body: bytes, seconds: int) -> dict[str, str]:
    stamp = str(seconds)
    return {
        "x-zendesk-webhook-invocation-id": "inv-1",
        "x-zendesk-webhook-signature-timestamp": stamp,
        "x-zendesk-webhook-signature": mac(secret.encode(), stamp.encode() + body),
    }


def sign_as_standard(secret: str, body: bytes, seconds: int) -> dict[str, str]:
    signature = mac(secret.encode(), f"inv-1.{seconds}.".encode() + body)
    return {"webhook-id": "inv-1", "webhook-timestamp": str(seconds), "webhook-signature": f"v1,{signature}"}


@dataclass
class Sample:
    """How a delivery of this connector is signed, one good body, and the answers its write-back reads."""

    sign: Callable[[str, bytes, int], dict[str, str]]
    signature: str  # header
    id_header: str
    body: dict[str, Any]
    answer: dict[str, Any]


SAMPLES = {
    "zendesk": Sample(
        sign_as_zendesk,
        "x-zendesk-webhook-signature",
        "x-zendesk-webhook-invocation-id",
        {
            "type": "zen:event-type:ticket.priority_changed",
            "id": "e-1",
            "time": "2026-11-16T08:30:00.000000000Z",
            "detail": {"id": "7", "actor_id": "5", "status": "OPEN", "tags": ["a"], "priority": "HIGH", "created_at": "2026-11-16T08:30:00Z"},
            "event": {"current": "HIGH", "previous": None},
        },
        {"ticket": {"id": 7, "updated_at": "2026-11-16T08:30:00Z", "priority": "high"}, "audit": {"id": 1, "events": []}},
    ),
    "generic": Sample(
        sign_as_standard,
        "webhook-signature",
        "webhook-id",
        {
            "type": "ticket.updated",
            "id": "e-1",
            "ticket": "7",
            "occurred_at": "2026-11-16T08:30:00Z",
            "actor": {"id": "5", "role": "agent"},
            "changes": {"priority": {"from": None, "to": "high"}},
        },
        {},
    ),
}

every = pytest.mark.parametrize("one", CONNECTORS, ids=lambda one: one.name)


def delivery(one: Connector, *, secret: str = "first-secret", body: bytes | None = None, age: int = 0) -> InboundRequest:
    sample = SAMPLES[one.name]
    raw = json.dumps(sample.body).encode() if body is None else body
    return InboundRequest(sample.sign(secret, raw, NOW - age), raw, NOW * 1_000_000)


def account(one: Connector) -> Account:
    return Account("Acme", "https://acme.example", "robot@acme.example", "token-123456", ["whsec_c2VjcmV0"], one.words)


class FakeHttp:
    """Answers everything with the sample's answer and keeps the requests."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.answer = answer
        self.requests: list[dict[str, Any]] = []

    def request(self, method: str, url: str, **rest: Any) -> HttpAnswer:
        self.requests.append({"method": method, "url": url, **rest})
        return HttpAnswer(200, {}, json.dumps(self.answer).encode())


def test_every_connector_has_a_sample_and_a_name_of_its_own() -> None:
    assert SAMPLES.keys() == {one.name for one in CONNECTORS}
    assert all(connector(one.name) is one for one in CONNECTORS)


def test_an_unknown_connector_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="'freshdesk'; known are generic, zendesk"):
        connector("freshdesk")


# --- the door ----------------------------------------------------------------------------------------------------------
@every
@pytest.mark.parametrize("secrets", [["first-secret"], ["", "other", "first-secret"], ["first-secret", "other"]], ids=["one", "rotating new", "rotating old"])
@pytest.mark.parametrize("age", [0, 300, -300], ids=["now", "oldest", "ahead"])
def test_a_good_signature_passes(one: Connector, secrets: list[str], age: int) -> None:
    one.verify(delivery(one, age=age), secrets)


@every
@pytest.mark.parametrize(
    ("change", "secrets", "said"),
    [
        (lambda one, good: good, ["another"], "was(?: not)? made with the (?:signing )?secret of this connection"),
        (lambda one, good: good, [], "no signing secret"),
        (lambda one, good: good, [""], "no signing secret"),
        (lambda one, good: replace(good, body=good.body + b" "), ["first-secret"], "was(?: not)? made with the (?:signing )?secret of this connection"),
        (lambda one, good: replace(good, headers={}), ["first-secret"], "is missing"),
        (lambda one, good: delivery(one, age=301), ["first-secret"], "301 s old"),
        (lambda one, good: delivery(one, age=-301), ["first-secret"], "301 s ahead"),
        (
            lambda one, good: replace(good, headers={**good.headers, SAMPLES[one.name].signature: "v1,é"}),
            ["first-secret"],
            "was(?: not)? made with the (?:signing )?secret of this connection",
        ),
    ],
    ids=["other secret", "no secret", "empty secret", "changed body", "unsigned", "old", "future", "not ASCII"],
)
def test_a_bad_signature_is_rejected_and_tells_no_secret(one: Connector, change: Any, secrets: list[str], said: str) -> None:
    good = delivery(one)
    with pytest.raises(DeliveryRejected, match=said) as caught:
        one.verify(change(one, good), secrets)
    expected = SAMPLES[one.name].sign("first-secret", good.body, NOW)[SAMPLES[one.name].signature]
    assert "first-secret" not in str(caught.value)
    assert expected.removeprefix("v1,") not in str(caught.value)


@every
def test_the_delivery_key_is_the_vendors_id_else_the_bodys_hash(one: Connector) -> None:
    good = delivery(one)
    assert one.delivery_key(good) == "inv-1" == one.delivery_key(replace(good, received_at=0))
    bare = replace(good, headers={})
    assert one.delivery_key(bare) == hashlib.sha256(good.body).hexdigest()
    assert one.delivery_key(replace(good, headers={SAMPLES[one.name].id_header: "x" * 256})) == hashlib.sha256(good.body).hexdigest()


# --- reading -----------------------------------------------------------------------------------------------------------
@every
def test_the_sample_is_read(one: Connector) -> None:
    (event,) = one.parse(delivery(one), {}).events
    assert (event.ticket, event.field, event.before, event.at) == ("7", "priority", None, 1_794_817_800_000_000)


@every
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"nonsense",
        b"[]",
        b"3",
        b"null",
        b'"text"',
        b"{}",
        b"\xff\xfe",
        b'{"type": NaN}',
        b'{"type": 1e999}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"type": 7}',
        json.dumps({"type": "x" * 100_000}).encode(),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_garbage_is_unreadable_and_says_why(one: Connector, body: bytes) -> None:
    with pytest.raises(DeliveryUnreadable) as caught:
        one.parse(InboundRequest({}, body, 0), {})
    assert 10 < len(str(caught.value)) < 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["2026-11-16T08:30:00Z", "OPEN", "agent", "7"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.sampled_from(["id", "to", "value", "role", "status"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    for key, value in data.items() if isinstance(data, dict) else []:
        found += places(value, (*path, key))
    return found


@every
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_any_value_anywhere_is_read_or_unreadable_never_another_error(one: Connector, data: st.DataObject) -> None:
    body: Any = json.loads(json.dumps(SAMPLES[one.name].body))
    *path, last = data.draw(st.sampled_from(places(body)))
    target = body
    for key in path:
        target = target[key]
    target[last] = data.draw(JSON)
    request = InboundRequest({}, json.dumps(body).encode(), 0)
    try:
        parsed = one.parse(request, {})
    except DeliveryUnreadable:
        return
    assert parsed.events or parsed.ignored
    for event in parsed.events:  # what was read can be kept
        stored = json.dumps([event.key, event.ticket, event.actor_id, event.before, event.after, dict(event.values), dict(event.seen)], allow_nan=False)
        assert "\\u0000" not in stored
        assert len(event.key) <= 300


@every
@settings(deadline=None, max_examples=50)
@given(body=st.binary(max_size=200))
def test_any_bytes_are_unreadable_or_say_nothing(one: Connector, body: bytes) -> None:
    try:
        parsed = one.parse(InboundRequest({}, body, 0), {})
    except DeliveryUnreadable:
        return
    assert not parsed.events


# --- writing -----------------------------------------------------------------------------------------------------------
@every
def test_each_declared_capability_is_sent_and_no_other(one: Connector) -> None:
    sample = {command.kind: command for command in COMMANDS_OF_A_CALL}
    assert sample.keys() == COMMANDS.keys()
    for kind, command in sample.items():
        if kind not in one.capabilities:
            with pytest.raises(UnsupportedCommand):
                one.prepare("7", [command], None, "marker-1", account(one))
            continue
        http = FakeHttp(SAMPLES[one.name].answer)
        frozen = one.prepare("7", [command], TicketSnapshot({}, "2026-11-16T08:30:00Z"), "marker-1", account(one))
        one.send(json.loads(json.dumps(frozen)), account(one), http)
        (request,) = http.requests
        assert "marker-1" in json.dumps(request, default=str)
        assert "token-123456" not in json.dumps(frozen)


@every
def test_all_commands_go_in_one_request(one: Connector) -> None:
    http = FakeHttp(SAMPLES[one.name].answer)
    frozen = one.prepare("7", COMMANDS_OF_A_CALL, TicketSnapshot({}, None), "marker-1", account(one))
    assert one.send(frozen, account(one), http).status == 200
    assert len(http.requests) == 1


@every
def test_a_command_we_never_declared_is_refused(one: Connector) -> None:
    @dataclass
    class Teleport:
        kind: ClassVar[str] = "teleport"

    for commands in ([Teleport()], []):
        with pytest.raises(UnsupportedCommand):
            one.prepare("7", commands, None, "marker-1", account(one))  # type: ignore[arg-type]


@every
def test_words_are_total_both_ways(one: Connector) -> None:
    words = one.words
    assert all(word == word.lower() for word in (*words.status, *words.priority))
    assert set(words.status.values()) <= STATUSES
    assert words.status_out.keys() >= STATUSES - {"cancelled"}
    assert {word.lower() for word in words.status_out.values()} <= words.status.keys()
    assert words.priority_out.keys() == {"P0", "P1", "P2", "P3"}
    assert {ours: words.priority[word.lower()] for ours, word in words.priority_out.items()} == {ours: ours for ours in words.priority_out}


@every
def test_the_readme_names_every_capability(one: Connector) -> None:
    readme = (Path(connectors.__path__[0]) / one.name / "README.md").read_text()
    missing = [kind for kind in one.capabilities if f"| `{kind}` |" not in readme]
    assert not missing, f"connectors/{one.name}/README.md: add a row to the table of capabilities for {missing}"


@every
def test_the_catalogue_is_filled(one: Connector) -> None:
    assert one.title
    assert one.summary.endswith(".")
    assert one.capabilities <= COMMANDS.keys()
    assert set(one.needs) <= {"base_url", "email", "token", "secret"}
    assert 400 <= one.refusal_status < 500
    assert one.body_limit > 0


@every
def test_a_test_delivery_passes_the_door_and_touches_no_ticket(one: Connector) -> None:
    sample = one.sample(["new", "old"], 1_794_817_800_000_000)
    one.verify(sample, ["new"])
    parsed = one.parse(sample, {})
    assert (list(parsed.events), bool(parsed.ignored)) == ([], True)
    assert one.delivery_key(sample) != one.delivery_key(one.sample(["new"], 1_794_817_800_000_001))
    with pytest.raises(DeliveryRejected):
        one.verify(sample, ["other"])
