"""The case runner, and the worked cases it runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from sla_plugin.engine.cases import OPS, WAITING, main, run_case

FILE = Path(__file__).parent.parent / "golden" / "clock_cases.json"
CASES: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
ELAPSED = next(case for case in CASES if case["op"] == "elapsed")


@pytest.mark.parametrize("case", [case for case in CASES if case["op"] not in WAITING], ids=lambda case: case["id"])
def test_golden(case: dict[str, Any]) -> None:
    outcome = run_case(case)
    assert outcome.verdict == "passed", outcome.reason


def test_every_case_is_run_or_waits_with_a_reason() -> None:
    assert len(CASES) == 102
    assert {case["op"] for case in CASES} <= {*OPS, *WAITING}
    assert not OPS.keys() & WAITING.keys()
    assert all(WAITING.values())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"expect": {"elapsed_seconds": 1}}, "elapsed_seconds: expected 1, got 142200"),
        ({"expect": {"elapsed_seconds": 142200, "due_at": None}}, "due_at: expected None, got 'no such answer'"),
        ({"op": "elapse"}, "unknown op 'elapse'"),
        ({"events": []}, "StopIteration"),
        ({"timezone": "Mars/Olympus"}, "InvalidDefinition: calendar.time_zone"),
        ({"calendar": {"mode": "weekly", "hours": {}}}, "no minute is ever open"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_case_that_is_wrong_fails_with_the_reason(change: dict[str, Any], reason: str) -> None:
    outcome = run_case({**ELAPSED, **change})
    assert outcome.verdict == "failed"
    assert reason in outcome.reason


def test_fractions_of_a_second_count() -> None:
    events = [{"at": "2006-01-04T10:00:00.25Z", "type": "clock_start"}, {"at": "2006-01-04T10:00:01Z", "type": "clock_stop"}]
    assert run_case({**ELAPSED, "events": events, "expect": {"elapsed_seconds": 0.75}}).verdict == "passed"


def test_main_counts_names_and_exits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cases.json"
    file.write_text(json.dumps([ELAPSED, {**ELAPSED, "id": "wrong", "expect": {"elapsed_seconds": 7}}]))
    assert main([str(file)]) == 1
    assert capsys.readouterr().out.splitlines() == ["FAILED wrong: elapsed_seconds: expected 7, got 142200", "1 passed, 1 failed"]
    file.write_text(json.dumps([ELAPSED]))
    assert main([str(file)]) == 0
    assert capsys.readouterr().out == "1 passed, 0 failed\n"
    assert main([]) == 2
