"""The ledger: why a clock stands where it stands, segment by segment, summing exactly to the elapsed time."""

from collections.abc import Sequence
from dataclasses import dataclass

from sla_plugin.engine.durations import format_duration
from sla_plugin.engine.evaluate import Clock


@dataclass(frozen=True, slots=True)
class Segment:
    """One row. `state` is running, on_hold, outside_hours, holiday, stopped, gone, unpromised or set_aside; `counted` microseconds of [since, until) count; `total` runs along."""

    since: int
    until: int
    state: str
    name: str | None  # the holiday
    counted: int
    total: int
    cause: str  # key of the event that began this state
    policy: str | None
    policy_version: int | None
    calendar_version: int | None


def ledger(clock: Clock) -> list[Segment]:
    """The ordered segments of a clock from its start to `counted_at`; their counted time sums to `clock.elapsed` exactly."""
    rows: list[Segment] = []
    total = 0
    for span in clock.spans:
        if span.until <= span.since:
            continue
        terms = span.terms
        pieces: list[tuple[int, int, str, str | None]]
        if span.state != "running" or terms is None:
            pieces = [(span.since, span.until, "unpromised" if span.state == "running" else span.state, None)]
        elif not span.business:
            pieces = [(span.since, span.until, "running", None)]
        else:
            words = {"open": "running", "closed": "outside_hours", "holiday": "holiday"}
            pieces = [(a, b, words[state], name) for a, b, state, name in terms.business_time.segments(span.since, span.until)]
        for since, until, state, name in pieces:
            counted = until - since if state == "running" else 0
            total += counted
            rows.append(
                Segment(
                    since,
                    until,
                    state,
                    name,
                    counted,
                    total,
                    span.cause,
                    terms.policy.name if terms else None,
                    terms.policy_version if terms else None,
                    terms.calendar_version if terms else None,
                )
            )
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
    elif clock.breached_at is not None:
        head = f"{title} breached: promised {format_duration(target)} of {kind}, {used} used, over by {format_duration(max(clock.elapsed - target, 0))}."
    elif clock.phase in ("finished", "stopped"):
        head = f"{title} met: {used} of {format_duration(target)} of {kind} used."
    elif clock.phase == "on_hold":
        head = f"{title} is on hold: {used} of {format_duration(target)} of {kind} used, {format_duration(max(target - clock.elapsed, 0))} left."
    else:
        head = f"{title} is running: {used} of {format_duration(target)} of {kind} used, {format_duration(max(target - clock.elapsed, 0))} left."
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
