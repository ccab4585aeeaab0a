"""The ledger: why a clock stands where it stands, segment by segment, summing exactly to the elapsed time."""

from collections.abc import Sequence
from typing import NamedTuple

from sla_plugin.engine.durations import format_duration
from sla_plugin.engine.evaluate import Clock


class Segment(NamedTuple):
    """One row; `counted` microseconds of [since, until) count, `total` runs along.

    state   running, on_hold, outside_hours, holiday, stopped, gone; unpromised (it ran, but no policy applied); set_aside (a restart took it away)
    name    the holiday
    cause   key of the event that began this state
    """

    since: int
    until: int
    state: str
    name: str | None
    counted: int
    total: int
    cause: str
    policy: str | None
    policy_version: int | None
    calendar_version: int | None


_STATES = {"open": "running", "closed": "outside_hours", "holiday": "holiday"}


def ledger(clock: Clock) -> list[Segment]:
    """The ordered segments of a clock from its start to `counted_at`; their counted time sums to `clock.elapsed` exactly."""
    rows: list[Segment] = []
    total = 0
    for since, until, state, cause, terms, business, _, _ in clock.spans:
        if until <= since:
            continue
        names = (None, None, None) if terms is None else (terms.policy.name, terms.policy_version, terms.calendar_version)
        if state == "running" and terms is not None and business:
            for start, end, kind, name in terms.business_time.segments(since, until):
                counted = end - start if kind == "open" else 0
                total += counted
                rows.append(Segment(start, end, _STATES[kind], name, counted, total, cause, *names))
            continue
        counted = until - since if state == "running" and terms is not None else 0
        total += counted
        rows.append(Segment(since, until, "unpromised" if state == "running" and terms is None else state, None, counted, total, cause, *names))
    return rows


def sums(segments: Sequence[Segment], states: Sequence[str]) -> int:
    """Wall time in some states, microseconds."""
    return sum(s.until - s.since for s in segments if s.state in states)


def sentence(clock: Clock, title: str) -> str:
    """What the clock says, in one plain sentence (durations only: instants depend on who reads)."""
    rows = ledger(clock)
    target = clock.target or 0
    used = format_duration(clock.elapsed)
    kind = "business time" if clock.business else "calendar time"
    if clock.phase == "cancelled":
        head = f"{title} was cancelled after {used} of {kind}; nothing is owed."
    elif clock.breached_at is not None and clock.elapsed <= target:
        head = f"{title} breached under an earlier promise: {used} of what is now {format_duration(target)} of {kind} used."
    elif clock.breached_at is not None:
        head = f"{title} breached: promised {format_duration(target)} of {kind}, {used} used, over by {format_duration(clock.elapsed - target)}."
    elif clock.phase in ("finished", "stopped"):
        head = f"{title} met: {used} of {format_duration(target)} of {kind} used."
    elif clock.phase == "on_hold":
        head = f"{title} is on hold: {used} of {format_duration(target)} of {kind} used, {format_duration(max(target - clock.elapsed, 0))} left."
    else:
        head = f"{title} is running: {used} of {format_duration(target)} of {kind} used, {format_duration(max(target - clock.elapsed, 0))} left."
    if clock.granted:
        head += f" Of the target {format_duration(clock.granted)} were granted by hand."
    not_counted = []
    if held := sums(rows, ("on_hold",)):
        not_counted.append(f"{format_duration(held)} on hold")
    if closed := sums(rows, ("outside_hours",)):
        not_counted.append(f"{format_duration(closed)} outside hours")
    if holidays := sums(rows, ("holiday",)):
        names = list(dict.fromkeys(r.name for r in rows if r.state == "holiday" and r.name))
        not_counted.append(f"{format_duration(holidays)} of holidays" + (f" ({', '.join(names)})" if names else ""))
    if not_counted:
        head += f" Not counted: {', '.join(not_counted)}."
    return head
