"""A helpdesk whose clock runs ahead of ours by less than the clamp: nothing it tells is forgotten."""

from collections.abc import Iterator

import pytest

from sla_plugin.settings import Settings
from tests.plant import SECOND, Plant, instant


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    made = Plant(settings)
    yield made
    made.close()


def test_a_ticket_created_a_second_from_now_is_clocked_when_it_has_happened(plant: Plant) -> None:
    plant.policy(targets={"resolution": "1h"})
    plant.tell({"type": "ticket.created", "id": "e1", "ticket": "T1", "occurred_at": "2026-11-16T09:00:01Z", "values": {"status": "open"}})
    assert plant.rows("clock") == []
    assert plant.next_transition() == plant.now + SECOND
    plant.pass_time("2026-11-16T10:30")
    (clock,) = plant.rows("clock")
    assert (clock["started_at"], clock["breached_at"]) == (instant("2026-11-16T09:00:01"), instant("2026-11-16T10:00:01"))
