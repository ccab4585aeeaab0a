"""Drafts are each person's own; a plan says what one would do, at once or in chunks that may be worked out twice; applying it is exact about what is newest."""

from collections.abc import Iterator
from typing import Any

import pytest

from sla_plugin.errors import InvalidDefinition, Overtaken, PlanOutdated
from sla_plugin.services.apply_plan import apply_plan, progress_of
from sla_plugin.services.apply_policy_file import apply_policy_file, read_policy_file
from sla_plugin.services.make_plan import FRESH, begin, is_fresh, next_step, store_plan, stored_moves, work_out, write_step
from sla_plugin.services.order_policies import move, positions_for
from sla_plugin.services.save_draft import Author, discard_draft, overtaken_by, rebase_draft, save_draft
from sla_plugin.settings import Settings
from sla_plugin.store.drafts import DraftRow, get_draft
from sla_plugin.store.plans import PlanRow, get_plan
from sla_plugin.store.policies import calendar_ids, policy_ids
from tests.plant import MINUTE, OFFICE, Plant, instant
from tests.services.test_plan_change import GOLD, NIGHT, created

KIM, ANA = Author(1, "Kim"), Author(2, "Ana")


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    made = Plant(settings)  # it is 2026-11-16T09:00
    put(made, GOLD)
    yield made
    made.close()


def put(plant: Plant, text: str) -> None:
    with plant.database.transaction(plant.tenant) as tx:
        apply_policy_file(tx, plant.tenant, read_policy_file(text), plant.now, "somebody")


def gold(**more: Any) -> dict[str, Any]:
    return {**read_policy_file(GOLD).policies["Gold"], **more}


TIGHT = {"targets": {"first_response": "1h", "resolution": "2h"}}


def draft(plant: Plant, definition: dict[str, Any], *, name: str = "Gold", author: Author = KIM, base: int = 1, seen: int = 0, new: bool = False) -> DraftRow:
    with plant.database.transaction(plant.tenant) as tx:
        owner = None if new else policy_ids(tx, plant.tenant)[name]
        return save_draft(tx, plant.tenant, "policy", owner, name, definition, base=base, seen=seen, author=author, now=plant.now)


def plan(plant: Plant, made: DraftRow) -> PlanRow:
    with plant.database.reading(plant.tenant) as tx:
        worked = work_out(tx, plant.tenant, made, plant.now, plant.outside)
    with plant.database.transaction(plant.tenant) as tx:
        stored = get_plan(tx, plant.tenant, store_plan(tx, plant.tenant, made, worked))
    assert stored is not None
    return stored


def apply(plant: Plant, made: DraftRow, planned: PlanRow, by: str = "Kim", **how: Any) -> int | None:
    with plant.database.transaction(plant.tenant) as tx:
        return apply_plan(tx, plant.tenant, made, planned, plant.now, by, **how).revision


def reread(plant: Plant, planned: PlanRow) -> PlanRow:
    with plant.database.reading(plant.tenant) as tx:
        found = get_plan(tx, plant.tenant, planned.id)
    assert found is not None
    return found


# --- drafts ------------------------------------------------------------------------------------------------------------
def test_each_person_has_a_draft_and_a_second_window_is_noticed(plant: Plant) -> None:
    first, other = draft(plant, gold(**TIGHT)), draft(plant, gold(warning=70), author=ANA)
    assert (first.id != other.id, first.edition) == (True, 1)
    again = draft(plant, gold(warning=60), seen=1)
    assert (again.id, again.edition, again.definition["warning"]) == (first.id, 2, 60)
    with pytest.raises(Overtaken):
        draft(plant, gold(warning=50), seen=1)
    assert [(d["person_id"], d["definition"]["warning"]) for d in plant.rows("draft")] == [(1, 60), (2, 70)]


def test_what_was_applied_meanwhile_is_seen_and_either_text_can_be_kept(plant: Plant) -> None:
    mine = draft(plant, gold(**TIGHT))
    planned = plan(plant, mine)
    plant.now += MINUTE
    put(plant, GOLD.replace("resolution: 8h", "resolution: 6h"))
    with plant.database.reading(plant.tenant) as tx:
        newer = overtaken_by(tx, plant.tenant, mine)
    assert newer is not None
    assert (newer.number, newer.made_by, newer.at) == (2, "somebody", plant.now)
    with pytest.raises(Overtaken) as told:
        apply(plant, mine, planned)
    assert (told.value.what, told.value.by) == ("version 2", "somebody")
    assert len(plant.rows("draft")) == 1
    with plant.database.transaction(plant.tenant) as tx:
        rebase_draft(tx, plant.tenant, mine, plant.now)
        tx.expire_all()
        mine = get_draft(tx, plant.tenant, mine.id) or mine
    assert apply(plant, mine, plan(plant, mine)) == 3
    assert [v["definition"]["targets"]["resolution"] for v in plant.rows("policy_version") if v["definition"]["name"] == "Gold"] == ["8h", "6h", "2h"]


def test_of_two_who_apply_at_once_the_second_is_told(plant: Plant) -> None:
    mine, theirs = draft(plant, gold(**TIGHT)), draft(plant, gold(warning=70), author=ANA)
    my_plan, their_plan = plan(plant, mine), plan(plant, theirs)
    assert apply(plant, theirs, their_plan, "Ana") == 2
    with pytest.raises(Overtaken):
        apply(plant, mine, my_plan)


def test_another_policy_that_changed_makes_a_plan_outdated(plant: Plant) -> None:
    mine = draft(plant, gold(**TIGHT))
    planned = plan(plant, mine)
    put(plant, GOLD.replace("16h", "15h"))
    with pytest.raises(PlanOutdated):
        apply(plant, mine, planned)
    assert apply(plant, mine, plan(plant, mine)) == 3


@pytest.mark.parametrize(("later", "fresh"), [(0, True), (FRESH, True), (FRESH + 1, False)])
def test_a_plan_is_good_for_ten_minutes(plant: Plant, later: int, fresh: bool) -> None:
    mine = draft(plant, gold(**TIGHT))
    planned = plan(plant, mine)
    plant.now += later
    with plant.database.reading(plant.tenant) as tx:
        assert is_fresh(tx, plant.tenant, planned, mine, plant.now) is fresh
    if not fresh:
        with pytest.raises(PlanOutdated):
            apply(plant, mine, planned)


def test_a_new_policy_takes_the_id_of_its_draft(plant: Plant) -> None:
    mine = draft(plant, {"name": "New", "targets": {"resolution": "1h"}, "position": 5}, name="New", base=0, new=True)
    assert apply(plant, mine, plan(plant, mine)) == 2
    assert {p["name"]: p["id"] for p in plant.rows("policy")}["New"] == mine.object_id
    assert plant.rows("draft") == []


def test_a_name_that_is_taken_meanwhile_is_refused(plant: Plant) -> None:
    mine = draft(plant, {"name": "New", "targets": {"resolution": "1h"}}, name="New", base=0, new=True)
    put(plant, "policies: [{name: New, active: false, targets: {resolution: 1h}}]")
    with pytest.raises(InvalidDefinition) as refused:
        plan(plant, mine)
    assert refused.value.field == "name"


def test_discarded_nothing_of_it_is_left(plant: Plant) -> None:
    mine = draft(plant, gold(**TIGHT))
    plan(plant, mine)
    with plant.database.transaction(plant.tenant) as tx:
        discard_draft(tx, plant.tenant, mine)
    assert (plant.rows("draft"), plant.rows("plan"), plant.rows("plan_part")) == ([], [], [])


# --- the path ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("quiet", [False, True], ids=["announced", "recorded only"])
def test_a_deadline_moves_as_planned_and_the_alert_is_raised_or_not(plant: Plant, quiet: bool) -> None:
    plant.tell(created("G", "09:00", "gold"), created("R"))
    plant.now = instant("2026-11-16T11:30")
    plant.keep()
    before = len(plant.rows("alert"))
    mine = draft(plant, gold(**TIGHT))
    planned = plan(plant, mine)
    assert (planned.counts["earlier"], planned.counts["breached"], planned.counts["alerts"]) == (1, 1, 1)
    (told,) = planned.worst
    assert (told["ticket"], told["then"][1]) == ("G", instant("2026-11-16T11:00"))
    apply(plant, mine, planned, quiet=quiet)
    done = reread(plant, planned)
    with plant.database.reading(plant.tenant) as tx:
        assert progress_of(tx, plant.tenant, done).followed == 0
    plant.keep()
    with plant.database.reading(plant.tenant) as tx:
        assert progress_of(tx, plant.tenant, done).done
    (clock,) = [c for c in plant.rows("clock") if c["metric"] == "resolution" and c["breached_at"]]
    assert (clock["deadline_at"], clock["breached_at"]) == (instant("2026-11-16T11:00"), plant.now)
    assert {a["level"] for a in plant.rows("alert")[before:]} == (set() if quiet else {"warning", "critical", "breach"})
    (entry,) = [e for e in plant.rows("audit_entry") if e["what"] == "policies changed" and e["actor"] == "Kim"]
    assert entry["changes"].get("announced", True) is not quiet


def test_a_calendar_goes_the_same_way(plant: Plant) -> None:
    put(plant, GOLD.replace("    targets: {first", "    calendar: Night\n    targets: {first") + NIGHT)
    plant.tell(created("G", "09:00", "gold"))
    with plant.database.transaction(plant.tenant) as tx:
        owner = calendar_ids(tx, plant.tenant)["Night"]
        mine = save_draft(tx, plant.tenant, "calendar", owner, "Night", OFFICE, base=1, seen=0, author=KIM, now=plant.now)
    planned = plan(plant, mine)
    assert planned.counts["earlier"] == 2
    assert apply(plant, mine, planned) == 3


# --- large ones --------------------------------------------------------------------------------------------------------
def test_a_large_plan_is_worked_out_in_chunks_each_of_which_counts_once(plant: Plant) -> None:
    plant.tell(*(created(f"G{n}", "09:00", "gold") for n in range(5)))
    mine = draft(plant, gold(**TIGHT))
    small = plan(plant, mine)
    with plant.database.transaction(plant.tenant) as tx:
        number = store_plan(tx, plant.tenant, mine, begin(tx, plant.tenant, mine, plant.now))
    taken = []
    for _ in range(10):
        with plant.database.reading(plant.tenant) as tx:
            step = next_step(tx, plant.tenant, number, plant.now, plant.outside, 2)
        if step is None:
            break
        with plant.database.transaction(plant.tenant) as tx:
            taken.append((write_step(tx, plant.tenant, step), write_step(tx, plant.tenant, step)))
    assert taken == [(True, False)] * 4  # three chunks, and the word that there are no more
    with plant.database.reading(plant.tenant) as tx:
        large = get_plan(tx, plant.tenant, number)
        assert large is not None
        assert (large.state, large.counts, large.clocks, large.promises, large.total) == ("ready", small.counts, small.clocks, 5, 5)
        assert sorted(m.ticket for m in stored_moves(tx, plant.tenant, large)) == [f"G{n}" for n in range(5)]
        assert large.worst == small.worst


def test_books_that_change_meanwhile_begin_it_anew(plant: Plant) -> None:
    plant.tell(*(created(f"G{n}", "09:00", "gold") for n in range(3)))
    mine = draft(plant, gold(**TIGHT))
    with plant.database.transaction(plant.tenant) as tx:
        number = store_plan(tx, plant.tenant, mine, begin(tx, plant.tenant, mine, plant.now))
    work(plant, number, 1)
    put(plant, GOLD.replace("16h", "15h"))
    plant.now += MINUTE
    work(plant, number, 9)
    with plant.database.reading(plant.tenant) as tx:
        done = get_plan(tx, plant.tenant, number)
        assert done is not None
        assert (done.state, done.revision, done.as_of, done.promises, done.counts["earlier"]) == ("ready", 2, plant.now, 3, 3)
        assert len(list(stored_moves(tx, plant.tenant, done))) == 3


def work(plant: Plant, number: int, steps: int) -> None:
    for _ in range(steps):
        with plant.database.reading(plant.tenant) as tx:
            step = next_step(tx, plant.tenant, number, plant.now, plant.outside, 1)
        if step is not None:
            with plant.database.transaction(plant.tenant) as tx:
                write_step(tx, plant.tenant, step)


# --- the order ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("positions", "order", "changed"),
    [
        ({"a": 10, "b": 20, "c": 30}, "abc", {}),
        ({"a": 10, "b": 20, "c": 30}, "bac", {"a": 25}),
        ({"a": 10, "b": 20, "c": 30}, "cab", {"c": 0}),
        ({"a": 10, "b": 20, "c": 30}, "bca", {"a": 40}),
        ({"a": 1, "b": 2, "c": 3}, "acb", {"b": 13}),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, "adbc", {"a": 10, "d": 20, "b": 30, "c": 40}),
        ({"a": 100, "b": 100, "c": 100}, "abc", {}),
        ({"a": 100, "b": 100, "c": 100}, "cab", {"c": 90}),
        ({"a": 10, "b": 20}, "xba", {"a": 30}),
    ],
)
def test_an_order_changes_as_few_positions_as_will_do(positions: dict[str, int], order: str, changed: dict[str, int]) -> None:
    told = positions_for(list(order), {name: {"position": position} for name, position in positions.items()})
    after = {**positions, **told}
    assert sorted(after, key=lambda n: (after[n], n)) == [n for n in order if n in positions]
    assert told == changed


@pytest.mark.parametrize(("name", "to", "order"), [("a", 3, "bca"), ("c", 1, "cab"), ("b", 2, "abc"), ("a", 99, "bca"), ("c", -5, "cab")])
def test_moving_one(name: str, to: int, order: str) -> None:
    assert "".join(move("abc", name, to)) == order


def test_another_order_is_planned_and_applied(plant: Plant) -> None:
    put(plant, "policies: [{name: VIP, position: 2, applies_to: {field: tags, contains: gold}, targets: {resolution: 1h}}]")
    plant.tell(created("G", "09:00", "gold"))
    definition = {"order": ["VIP", "Gold"], "was": ["Gold", "VIP"]}
    with plant.database.transaction(plant.tenant) as tx:
        mine = save_draft(tx, plant.tenant, "order", 0, "", definition, base=1, seen=0, author=KIM, now=plant.now)
    planned = plan(plant, mine)
    assert (planned.counts["earlier"], planned.counts["stops"]) == (1, 1)
    apply(plant, mine, planned)
    plant.keep()
    assert {c["metric"]: c["target"] // MINUTE for c in plant.rows("clock") if c["phase"] == "running"} == {"resolution": 60}
