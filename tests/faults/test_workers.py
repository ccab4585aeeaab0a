"""Workers that die or stop in the middle of a call, and several that work side by side: the helpdesk counts one write. Time is given."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from connectors.http import Http
from sla_plugin.jobs.outbox import LEASE
from sla_plugin.ports import HttpAnswer
from sla_plugin.settings import Settings
from tests.faults.world import DUE, ONCE, World
from tests.plant import SECOND


class Killed(BaseException):
    """kill -9, as far as a thread can play it: nothing after it runs, not even `except Exception`."""


class Halting:
    """A way out on which something happens once, at a moment such as `before PUT` or `after GET`."""

    def __init__(self) -> None:
        self.http = Http(allow_private=True)
        self.moment = ""
        self.happens: Callable[[], None] = lambda: None

    def request(self, method: str, url: str, **words: Any) -> HttpAnswer:
        self._reach(f"before {method}")
        answer = self.http.request(method, url, **words)
        self._reach(f"after {method}")
        return answer

    def _reach(self, moment: str) -> None:
        if self.moment == moment:
            self.moment = ""
            self.happens()


MOMENTS = pytest.mark.parametrize("moment", ["before GET", "after GET", "before PUT", "after PUT"])


@pytest.fixture
def halting() -> Halting:
    return Halting()


@pytest.fixture(params=[True, False], ids=["audits", "no audits"])
def world(request: pytest.FixtureRequest, settings: Settings, halting: Halting) -> Iterator[World]:
    made = World(settings, audits=request.param, http=halting)
    yield made
    made.close()


@MOMENTS
def test_a_sender_killed_in_the_middle(world: World, halting: Halting, moment: str) -> None:
    def die() -> None:
        raise Killed

    ticket = world.breach()
    halting.moment, halting.happens = moment, die
    with pytest.raises(Killed):
        world.send()
    assert world.states("call") == ["sending"]
    world.send(60)
    assert world.states("call") == ["sending"], "its lease still runs"
    world.send(31)
    assert (world.states("call"), world.desk.count(ticket)) == (["sent"], ONCE)
    assert set(world.states("command")) == {"sent"}


@MOMENTS
def test_a_sender_stopped_for_longer_than_its_lease(world: World, halting: Halting, moment: str) -> None:
    """Another takes over and finishes; then the stopped one goes on where it was."""
    ticket = world.breach()
    halting.moment, halting.happens = moment, lambda: world.send(LEASE / SECOND + 1)
    world.send()
    assert world.desk.count(ticket) == ONCE
    assert world.states("call") == ["sent"]
    assert set(world.states("command")) == {"sent"}
    world.send(200)
    assert len(world.desk.applied) == 1
    assert [e["kind"] for e in world.plant.rows("event")].count("own.write") == 1


def test_several_of_each_kind_side_by_side(world: World) -> None:
    """Three inbox workers, timekeepers and senders at once: nothing fires twice."""
    world.plant.policy(targets={"first_response": "1h", "resolution": "1h"})
    tickets = [world.desk.open_ticket() for _ in range(20)]
    webhooks = [*world.desk.webhooks]
    world.desk.webhooks.clear()
    for webhook in webhooks:
        world.plant.deliver(body=webhook.body, connection=world.zendesk, key=webhook.invocation)

    def at_once(work: Callable[[], Any]) -> None:
        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(work) for _ in range(3)]:
                done.result()

    at_once(lambda: world.plant.apply(batch=3))
    assert len(world.plant.rows("event")) == len(webhooks)
    world.plant.now = DUE + SECOND // 5
    at_once(world.plant.keep)
    alerts = world.plant.rows("alert")
    assert len({(a["promise_id"], a["metric"], a["level"]) for a in alerts}) == len(alerts) == len(tickets) * 2 * 3
    at_once(world.plant.send)
    # two metrics of a ticket break at once: one call carries one raise, one assignment and both comments
    assert {t: world.desk.count(t) for t in tickets} == dict.fromkeys(tickets, ONCE)
    assert len(world.desk.applied) == len(tickets)
