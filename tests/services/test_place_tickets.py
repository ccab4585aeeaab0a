"""Where tickets stand in lists: what an evaluation writes is what the stored clocks say; what an older version left is worked out."""

import pytest
from sqlalchemy import text

from sla_plugin.services.place_tickets import check_places, place_tickets
from sla_plugin.store.tickets import ON_HOLD
from tests.owner import as_owner
from tests.web.conftest import World, page_settings
from tests.web.world import NOW, full_world


@pytest.fixture
def placed(database_url: str, tmp_path: object) -> World:
    """The company in the middle of its day."""
    return full_world(page_settings(database_url, tmp_path))  # type: ignore[arg-type]


def places(world: World) -> dict[str, tuple[str | None, int | None]]:
    """Number -> (standing, place)."""
    return {row["external_id"]: (row["standing"], row["place"]) for row in world.rows("ticket")}


def words(world: World) -> set[tuple[str, int]]:
    with world.runtime.database.reading(world.tenant) as tx:
        return {tuple(row) for row in tx.execute(text("SELECT word, ticket_id FROM ticket_word"))}


def test_places_follow_the_clocks(placed: World) -> None:
    standings = {number: standing for number, (standing, _) in places(placed).items()}
    assert standings == {"4812": "breached", "4820": "critical", "4821": "warning", "4822": "running", "4830": "on_hold", "4831": "done"}
    order = [number for number, _ in sorted(places(placed).items(), key=lambda item: item[1][1] or 0)]
    assert order == ["4812", "4820", "4821", "4822", "4830", "4831"], "by due instant, then on hold, then done"
    assert places(placed)["4830"][1] == ON_HOLD
    with placed.runtime.database.transaction(placed.tenant) as tx:
        before = places(placed)
        assert place_tickets(tx, placed.tenant, 100) == 0
        assert check_places(tx, placed.tenant, 0, 100) == -1
    assert places(placed) == before
    placed.runtime.database.engine.dispose()


def test_what_an_older_version_wrote_is_placed(placed: World) -> None:
    """It knows neither place nor words: its new tickets have none, and those it changed stand where they stood."""
    right, found = places(placed), words(placed)
    with as_owner(placed.runtime.database.engine) as connection:
        connection.execute(text("UPDATE ticket SET standing = NULL, place = NULL WHERE external_id IN ('4812', '4820')"))
        connection.execute(text("UPDATE ticket SET standing = 'running', place = 5 WHERE external_id = '4831'"))
        connection.execute(text("DELETE FROM ticket_word WHERE ticket_id IN (SELECT id FROM ticket WHERE external_id IN ('4812', '4820'))"))
    database, tenant = placed.runtime.database, placed.tenant
    with database.transaction(tenant) as tx:
        assert place_tickets(tx, tenant, 1) == 1
        assert place_tickets(tx, tenant, 100) == 1
        assert place_tickets(tx, tenant, 100) == 0
    with database.transaction(tenant) as tx:
        last, looks = 0, 0
        while last >= 0:
            last, looks = check_places(tx, tenant, last, 2), looks + 1
        assert looks == 4
    assert places(placed) == right
    assert words(placed) == found
    database.engine.dispose()


def test_a_place_moves_with_time_alone(placed: World) -> None:
    placed.pass_time(NOW + 3_600_000_000)
    assert places(placed)["4820"][0] == "breached"
    with placed.runtime.database.transaction(placed.tenant) as tx:
        before = places(placed)
        check_places(tx, placed.tenant, 0, 100)
    assert places(placed) == before, "what the evaluation wrote is what the stored clocks say"
    placed.runtime.database.engine.dispose()


def test_alerts_end_with_their_clocks(placed: World) -> None:
    alerts = [(a["external_id"], a["metric"], a["level"], a["surpassed"], a["resolved_at"] is not None) for a in placed.rows("alert")]
    mine = {a[2]: a[3:] for a in alerts if a[:2] == ("4812", "resolution")}
    assert mine == {"warning": (True, False), "critical": (True, False), "breach": (False, False)}, "one stands for its clock: the highest"
    placed.deliver(
        "2026-11-04T13:31:00",
        [
            {
                "type": "ticket.updated",
                "id": "end",
                "ticket": "4812",
                "occurred_at": "2026-11-04T13:31:00Z",
                "actor": {"id": "a-7", "role": "agent"},
                "changes": {"status": {"from": "open", "to": "solved"}},
            }
        ],
    )
    ended = [a for a in placed.rows("alert") if (a["external_id"], a["metric"]) == ("4812", "resolution")]
    assert all(a["resolved_at"] for a in ended)
    placed.deliver(
        "2026-11-04T13:31:30",
        [
            {
                "type": "ticket.updated",
                "id": "again",
                "ticket": "4812",
                "occurred_at": "2026-11-04T13:31:30Z",
                "actor": {"id": "u-1", "role": "customer"},
                "changes": {"status": {"from": "solved", "to": "open"}},
            }
        ],
    )
    again = [a for a in placed.rows("alert") if (a["external_id"], a["metric"]) == ("4812", "resolution")]
    assert not any(a["resolved_at"] for a in again), "the clock goes on, and so does its alert"
    placed.runtime.database.engine.dispose()
