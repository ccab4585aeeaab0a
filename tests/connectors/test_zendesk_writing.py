"""Write-back against the strict simulator, with every fault it knows."""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from connectors.http import Http
from connectors.registry import connector
from connectors.zendesk.simulated_desk import AGENT, ME, Desk, Refused
from connectors.zendesk.simulator import ZendeskSimulator
from sla_plugin.errors import ConfigurationError, PermanentFailure, TemporaryFailure, UnsupportedCommand, WriteConflict
from sla_plugin.ports import Account, AddComment, Assign, InboundRequest, SetPriority, SetStatus

ZENDESK = connector("zendesk")
HTTP = Http(connect_timeout=2, read_timeout=5, allow_private=True)
ALL = (SetPriority("P1", "P2"), SetStatus("in_progress", ("open",)), Assign(str(ME)), AddComment("Promised 08:00, broken by 1 s."))


@pytest.fixture
def simulator() -> Iterator[ZendeskSimulator]:
    with ZendeskSimulator() as running:
        yield running


def account(simulator: ZendeskSimulator, **changes: Any) -> Account:
    given = Account("Zendesk EU", simulator.url + "/", simulator.email, simulator.token, [], ZENDESK.words)
    return replace(given, **changes)


def prepared(simulator: ZendeskSimulator, ticket: str, *commands: Any, marker: str = "m-1") -> dict[str, Any]:
    frozen = ZENDESK.prepare(ticket, commands or ALL, ZENDESK.read(ticket, account(simulator), HTTP), marker, account(simulator))
    return dict(json.loads(json.dumps(frozen)))


# --- the connector ---------------------------------------------------------------------------------------------------
def test_the_check_names_the_user(simulator: ZendeskSimulator) -> None:
    facts = ZENDESK.check(account(simulator), HTTP)
    assert (facts.user_id, facts.problems) == (str(ME), [])


@pytest.mark.parametrize(
    ("user", "said"),
    [({"suspended": True}, "suspended"), ({"role": "end-user"}, "end user"), ({"active": False}, "deleted")],
    ids=["suspended", "end user", "deleted"],
)
def test_a_user_that_cannot_write_is_a_problem(simulator: ZendeskSimulator, user: dict[str, Any], said: str) -> None:
    simulator.desk.me.update(user)
    (problem,) = ZENDESK.check(account(simulator), HTTP).problems
    assert said in problem


def test_an_anonymous_answer_is_a_refusal(simulator: ZendeskSimulator) -> None:
    simulator.desk.me["id"] = None
    with pytest.raises(PermanentFailure, match="anonymous"):
        ZENDESK.check(account(simulator), HTTP)


def test_a_wrong_token_says_what_to_do_and_where(simulator: ZendeskSimulator) -> None:
    with pytest.raises(PermanentFailure, match=r"Zendesk EU: .* refused the token \(401\): make a new API token") as caught:
        ZENDESK.check(account(simulator, token="wrong-token"), HTTP)
    assert (caught.value.connector, caught.value.connection, caught.value.status) == ("zendesk", "Zendesk EU", 401)


def test_one_update_carries_everything(simulator: ZendeskSimulator) -> None:
    ticket = simulator.create_ticket(priority="normal")
    frozen = prepared(simulator, ticket)
    answer = ZENDESK.send(frozen, account(simulator), HTTP)
    stored = simulator.ticket(ticket)
    assert (stored["priority"], stored["status"], stored["assignee_id"]) == ("high", "open", ME)
    assert (answer.status, answer.values["priority"], answer.values["assignee"]) == (200, "high", str(ME))
    assert None not in (answer.audit_id, answer.comment_id, answer.at, answer.limit_remaining)
    found = ZENDESK.find(frozen, "m-1", account(simulator), HTTP)
    assert found is not None
    assert (found.audit_id, found.comment_id, found.values["priority"]) == (answer.audit_id, answer.comment_id, "high")
    assert ZENDESK.find(frozen, "m-2", account(simulator), HTTP) is None  # the same words of another call
    assert [write["status"] for write in simulator.writes] == [200]


def test_a_stand_in_that_drops_metadata_is_searched_for_our_words(simulator: ZendeskSimulator) -> None:
    ticket = simulator.create_ticket()
    frozen, other = prepared(simulator, ticket), prepared(simulator, ticket, AddComment("something else"))
    ZENDESK.send(frozen, account(simulator), HTTP)
    for audit in simulator.desk.audits[int(ticket)]:
        del audit["metadata"]
    assert ZENDESK.find(frozen, "m-1", account(simulator), HTTP) is not None
    assert ZENDESK.find(other, "m-1", account(simulator), HTTP) is None


def test_what_did_not_land_is_not_found(simulator: ZendeskSimulator) -> None:
    ticket = simulator.create_ticket()
    frozen = prepared(simulator, ticket)
    simulator.fail_next(500)
    with pytest.raises(TemporaryFailure):
        ZENDESK.send(frozen, account(simulator), HTTP)
    assert ZENDESK.find(frozen, "m-1", account(simulator), HTTP) is None
    simulator.no_audits = True
    assert ZENDESK.find(frozen, "m-1", account(simulator), HTTP) is None


@pytest.mark.parametrize("no_audits", [False, True], ids=["audits", "no audits"])
def test_a_lost_answer_is_found(simulator: ZendeskSimulator, no_audits: bool) -> None:
    ticket = simulator.create_ticket()
    frozen = prepared(simulator, ticket)
    simulator.no_audits, simulator.lose_answer_next = no_audits, 1
    with pytest.raises(TemporaryFailure) as caught:
        ZENDESK.send(frozen, account(simulator), HTTP)
    assert caught.value.sent
    found = ZENDESK.find(frozen, "m-1", account(simulator), HTTP)
    assert found is not None
    assert found.values["priority"] == "high"


def test_a_comment_alone_cannot_be_found_without_audits(simulator: ZendeskSimulator) -> None:
    ticket = simulator.create_ticket()
    frozen = prepared(simulator, ticket, AddComment("hello"))
    simulator.no_audits = True
    ZENDESK.send(frozen, account(simulator), HTTP)
    assert ZENDESK.find(frozen, "m-1", account(simulator), HTTP) is None


def test_audits_are_followed_over_pages_and_never_to_another_host(simulator: ZendeskSimulator) -> None:
    ticket = simulator.create_ticket()
    for number in range(120):
        simulator.add_comment(ticket, str(number), by="agent")
    frozen = prepared(simulator, ticket)
    ZENDESK.send(frozen, account(simulator), HTTP)
    asked: list[str] = []

    class Foreign:
        """Like HTTP, but every next page claims to be elsewhere."""

        def request(self, method: str, url: str, **rest: Any) -> Any:
            asked.append(url)
            answer = HTTP.request(method, url, **rest)
            return replace(answer, body=answer.body.replace(b'"next_page": "' + simulator.url.encode(), b'"next_page": "http://evil.example'))

    found = ZENDESK.find(frozen, "m-1", account(simulator), Foreign())
    assert found is not None
    assert len(asked) == 2
    assert all(url.startswith(simulator.url) for url in asked)


def test_a_ticket_changed_meanwhile_is_a_conflict(simulator: ZendeskSimulator) -> None:
    ticket = simulator.create_ticket()
    frozen = prepared(simulator, ticket)
    frozen["body"]["ticket"]["updated_stamp"] = "2020-01-01T00:00:00Z"
    with pytest.raises(WriteConflict):
        ZENDESK.send(frozen, account(simulator), HTTP)
    assert simulator.writes[0]["applied"] is False


def test_a_first_try_that_lands_after_its_repeat_is_refused_by_the_stamp() -> None:
    now = [1_795_000_000.0]
    desk = Desk(lambda: now[0], lambda event: None)
    ticket = desk.create("x")
    body = {"ticket": {"comment": {"body": "once"}, "updated_stamp": desk.show(ticket)["updated_at"], "safe_update": True}}
    now[0] += 1
    desk.update(ticket, body)
    with pytest.raises(Refused) as caught:
        desk.update(ticket, body)
    assert caught.value.status == 409


def test_closed_and_unknown_tickets_are_permanent(simulator: ZendeskSimulator) -> None:
    ticket = simulator.create_ticket()
    simulator.set_status(ticket, "closed")
    with pytest.raises(PermanentFailure, match="closed prevents ticket update"):
        ZENDESK.send(prepared(simulator, ticket), account(simulator), HTTP)
    with pytest.raises(PermanentFailure, match="404"):
        ZENDESK.read("1", account(simulator), HTTP)


def test_too_many_updates_name_the_wait(simulator: ZendeskSimulator) -> None:
    simulator.desk.per_ticket = 1
    ticket = simulator.create_ticket()
    ZENDESK.send(prepared(simulator, ticket, AddComment("1")), account(simulator), HTTP)
    with pytest.raises(TemporaryFailure) as caught:
        ZENDESK.send(prepared(simulator, ticket, AddComment("2")), account(simulator), HTTP)
    assert caught.value.sent is False
    assert 1 <= (caught.value.retry_after or 0) <= 601


@pytest.mark.parametrize(
    ("body", "survives"),
    [(b"{}", True), (b'{"ticket": {"updated_at": "odd"}, "audit": null}', True), (b"<html>", False), (b"[]", False)],
    ids=["empty", "odd parts", "a page", "a list"],
)
def test_thin_answers(local_server: Any, body: bytes, survives: bool) -> None:
    local_server.reply = lambda: (200, {}, body)
    given = Account("Zendesk EU", local_server.url, "a", "b", [], ZENDESK.words)
    frozen = ZENDESK.prepare("7", [AddComment("x")], None, "m-1", given)
    assert "safe_update" not in frozen["body"]["ticket"]
    if survives:
        assert ZENDESK.send(frozen, given, HTTP).audit_id is None
    else:
        with pytest.raises(TemporaryFailure, match="without JSON"):
            ZENDESK.send(frozen, given, HTTP)


@pytest.mark.parametrize(
    ("commands", "kind", "said"),
    [
        ([Assign("anna")], ConfigurationError, "user id"),
        ([SetStatus("cancelled", ())], ConfigurationError, "no Zendesk word for status cancelled"),
        ([SetPriority("P9", None)], ConfigurationError, "no Zendesk word for priority P9"),
        ([AddComment("a"), AddComment("b", public=True)], UnsupportedCommand, "not both"),
    ],
    ids=["assignee", "status", "priority", "comments"],
)
def test_what_cannot_be_said_to_zendesk(simulator: ZendeskSimulator, commands: list[Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        ZENDESK.prepare("7", commands, None, "m-1", account(simulator))


# --- the simulator checks itself -----------------------------------------------------------------------------------------
@pytest.fixture
def desk() -> Desk:
    return Desk(lambda: 1_795_000_000.0, lambda event: None, per_minute=3)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, None),
        ({"colour": "red"}, 422),
        ({"priority": "HIGH"}, 422),
        ({"status": "in_progress"}, 422),
        ({"assignee_id": str(ME)}, 422),
        ({"assignee_id": 1}, 422),
        ({"comment": {"body": ""}}, 422),
        ({"comment": {"body": "x", "public": "no"}}, 422),
        ({"comment": {"body": "x", "colour": 1}}, 422),
        ({"metadata": {"sla_plugin": "x" * 1100}}, 422),
        ({"safe_update": False}, 422),
        ({"safe_update": True, "updated_stamp": None}, 422),
        ({"updated_stamp": "2026-11-18T07:06:41Z"}, 409),
        ({"updated_stamp": "yesterday"}, 422),
    ],
    ids=repr,
)
def test_each_check_of_the_simulator_bites(desk: Desk, change: dict[str, Any], status: int | None) -> None:
    ticket = desk.create("x")
    stamp = desk.show(ticket)["updated_at"]
    good = {"priority": "high", "comment": {"body": "x", "public": False}, "updated_stamp": stamp, "safe_update": True, "metadata": {"sla_plugin": "m"}}
    body = {"ticket": {**good, **change}}
    if status is None:
        assert desk.update(ticket, body)["audit"]["metadata"]["custom"] == {"sla_plugin": "m"}
        return
    with pytest.raises(Refused) as caught:
        desk.update(ticket, body)
    assert caught.value.status == status
    assert desk.show(ticket)["priority"] == "normal"


@pytest.mark.parametrize("body", [None, [], {}, {"ticket": []}, {"ticket": {}, "more": 1}], ids=repr)
def test_the_simulator_takes_no_other_body(desk: Desk, body: Any) -> None:
    with pytest.raises(Refused) as caught:
        desk.update(desk.create("x"), body)
    assert caught.value.status == 422


def test_the_account_has_a_limit_too(desk: Desk) -> None:
    for _ in range(3):
        desk.update(desk.create("x"), {"ticket": {"priority": "high"}})
    with pytest.raises(Refused) as caught:
        desk.update(desk.create("x"), {"ticket": {"priority": "high"}})
    assert (caught.value.status, caught.value.retry_after) == (429, 61)


@pytest.mark.parametrize(
    ("auth", "headers", "status"),
    [(("robot@example.com", "simulator-token"), {}, 401), (("robot@example.com/token", "simulator-token"), {"Content-Type": "text/plain"}, 422)],
    ids=["not a token log-in", "not JSON"],
)
def test_the_simulator_refuses_other_requests(simulator: ZendeskSimulator, auth: tuple[str, str], headers: dict[str, str], status: int) -> None:
    ticket = simulator.create_ticket()
    with pytest.raises(PermanentFailure) as caught:
        HTTP.request("PUT", f"{simulator.url}/api/v2/tickets/{ticket}", operation="t", auth=auth, headers=headers, data=b'{"ticket": {}}')
    assert caught.value.status == (415 if headers else status)
    assert simulator.writes[0]["applied"] is False


def test_a_late_write_has_no_answer_and_lands(simulator: ZendeskSimulator) -> None:
    ticket = simulator.create_ticket()
    landed = threading.Event()
    note: Callable[..., None] = simulator.note_write
    simulator.note_write = lambda *given: (note(*given), landed.set())[0]  # type: ignore[method-assign]
    simulator.apply_late(0.01)
    with pytest.raises(TemporaryFailure):
        ZENDESK.send(prepared(simulator, ticket), account(simulator), HTTP)
    assert landed.wait(5)
    assert simulator.ticket(ticket)["priority"] == "high"


def webhooks(local_server: Any, count: int) -> list[InboundRequest]:
    got = [local_server.got.get(timeout=5) for _ in range(count)]
    return [InboundRequest(headers, body, 0) for _, _, headers, body in got]


def test_changes_come_as_signed_webhooks_that_the_connector_reads(local_server: Any) -> None:
    with ZendeskSimulator(webhook_url=local_server.url, secret="s") as simulator:
        ticket = simulator.create_ticket()
        simulator.add_comment(ticket, by="agent")
        simulator.set_status(ticket, "pending")
        simulator.add_comment(ticket, by="customer")
        ZENDESK.send(prepared(simulator, ticket), account(simulator), HTTP)
        requests = webhooks(local_server, 9)
    events = []
    for request in requests:
        signed_at = json.loads(request.body)["time"]
        from_header = request.headers["x-zendesk-webhook-signature-timestamp"]
        assert from_header[:15] == signed_at[:15]
        now = ZENDESK.parse(request, {}).events[0].at or 0
        ZENDESK.verify(replace(request, received_at=now), ["s"])
        events += ZENDESK.parse(request, {}).events
    kinds = [(event.kind, event.actor_role, event.opening) for event in sorted(events, key=lambda event: (event.at or 0, event.key))]
    assert sorted(kinds) == sorted(
        [
            ("ticket.created", "unknown", False),
            ("reply.public", "customer", True),
            ("reply.public", "agent", False),
            ("status.changed", "unknown", False),
            ("reply.public", "customer", False) if ("reply.public", "customer", False) in kinds else ("reply.public", "customer", True),
            ("status.changed", "unknown", False),
            ("priority.changed", "unknown", False),
            ("assignee.changed", "unknown", False),
            ("note.internal", "agent", False),
        ]
    )
    assert {event.actor_id for event in events if event.kind in ("priority.changed", "assignee.changed", "note.internal")} == {str(ME)}


def test_the_network_can_be_bad(local_server: Any) -> None:
    with ZendeskSimulator(webhook_url=local_server.url) as simulator:
        simulator.sender.drop = 2
        ticket = simulator.create_ticket()  # both lost
        simulator.sender.duplicate = True
        simulator.set_priority(ticket, "low")
        first, second = webhooks(local_server, 2)
        assert (first.body, json.loads(first.body)["type"]) == (second.body, "zen:event-type:ticket.priority_changed")
        with pytest.raises(queue.Empty):
            local_server.got.get_nowait()


def test_a_person_can_click(simulator: ZendeskSimulator) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    curled = b'{"subject": "<b>", "priority": "urgent"}'  # with the content type that curl -d gives it
    made = HTTP.request("POST", simulator.url + "/simulator/tickets", operation="t", headers=form, data=curled)
    ticket = json.loads(made.body)["ticket"]
    door = f"{simulator.url}/simulator/tickets/{ticket}"
    HTTP.request("POST", door + "/comments", operation="t", json={"body": "x", "public": False, "by": "agent"})
    HTTP.request("POST", door + "/status", operation="t", headers=form, data=b"status=pending")
    HTTP.request("POST", simulator.url + "/simulator/faults", operation="t", json={"no_audits": True, "fail_next": {"status": 503, "times": 2}})
    simulator.assign(ticket, AGENT)
    page = HTTP.request("GET", simulator.url + "/", operation="t").body.decode()
    assert "&lt;b&gt;" in page
    assert simulator.ticket(ticket)["status"] == "pending"
    assert simulator.take_failure("PUT") == (503, None)
    assert "writes" in json.loads(HTTP.request("GET", simulator.url + "/simulator/writes", operation="t").body)
    with pytest.raises(PermanentFailure, match="422"):
        HTTP.request("POST", door + "/status", operation="t", json={"status": "lost"})
