"""What differs between two versions, in sentences that a person would say."""

from typing import Any

import pytest

from sla_plugin.services.describe_change import describe_change, describe_file

POLICY: dict[str, Any] = {"name": "Gold", "targets": {"first_response": "1h", "resolution": {"P0": "4h", "P1": "8h"}}}
WEEK = {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
OFFICE: dict[str, Any] = {"time_zone": "Europe/Berlin", "hours": WEEK}


def told(kind: str, before: dict[str, Any] | None, after: dict[str, Any]) -> list[str]:
    return [sentence.replace("\u00a0", " ") for sentence in describe_change(kind, before, after)]


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        ({}, []),
        ({"targets": {"first_response": "1h", "resolution": {"P0": "4h", "P1": "6h"}}}, ["Resolution, High: 8 h → 6 h"]),
        ({"targets": {"first_response": "2h", "resolution": {"P0": "4h", "P1": "8h"}}}, ["First response: 1 h → 2 h"]),
        ({"targets": {"resolution": {"P0": "4h", "P1": "8h"}}}, ["First response: 1 h no longer promised"]),
        ({"targets": {**POLICY["targets"], "agent_work": "5h"}}, ["Agent work: 5 h promised"]),
        (
            {"targets": {"first_response": "1h", "resolution": {"P0": {"target": "2d", "counts": "calendar"}, "P1": "8h", "P2": "9h"}}},
            ["Resolution, Urgent: 4 h → 2 d of calendar time", "Resolution, Normal: 9 h promised"],
        ),
        ({"active": False, "default": True}, ["No longer active.", "Now a default, tried last."]),
        ({"position": 5}, ["Position: 100 → 5"]),
        ({"applies_to": {"field": "priority", "is": "P1"}}, ["Applies to: every ticket → priority is P1"]),
        ({"applies_to": {"all": []}}, []),
        ({"calendar": {"cover": ["A", "B"]}}, ["Calendar: 24x7 → A and B"]),
        ({"warning": 70, "critical": 90}, ["Warning: 80 % → 70 %", "Critical: 95 % → 90 %"]),
        ({"pause_in": []}, ["On hold while: waiting customer → never"]),
        ({"pause_in": ["waiting_customer"], "resolution": {"starts": "creation"}}, []),  # the defaults, said aloud
        (
            {"resolution": {"starts": "assignment", "stops": "closed"}},
            ["Resolution starts at: creation → assignment", "Resolution stops at: resolved → closed"],
        ),
        ({"on_change": "restart"}, ["Open tickets: keep elapsed → restart"]),
        ({"on_breach": []}, ["When it breaks: raise priority, assign unassigned, set in progress, comment breach → nothing"]),
        ({"metrics": {"resolution": {"bots": True}}}, ["Metrics: – → {resolution: {bots: true}}"]),
        ({"description": "The best"}, ["Description: – → The best"]),
    ],
)
def test_policies(change: dict[str, Any], sentences: list[str]) -> None:
    assert told("policy", POLICY, {**POLICY, **change}) == sentences


def test_a_new_policy_says_what_it_is() -> None:
    assert told("policy", None, POLICY) == [
        "New policy for every ticket.",
        "First response: 1 h promised",
        "Resolution, Urgent: 4 h promised",
        "Resolution, High: 8 h promised",
        "Counted by 24x7.",
    ]


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        ({}, []),
        ({"time_zone": "UTC"}, ["Time zone: Europe/Berlin → UTC"]),
        ({"hours": {**WEEK, "fri": ["09:00-15:00"], "sat": ["10:00-12:00"]}}, ["Friday: 09:00-17:00 → 09:00-15:00", "Saturday: closed → 10:00-12:00"]),
        ({"holidays": [{"date": "2026-12-25", "name": "Christmas"}, "2026-12-26"]}, ["Holiday added: 2026-12-25 Christmas", "Holiday added: 2026-12-26"]),
        ({"exceptions": {"2026-12-24": ["09:00-12:00"]}}, ["Exception 2026-12-24: – → 09:00-12:00"]),
        ({"exceptions": {"2026-12-24": []}}, ["Exception 2026-12-24: – → closed"]),
        ({"breaks": {"2026-12-23": ["12:00-13:00"]}}, ["Break 2026-12-23: – → 12:00-13:00"]),
    ],
)
def test_calendars(change: dict[str, Any], sentences: list[str]) -> None:
    assert told("calendar", OFFICE, {**OFFICE, **change}) == sentences


def test_a_text_that_cannot_be_read_any_more_is_another_one() -> None:
    assert told("policy", {"name": "Gold", "targets": {"no_such": "1h"}}, POLICY) == ["The definition is another one."]


def test_a_whole_file() -> None:
    was = {"calendars": {"Office": OFFICE}, "policies": {"Gold": None}}
    file = {"calendars": {"Office": {**OFFICE, "time_zone": "UTC"}}, "policies": {"Gold": POLICY}}
    assert [(kind, name, sentences[0]) for kind, name, sentences in describe_file(was, file)] == [
        ("calendar", "Office", "Time zone: Europe/Berlin → UTC"),
        ("policy", "Gold", "New policy for every ticket."),
    ]
