"""Policy files: everything is checked first, only what changed becomes a version, and every refusal names its place."""

from collections.abc import Iterator
from typing import Any

import pytest

from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.apply_policy_file import Change, apply_policy_file, read_policy_file, read_stored
from sla_plugin.services.explain_ticket import choose_ticket, explain_ticket
from sla_plugin.services.read_books import read_books
from sla_plugin.settings import Settings
from tests.plant import Plant, instant

FILE = """
# what Gold customers were promised
calendars:
  Support:
    time_zone: Europe/Berlin
    hours: {mon: ["09:00-17:00"]}
    holidays: [2026-12-25]       # YAML reads a date
policies:
  - name: Gold
    position: 1
    applies_to: {field: tags, contains: gold}
    calendar: Support
    targets: {first_response: {P0: 15m, urgent: 15m}, resolution: 8h}
  - name: Rest
    default: true
    targets: {resolution: {target: 2d, counts: calendar}}
"""


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    made = Plant(settings)
    yield made
    made.close()


def put(plant: Plant, text: str) -> Change:
    with plant.database.transaction(plant.tenant) as tx:
        return apply_policy_file(tx, plant.tenant, read_policy_file(text), plant.now, "test")


def test_only_what_changed_becomes_a_version(plant: Plant) -> None:
    first = put(plant, FILE)
    assert (first.calendars, first.policies, first.revision, first.warnings) == ({"Support": 1}, {"Gold": 1, "Rest": 1}, 1, [])
    same = put(plant, FILE.replace('"09:00-17:00"', '["09:00", "17:00"]'))
    assert (same.revision, same.policies) == (None, {})
    assert same.unchanged == ["calendar Support", "policy Gold", "policy Rest"]
    plant.now += 1
    changed = put(plant, FILE.replace("resolution: 8h", "resolution: 7h"))
    assert (changed.calendars, changed.policies, changed.revision) == ({}, {"Gold": 2}, 2)
    with plant.database.reading(plant.tenant) as tx:
        books = read_books(tx, plant.tenant)
    assert [[(t.policy.name, t.policy_version) for t in book.terms] for book in books] == [[("Gold", 1), ("Rest", 1)], [("Gold", 2), ("Rest", 1)]]
    assert [e["changes"]["revision"] for e in plant.rows("audit_entry") if e["what"] == "policies changed"] == [1, 2]


def test_a_policy_may_use_a_calendar_that_is_stored(plant: Plant) -> None:
    put(plant, FILE)
    added = put(plant, "policies: [{name: Silver, position: 2, applies_to: {field: tags, contains: silver}, calendar: Support, targets: {resolution: 9h}}]")
    assert added.policies == {"Silver": 1}


def test_revisions_come_into_force_in_their_order_whatever_the_clock_says(plant: Plant) -> None:
    put(plant, FILE)
    plant.now -= 5_000_000
    put(plant, FILE.replace("8h", "7h"))
    with plant.database.reading(plant.tenant) as tx:
        assert [b.revision for b in sorted(read_books(tx, plant.tenant), key=lambda b: b.since)] == [1, 2]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "file"),
        ("- 1", "file"),
        ("policies: [", "line 1"),
        ("policies:\n - name: A\n   name: B", "line 3"),
        ("rules: {}", "rules"),
        ("policies: {name: A}", "policies"),
        ("policies: [{name: A, targets: {resolution: 5}}]", "policies[0].targets.resolution"),
        ("policies: [{name: A, targets: {resolution: 1h}}, {name: A, targets: {resolution: 1h}}]", "policies[1].name"),
        ("policies: [{name: A, targets: {resolution: 1h}, on_breach: [comment_breach, shout]}]", "policies[0].on_breach[1]"),
        ("policies: [{name: A, calendar: Nowhere, targets: {resolution: 1h}}]", "policies[0].calendar"),
        ("calendars: {24x7: {time_zone: UTC, hours: 24x7}}", "calendars.24x7"),
        ('calendars: {A: {time_zone: UTC, hours: {mon: ["9-17"]}}}', "calendars.A.hours.mon[0]"),
        ("calendars: {A: {time_zone: UTC, hours: {}}}", "calendars.A.hours"),
    ],
)
def test_refusals_name_their_place_and_change_nothing(plant: Plant, text: str, place: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        put(plant, text)
    assert refused.value.field == place
    with plant.database.reading(plant.tenant) as tx:
        assert (read_stored(tx, plant.tenant).policies, plant.rows("calendar")) == ({}, [])


def test_one_bad_policy_stops_the_good_ones(plant: Plant) -> None:
    with pytest.raises(InvalidDefinition, match=r"policies\[2\]"):
        put(plant, FILE + "  - {name: Bad, calendar: Nowhere, targets: {resolution: 1h}}")
    assert plant.rows("policy") == []


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "policies: [{name: A, targets: {resolution: 1h}}, {name: B, position: 200, targets: {resolution: 1h}}]",
            "policy 'B' never applies: 'A' is tried before it",
        ),
        ("policies: [{name: A, targets: {resolution: 1h}}, {name: D, default: true, position: 1, targets: {resolution: 1h}}]", "policy 'D' never applies: 'A'"),
        ("policies: [{name: A, applies_to: {field: tags, contains: x}, targets: {resolution: 1h}}]", "promised nothing"),
    ],
    ids=["behind one that takes all", "default comes last", "nothing for the rest"],
)
def test_warnings(plant: Plant, text: str, warning: str) -> None:
    change = put(plant, text)
    assert len(change.warnings) == 1
    assert warning in change.warnings[0]


# --- a customer's calendar beside ours -------------------------------------------------------------------------------
COVER = """
calendars:
  Ours: {time_zone: UTC, hours: {mon: ["09:00-17:00"], tue: ["09:00-17:00"]}}
  Theirs: {time_zone: UTC, hours: {mon: ["12:00-20:00"], tue: ["07:00-10:00"]}, holidays: [{date: 2026-11-17, name: Their day}]}
policies:
  - name: Gold
    calendar: {cover: [Ours, Theirs]}
    targets: {resolution: 6h}
"""


def told_of(plant: Plant, ticket: str) -> dict[str, Any]:
    with plant.database.reading(plant.tenant) as tx:
        (clock,) = explain_ticket(tx, plant.tenant, *choose_ticket(tx, plant.tenant, ticket, None), plant.now, plant.outside)["clocks"]
    return clock


def test_time_counts_while_both_calendars_are_open(plant: Plant) -> None:
    put(plant, COVER)
    plant.tell({"type": "ticket.created", "id": "e1", "ticket": "T", "occurred_at": "2026-11-16T09:00:00Z", "values": {"status": "open"}})
    plant.now = instant("2026-11-18T00:00")
    clock = told_of(plant, "T")
    # Monday 12 to 17; their Tuesday is a holiday; the sixth hour ends the Monday after at 13
    assert (clock["elapsed"], clock["deadline_at"]) == (5 * 3600, instant("2026-11-23T13:00"))
    assert clock["calendar"] == {"name": "Ours", "version": 1, "beside": {"name": "Theirs", "version": 1}}
    assert ("holiday", "Their day") in {(row["state"], row["name"]) for row in clock["ledger"]}


def test_a_new_version_of_either_calendar_counts_from_then_on(plant: Plant) -> None:
    put(plant, COVER)
    plant.tell({"type": "ticket.created", "id": "e1", "ticket": "T", "occurred_at": "2026-11-16T09:00:00Z", "values": {"status": "open"}})
    plant.now = instant("2026-11-16T13:00")
    put(plant, "calendars: {Theirs: {time_zone: UTC, hours: 24x7}}")
    plant.keep()
    clock = told_of(plant, "T")
    assert clock["deadline_at"] == instant("2026-11-17T10:00")  # an hour by the first version, four and one by ours alone
    assert clock["calendar"]["beside"] == {"name": "Theirs", "version": 2}
    (stored,) = plant.rows("clock")
    assert (stored["deadline_at"], stored["calendar_version"]) == (clock["deadline_at"], 1)


@pytest.mark.parametrize(
    ("calendar", "place", "said"),
    [
        ("{cover: [Ours]}", "policies[0].calendar", "two that must both be open"),
        ("{cover: [Ours, Theirs, Ours]}", "policies[0].calendar", "two that must both be open"),
        ("{cover: Ours}", "policies[0].calendar", "two that must both be open"),
        ("{both: [Ours, Theirs]}", "policies[0].calendar", "two that must both be open"),
        ("{cover: [Ours, Ours]}", "policies[0].calendar.cover", "write 'Ours' alone"),
        ("{cover: [24x7, Theirs]}", "policies[0].calendar.cover", "write 'Theirs' alone"),
        ("{cover: [Ours, Their]}", "policies[0].calendar", "'Their', which does not exist"),
        ("{cover: [Ours, Nights]}", "policies[0].calendar.cover", "never open at the same time"),
    ],
    ids=["one", "three", "no list", "another word", "the same", "24x7", "unknown", "never both"],
)
def test_covers_that_cannot_work_are_refused(plant: Plant, calendar: str, place: str, said: str) -> None:
    nights = '  Nights: {time_zone: UTC, hours: {sat: ["09:00-17:00"]}}\npolicies:'
    with pytest.raises(InvalidDefinition) as refused:
        put(plant, COVER.replace("{cover: [Ours, Theirs]}", calendar).replace("policies:", nights))
    assert refused.value.field == place
    assert said in refused.value.problem


def test_a_calendar_cannot_be_changed_so_that_a_cover_is_never_open(plant: Plant) -> None:
    put(plant, COVER)
    with pytest.raises(InvalidDefinition, match="never open at the same time"):
        put(plant, 'calendars: {Theirs: {time_zone: UTC, hours: {sun: ["09:00-17:00"]}}}')
