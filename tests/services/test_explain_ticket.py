"""Explain: the ledger sums to the microsecond and, as shown, to the second; every row has its cause."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from sla_plugin.cli.tickets import explain_lines
from sla_plugin.errors import ConfigurationError
from sla_plugin.reports.export_rows import written_out
from sla_plugin.services.explain_ticket import choose_ticket, explain_ticket
from sla_plugin.settings import Settings
from tests.plant import MINUTE, OFFICE, SECOND, Plant

AT = "2026-11-16T"


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    made = Plant(settings)
    yield made
    made.close()


def explained(plant: Plant, word: str = "T1", connection: str | None = None) -> dict[str, Any]:
    with plant.database.reading(plant.tenant) as tx:
        ticket, owner = choose_ticket(tx, plant.tenant, word, connection)
        return explain_ticket(tx, plant.tenant, ticket, owner, plant.now, plant.outside)


def created(ticket: str = "T1", at: str = "09:00:00.400000") -> dict[str, Any]:
    return {"type": "ticket.created", "id": f"{ticket}-new", "ticket": ticket, "occurred_at": f"{AT}{at}Z", "values": {"status": "open", "priority": "high"}}


def status(word: str, at: str) -> dict[str, Any]:
    return {
        "type": "ticket.updated",
        "id": f"s-{at}",
        "ticket": "T1",
        "occurred_at": f"{AT}{at}Z",
        "actor": {"id": "a1", "role": "agent"},
        "changes": {"status": {"from": "open", "to": word}},
    }


def test_a_breach_across_a_pause_and_a_night_sums(plant: Plant) -> None:
    plant.policy({"Office": OFFICE}, calendar="Office", targets={"resolution": "6h"}, on_breach=["comment_breach"])
    plant.now += SECOND
    plant.tell(created())
    plant.now += 60 * MINUTE
    plant.tell(status("waiting_customer", "10:00:00.700000"))
    plant.now += 60 * MINUTE
    plant.tell(status("open", "11:00:00.900000"))
    plant.pass_time("2026-11-17T10:30")
    data = explained(plant)
    (clock,) = data["clocks"]
    assert clock["sums"] is True
    rows = clock["ledger"]
    assert [row["state"] for row in rows] == ["running", "on_hold", "running", "outside_hours", "running"]
    assert sum(row["counted_us"] for row in rows) == clock["elapsed_us"] == clock["sum_us"] == rows[-1]["total_us"]
    assert sum(row["counted"] for row in rows) == clock["elapsed"] == rows[-1]["total"]
    # 1:00:00.3 + 5:59:59.1 + 1:30:00: cut row by row a second would be missing, the last row carries it
    assert [row["counted"] for row in rows] == [3600, 0, 21599, 0, 5400]
    assert rows[1]["cause"] == "ticket.updated open to waiting_customer by agent a1"
    assert all(earlier["to"] == later["from"] for earlier, later in pairwise(rows))
    assert clock["met"] is False
    assert clock["policy"] == {"name": "P", "version": 1}
    assert clock["calendar"] == {"name": "Office", "version": 1}
    assert [c["policy"] for c in data["choice"] if c["matched"]] == ["P"]
    assert [(a["level"]) for a in data["alerts"]] == ["warning", "critical", "breach"]
    assert [(c["kind"], c["state"]) for c in data["commands"]] == [("add_comment", "pending")]
    text = "\n".join(explain_lines(data)).replace("\u00a0", " ")
    assert "sums to 8:29:59 ✓" in text
    assert "-> P version 1: always" in text
    assert "add_comment (body SLA breached: Resolution" in text
    assert written_out(data)["clocks"][0]["started_at"] == "2026-11-16T09:00:00.400000Z"
    assert written_out(data)["clocks"][0]["ledger"][0]["to"] == "2026-11-16T10:00:00.700000Z"


def test_the_last_counted_row_carries_what_was_cut_off(plant: Plant) -> None:
    plant.policy(targets={"resolution": "6h"})
    plant.now += 2 * SECOND
    plant.tell(created(at="09:00:00.400000"))
    plant.now += 30 * SECOND
    plant.tell(status("waiting_customer", "09:00:10.300000"), status("open", "09:00:20.500000"))
    plant.tell(status("waiting_customer", "09:00:30.600000"))
    (clock,) = explained(plant)["clocks"]
    assert [row["counted_us"] for row in clock["ledger"]] == [9_900_000, 0, 10_100_000, 0]
    assert [row["counted"] for row in clock["ledger"]] == [9, 0, 11, 0]
    assert (clock["elapsed"], clock["sum"]) == (20, 20)


def test_a_late_fact_shows_as_a_correction(plant: Plant) -> None:
    plant.policy(targets={"resolution": "1h"})
    plant.tell(created(at="09:00:00"))
    plant.now += 120 * MINUTE
    plant.tell(status("closed", "11:00:00"))
    plant.now += MINUTE
    plant.tell(status("closed", "09:30:00"))
    data = explained(plant)
    assert [(c["was"]["met"], c["now"]["met"], c["late_events"]) for c in data["corrections"]] == [(False, True, ["s-09:30:00"])]
    assert "(late: s-09:30:00)" in "\n".join(explain_lines(data))


def test_a_ticket_nobody_promised_anything(plant: Plant) -> None:
    plant.tell(created())
    data = explained(plant)
    assert (data["clocks"], data["choice"]) == ([], ())
    assert any("no policy promises" in line for line in explain_lines(data))


def test_which_ticket(plant: Plant) -> None:
    other = plant.connect("other", "generic")
    plant.tell(created())
    plant.tell(created(), connection=other)
    with pytest.raises(ConfigurationError, match=r"several connections have a ticket 'T1' \(crm, other\)"):
        explained(plant)
    assert explained(plant, connection="other")["connection"] == "other"
    with pytest.raises(ConfigurationError, match="no ticket 'T9'"):
        explained(plant, "T9")
