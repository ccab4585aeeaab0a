"""The outbox as a whole: one slow helpdesk delays only itself, and no ticket ever has two calls under way."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sla_plugin.jobs.outbox import drain_outbox
from sla_plugin.ports import HttpAnswer
from sla_plugin.settings import Settings
from tests.plant import MINUTE, Plant, iso


class SlowAndFast:
    """Two helpdesks behind one way out: the slow one answers only when the fast one has all its writes."""

    def __init__(self, fast_calls: int) -> None:
        self.fast_done = threading.Event()
        self.fast_calls = fast_calls
        self.sent: list[str] = []
        self._under_way: set[str] = set()
        self._lock = threading.Lock()

    def request(
        self, method: str, url: str, *, operation: str, headers: Any = None, auth: Any = None, json: Any = None, data: bytes | None = None
    ) -> HttpAnswer:
        """A webhook receiver."""
        ticket = str(data).split('"ticket":')[1].split('"')[1]
        with self._lock:
            assert ticket not in self._under_way, "two calls for one ticket"
            self._under_way.add(ticket)
        if "slow" in url:
            assert self.fast_done.wait(20), "the fast helpdesk waited for the slow one"
        with self._lock:
            self._under_way.discard(ticket)
            self.sent.append(ticket)
            if sum(t.startswith("F") for t in self.sent) >= self.fast_calls:
                self.fast_done.set()
        return HttpAnswer(200, {}, b"")


@pytest.fixture
def http() -> SlowAndFast:
    """Six writes for the fast one."""
    return SlowAndFast(6)


@pytest.fixture
def plant(settings: Settings, http: SlowAndFast) -> Iterator[Plant]:
    """A slow and a fast generic helpdesk."""
    made = Plant(settings, http=http)
    yield made
    made.close()


def test_a_slow_helpdesk_delays_only_itself(plant: Plant, http: SlowAndFast) -> None:
    plant.policy(targets={"first_response": "1h"})
    slow = plant.connect("slow", "generic", base_url="https://slow.example.com/in")
    fast = plant.connect("fast", "generic", base_url="https://fast.example.com/in")
    for connection, letter in ((slow, "S"), (fast, "F")):
        for number in range(6):
            ticket = f"{letter}{number}"
            plant.tell({"type": "ticket.created", "id": ticket, "ticket": ticket, "occurred_at": iso(plant.now)}, connection=connection)
    plant.pass_time(plant.now + 61 * MINUTE)
    tried = drain_outbox(plant.database, plant.outside, lambda: plant.now, 3)
    assert tried == 12
    assert sorted(http.sent) == sorted([f"S{n}" for n in range(6)] + [f"F{n}" for n in range(6)])
    assert {c["state"] for c in plant.rows("call")} == {"sent"}
    assert drain_outbox(plant.database, plant.outside, lambda: plant.now, 3) == 0
