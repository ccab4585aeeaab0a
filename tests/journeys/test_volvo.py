"""A real incident log full of waits, hand-overs and reopenings: every clock of it is explained, and every ledger sums exactly."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from sla_plugin.settings import Settings
from tests.journeys import volvo_log
from tests.plant import Plant

INCIDENTS = 250
pytestmark = pytest.mark.shared


@pytest.fixture
def plant(sqlite_url: str, tmp_path: object) -> Iterator[Plant]:
    made = Plant(Settings.from_env({"DATABASE_URL": sqlite_url, "SLA_DATA_DIR": str(tmp_path)}))
    yield made
    made.close()


def test_every_clock_is_explained_and_every_ledger_sums(plant: Plant) -> None:
    incidents = volvo_log.read_log(INCIDENTS)
    volvo_log.replay(plant, incidents)
    tickets = list(volvo_log.explained(plant))
    assert len(tickets) == INCIDENTS
    assert [fault for told in tickets for fault in volvo_log.faults(told)] == []
    clocks = [clock for told in tickets for clock in told["clocks"]]
    assert {clock["metric"] for clock in clocks} == set(volvo_log.POLICY["targets"])
    states = {row["state"] for clock in clocks for row in clock["ledger"]}
    assert {"running", "on_hold", "outside_hours", "stopped"} <= states
    # history alerts nobody and writes nothing back
    assert (plant.rows("alert"), plant.rows("command"), plant.rows("correction")) == ([], [], [])
    # against a plain reading of the log: time in which somebody could work, over all cycles
    worked = volvo_log.elapsed_by_ticket(tickets, "agent_work")
    assert {ticket: worked[ticket] for ticket in incidents} == {ticket: volvo_log.working_time(events) for ticket, events in incidents.items()}


def test_each_group_owns_a_ticket_while_it_has_it(plant: Plant) -> None:
    incidents = volvo_log.read_log(60)
    volvo_log.replay(plant, incidents)
    for told in volvo_log.explained(plant):
        stays = [clock for clock in told["clocks"] if clock["metric"] == "group_ownership"]
        groups = [event["values"]["group"] for event in incidents[told["ticket"]]]
        handed_over = sum(1 for before, after in pairwise(groups) if before != after)
        # one stay per group and hand-over; a ticket that is resolved has no owner, and may be handed over meanwhile
        assert 1 <= len(stays) <= handed_over + 1 + sum(1 for e in incidents[told["ticket"]] if e["values"]["status"].startswith("Completed"))
        for before, after in pairwise(stays):
            assert before["finished_at"] <= after["started_at"]
