"""Nothing is kept longer than the tenant says, and nothing goes that a figure, an open promise or an explanation needs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sla_plugin.services.explain_ticket import choose_ticket, explain_ticket
from sla_plugin.services.keep_retention import DAY, Share, keep_retention
from sla_plugin.services.tenant_settings import change_settings
from sla_plugin.settings import Settings
from tests.plant import MINUTE, Plant, iso

RAW_DAYS = 30
SHARE = Share(3, 2)
WORDS = "carla cannot print her payslips"


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    """Five tickets with texts, four of them closed, each with a record; policies do not read texts."""
    made = Plant(settings)
    made.policy(targets={"first_response": "1h", "resolution": "8h"})
    for number in range(5):
        ticket(made, f"T{number}")
    made.pass_time(made.now + 6 * DAY)
    yield made
    made.close()


def told(plant: Plant, kind: str, ticket: str, **more: Any) -> dict[str, Any]:
    plant.now += MINUTE
    return {"type": kind, "id": f"{kind}-{plant.now}", "ticket": ticket, "occurred_at": iso(plant.now), **more}


def ticket(plant: Plant, name: str) -> None:
    values = {"status": "open", "priority": "normal", "subject": WORDS, "requester": "u-1", "custom.note": WORDS * 9, "custom.plan": "gold"}
    plant.tell(told(plant, "ticket.created", name, values=values, actor={"id": "u-1", "role": "customer"}))
    plant.tell(told(plant, "reply.public", name, actor={"id": "a-1", "role": "agent"}))
    if name != "T4":
        plant.tell(told(plant, "ticket.updated", name, changes={"status": {"from": "open", "to": "closed"}}, actor={"id": "a-1", "role": "agent"}))


def keep(plant: Plant, **days: str) -> int:
    """Set how long things are kept, and sweep until nothing is left; how many transactions that took."""
    with plant.database.transaction(plant.tenant) as tx:
        change_settings(tx, plant.tenant, {f"keep_{kind}": said for kind, said in days.items()}, plant.now, "Kim", plant.outside.sealer)
    return sweep(plant)


def sweep(plant: Plant) -> int:
    for number in range(500):
        with plant.database.transaction(plant.tenant) as tx:
            if not keep_retention(tx, plant.tenant, plant.now, RAW_DAYS, plant.outside, SHARE):
                return number
    raise AssertionError("it never ends")


def explained(plant: Plant, name: str) -> dict[str, Any]:
    with plant.database.reading(plant.tenant) as tx:
        found, connection = choose_ticket(tx, plant.tenant, name, None)
        said = explain_ticket(tx, plant.tenant, found, connection, plant.now, plant.outside)
    return {key: said[key] for key in ("clocks", "corrections", "alerts", "events", "status", "priority")}


def audit(plant: Plant, what: str = "retention kept") -> list[dict[str, Any]]:
    return [entry["changes"] for entry in plant.rows("audit_entry") if entry["what"] == what]


def test_texts_go_and_every_figure_stays(plant: Plant) -> None:
    records, clocks, before = plant.rows("record"), plant.rows("clock"), {f"T{n}": explained(plant, f"T{n}") for n in range(5)}
    assert len(records) == 9
    plant.now += 40 * DAY
    before["T4"] = explained(plant, "T4")
    assert keep(plant, texts="30") > 2, "in chunks"
    left = json.dumps([plant.rows(table) for table in ("event", "ticket")])
    of_the_open_one = json.dumps([row for row in plant.rows("event") if row["external_id"] == "T4"])
    assert left.count(WORDS) == of_the_open_one.count(WORDS) + 10, "only of the open one: its events and its mirror"
    assert '"custom.plan": "gold"' in left
    assert (plant.rows("record"), plant.rows("clock")) == (records, clocks)
    assert {name: explained(plant, name) for name in before} == before
    assert [(a["kind"], a["removed"], a["kept"]) for a in audit(plant) if a["kind"] == "texts"] == [("texts", 4, 0)]
    assert sweep(plant) == 0, "twice on a day does nothing"
    plant.now += DAY
    sweep(plant)
    assert len([a for a in audit(plant) if a["kind"] == "texts"]) == 1, "and on the next day finds nothing"
