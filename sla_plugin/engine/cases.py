"""Runs a file of worked cases through the engine: `python -m sla_plugin.engine.cases FILE`.

It reads, asks and compares; every figure comes from what `evaluate` itself calls. Each failure is named with expected and got, the last line is
`N passed, N failed` (and how many wait, of the operations in WAITING), and the exit code is 1 if anything failed.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sla_plugin.engine.business_time import ALWAYS, NEVER, BusinessTime, business_time, elapsed_across
from sla_plugin.engine.calendars import EPOCH, MICROSECOND, Calendar, resolve_local
from sla_plugin.engine.durations import SECOND, badge_text
from sla_plugin.errors import InvalidDefinition, SlaPluginError

Case = Mapping[str, Any]
Answers = dict[str, Any]


class Outcome(NamedTuple):
    """What became of a case: `passed`, `failed` or `waiting`, with the reason for the last two."""

    case: str
    verdict: str
    reason: str = ""


# --- the words of the file -------------------------------------------------------------------------------------------
def hours_of(calendar: Case, time_zone: str) -> BusinessTime:
    """The business time of a case's calendar. Raises InvalidDefinition where it has no open minute."""
    definition: dict[str, Any] = {"time_zone": time_zone, "hours": "24x7" if calendar["mode"] == "24x7" else calendar["hours"]}
    for ours, theirs in (("holidays", "holidays"), ("exceptions", "shifts"), ("breaks", "breaks")):
        if calendar.get(theirs):
            definition[ours] = calendar[theirs]
    return business_time(Calendar.from_definition(definition, "calendar"))


def instant(text: str) -> int:
    """Microseconds UTC of an instant of the file."""
    return (datetime.fromisoformat(text) - EPOCH) // MICROSECOND


def text(at: int) -> str | None:
    """An instant as the file writes it; None for one that does not come."""
    if abs(at) >= NEVER:
        return None
    return (EPOCH + MICROSECOND * at).isoformat().replace("+00:00", "Z")


def seconds(amount: int) -> int | float:
    """Microseconds as the file's seconds, whole ones as an integer."""
    return amount / SECOND if amount % SECOND else amount // SECOND


def _hours(case: Case) -> BusinessTime:
    return hours_of(case["calendar"], case["timezone"])


def _at(case: Case, kind: str) -> int:
    return instant(next(event["at"] for event in case["events"] if event["type"] == kind))


def _target(case: Case) -> int:
    return int(case["targets"]["any_seconds"] * SECOND)


# --- one entry of OPS per operation: the answers to what a case may expect -----------------------------------------------
def _due(case: Case) -> Answers:
    hours = _hours(case)
    due = hours.add(_at(case, "clock_start"), _target(case))
    return {"due_at": text(due), "due_at_next_open_convention": text(hours.next_open(due))}


def _due_days(case: Case) -> Answers:
    hours = _hours(case)
    due = hours.add_days(_at(case, "clock_start"), case["targets"]["any_business_days"])
    return {"due_at": text(due), "end_of_working_day": text(hours.end_of_day(due))}


def _due_fallback(case: Case) -> Answers:
    """We refuse a calendar that is never open, so there is no due; Chatwoot counts around the clock instead."""
    fallback = {"chatwoot_wall_clock_fallback": text(ALWAYS.add(_at(case, "clock_start"), _target(case)))}
    try:
        return {**_due(case), **fallback}
    except InvalidDefinition:
        return {"due_at": None, "due_at_next_open_convention": None, **fallback}


def _schedule_change(case: Case) -> Answers:
    """Each calendar counts while it is in force; Zendesk counts the whole span by the last."""
    first, second = _hours(case), hours_of(case["second_calendar"], case["second_calendar"]["timezone"])
    start, change, end = (instant(event["at"]) for event in case["events"])
    return {
        "cumulative_elapsed_seconds": seconds(elapsed_across([(start, first), (change, second)], end)),
        "zendesk_last_schedule_elapsed_seconds": seconds(second.between(start, end)),
    }


OPS: Final[Mapping[str, Callable[[Case], Answers]]] = {
    "due": _due,
    "elapsed": lambda case: {"elapsed_seconds": seconds(_hours(case).between(_at(case, "clock_start"), _at(case, "clock_stop")))},
    "before": lambda case: {"at": text(_hours(case).subtract(_at(case, "anchor"), _target(case)))},
    "due_days": _due_days,
    "open_intervals": lambda case: {"intervals": [[text(a), text(b)] for a, b in _hours(case).open_intervals(_at(case, "from"), _at(case, "until"))]},
    "resolve_local": lambda case: {"at": text(resolve_local(ZoneInfo(case["timezone"]), datetime.fromisoformat(case["events"][0]["local"])))},
    "due_fallback": _due_fallback,
    "badge": lambda case: {amount: badge_text(int(amount) * SECOND) for amount in case["expect"]},
    "schedule_change": _schedule_change,
}
WAITING: Final[Mapping[str, str]] = {
    "clock": "needs evaluate: metrics, pauses, priority and policy changes",
    "escalation": "needs evaluate: levels before the deadline and what they do",
    "ownership": "needs evaluate: the group ownership metric",
    "percent": "needs evaluate: warning thresholds",
    "swap": "needs evaluate: a policy change in mid-flight",
}


# --- comparing -------------------------------------------------------------------------------------------------------
def run_case(case: Case) -> Outcome:
    """Answer one case and compare all that it expects."""
    name, op = str(case.get("id", "?")), str(case.get("op"))
    if op in WAITING:
        return Outcome(name, "waiting", WAITING[op])
    if op not in OPS:
        return Outcome(name, "failed", f"unknown op {op!r}; known are {', '.join([*OPS, *WAITING])}")
    try:
        got = OPS[op](case)
        answers = [(key, wanted, got.get(key, "no such answer")) for key, wanted in case["expect"].items()]
        wrong = [f"{key}: expected {wanted!r}, got {answer!r}" for key, wanted, answer in answers if _plain(answer) != _plain(wanted)]
    except (SlaPluginError, LookupError, StopIteration, ArithmeticError, TypeError, ValueError) as error:
        wrong = [f"expected {case.get('expect')!r}, got {type(error).__name__}: {error}"]
    return Outcome(name, "failed" if wrong else "passed", "; ".join(wrong))


def _plain(value: Any) -> Any:
    """Instants by their value, not by how they are written."""
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, str) and value.endswith("Z"):
        return instant(value)
    return value


def main(arguments: Sequence[str]) -> int:
    """Run the file named by the only argument; the exit code."""
    if len(arguments) != 1:
        print("usage: python -m sla_plugin.engine.cases FILE", file=sys.stderr)
        return 2
    outcomes = [run_case(case) for case in json.loads(Path(arguments[0]).read_text(encoding="utf-8"))]
    for outcome in outcomes:
        if outcome.verdict != "passed":
            print(f"{outcome.verdict.upper()} {outcome.case}: {outcome.reason}")
    count = {verdict: sum(outcome.verdict == verdict for outcome in outcomes) for verdict in ("passed", "failed", "waiting")}
    print(f"{count['passed']} passed, {count['failed']} failed" + (f", {count['waiting']} waiting" if count["waiting"] else ""))
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
