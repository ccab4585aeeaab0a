"""Policies that ask when a ticket was created, stored and applied: choice, explanation, a calendar that changes, a calendar that does not exist."""

from collections.abc import Iterator
from typing import Any

import pytest

from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.apply_policy_file import apply_policy_file, read_policy_file
from sla_plugin.settings import Settings
from tests.plant import Plant, iso

FILE = """
calendars:
  Support: {time_zone: Europe/Berlin, hours: {mon: ["09:00-17:00"], tue: ["09:00-17:00"]}}
policies:
  - {name: Night, applies_to: {field: created_in_hours, is: false, calendar: Support}, targets: {resolution: 12h}}
  - {name: Day, default: true, targets: {resolution: 4h}}
"""


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    made = Plant(settings)
    put(made, FILE)
    yield made
    made.close()


def put(plant: Plant, text: str) -> Any:
    with plant.database.transaction(plant.tenant) as tx:
        return apply_policy_file(tx, plant.tenant, read_policy_file(text), plant.now, "test")


def tell(plant: Plant, ticket: str) -> None:
    plant.tell({"type": "ticket.created", "id": f"new-{ticket}", "ticket": ticket, "occurred_at": iso(plant.now), "values": {"status": "open"}})


def targets(plant: Plant) -> dict[str, int]:
    names = {t["promise_id"]: t["external_id"] for t in plant.rows("ticket")}
    return {names[c["promise_id"]]: c["target"] // 3_600_000_000 for c in plant.rows("clock")}


def test_the_night_has_a_policy_of_its_own(plant: Plant) -> None:
    plant.pass_time("2026-11-16T09:30")
    tell(plant, "day")
    plant.pass_time("2026-11-16T16:30")  # 17:30 in Berlin
    tell(plant, "night")
    assert targets(plant) == {"day": 4, "night": 12}
    (choice,) = [p["choice"]["reasons"] for p in plant.rows("promise") if len(p["choice"]["reasons"]) == 1]
    assert choice[0]["because"] == "created_in_hours of Support is false"
    # the calendar changes: open tickets are chosen for again
    put(plant, FILE.replace('mon: ["09:00-17:00"]', 'mon: ["09:00-18:00"]'))
    plant.keep()
    assert targets(plant) == {"day": 4, "night": 4}


def test_a_calendar_that_does_not_exist_is_refused(plant: Plant) -> None:
    with pytest.raises(InvalidDefinition, match=r"policies\[0\].applies_to: 'Night' wants a calendar 'Suport', which does not exist; there are 24x7, Support"):
        put(plant, FILE.replace("calendar: Support", "calendar: Suport"))
