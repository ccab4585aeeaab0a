"""Exports: the same facts give the same text in every database; the words are the documented ones; no secret gets out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sla_plugin.errors import ConfigurationError, PermanentFailure
from sla_plugin.reports.export_rows import instant_text
from sla_plugin.reports.exports import EXPORTS, export_columns, export_rows
from sla_plugin.settings import Settings
from tests.plant import MINUTE, OFFICE, SECOND, Plant

TICKETS = ("a", "B", "é", "10", "9", "Ä1", "a-1", "a1")  # languages sort these in many ways


class Refusing:
    """A receiver that refuses every write."""

    def request(self, *_: Any, **__: Any) -> Any:
        raise PermanentFailure("does not allow that (403)", status=403)


def play(plant: Plant) -> None:
    """Everything that leaves a row: breach, write-back, record, correction, an unreadable delivery, an ignored one."""
    plant.policy({"Office": OFFICE}, calendar="Office", targets={"first_response": "30m", "resolution": "2h"})
    for number, ticket in enumerate(TICKETS):
        values = {"status": "open", "priority": "high", "tags": ["x"]}
        plant.tell({"type": "ticket.created", "id": f"{ticket}-1", "ticket": ticket, "occurred_at": f"2026-11-16T09:00:0{number}.5Z", "values": values})
    plant.pass_time("2026-11-16T11:30")
    plant.send()
    for at in ("11:20:00", "10:00:00"):
        change = {"status": {"from": "open", "to": "closed"}}
        plant.tell({"type": "ticket.updated", "id": f"close-{at}", "ticket": "a", "occurred_at": f"2026-11-16T{at}Z", "sequence": 7, "changes": change})
    plant.tell({"type": "ticket.updated", "id": "future", "ticket": "B", "occurred_at": "2027-01-01T00:00:00Z", "values": {"status": "pending"}})
    plant.deliver(body=b"nonsense", key="bad")
    plant.deliver(body=b'{"events": []}', key="nothing")
    plant.apply()


def exported(plant: Plant, kind: str, **options: Any) -> list[dict[str, Any]]:
    with plant.database.reading(plant.tenant) as tx:
        return list(export_rows(tx, plant.tenant, kind, **options))


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    made = Plant(settings, http=Refusing())
    play(made)
    yield made
    made.close()


@pytest.mark.postgres
def test_both_databases_give_the_same_text(sqlite_url: str, postgres_url: str, tmp_path: Path) -> None:
    texts = []
    for url in (sqlite_url, postgres_url):
        plant = Plant(Settings.from_env({"DATABASE_URL": url, "SLA_DATA_DIR": str(tmp_path)}), http=Refusing())
        play(plant)
        texts.append({kind: json.dumps(exported(plant, kind), indent=1) for kind in EXPORTS})
        plant.close()
    for kind in EXPORTS:
        assert len(texts[0][kind]) > 10, f"nothing to compare in {kind}"
        assert texts[0][kind] == texts[1][kind]


def test_rows_keep_to_their_columns_and_hold_neither_ids_nor_secrets(plant: Plant) -> None:
    for kind in EXPORTS:
        for ids in (False, True):
            for row in exported(plant, kind, ids=ids):
                assert set(row) <= set(export_columns(kind, ids=ids))
                assert ("id" in row) == ids
                text = json.dumps(row)
                assert "token" not in text
                assert "sealed" not in text
                if not ids:
                    assert str(plant.tenant)[:6] not in text  # ids share their leading digits


def test_a_record_and_its_correction(plant: Plant) -> None:
    record = next(r for r in exported(plant, "records") if r["metric"] == "resolution")
    assert (record["ticket"], record["connection"], record["cycle"], record["met"]) == ("a", "crm", 1, False)
    assert (record["started_at"], record["stopped_at"], record["target"]) == ("2026-11-16T09:00:00.500000Z", "2026-11-16T11:20:00Z", 7200)
    assert (record["elapsed"], record["elapsed_us"]) == (8399, 8_399_500_000)
    assert (record["overrun"], record["overrun_us"]) == (1199, 1_199_500_000)
    assert "target_us" not in record
    assert (record["policy"], record["policy_version"], record["calendar"], record["calendar_version"]) == ("P", 1, "Office", 1)
    correction = next(c for c in exported(plant, "corrections") if c["metric"] == "resolution")
    assert (correction["was"]["met"], correction["now"]["met"], correction["late_events"]) == (False, True, ["close-10:00:00"])
    assert correction["now"]["stopped_at"] == "2026-11-16T10:00:00Z"


def test_events_speak_the_words_of_the_parsers(plant: Plant) -> None:
    events = {e.get("event_key"): e for e in exported(plant, "events")}
    assert events["close-11:20:00"] == {
        "kind": "ticket.updated",
        "ticket": "a",
        "at": "2026-11-16T11:20:00Z",
        "actor_role": "unknown",
        "public": None,
        "field": "status",
        "from": "open",
        "to": "closed",
        "values": {"status": "closed"},
        "event_key": "close-11:20:00",
        "delivery": "d9",
        "connection": "crm",
        "received_at": "2026-11-16T11:30:00Z",
        "sequence": 7,
        "own": False,
    }
    clamped = events["future"]
    assert (clamped["at"], clamped["said_at"]) == ("2026-11-16T11:30:00Z", "2027-01-01T00:00:00Z")


def test_deliveries_say_what_became_of_them(plant: Plant) -> None:
    found = {d["key"]: (d["state"], d["tries"]) for d in exported(plant, "deliveries")}
    assert (found["bad"], found["nothing"], found["d1"]) == (("unreadable", 1), ("ignored", 1), ("applied", 1))
    (bad,) = [d for d in exported(plant, "deliveries") if d["key"] == "bad"]
    assert bad["reason"].startswith("the body is not JSON")


def test_filters(plant: Plant) -> None:
    assert {r["ticket"] for r in exported(plant, "clocks", ticket="é", connection="crm")} == {"é"}
    other = plant.connect("other", "generic")
    assert exported(plant, "clocks", connection="other") == []
    assert other
    with pytest.raises(ConfigurationError, match="no connection 'nowhere'"):
        exported(plant, "clocks", connection="nowhere")
    with pytest.raises(ConfigurationError, match="belong to no single ticket"):
        exported(plant, "deliveries", ticket="a")


def test_calls_and_commands_show_what_failed(plant: Plant) -> None:
    assert {(c["state"], c["status"], c["reason"]) for c in exported(plant, "calls")} == {("failed", 403, "crm: does not allow that (403)")}
    assert {c["state"] for c in exported(plant, "commands")} == {"failed"}


def test_rows_are_read_as_they_are_asked_for(plant: Plant) -> None:
    with plant.database.reading(plant.tenant) as tx:
        rows = export_rows(tx, plant.tenant, "events")
        first = next(rows)
        assert first["ticket"] == "10"  # by code point
        assert sum(1 for _ in rows) == len(exported(plant, "events")) - 1


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (None, None),
        (0, "1970-01-01T00:00:00Z"),
        (1_763_280_000 * SECOND, "2025-11-16T08:00:00Z"),
        (1_763_280_000 * SECOND + 1, "2025-11-16T08:00:00.000001Z"),
        (1_763_280_000 * SECOND + 120_000, "2025-11-16T08:00:00.120000Z"),
        (-MINUTE, "1969-12-31T23:59:00Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_instants(at: int | None, text: str | None) -> None:
    assert instant_text(at) == text
