"""Conditions as rows of a form and back, and the grid of targets: tables of cases, no pages."""

from typing import Any

import pytest
from werkzeug.datastructures import MultiDict

from sla_plugin.web.admin.condition_form import change_rows, condition_from_form, condition_to_form, read_rows
from sla_plugin.web.admin.policy_form import definition_of, form_of, hidden_text
from sla_plugin.web.admin.target_grid import change_grid, echoes, oddities, shown_metrics, targets_from_form, targets_to_form

LEAF: dict[str, Any] = {"field": "priority", "is": "P1"}
TAG: dict[str, Any] = {"field": "tags", "contains": "vip"}


def there_and_back(definition: Any) -> tuple[str, Any]:
    form: MultiDict[str, str] = MultiDict()
    condition_to_form(definition, form)
    errors: dict[str, str] = {}
    back = condition_from_form(form, errors)
    assert errors == {}
    return form["conditions"], back


@pytest.mark.parametrize(
    ("definition", "shown"),
    [
        (None, "rows"),
        (LEAF, "rows"),
        ({"none": [LEAF]}, "rows"),
        ({"all": [LEAF, TAG]}, "rows"),
        ({"all": [LEAF, {"any": [TAG, {"field": "type", "in": ["a", "b"]}]}]}, "rows"),
        ({"any": [{"all": [LEAF, {"none": [TAG, LEAF]}]}, TAG]}, "rows"),
        ({"all": [{"field": "created_in_hours", "is": False, "calendar": "Support"}, {"field": "created_hour", "at_least": 18}]}, "rows"),
        ({"all": [{"field": "group", "is_set": False}, {"field": "custom.7", "at_most": 2.5}]}, "rows"),
        ({"not": LEAF}, "text"),
        ({"all": [LEAF, {"not": TAG}]}, "text"),
        ({"all": [{"any": [{"all": [{"any": [LEAF, TAG]}, LEAF]}, TAG]}, LEAF]}, "text"),
    ],
)
def test_a_condition_goes_into_the_form_and_back(definition: Any, shown: str) -> None:
    assert there_and_back(definition) == (shown, definition)


@pytest.mark.parametrize(
    ("definition", "back"),
    [({"all": [LEAF]}, LEAF), ({"all": []}, None), ({"any": [LEAF]}, LEAF)],
)
def test_a_group_of_one_is_the_one(definition: Any, back: Any) -> None:
    assert there_and_back(definition)[1] == back


@pytest.mark.parametrize(
    ("button", "rows"),
    [
        ({"add": "root"}, ["1 priority", "1 any", "2 tags", "2 type", "1 "]),
        ({"add": "1"}, ["1 priority", "1 any", "2 tags", "2 type", "2 "]),
        ({"add_group": "1"}, ["1 priority", "1 any", "2 tags", "2 type", "2 any", "3 "]),
        ({"add_group": "root"}, ["1 priority", "1 any", "2 tags", "2 type", "1 any", "2 "]),
        ({"remove": "0"}, ["1 any", "2 tags", "2 type"]),
        ({"remove": "1"}, ["1 priority"]),
        ({"remove": "3"}, ["1 priority", "1 any", "2 tags"]),
        ({"remove": "99"}, ["1 priority", "1 any", "2 tags", "2 type"]),
        ({"add": "0"}, ["1 priority", "1 any", "2 tags", "2 type"]),
    ],
)
def test_rows_are_added_and_removed(button: dict[str, str], rows: list[str]) -> None:
    form: MultiDict[str, str] = MultiDict()
    condition_to_form({"all": [LEAF, {"any": [TAG, {"field": "type", "is": "x"}]}]}, form)
    form.update(button)
    change_rows(form)
    assert [f"{row.depth} {row.join or row.field}" for row in read_rows(form)] == rows
    assert not {"add", "add_group", "remove"} & set(form)


@pytest.mark.parametrize("nodes", [["leaf:9", "group:0"], ["group:2", "leaf:7"], ["nonsense", "leaf:x"]])
def test_rows_that_somebody_made_up_are_put_in_their_place(nodes: list[str]) -> None:
    form: MultiDict[str, str] = MultiDict(
        {"field": ["type", "tags"], "operator": ["is", "boo"], "value": ["a", "b"], "join": ["all"], "by": ["", ""], "node": nodes}
    )
    assert all(1 <= row.depth <= 3 for row in read_rows(form))
    condition_from_form(form, {})


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("colour", "is", "red"), "known are"),
        (("type", "is", " "), "what to compare type with"),
        (("", "is", "red"), "choose a field for red"),
        (("created_hour", "at_least", "25"), "a whole hour from 0 to 23"),
    ],
)
def test_a_wrong_leaf_is_named_by_its_row(row: tuple[str, str, str], said: str) -> None:
    fields = dict(zip(("field", "operator", "value"), row, strict=True))
    errors: dict[str, str] = {}
    condition_from_form(MultiDict({**fields, "node": "leaf:1", "by": ""}), errors)
    assert list(errors) == ["condition-0"]
    assert said in errors["condition-0"].lower()


# --- targets -----------------------------------------------------------------------------------------------------------
def grid(**cells: str) -> MultiDict[str, str]:
    return MultiDict({f"target-{name.replace('__', '-')}": text for name, text in cells.items()})


@pytest.mark.parametrize(
    "targets",
    [
        {"first_response": "1h"},
        {"resolution": {"P0": {"target": "4h", "counts": "calendar"}, "P1": "6h"}},
        {"resolution": {"target": "2d", "counts": "calendar"}},
        {"periodic_update": {"P3": "1h30"}, "acknowledgement": "15m"},
    ],
)
def test_targets_go_into_the_grid_and_back(targets: dict[str, Any]) -> None:
    form: MultiDict[str, str] = MultiDict()
    targets_to_form(targets, form)
    assert targets_from_form(form, {}, some=False) == targets
    assert set(targets) <= set(shown_metrics(form))


@pytest.mark.parametrize(
    ("cells", "odd"),
    [
        ({"first_response__P1": "4h", "resolution__P1": "2h"}, {"target-resolution-P1": "Shorter than the first response."}),
        ({"resolution__P0": "4h", "resolution__P1": "2h"}, {"target-resolution-P1": "Tighter than Urgent."}),
        ({"resolution__P1": "4h", "resolution__P3": "2h"}, {"target-resolution-P3": "Tighter than High."}),
        ({"resolution__P0": "4h cal", "resolution__P1": "2h"}, {}),  # not the same hours: nobody can say which is longer
        ({"resolution__P0": "4h", "resolution__P1": "4h"}, {}),
        ({"resolution__P0": "4h", "resolution__P1": "four"}, {}),
    ],
)
def test_what_is_odd_is_said_beside_its_cell(cells: dict[str, str], odd: dict[str, str]) -> None:
    assert oddities(grid(**cells)) == odd


@pytest.mark.parametrize(
    ("typed", "echo"),
    [("90m", "1 h 30 m"), ("1:30", "1 h 30 m"), ("48h", "48 h"), ("2d cal", "2 d calendar"), ("36h cal", "1 d 12 h calendar"), ("2d", None), ("x", None)],
)
def test_a_cell_is_echoed_as_it_is_understood(typed: str, echo: str | None) -> None:
    said = echoes(grid(resolution__P1=typed)).get("target-resolution-P1")
    assert (said.replace("\u00a0", " ") if said else None) == echo


@pytest.mark.parametrize(
    ("button", "cells"),
    [
        ({"fill": "resolution"}, {"P0": "4h", "P1": "4h", "P2": "9h", "P3": "4h"}),
        ({"copy": "yes", "copy_from": "P2", "copy_to": "P0"}, {"P0": "9h", "P1": "", "P2": "9h", "P3": ""}),
        ({"copy": "yes", "copy_from": "P0", "copy_to": "*"}, {"P0": "4h", "P1": "4h", "P2": "4h", "P3": "4h"}),
        ({"copy": "yes", "copy_from": "P9", "copy_to": "*"}, {"P0": "4h", "P1": "", "P2": "9h", "P3": ""}),
    ],
)
def test_rows_are_filled_and_columns_copied(button: dict[str, str], cells: dict[str, str]) -> None:
    form = grid(resolution__P0="4h", resolution__P2="9h")
    form.update(button)
    change_grid(form)
    assert {p: form.get(f"target-resolution-{p}", "") for p in cells} == cells


def test_a_row_for_another_metric() -> None:
    form: MultiDict[str, str] = MultiDict({"add_metric": "yes", "new_metric": "agent_work"})
    change_grid(form)
    assert shown_metrics(form) == ["first_response", "next_response", "resolution", "agent_work"]


# --- the whole ---------------------------------------------------------------------------------------------------------
def test_what_the_form_cannot_show_is_kept_and_shown_as_text() -> None:
    own = {"title": "Second level", "start": {"field": "group", "is": "L2"}, "stop": {"field": "status", "is": "resolved"}}
    known = {
        "name": "P",
        "targets": {"resolution": "8h", "second": "4h"},
        "metrics": {"second": own, "resolution": {"bots": True}},
        "tiers": [{"name": "L1", "groups": ["Help desk"], "response": "15m"}],
        "on_change": "restart",
    }
    form = form_of(known)
    form["target-resolution-P1"] = "6h"
    definition, errors = definition_of(form, known)
    assert errors == {}
    assert {key: definition[key] for key in ("metrics", "tiers", "on_change")} == {key: known[key] for key in ("metrics", "tiers", "on_change")}
    assert definition["targets"] == {"resolution": {"P0": "8h", "P1": "6h", "P2": "8h", "P3": "8h"}, "second": "4h"}
    assert "second: 4h" in hidden_text(known)
    assert "Help desk" in hidden_text(known)
    assert hidden_text({"name": "P", "targets": {"resolution": "8h"}}) == ""
