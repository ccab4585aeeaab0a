"""What is said of alerts: each with its trace, a rush in one line, and only after the commit."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from sla_plugin.logs import set_up_logging
from sla_plugin.services.tell import RUSH
from sla_plugin.settings import Settings
from tests.plant import Plant, iso


@pytest.fixture
def plant(settings: Settings, capsys: pytest.CaptureFixture[str]) -> Iterator[Plant]:
    """A tenant with a policy of an hour; its lines go where `capsys` looks."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    set_up_logging("INFO", "json")
    made = Plant(settings)
    made.policy(targets={"first_response": "1h"})
    yield made
    made.close()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    logging.getLogger("sla_plugin").setLevel(logging.NOTSET)
    structlog.reset_defaults()


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
@pytest.mark.parametrize("tickets", [1, RUSH + 1], ids=["one", "a rush"])
def test_alerts_are_told(plant: Plant, capsys: pytest.CaptureFixture[str], level: str, tickets: int) -> None:
    logging.getLogger("sla_plugin").setLevel(level)
    deliveries = [plant.deliver({"type": "ticket.created", "id": f"e{n}", "ticket": f"T{n}", "occurred_at": iso(plant.now)}) for n in range(tickets)]
    plant.apply()
    plant.now = plant.next_transition() or 0
    plant.keep()
    plant.keep()  # twice: told once
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    single = [line for line in lines if line["event"] == "alert raised"]
    rush = [(line["tickets"], line["warning"]) for line in lines if line["event"] == "alerts raised"]
    assert rush == ([] if tickets <= RUSH else [(tickets, tickets)])
    told = tickets <= RUSH or level == "DEBUG"
    assert sorted(line["trace"] for line in single) == (sorted(deliveries) if told else [])
    assert {(line["alert"], line["level"]) for line in single} <= {("warning", "info" if tickets <= RUSH else "debug")}
