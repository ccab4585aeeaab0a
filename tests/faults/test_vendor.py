"""A helpdesk that misbehaves, counted at its own side: whatever happens to a call, it lands once, or it is failed and shown. Time is given."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connectors.http import Http
from sla_plugin.ports import HttpAnswer
from sla_plugin.settings import Settings
from sla_plugin.store.outbox import tries_since
from tests.faults.world import AUDITS, DUE, NOTHING, ONCE, World
from tests.journeys.foreign_desk import ANNA, CARLA, ROBOT, Fault
from tests.plant import SECOND, instant


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What a helpdesk answers is the same on every database; test_workers runs on both."""
    return sqlite_url


@pytest.fixture
def make(settings: Settings) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def world(**options: Any) -> World:
        made.append(World(settings, **options))
        return made[-1]

    yield world
    for one in made:
        one.close()


@pytest.fixture
def world(make: Callable[..., World]) -> World:
    return make()


def test_nothing_goes_wrong(world: World) -> None:
    ticket = world.breach()
    world.send()
    assert (world.desk.count(ticket), world.states("call")) == (ONCE, ["sent"])
    assert set(world.states("command")) == {"sent"}
    world.send(100)
    assert len(world.desk.applied) == 1


# --- no answer -------------------------------------------------------------------------------------------------------
LOST = {
    "answer lost": Fault(answers=False),
    "never arrived": Fault(applies="never", answers=False),
    "lands after its retry": Fault(applies="late", answers=False),
}


@AUDITS
@pytest.mark.parametrize("fault", LOST)
def test_a_write_without_an_answer_counts_once(make: Callable[..., World], audits: bool, fault: str) -> None:
    world = make(audits=audits)
    ticket = world.breach()
    world.desk.faults.append(LOST[fault])
    world.send()
    assert (world.call()["state"], bool(world.call()["unknown"]), world.call()["tries"]) == ("waiting", True, 1)
    assert set(world.states("command")) == {"calling"}
    world.send(2)
    world.desk.land_late()
    assert (world.call()["state"], bool(world.call()["unknown"])) == ("sent", False)
    assert set(world.states("command")) == {"sent"}
    world.hear()
    world.send(100)
    assert world.desk.count(ticket) == ONCE


@AUDITS
def test_a_write_that_lands_between_the_look_and_the_retry_counts_once(make: Callable[..., World], audits: bool) -> None:
    world = make(audits=audits)
    ticket = world.breach()
    world.desk.faults += [Fault(applies="late", answers=False), Fault(applies="never", answers=False), Fault()]
    world.send()
    world.send(2)  # looked, found nothing, sent again: lost, too
    world.desk.land_late()  # the first arrives
    world.send(4)
    assert (world.call()["state"], world.desk.count(ticket)) == ("sent", ONCE)


@AUDITS
@pytest.mark.parametrize("echo", [True, False], ids=["echo heard", "no echo"])
@pytest.mark.parametrize("fault", LOST)
def test_a_comment_alone_counts_once(make: Callable[..., World], audits: bool, echo: bool, fault: str) -> None:
    """The second breach of a ticket writes only a comment: nothing in the ticket tells whether it landed, but its echo, and the time it changed."""
    world = make(audits=audits)
    ticket = world.breach(priority="urgent", assignee=ANNA, status="open")
    assert [c["kind"] for c in world.plant.rows("command")] == ["add_comment"]
    world.desk.faults.append(LOST[fault])
    world.send()
    if echo:
        world.hear()
    world.send(2)
    world.desk.land_late()
    world.hear()
    world.send(10)
    assert world.desk.count(ticket) == {"raises": 0, "comments": 1, "assigns": 0}
    assert world.states("call")[-1] == "sent"
    assert set(world.states("command")) == {"sent"}


@AUDITS
def test_a_comment_lost_within_the_second_of_the_last_change_counts_once(make: Callable[..., World], audits: bool) -> None:
    """The stamp has whole seconds: a write within the second of the last change leaves it as it was, so that a repeat would be taken."""
    world = make(audits=audits)
    ticket = world.breach(priority="urgent", assignee=ANNA, status="open")
    world.desk.change(ticket, status="pending")  # in this very second
    world.desk.faults.append(LOST["answer lost"])
    world.send()
    for _ in range(3):
        world.send(2)
    assert world.desk.count(ticket)["comments"] == 1
    assert world.states("call")[-1] == "sent"


def test_a_slow_helpdesk_is_left_after_the_timeout(make: Callable[..., World]) -> None:
    world = make(http=Http(read_timeout=0.3, allow_private=True))
    ticket = world.breach()
    gate = threading.Event()
    world.desk.faults.append(Fault(after=lambda: gate.wait(5)))
    world.send()
    assert (world.call()["state"], bool(world.call()["unknown"])) == ("waiting", True)
    assert "did not answer in time" in world.call()["reason"]
    gate.set()
    world.send(2)
    assert (world.call()["state"], world.desk.count(ticket), len(world.desk.refused)) == ("sent", ONCE, 0)


# --- answers that say no ---------------------------------------------------------------------------------------------
def test_429_pauses_the_connection_as_long_as_it_says(world: World) -> None:
    other = world.desk.open_ticket()
    ticket = world.breach()
    world.desk.faults += [Fault(status=429, retry_after=7)] * 2
    world.send()
    assert {c["state"] for c in world.plant.rows("call")} == {"waiting"}
    assert not any(c["unknown"] for c in world.plant.rows("call")), "a refused request did nothing"
    refused = len(world.desk.refused)
    world.send(6)
    assert (len(world.desk.refused), world.desk.applied) == (refused, [])
    world.desk.faults.clear()
    world.send(2)
    assert [world.desk.count(t) for t in (ticket, other)] == [ONCE, ONCE]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_5xx_is_tried_again_after_a_look(world: World, status: int) -> None:
    ticket = world.breach()
    world.desk.faults += [Fault(status=status), Fault(status=status)]
    world.send()
    assert (world.call()["state"], world.call()["status"], bool(world.call()["unknown"])) == ("waiting", status, True)
    world.send(2)
    assert world.desk.applied == []
    world.send(4)
    assert (world.call()["state"], world.call()["tries"], world.desk.count(ticket)) == ("sent", 3, ONCE)


def test_every_try_counts_against_the_write_budget(world: World) -> None:
    world.breach()
    world.desk.faults += [Fault(status=503)] * 4
    for wait in (0, 2, 4, 8, 14):
        world.send(wait)
    call = world.call()
    assert (call["state"], call["tries"]) == ("sent", 5)
    with world.plant.database.reading(world.plant.tenant) as tx:
        used = [tries_since(tx, world.plant.tenant, world.zendesk, world.plant.now - seconds * SECOND) for seconds in (60, 10)]
    assert used == [5, 1], "all within the minute; of a call that began before the window the last one"


def test_a_helpdesk_that_stays_broken_fails_the_call_which_may_be_retried(world: World) -> None:
    ticket = world.breach()
    world.desk.faults += [Fault(status=503)] * 14
    for _ in range(12):
        world.send(400)
    assert (world.call()["state"], world.call()["tries"]) == ("waiting", 12), "an outage of an hour is waited for"
    world.send(24 * 3600)
    assert (world.call()["state"], world.call()["tries"], world.call()["status"]) == ("failed", 13, 503)
    assert set(world.states("command")) == {"failed"}
    assert all("in trouble (503)" in c["reason"] for c in world.plant.rows("command"))
    assert world.desk.count(ticket) == NOTHING


class BreaksOff:
    """A way out whose first PUT arrives, and then a fault of our own."""

    def __init__(self) -> None:
        self.real = Http(allow_private=True)
        self.broken = True

    def request(self, method: str, url: str, **more: Any) -> HttpAnswer:
        answer = self.real.request(method, url, **more)
        if method == "PUT" and self.broken:
            self.broken = False
            raise LookupError("a fault of ours")
        return answer


@AUDITS
def test_a_try_that_breaks_off_on_our_side_goes_on_soon_and_is_not_doubled(settings: Settings, audits: bool) -> None:
    world = World(settings, audits=audits, http=BreaksOff())
    ticket = world.breach()
    world.send()
    assert (world.call()["state"], bool(world.call()["unknown"])) == ("waiting", True)
    world.send(3)
    assert (world.call()["state"], world.desk.count(ticket)) == ("sent", ONCE), "long before the lease ends"
    world.close()


def test_being_asked_to_wait_is_no_try(world: World) -> None:
    ticket = world.breach()
    world.desk.faults += [Fault(status=429, retry_after=7)] * 12
    for _ in range(13):
        world.send(20)
    assert (world.call()["state"], world.call()["tries"], world.desk.count(ticket)) == ("sent", 1, ONCE)


def test_what_people_do_right_after_our_write_is_theirs(world: World) -> None:
    world.plant.policy(targets={"first_response": "1h", "resolution": "8h"})
    ticket = world.desk.open_ticket()
    world.hear()
    world.plant.pass_time(instant("2026-11-16T10:00") + SECOND // 5)
    world.send()
    world.hear()
    for who, status, phase in ((ANNA, "pending", "on_hold"), (CARLA, "open", "running")):
        world.plant.now += 20 * SECOND
        world.desk.change(ticket, by=who, status=status)
        world.hear()
        assert [c["phase"] for c in world.clocks() if c["metric"] == "resolution"] == [phase]


def test_a_priority_somebody_set_first_is_theirs_and_ours_is_overtaken(world: World) -> None:
    ticket = world.breach()
    world.desk.change(ticket, by=ANNA, priority="high")
    world.send()
    world.hear()
    changed = [e for e in world.plant.rows("event") if e["kind"] == "priority.changed"]
    assert [bool(e["own"]) for e in changed] == [False]
    assert ("set_priority", "overtaken") in {(c["kind"], c["state"]) for c in world.plant.rows("command")}


@pytest.mark.parametrize("failures", [1, 3])
def test_reading_first_may_fail_as_well(world: World, failures: int) -> None:
    ticket = world.breach()
    world.desk.read_faults += [503] * failures
    for _ in range(failures):
        world.send(5)
        assert (world.call()["state"], world.call()["frozen"], bool(world.call()["unknown"])) == ("waiting", None, False)
    world.send(10)
    assert (world.call()["state"], world.desk.count(ticket)) == ("sent", ONCE)


@pytest.mark.parametrize(("status", "said"), [(401, "refused the token (401)"), (403, "(403)"), (404, "(404)"), (422, "refused the values (422)")])
def test_a_refusal_for_good_fails_at_once_and_is_shown(world: World, status: int, said: str) -> None:
    ticket = world.breach()
    world.desk.faults.append(Fault(status=status))
    clocks = world.clocks()
    world.send()
    assert (world.call()["state"], world.call()["status"], world.call()["tries"]) == ("failed", status, 1)
    assert said in world.call()["reason"]
    assert [(c["state"], said in c["reason"]) for c in world.plant.rows("command")] == [("failed", True)] * len(world.states("command"))
    world.send(500)
    assert (world.desk.count(ticket), len(world.desk.refused)) == (NOTHING, 1)
    assert world.clocks() == clocks
    assert [t["priority_word"] for t in world.plant.rows("ticket")] == ["NORMAL"], "the mirror shows what the helpdesk has"


def test_a_closed_ticket_is_left_alone(world: World) -> None:
    ticket = world.breach()
    world.desk.change(ticket, status="closed")
    world.send()
    assert (world.call()["state"], world.call()["status"], world.desk.count(ticket)) == ("failed", 422, NOTHING)
    assert "closed prevents ticket update" in world.call()["reason"]


def test_a_ticket_that_is_gone(world: World) -> None:
    ticket = world.breach()
    del world.desk.tickets[ticket]
    world.send()
    assert (world.call()["state"], world.call()["status"]) == ("failed", 404)


@pytest.mark.parametrize("mode", ["dry_run", "observe"])
def test_a_connection_switched_off_is_not_written_to_until_it_is_live_again(world: World, mode: str) -> None:
    ticket = world.breach()
    world.desk.faults.append(Fault(status=503))
    world.send()
    world.switch(mode)
    world.send(400)
    assert (world.desk.count(ticket), world.states("call"), len(world.desk.refused)) == (NOTHING, ["waiting"], 1)
    world.switch("live")
    world.send()
    assert (world.desk.count(ticket), world.states("call")) == (ONCE, ["sent"])


@pytest.mark.parametrize("ahead", [-90, -3, 3, 90])
def test_an_echo_is_known_by_the_vendors_own_clock(world: World, ahead: int) -> None:
    """Our clock and the helpdesk's differ: what we wrote into a waiting ticket still moves no clock when its webhook comes."""
    world.plant.policy(targets={"first_response": "1h", "resolution": "4h"})
    number = world.desk.open_ticket()
    world.desk.change(number, status="pending")
    world.hear()
    world.plant.pass_time(DUE + SECOND // 5)
    world.desk.clock = lambda: world.plant.now / 1e6 - ahead
    before = world.clocks()
    world.send()
    assert world.desk.tickets[number]["status"] == "open"
    world.hear()
    assert world.clocks() == before


# --- somebody else was faster ------------------------------------------------------------------------------------------
BY_ANNA: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "a comment": ({"comment": {"body": "I look at it", "public": False}}, ONCE),
    "the priority": ({"priority": "urgent"}, {"raises": 0, "comments": 1, "assigns": 1}),
    "the assignee": ({"assignee_id": ANNA}, {"raises": 1, "comments": 1, "assigns": 0}),
    "priority and assignee": ({"priority": "low", "assignee_id": ANNA}, {"raises": 0, "comments": 1, "assigns": 0}),
}


@AUDITS
@pytest.mark.parametrize("change", BY_ANNA)
def test_409_carries_what_still_holds_and_the_comment_always(make: Callable[..., World], audits: bool, change: str) -> None:
    world = make(audits=audits)
    members, expected = BY_ANNA[change]
    ticket = world.breach()

    def interfere(number: int) -> None:
        world.desk.change(number, **members)

    world.desk.between = interfere
    world.send()
    assert (world.call(0)["state"], world.call(0)["status"]) == ("superseded", 409)
    world.send(2)
    assert world.states("call") == ["superseded", "sent"]
    assert world.desk.count(ticket) == expected
    overtaken = [c["kind"] for c in world.plant.rows("command") if c["state"] == "overtaken"]
    assert len(overtaken) == 2 - expected["raises"] - expected["assigns"]
    assert all(c["reason"] for c in world.plant.rows("command") if c["state"] == "overtaken")
    world.hear()
    world.send(100)
    assert world.desk.count(ticket) == expected


@AUDITS
def test_answer_lost_then_changed_by_somebody(make: Callable[..., World], audits: bool) -> None:
    world = make(audits=audits)
    ticket = world.breach()
    world.desk.faults.append(Fault(answers=False))
    world.send()
    world.plant.now += SECOND
    world.desk.change(ticket, comment={"body": "Thanks", "public": True})
    world.send(1)
    world.send(5)
    assert (world.desk.count(ticket), world.states("call")) == (ONCE, ["sent"])


# --- our own words coming back -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("heard", ["before the answer", "after the answer"])
@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "backwards"])
def test_echoes_move_no_clock(world: World, heard: str, again: bool, backwards: bool) -> None:
    world.plant.policy(targets={"first_response": {"P1": "30m", "P2": "1h", "P0": "5m"}, "resolution": {"P2": "8h", "P1": "1h30m", "P0": "10m"}}, name="P")
    ticket = world.desk.open_ticket()
    world.hear()
    world.plant.pass_time(DUE + SECOND // 5)
    clocks = world.clocks()
    alerts = world.plant.rows("alert")
    if heard == "before the answer":
        world.desk.faults.append(Fault(after=lambda: world.hear(again=again, backwards=backwards)))
    world.send()
    world.plant.now += SECOND
    world.hear(again=again, backwards=backwards)
    assert world.desk.count(ticket) == ONCE
    assert world.clocks() == clocks
    assert world.plant.rows("alert") == alerts
    echoes = [e for e in world.plant.rows("event") if e["actor_id"] == str(ROBOT)]
    assert len(echoes) == 4, "priority, status, assignee, comment"
    assert all(e["own"] for e in echoes)
    (mirror,) = world.plant.rows("ticket")
    assert (mirror["priority_word"].lower(), mirror["status_word"].lower(), mirror["assignee"]) == ("high", "open", str(ROBOT))
    world.send(100)
    assert len(world.desk.applied) == 1


def test_an_agent_who_owns_the_token_still_answers(world: World) -> None:
    """The token may belong to a working agent: what that person writes is no echo."""
    ticket = world.breach()
    world.send()
    world.plant.now += 30 * SECOND
    world.hear()
    world.desk.change(ticket, by=ROBOT, comment={"body": "Have you tried it again?", "public": True})
    world.hear()
    (clock,) = world.plant.rows("clock")
    assert clock["stopped_at"] == world.plant.now
