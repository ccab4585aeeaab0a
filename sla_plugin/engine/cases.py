"""Worked cases through the engine: `python -m sla_plugin.engine.cases FILE` names each failure; every figure is from what `evaluate` itself calls."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sla_plugin.engine.business_time import ALWAYS, BusinessTime, business_time
from sla_plugin.engine.calendars import Calendar, cover, resolve_local
from sla_plugin.engine.durations import HOUR, LONGEST, MINUTE, SECOND, badge_text
from sla_plugin.engine.evaluate import Clock, evaluate
from sla_plugin.engine.facts import Fact
from sla_plugin.engine.instants import instant, iso, read_instant
from sla_plugin.engine.metrics.definitions import METRICS as OURS
from sla_plugin.engine.policies import Book, Policy, Target, Terms
from sla_plugin.engine.policy_definitions import share
from sla_plugin.errors import InvalidDefinition, SlaPluginError

Case = Mapping[str, Any]
Answers = dict[str, Any]
UNITS = {"seconds": SECOND, "minutes": MINUTE, "hours": HOUR}
METRICS = {"first_reply": "first_response", "frt": "first_response", "next_reply": "next_response", "update": "next_response", "close": "resolution"}
METRICS |= {"total_resolution": "resolution", "ownership": "group_ownership", "assign": "time_to_assign", "ack": "acknowledgement"}
METRICS |= {f"{word}_time": metric for word, metric in [*METRICS.items(), *zip(OURS, OURS, strict=True)]}
WORK = ("resolution", "requester_wait", "agent_work")  # these end when the ticket is done, whatever pauses others
STATUSES = dict.fromkeys(("solved", "resolved", "closed", "done"), "resolved") | dict.fromkeys(("on-hold", "on_hold", "hold"), "waiting_internal")
MODES = {"carry_elapsed": "keep", "reset": "restart", "from_change_point": "from_now"}
MESSAGES = {"customer_comment": ("reply.public", "customer"), "agent_public_comment": ("reply.public", "agent"), "extended": ("deadline.extended", "unknown")}
MESSAGES |= {"agent_internal_note": ("note.internal", "agent"), "bot_comment": ("reply.public", "system"), "bot_public_comment": ("reply.public", "system")}


def _hours(case: Case) -> BusinessTime:
    calendar = case.get("calendar", case)
    definition = {"time_zone": case["timezone"], "hours": "24x7" if calendar["mode"] == "24x7" else calendar["hours"]}
    dated = {ours: calendar[word] for ours, word in (("holidays", "holidays"), ("exceptions", "shifts"), ("breaks", "breaks")) if calendar.get(word)}
    hours = Calendar.from_definition(definition | dated, "calendar")
    return business_time(cover(hours, _hours(case["beside"]).hours) if "beside" in case else hours)


def _amounts(targets: Case) -> dict[str, Any]:
    """Metric -> microseconds, or a mapping of priorities to them, of keys such as next_reply_minutes."""
    told = [(*key.rpartition("_")[::2], value) for key, value in targets.items() if key.rpartition("_")[2] in UNITS]
    wide = [(name, {p: v * UNITS[unit] for p, v in (value if isinstance(value, Mapping) else {"*": value}).items()}) for name, unit, value in told]
    return {METRICS.get(name, name): {priority: int(amount) for priority, amount in row.items()} for name, row in wide}


def _clocks(metric: str, facts: Sequence[Fact], books: Sequence[Book], as_of: int) -> list[Clock]:
    return [clock for clock in evaluate(facts, books, as_of, settle=100 * LONGEST).clocks if clock.metric == metric]


def _tell(case: Case, percent: int = 80, **options: Any) -> tuple[str, list[Fact], list[Book], int]:
    """A case in the engine's words: its metric, facts, books, and the instant of its last event."""
    told = _amounts(case.get("targets", {})) or {"resolution": {"*": LONGEST}}
    promised = {"resolution": told["before"]} if "before" in told else told
    metric = METRICS.get(word := case.get("metric") or ("group_ownership" if case["op"] == "ownership" else next(iter(promised))), word)
    promised = {metric if len(promised) == 1 else name: row for name, row in promised.items()}
    events, pauses = list(case["events"]), [str(word).lower() for word in case.get("pause_statuses", ())]
    if not any(event["type"] == "created" for event in events) and metric != "group_ownership":
        events.append({"type": "created", "at": min(event["at"] for event in events)})
    if pauses or metric not in ("requester_wait", "agent_work", "pausable_update"):
        options["pause_in"] = ["waiting_customer"] if pauses else []
    definition: Answers = {"name": "case", "targets": dict.fromkeys(promised, "1h"), "on_change": MODES.get(case.get("mode", ""), case.get("mode", "keep"))}
    definition |= {"metrics": {metric: options | ({"reopens": case["reopen"]} if "reopen" in case else {})}}
    policy = Policy.from_definition(definition | {"applies_to": {"field": "priority", "is_not": "not_matching"}}, "case")
    hours, books = _hours(case), list[Book]()

    def add_book(at: str) -> None:
        targets = {name: {priority: Target(v, True, share(v, percent), v) for priority, v in row.items()} for name, row in promised.items()}
        terms = Terms(1, len(books), replace(policy, targets=targets), 1, 1, hours)
        books.append(Book.of(len(books), instant(at), [terms]))

    facts, (first, *_, last) = [], sorted([event["at"] for event in events] * 2)
    add_book(first)
    for event in sorted(events, key=lambda e: str(e["at"])):
        if event["type"] == "schedule":
            hours = _hours(case["second_calendar"])
        elif event["type"] in ("policy_target_change", "policy_change"):
            promised = dict.fromkeys(promised, _amounts(event).get("to") or told["after"])
        else:
            facts.append(_fact(event, metric, pauses))
            continue
        add_book(event["at"])
    return metric, facts, books, instant(case.get("as_of", last))


def _fact(event: Case, metric: str, pauses: Sequence[str]) -> Fact:
    kind, key = event["type"], json.dumps({k: v for k, v in event.items() if k not in ("arrived", "duplicate")}, sort_keys=True)
    field = "assignee" if kind.startswith("assign") else kind
    sets = {name: event[name] for name in ("status", "priority", "group", "assignee") if name in event} | ({field: event["to"]} if "to" in event else {})
    if "status" in sets:
        word = str(sets["status"]).lower()
        ours = STATUSES.get(word, "waiting_customer" if word.startswith("pending") else "open")
        held = word in pauses and not (ours == "resolved" and metric in WORK)
        sets["status"] = "waiting_customer" if held else "open" if pauses and ours != "resolved" else ours
    told, role = MESSAGES.get(kind, ("ticket.created" if kind == "created" else f"{field}.changed", event.get("by", "customer")))
    return Fact(key, told, instant(event["at"]), actor_role=role, sets=sets, extends=(None, event["minutes"] * MINUTE) if kind == "extended" else None)


def _cycle(clock: Clock) -> Answers:
    held = [(span.terms.business_time, span) for span in clock.spans if span.state == "on_hold" and span.terms is not None]
    paused = sum(hours.between(span.since, span.until) for hours, span in held)
    answers: Answers = {"start": iso(clock.started_at), "end": iso(clock.stopped_at), "group": clock.owner, "breached": clock.breached_at is not None}
    answers |= {"due_at": iso(clock.deadline_at), "due_at_next_open_convention": iso(clock.deadline_next_open_at)}
    answers |= {"elapsed_seconds": clock.elapsed / SECOND, "remaining_seconds": ((clock.target or 0) - clock.elapsed) / SECOND}
    answers |= dict.fromkeys(("breached_at", "breach_recorded_at"), iso(clock.breached_at)) | {"paused_business_seconds": paused / SECOND}
    return answers | {"state": {"on_hold": "paused", "cancelled": "no_sla"}.get(clock.phase, clock.phase)}


def _at(case: Case, kind: str = "clock_start") -> int:
    return next(instant(event["at"]) for event in case["events"] if event["type"] == kind)


def _due(case: Case) -> Answers:
    amount, days = _amounts(case["targets"]).get("any", {"*": 0})["*"], case["targets"].get("any_business_days")
    fallback: Answers = {"chatwoot_wall_clock_fallback": iso(ALWAYS.add(_at(case), amount))}
    try:
        hours = _hours(case)
    except InvalidDefinition:  # never open: we refuse it, so there is no due; Chatwoot counts around the clock instead
        return {"due_at": None, "due_at_next_open_convention": None, **fallback}
    due = hours.add(_at(case), amount) if days is None else hours.add_days(_at(case), days)
    return fallback | {"due_at": iso(due), "due_at_next_open_convention": iso(hours.next_open(due)), "end_of_working_day": iso(hours.end_of_day(due))}


def _clock(case: Case) -> Answers:
    """The last cycle, and how it stood at other instants, under other options, before the last change of what is promised."""
    (metric, facts, books, as_of), expect, hours = _tell(case), case["expect"], _hours(case)
    change = max([fact.at for fact in facts if fact.kind == "priority.changed"] + [book.since for book in books[1:]], default=0)
    unchanged = [fact for fact in facts if fact.at < change or fact.kind != "priority.changed"], books[:1], change
    clocks, before = _clocks(metric, facts, books, as_of), _clocks(metric, *unchanged)
    wide = _clocks(*_tell(case, agent_created=True)) if metric == "first_response" else clocks
    rebuilt = _clocks(metric, facts, books[-1:], as_of)  # as if the last terms had always been in force
    asked = unchanged if "after_last_event" in expect else (facts, books, as_of)  # its dues are those before the event
    answers = _cycle(found[-1]) if (found := _clocks(metric, *asked)) else Answers(due_at=None)
    for key in (key for key, value in expect.items() if isinstance(value, Mapping) and key.endswith("_at")):
        at = {moment: _clocks(metric, facts, books, instant(moment)) for moment in expect[key]}
        answers[key] = {moment: _cycle(some[-1])[key.removesuffix("_at").replace("states", "state")] if some else None for moment, some in at.items()}
    offsets = case.get("level_offsets_minutes") or [case.get("targets", {}).get("level_offset_minutes", 0)]
    old, new = (at[-1].deadline_at if at else None for at in (before, clocks))
    old_levels, levels = ([hours.subtract(d, -n * MINUTE) if n < 0 else hours.add(d, n * MINUTE) for n in offsets if d is not None] for d in (old, new))
    answers |= {"due_at_before": iso(old), "due_at_after": iso(new), "cumulative_elapsed_seconds": answers.get("elapsed_seconds")}
    answers |= {"level_before": iso(next(iter(old_levels), None)), "level_after": iso(next(iter(levels), None)), "levels_at": [*map(iso, levels)]}
    fired = {moment: sum(level <= instant(moment) for level in levels) for moment in expect.get("priority_after", ())}
    answers |= {"priority_after": {moment: event["priority"] + n for event in case["events"][:1] for moment, n in fired.items()}}
    answers |= {"cycles": [_cycle(clock) for clock in clocks], "after_last_event": _cycle(clocks[-1])["state"] if clocks else "no_sla"}
    answers |= {"after_forced_reconstruct_breached": any(clock.breached_at is not None for clock in rebuilt), "sla_activated_standard": bool(clocks)}
    answers |= {"sla_activated_with_advanced_setting": bool(wide), "metric_elapsed_seconds": wide[-1].elapsed / SECOND if wide else None}
    answers |= {"zendesk_last_schedule_elapsed_seconds": _cycle(rebuilt[-1])["elapsed_seconds"] if rebuilt else None}
    answers |= {"zammad_reports": iso(new // MINUTE * MINUTE) if new else None} | {
        percent: iso(_clocks(*_tell(case, int(percent)))[-1].warning_at) for percent in expect if percent.isdigit()
    }
    return answers | {f"{name}_due_at": iso(found[-1].deadline_at) for name in books[0].metrics if (found := _clocks(name, *asked))}


OPS: Mapping[str, Callable[[Case], Answers]] = {
    **dict.fromkeys(("due", "due_days", "due_fallback"), _due),
    **dict.fromkeys(("clock", "ownership", "percent", "escalation", "swap", "schedule_change"), _clock),
    "elapsed": lambda case: {"elapsed_seconds": _hours(case).between(_at(case), _at(case, "clock_stop")) / SECOND},
    "before": lambda case: {"at": iso(_hours(case).subtract(_at(case, "anchor"), _amounts(case["targets"])["any"]["*"]))},
    "open_intervals": lambda case: {"intervals": [[iso(a), iso(b)] for a, b in _hours(case).open_intervals(_at(case, "from"), _at(case, "until"))]},
    "resolve_local": lambda case: {"at": iso(resolve_local(ZoneInfo(case["timezone"]), datetime.fromisoformat(case["events"][0]["local"])))},
    "badge": lambda case: {amount: badge_text(int(amount) * SECOND) for amount in case["expect"]},
}


def run_case(case: Case) -> str:
    """Answer one case and compare all that it expects: what is wrong, nothing if it passed."""
    try:
        got = OPS[case["op"]](case)
        answers = [(key, wanted, got.get(key, "no such answer")) for key, wanted in case["expect"].items()]
        return "; ".join(f"{key}: expected {wanted!r}, got {answer!r}" for key, wanted, answer in answers if not _fits(wanted, answer))
    except (SlaPluginError, LookupError, StopIteration, ArithmeticError, TypeError, ValueError) as error:
        return f"op {case.get('op')!r}: expected {case.get('expect')!r}, got {type(error).__name__}: {error}"


def _fits(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(got, Mapping) and all(key in got and _fits(value, got[key]) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(got, list) and len(wanted) == len(got) and all(map(_fits, wanted, got))
    return bool(wanted == got) or (isinstance(wanted, str) and read_instant(wanted) == read_instant(got) is not None)


def main(arguments: Sequence[str]) -> int:
    """Run the file named by the only argument; the exit code."""
    if len(arguments) != 1:
        print("usage: python -m sla_plugin.engine.cases FILE", file=sys.stderr)
        return 2
    cases = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    failures = [f"FAILED {case.get('id', '?')}: {wrong}" for case in cases if (wrong := run_case(case))]
    print(*failures, f"{len(cases) - len(failures)} passed, {len(failures)} failed", sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
