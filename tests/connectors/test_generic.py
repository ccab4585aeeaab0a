"""The generic format: our reader and the published schema agree; outgoing webhooks against a strict receiver."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import connectors.generic
from connectors.generic.connector import GenericConnector
from connectors.generic.schemas import TYPES
from connectors.generic.simulator import GenericSimulator
from connectors.http import Http
from connectors.instants import SECOND
from connectors.registry import connector
from sla_plugin.errors import ConfigurationError, DeliveryUnreadable, PermanentFailure, TemporaryFailure
from sla_plugin.ports import Account, AddComment, InboundRequest, SetPriority

HTTP = Http(connect_timeout=2, read_timeout=5, allow_private=True)
SCHEMA = json.loads((Path(connectors.generic.__path__[0]) / "schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
EVENT: dict[str, Any] = {"type": "ticket.updated", "id": "e-1", "ticket": "7", "occurred_at": "2026-11-16T08:30:00+00:00"}
AT = 1_794_817_800 * SECOND


def generic(seconds: float = 1_795_000_000) -> GenericConnector:
    return GenericConnector(clock=lambda: seconds)


def parse(body: Any) -> Any:
    return generic().parse(InboundRequest({}, json.dumps(body).encode(), 0), {})


def is_read(body: Any) -> bool:
    try:
        parse(body)
    except DeliveryUnreadable:
        return False
    return True


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["$defs"]["event"]["properties"]["type"]["enum"]) == TYPES


GOOD = [
    {**EVENT, "values": {}},
    {**EVENT, "changes": {"status": {"to": None}}},
    {**EVENT, "id": 5, "ticket": 7, "values": {"status": "x", "tags": [], "colour": {"a": [1]}}, "new": 1},
    {**EVENT, "type": "ticket.created", "sequence": 3, "actor": {"id": 5, "role": "agent"}, "history": True},
    {**EVENT, "type": "reply.public", "comment_id": "c"},
    {**EVENT, "values": {}, "comment_id": None, "sequence": None, "actor": None, "customer": None},
    {**EVENT, "type": "rating.given", "values": {"rating": 5}},
    {**EVENT, "type": "ticket.merged", "values": {"merged_into": "8"}},
    {"type": "plan.changed", "id": "1", "customer": "c", "occurred_at": "2026-11-16T08:30:00Z", "changes": {"plan": {"from": "a", "to": "b"}}},
    {"type": "contract.ended", "id": "1", "customer": "c", "occurred_at": "2026-11-16 08:30:00,5-0330"},
    {"type": "history.ended", "id": "1", "occurred_at": "2026-11-16T08:30:00Z"},
    {"events": []},
    {"events": [{**EVENT, "values": {}}] * 500},
]
BAD = [
    (EVENT, "values is missing"),
    ({**EVENT, "type": "ticket.moved", "values": {}}, "type must be one of"),
    ({**EVENT, "id": "", "values": {}}, "id must be"),
    ({**EVENT, "id": "x" * 256, "values": {}}, "id must be"),
    ({**EVENT, "ticket": None, "values": {}}, "ticket is missing|ticket .*None"),
    ({"type": "ticket.deleted", "id": "1", "occurred_at": "2026-11-16T08:30:00Z"}, "ticket is missing"),
    ({"type": "plan.changed", "id": "1", "occurred_at": "2026-11-16T08:30:00Z", "values": {"plan": "x"}}, "customer is missing"),
    ({"type": "plan.changed", "id": "1", "customer": "c", "occurred_at": "2026-11-16T08:30:00Z"}, "values is missing|values.plan is missing"),
    ({**EVENT, "type": "rating.given", "values": {}}, "values.rating is missing"),
    ({**EVENT, "occurred_at": "2026-11-16T08:30:00", "values": {}}, "occurred_at has no offset"),
    ({**EVENT, "occurred_at": 5, "values": {}}, "occurred_at must be an instant"),
    ({**EVENT, "values": {"status": 4}}, r"values.status must be a text or null \(found 4\)"),
    ({**EVENT, "values": {"tags": "a b"}}, "values.tags must be a list"),
    ({**EVENT, "changes": {"priority": {"from": 1, "to": "x"}}}, "changes.priority.from must be a text"),
    ({**EVENT, "changes": {"x": {"from": 1}}}, "changes.x must be an object with `to`"),
    ({**EVENT, "changes": {"status": None}}, "changes.status must be an object"),
    ({**EVENT, "changes": {"x": 1}}, "changes.x must be an object with `to`"),
    ({**EVENT, "values": [], "actor": {}}, "values must be an object"),
    ({**EVENT, "values": {}, "actor": {"role": "boss"}}, "actor.role must be one of"),
    ({**EVENT, "values": {}, "sequence": 2**63}, "sequence must be"),
    ({**EVENT, "values": {}, "sequence": True}, "sequence must be"),
    ({**EVENT, "values": {}, "history": "yes"}, "history must be true or false"),
    ({"events": {}}, "events must be a list"),
    ({"events": [{**EVENT, "values": {}}] * 501}, "501 events"),
    ({"events": [{**EVENT, "values": {}}, 3]}, r"events\[1\] must be an object"),
    ({"events": [{**EVENT, "values": {"status": 4}}]}, r"events\[0\].values.status"),
]


@pytest.mark.parametrize("body", GOOD, ids=range(len(GOOD)))
def test_good_bodies_are_read_and_valid(body: Any) -> None:
    assert VALIDATOR.is_valid(body)
    assert is_read(body)


@pytest.mark.parametrize(("body", "said"), BAD, ids=range(len(BAD)))
def test_bad_bodies_are_unreadable_and_invalid(body: Any, said: str) -> None:
    assert not VALIDATOR.is_valid(body)
    with pytest.raises(DeliveryUnreadable, match=said):
        parse(body)


@settings(deadline=None, max_examples=400)
@given(
    base=st.sampled_from([body for body in GOOD if "events" not in body]),
    name=st.sampled_from(sorted(SCHEMA["$defs"]["event"]["properties"])),
    value=st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([*sorted(TYPES), "", "agent", "x" * 256])
    | st.dictionaries(
        st.sampled_from(["status", "tags", "rating", "plan", "id", "role"]),
        st.none() | st.integers() | st.text(max_size=3) | st.lists(st.text(max_size=2), max_size=2) | st.fixed_dictionaries({"to": st.none() | st.integers()}),
    ),
)
def test_the_reader_and_the_schema_agree(base: dict[str, Any], name: str, value: Any) -> None:
    body = json.loads(json.dumps({**base, name: value}))
    assert is_read(body) == VALIDATOR.is_valid(body), body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"changes": {"status": {"from": "a", "to": "b"}}}, ("ticket.updated", "status", "a", "b", {"status": "b"})),
        ({"values": {"priority": "1"}, "changes": {"status": {"to": "b"}}}, ("ticket.updated", None, None, None, {"priority": "1", "status": "b"})),
        (
            {"values": {"status": "old", "assignee": 5}, "changes": {"status": {"to": "b"}}},
            ("ticket.updated", None, None, None, {"status": "b", "assignee": "5"}),
        ),
        ({"type": "rating.given", "values": {"rating": 4}}, ("rating.given", "rating", None, 4, {"rating": 4})),
        ({"type": "plan.changed", "customer": "c", "values": {"plan": "gold"}}, ("customer.changed", "plan", None, "gold", {"plan": "gold"})),
        ({"type": "contract.ended", "customer": "c", "values": {"plan": "gold"}}, ("contract.changed", "contract", None, "ended", {"plan": "gold"})),
        ({"type": "customer.updated", "customer": "c", "values": {"name": "x"}}, ("customer.changed", None, None, None, {"name": "x"})),
        ({"type": "ticket.merged", "values": {"merged_into": "8"}}, ("ticket.merged", "merged_into", None, "8", {"merged_into": "8"})),
    ],
    ids=["one change", "values and a change", "the change counts", "rating", "plan", "contract", "customer", "merged"],
)
def test_what_events_tell(body: dict[str, Any], expected: tuple[Any, ...]) -> None:
    (told,) = parse({**EVENT, **body}).events
    assert (told.kind, told.field, told.before, told.after, dict(told.values)) == expected
    assert (told.key, told.at) == ("e-1", AT)


def test_replies_know_who_may_see_them_and_who_wrote() -> None:
    reply, note = parse({"events": [{**EVENT, "type": kind, "actor": {"id": "u", "role": "agent"}} for kind in ("reply.public", "note.internal")]}).events
    assert (reply.public, note.public, reply.actor_role, reply.actor_id) == (True, False, "agent", "u")


def test_history() -> None:
    (told,) = parse({**EVENT, "values": {}, "history": True, "history_end": True, "sequence": 4}).events
    (ended,) = parse({"type": "history.ended", "id": "2", "occurred_at": "2026-11-16T08:30:00Z", "ticket": "7"}).events
    assert (told.history, told.history_end, told.sequence) == (True, True, 4)
    assert (ended.kind, ended.history_end) == ("history.ended", True)


# --- out -----------------------------------------------------------------------------------------------------------------
@pytest.fixture
def receiver() -> Iterator[GenericSimulator]:
    with GenericSimulator() as running:
        yield running


def account(receiver: GenericSimulator, **changes: Any) -> Account:
    given = {"connection": "CRM", "base_url": receiver.url, "email": "", "token": "", "secrets": [receiver.secret], "words": GenericConnector.words}
    return Account(**{**given, **changes})


def send(receiver: GenericSimulator, seconds: float | None = None, **changes: Any) -> Any:
    sender, given = connector("generic") if seconds is None else generic(seconds), account(receiver, **changes)
    return sender.send(sender.prepare("7", [SetPriority("P1", "P2"), AddComment("x")], None, "m-1", given), given, HTTP)


def test_a_repeat_is_carried_out_once(receiver: GenericSimulator) -> None:
    receiver.lose_answer_next = 1
    with pytest.raises(TemporaryFailure) as caught:
        send(receiver)
    assert caught.value.sent
    assert send(receiver).status == 200
    assert [one["repeated"] for one in receiver.requests] == [False, True]
    (done,) = receiver.done.values()
    assert done["commands"] == [{"kind": "set_priority", "to": "P1", "expected": "P2"}, {"kind": "add_comment", "body": "x", "public": False}]


@pytest.mark.parametrize(("seconds", "changes"), [(1_000_000_000, {}), (None, {"secrets": ["whsec_b3RoZXI="]})], ids=["stale", "other secret"])
def test_the_receiver_refuses_what_is_not_signed_right(receiver: GenericSimulator, seconds: float | None, changes: dict[str, Any]) -> None:
    with pytest.raises(PermanentFailure, match="401"):
        send(receiver, seconds, **changes)
    assert not receiver.done


def test_the_receivers_errors_come_through(receiver: GenericSimulator) -> None:
    receiver.fail_next(429, retry_after=9)
    with pytest.raises(TemporaryFailure, match="CRM: ") as caught:
        send(receiver)
    assert caught.value.retry_after == 9


@pytest.mark.parametrize(("changes", "said"), [({"base_url": ""}, "no base URL"), ({"secrets": []}, "no secret")], ids=["base URL", "secret"])
def test_what_is_missing_is_said(receiver: GenericSimulator, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        send(receiver, **changes)


def test_the_check_calls_nothing(receiver: GenericSimulator) -> None:
    facts = generic().check(account(receiver), HTTP)
    assert (facts.proved, facts.problems) == ([f"outgoing webhooks go to {receiver.url}"], [])
    silent = generic().check(account(receiver, base_url="", secrets=["whsec_!"]), HTTP)
    assert "inbound only" in silent.proved[0]
    assert "not base64" in silent.problems[0]
    assert not receiver.requests


def test_the_simulator_sends_what_we_read(local_server: Any) -> None:
    sender = GenericSimulator(webhook_url=local_server.url)
    sender.start()
    sender.send({**EVENT, "values": {}}, "msg_9")
    sender.stop()
    _, _, headers, body = local_server.got.get(timeout=5)
    request = InboundRequest(headers, body, int(headers["webhook-timestamp"]) * SECOND)
    generic().verify(request, [sender.secret])
    assert generic().delivery_key(request) == "msg_9"
