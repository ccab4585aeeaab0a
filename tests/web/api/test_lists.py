"""Lists: by page, after a key, over a period, sorted; what is not offered is refused by name."""

from typing import Any

import pytest
from sqlalchemy import event, literal, select

from sla_plugin.reports.listing import MOST, Key, list_rows
from sla_plugin.store.audit import AuditEntry, append_audit
from tests.web.conftest import Program, program_of
from tests.web.world import NOW, World

DAY = 86_400_000_000


def with_entries(world: World, count: int) -> Program:
    """A program, in a tenant with so many entries, an hour apart; the newest is as old as now."""
    with world.runtime.database.transaction(world.tenant) as tx:
        for number in range(count):
            append_audit(tx, world.tenant, NOW - (count - 1 - number) * DAY // 24, "Kim", f"thing {number % 3}", {"n": number})
    return program_of(world)


def numbers(page: object) -> list[int]:
    return [entry["number"] for entry in page["items"]]  # type: ignore[index]


def test_a_long_list_is_followed_to_its_end(small_world: World) -> None:
    program = with_entries(small_world, 24)
    first = program.get("/audit?limit=10&days=2")
    assert (numbers(first), first["total"], first["total_is_capped"], first["page"]) == (list(range(25, 15, -1)), 25, False, 1)
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        append_audit(tx, small_world.tenant, NOW, "Kim", "meanwhile", {})
    second = program.get(first["next"])
    assert (numbers(second), second["page"]) == (list(range(15, 5, -1)), None), "what comes meanwhile shifts nothing"
    third = program.get(second["next"])
    assert (numbers(third), third["next"]) == ([5, 4, 3, 2, 1], None)
    assert numbers(program.get("/audit?limit=10&page=3&sort=at")) == list(range(21, 27))


def test_a_place_is_one_of_this_list_in_this_order(small_world: World) -> None:
    program = with_entries(small_world, 5)
    place = program.get("/audit?limit=2")["next"]
    for wrong in (
        place.replace("limit=2", "limit=2&sort=at"),
        "/audit?after=x",
        "/audit?after=é",
        f"/audit?after={'W10' * 999}",
        "/audit?after=WyItbnVtYmVyIiwxZTQwMF0",
    ):
        assert program.get(wrong, 422)["errors"][0]["field"] == "after"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("start_date=2026-11-04&end_date=2026-11-04", 15),
        ("start_date=2026-11-03&end_date=2026-11-03", 10),
        ("start_date=2026-11-04T13:32:07Z", 2),
        ("start_date=2026-11-04T14:32:07%2B01:00", 2),
        ("end_date=2026-11-04T12:32:07Z&days=1", 23),
        ("end_date=2026-11-04T12:32:06Z&days=365", 22),
        ("days=1", 25),
        ("", 25),
        ("actor=KIM&what=thing+1", 8),
        ("thing=%22n%22%3A+7", 1),
    ],
)  # fmt: skip
def test_periods_and_filters(small_world: World, query: str, count: int) -> None:
    assert with_entries(small_world, 24).get(f"/audit?{query}")["total"] == count


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("start_date=2026-11-05", "start_date"),
        ("start_date=2026-11-03&end_date=2026-11-02", "end_date"),
        ("start_date=2026-11-03&days=3", "days"),
        ("start_date=yesterday", "start_date"),
        ("start_date=2026-02-30", "start_date"),
        ("start_date=2026-11-03T10:00:00", "start_date"),
        ("end_date=0001-01-01", "end_date"),
        ("end_date=9999-12-31T23:59:59Z", "end_date"),
        ("days=0", "days"),
        ("days=x", "days"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=1e2", "limit"),
        ("page=0", "page"),
        ("page=9000&limit=100", "page"),
        ("sort=actor", "sort"),
        ("sort=at,-at", "sort"),
        ("sort=", "sort"),
        ("colour=red", "colour"),
        ("Limit=3", "Limit"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(small_world: World, query: str, field: str) -> None:
    assert [error["field"] for error in program_of(small_world).get(f"/audit?{query}", 422)["errors"]] == [field]


def test_counting_ends(small_world: World) -> None:
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        same = {"actor": "x", "what": "x", "changes": "{}", "salt": "", "digest": "", "previous": "", "chain": ""}
        rows = [{"tenant_id": small_world.tenant, "id": n, "number": n, "at": NOW, **same} for n in range(10, MOST + 12)]
        names = list(rows[0])
        tx.connection().exec_driver_sql(
            f"INSERT INTO audit_entry ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)})", [tuple(row.values()) for row in rows]
        )
    page = program_of(small_world).get("/audit?limit=1&sort=-at")
    assert (page["total"], page["total_is_capped"]) == (MOST, True)


def test_keys_of_both_directions_lose_and_repeat_nothing(small_world: World) -> None:
    with_entries(small_world, 24)
    keys = [Key(AuditEntry.what), Key(AuditEntry.number, descending=True)]
    with small_world.runtime.database.reading(small_world.tenant) as tx:
        query = select(AuditEntry).where(AuditEntry.tenant_id == literal(small_world.tenant))
        found, after = [], None
        while True:
            part = list_rows(tx, query, keys, limit=7, after=after)
            found += [row.AuditEntry.number for row in part.rows]
            after = part.after
            if after is None:
                break
        whole = [row.AuditEntry.number for row in list_rows(tx, query, keys, limit=100).rows]
    assert found == whole
    assert len(set(found)) == 25


@pytest.mark.parametrize("path", ["/audit?limit=2", "/audit?limit=2&sort=at", "/audit?limit=2&days=3&page=2"])
def test_a_page_reads_what_it_shows(small_world: World, path: str) -> None:
    """The plan of every sort that is offered walks an index in its order: nothing is sorted."""
    program = with_entries(small_world, 24)
    told: list[tuple[str, Any]] = []
    engine = small_world.runtime.database.engine
    event.listen(engine, "before_cursor_execute", lambda c, cursor, statement, parameters, *_: told.append((statement, parameters)))
    program.get(path)
    lists = [(statement, parameters) for statement, parameters in told if "ORDER BY audit_entry.at" in statement]
    assert lists
    with engine.connect() as connection:
        for statement, parameters in lists:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            assert "ix_audit_recent" in str(plan)
            assert "TEMP B-TREE FOR ORDER BY" not in str(plan), "only what happened in the same microsecond is sorted"
