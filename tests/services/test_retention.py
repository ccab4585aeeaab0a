"""Nothing is kept longer than the tenant says, and nothing goes that a figure, an open promise or an explanation needs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from sla_plugin.reports.audit_trail import verify_audit
from sla_plugin.services.explain_ticket import choose_ticket, explain_ticket
from sla_plugin.services.keep_retention import DAY, Share, keep_retention, would_go
from sla_plugin.services.tenant_settings import change_settings
from sla_plugin.settings import Settings
from sla_plugin.store.bulk import with_keys
from sla_plugin.store.credentials import Session
from sla_plugin.store.personal_reads import note_reads
from sla_plugin.store.retention import PARTS
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
    return [entry["changes"] for entry in plant.rows("audit_entry") if entry["what"] == what and entry["salt"]]


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


def test_a_condition_that_read_a_text_keeps_its_policy(settings: Settings) -> None:
    plant = Plant(settings)
    plant.policy(name="Payslips", position=1, applies_to={"field": "subject", "contains": "payslips"}, targets={"resolution": "2h"})
    plant.policy(name="Rest", default=True, targets={"resolution": "8h"})
    ticket(plant, "T0")
    plant.pass_time(plant.now + 6 * DAY)
    plant.now += DAY
    before = explained(plant, "T0")
    assert before["clocks"][0]["policy"]["name"] == "Payslips"
    keep(plant, texts="1")
    assert WORDS not in json.dumps([plant.rows("event"), plant.rows("ticket"), plant.rows("promise")])
    assert explained(plant, "T0") == before
    assert [(a["removed"], a["kept"]) for a in audit(plant)] == [(1, 0)]
    plant.close()


def test_what_comes_late_is_stripped_again(plant: Plant) -> None:
    plant.now += 40 * DAY
    keep(plant, tickets="30")
    mirror = next(t for t in plant.rows("ticket") if t["external_id"] == "T0")
    assert (mirror["subject"], mirror["requester"], mirror["fields"]) == ("", None, {})
    plant.tell(told(plant, "ticket.updated", "T0", values={"subject": WORDS, "requester": "u-1"}))
    assert next(t for t in plant.rows("ticket") if t["external_id"] == "T0")["requester"] == "u-1"
    plant.now += 40 * DAY
    sweep(plant)
    mirror = next(t for t in plant.rows("ticket") if t["external_id"] == "T0")
    assert (mirror["subject"], mirror["requester"]) == ("", None)


def test_rows_of_every_kind_go_when_they_are_old(plant: Plant) -> None:
    with plant.database.transaction(plant.tenant) as tx:
        old = {"begun_at": 0, "seen_at": 0, "source": "192.0.2.1", "browser": "b", "tenant_id": plant.tenant}
        tx.execute(insert(Session), [{**old, "id": n, "person_id": 1, "expires_at": plant.now + n * DAY} for n in (1, 200)])
        note_reads(tx, plant.tenant, [("Kim", "ticket", "1", [plant.now]), ("Kim", "ticket", "1", [plant.now + 390 * DAY])])
    plant.deliver(body=b"unreadable")
    plant.apply()
    records, events, number = plant.rows("record"), plant.rows("event"), len(plant.rows("audit_entry"))
    plant.now += 100 * DAY
    with plant.database.reading(plant.tenant) as tx:
        counts = would_go(tx, plant.tenant, plant.now, RAW_DAYS)
    assert counts == {"bodies": 14, "sessions": 1, "reads": 0}, "what is kept for ever is not counted"
    keep(plant, deliveries="60", audit="60")
    assert [s["id"] for s in plant.rows("session")] == [200]
    assert [(d["state"], d["body"]) for d in plant.rows("delivery")] == [("unreadable", b"unreadable")], "what may still be read again is kept"
    assert (plant.rows("record"), plant.rows("event")) == (records, events)
    entries = plant.rows("audit_entry")
    assert sum(not entry["salt"] for entry in entries) == number
    with plant.database.reading(plant.tenant) as tx:
        verdict = verify_audit(tx, plant.tenant)
    assert (verdict.problem, verdict.erased) == (None, number)
    assert {a["kind"]: a["removed"] for a in audit(plant)} == {"bodies": 14, "deliveries": 14, "sessions": 1, "audit": number}
    assert explained(plant, "T0")["clocks"]
    plant.now += 300 * DAY
    sweep(plant)
    assert {a["kind"]: a["removed"] for a in audit(plant)}["reads"] == 1


def test_a_tenant_never_keeps_bodies_longer_than_the_installation(plant: Plant) -> None:
    plant.now += 31 * DAY
    keep(plant, bodies="300")
    assert [d["body"] for d in plant.rows("delivery")] == [None] * 14


def test_every_sweep_walks_an_index(plant: Plant) -> None:
    wrong = []
    with plant.database.reading(plant.tenant) as tx:
        if tx.is_postgres:
            tx.execute(text("SET LOCAL enable_seqscan = off"))
        for kind, parts in PARTS.items():
            for part in parts:
                key = list(part.table.primary_key.columns)
                some = [tuple(n if column.type.python_type is int else str(n) for column in key) for n in range(3)]
                for fits in (part.conditions(plant.tenant, plant.now), [with_keys(key, some)]):
                    query = select(text("1")).select_from(part.table).where(*fits).limit(10)
                    compiled = query.compile(tx.get_bind(), compile_kwargs={"literal_binds": True})
                    explain = "EXPLAIN" if tx.is_postgres else "EXPLAIN QUERY PLAN"
                    plan = " | ".join(str(tuple(row)) for row in tx.execute(text(f"{explain} {compiled}")))
                    name = part.table.name
                    scans = f"Seq Scan on {name}" in plan if tx.is_postgres else f"SCAN {name}" in plan
                    if name != "one_time_link" and scans:  # one a person
                        wrong.append((kind, plan))
    assert wrong == []
