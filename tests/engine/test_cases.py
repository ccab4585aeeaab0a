"""The case runner, and the worked cases it runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from sla_plugin.engine.cases import OPS, main, run_case

GOLDEN = Path(__file__).parent.parent / "golden"
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "clock_cases.json").read_text(encoding="utf-8"))
OURS: list[dict[str, Any]] = [case for name in ("more_cases", "own_cases") for case in json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))]
ELAPSED = next(case for case in CASES if case["op"] == "elapsed")


@pytest.mark.parametrize("case", [*CASES, *OURS], ids=lambda case: case["id"])
def test_golden(case: dict[str, Any]) -> None:
    assert run_case(case) == ""


def test_the_golden_file_is_whole() -> None:
    assert len(CASES) == 102
    assert {case["op"] for case in CASES} == set(OPS)


@pytest.mark.parametrize("case", [case for case in [*CASES, *OURS] if case["op"] not in ("resolve_local", "badge")], ids=lambda case: case["id"])
def test_the_order_of_the_file_does_not_matter(case: dict[str, Any]) -> None:
    assert run_case({**case, "events": case["events"][::-1]}) == "" or case["op"] in ("escalation",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"expect": {"elapsed_seconds": 1}}, "elapsed_seconds: expected 1, got 142200"),
        ({"expect": {"elapsed_seconds": 142200, "due_at": None}}, "due_at: expected None, got 'no such answer'"),
        ({"op": "elapse"}, "op 'elapse'"),
        ({"events": []}, "StopIteration"),
        ({"events": [{"at": "2006-01-04T10:00:00", "type": "clock_start"}]}, "2006-01-04T10:00:00 has no offset"),
        ({"timezone": "Mars/Olympus"}, "InvalidDefinition: calendar.time_zone"),
        ({"calendar": {"mode": "weekly", "hours": {}}}, "no minute is ever open"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_case_that_is_wrong_fails_with_the_reason(change: dict[str, Any], reason: str) -> None:
    assert reason in run_case({**ELAPSED, **change})


@pytest.mark.parametrize("case", [*CASES, *OURS], ids=lambda case: case["id"])
def test_every_answer_is_compared(case: dict[str, Any]) -> None:
    for key in case["expect"]:
        assert run_case({**case, "expect": {**case["expect"], key: "nonsense"}}).startswith((f"{key}: expected 'nonsense'", "op "))


def test_fractions_of_a_second_count() -> None:
    events = [{"at": "2006-01-04T10:00:00.25Z", "type": "clock_start"}, {"at": "2006-01-04T10:00:01Z", "type": "clock_stop"}]
    assert run_case({**ELAPSED, "events": events, "expect": {"elapsed_seconds": 0.75}}) == ""


def test_main_counts_names_and_exits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cases.json"
    file.write_text(json.dumps([ELAPSED, {**ELAPSED, "id": "wrong", "expect": {"elapsed_seconds": 7}}]))
    assert main([str(file)]) == 1
    assert capsys.readouterr().out.splitlines() == ["FAILED wrong: elapsed_seconds: expected 7, got 142200.0", "1 passed, 1 failed"]
    file.write_text(json.dumps([ELAPSED]))
    assert main([str(file)]) == 0
    assert capsys.readouterr().out == "1 passed, 0 failed\n"
    assert main([]) == 2
