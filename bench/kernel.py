"""The calendar kernel against its base, bench/deadline_peer.py: deadlines of aware datetimes, and what a long span costs beside a short one.

    pip install businesstimedelta pytz        the base's own needs, in no lock of ours
    python bench/kernel.py [rounds]

Base and product run alternately in one process, on the same calendar and the same 300 starts; each figure is the median of the per-round ratios, with its
range. Before anything is timed, every deadline of both must be the same instant (the base names the next opening where we name the closing).
"""

import datetime as dt
import hashlib
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import businesstimedelta as btd

from bench import deadline_peer as base
from sla_plugin.engine.business_time import business_time
from sla_plugin.engine.calendars import EPOCH, MICROSECOND, Calendar
from sla_plugin.engine.durations import HOUR

SPANS = (1, 8, 40)
TWO_YEARS = 2 * 52 * 45  # hours of business time
OURS = business_time(
    Calendar.from_definition(
        {
            "time_zone": "Europe/Berlin",
            "hours": {day: ["09:00-18:00"] for day in ("mon", "tue", "wed", "thu", "fri")},
            "holidays": [day.isoformat() for day in base.HOLIDAYS],
        },
        "bench",
    )
)


def starts() -> list[dt.datetime]:
    """The base's own starts."""
    random.seed(7)
    return [dt.datetime(2025, 1, 2, tzinfo=dt.UTC) + dt.timedelta(minutes=random.randrange(300 * 1440)) for _ in range(300)]


def check(moments: list[dt.datetime]) -> int:
    """Compare every deadline; how many."""
    for hours in SPANS:
        span = btd.BusinessTimeDelta(base.RULES, hours=hours)
        for moment in moments:
            theirs, ours = ((moment + span) - EPOCH) // MICROSECOND, OURS.add((moment - EPOCH) // MICROSECOND, hours * HOUR)
            assert theirs in (ours, OURS.next_open(ours)), (moment, hours)
    return len(SPANS) * len(moments)


def measured(one_pass: Callable[[], object], passes: int, count: int) -> float:
    """Nanoseconds per deadline."""
    begin = time.perf_counter_ns()
    for _ in range(passes):
        one_pass()
    return (time.perf_counter_ns() - begin) / passes / count


def fastest(one_pass: Callable[[], object], count: int) -> float:
    """Nanoseconds per deadline of the best of 20 passes: two figures this close drown in the noise of a shared machine otherwise."""
    return min(measured(one_pass, 5, count) for _ in range(20))


def base_pass(moments: list[dt.datetime], hours: int) -> Callable[[], object]:
    """The base's loop over the starts."""
    span = btd.BusinessTimeDelta(base.RULES, hours=hours)

    def run() -> None:
        for moment in moments:
            moment + span

    return run


def our_pass(moments: list[dt.datetime], hours: int) -> Callable[[], object]:
    """The same loop over ours."""
    deadline, amount = OURS.deadline, hours * HOUR

    def run() -> None:
        for moment in moments:
            deadline(moment, amount)

    return run


def report(name: str, ratios: list[float], unit: str) -> None:
    """One line: median and range."""
    print(f"{name}: {statistics.median(ratios):.2f}{unit} (range {min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} rounds)")


def main(rounds: int) -> None:
    """Check, run the rounds, print."""
    moments = starts()
    print(f"base deadline_peer.py sha256 {hashlib.sha256(Path(base.__file__).read_bytes()).hexdigest()}")
    print(f"{check(moments)} deadlines are the same on both sides")
    for hours in SPANS:
        theirs, ours = base_pass(moments, hours), our_pass(moments, hours)
        pairs = [(measured(theirs, 1, len(moments)), measured(ours, 50, len(moments))) for _ in range(rounds)]
        report(f"{hours} h, base / product", [base_ns / our_ns for base_ns, our_ns in pairs], "x")
        theirs_ns, ours_ns = (statistics.median(side) for side in zip(*pairs, strict=True))
        print(f"    base {theirs_ns:.0f} ns, product {ours_ns:.0f} ns per deadline")
    short, long = our_pass(moments, 1), our_pass(moments, TWO_YEARS)
    long()  # reads the years once
    spans = [(fastest(long, len(moments)), fastest(short, len(moments))) for _ in range(rounds)]
    report("2 years / 1 hour, product", [long_ns / short_ns for long_ns, short_ns in spans], "")


if __name__ == "__main__":
    main(max(5, int(sys.argv[1])) if len(sys.argv) > 1 else 7)
