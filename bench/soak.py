"""Exactly once under fire: parts are killed or stopped at random while tickets break and the helpdesk misbehaves; every write is counted at its side.

    python bench/soak.py [--database sqlite|postgres] [--seconds S] [--seed N] [--no-audits]

Prints what was done and exits 1 if any breached cycle got more or less than one raise, one comment and one assignment.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench.lateness import line
from bench.open_promises import database_of
from tests.journeys.foreign_desk import Fault, ForeignDesk
from tests.journeys.product import PARTS, Product, deadline_of, free_tcp_port

TARGET = 4  # seconds
ONCE = {"raises": 1, "comments": 1, "assigns": 1}


def fault(chance: random.Random, desk: ForeignDesk) -> Fault:
    """Something that goes wrong with a write, or nothing."""
    return chance.choice(
        [
            *[Fault()] * 8,
            Fault(answers=False),
            Fault(applies="never", answers=False),
            Fault(applies="late", answers=False),
            Fault(status=503),
            Fault(status=429, retry_after=1),
            Fault(after=lambda: time.sleep(0.5)),
        ]
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    arguments.add_argument("--seconds", type=float, default=60.0)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--no-audits", action="store_true")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="sla-soak-") as folder, database_of(given.database) as url:
        product = Product(Path(folder) / "data", free_tcp_port(), **({"DATABASE_URL": url} if url else {})).start()
        try:
            with ForeignDesk(audits=not given.no_audits) as desk:
                wrong = soak(product, desk, given.seconds, random.Random(given.seed))
            if wrong:
                print(product.log.read_text()[-5000:])
        finally:
            product.stop()
    sys.exit(1 if wrong else 0)


def soak(product: Product, desk: ForeignDesk, seconds: float, chance: random.Random) -> int:
    product.policy(f"policies: [{{name: Quick, targets: {{first_response: {TARGET}s}}}}]")
    product.connect(desk)
    done = {"killed": 0, "stopped": 0, "late": 0}
    stopped: list[tuple[float, str]] = []
    end, fire_at = time.monotonic() + seconds, time.monotonic() + 2
    while time.monotonic() < end:
        desk.open_ticket()
        desk.faults.append(fault(chance, desk))
        if chance.random() < 0.3 and desk.late:
            done["late"] += len(desk.late)
            desk.land_late()
        while stopped and stopped[0][0] < time.monotonic():
            wake(product, stopped.pop(0)[1])
        if time.monotonic() > fire_at:
            fire_at = time.monotonic() + chance.uniform(1, 3)
            part = chance.choice(PARTS)
            if chance.random() < 0.6:
                done["killed"] += wake(product, part, signal.SIGKILL)
            elif part not in [name for _, name in stopped]:
                done["stopped"] += wake(product, part, signal.SIGSTOP)
                stopped.append((time.monotonic() + chance.uniform(0.5, 4), part))
                stopped.sort()
        time.sleep(chance.uniform(0.1, 0.5))
    for _, part in stopped:
        wake(product, part)
    desk.faults.clear()
    patience = time.monotonic() + 120
    while time.monotonic() < patience and not all(desk.count(t) == ONCE for t in desk.tickets):
        time.sleep(0.2)
    desk.land_late()
    time.sleep(3)
    wrong = {t: desk.count(t) for t in desk.tickets if desk.count(t) != ONCE}
    alerts = product.export("alerts")
    doubled = len(alerts) - len({(a["ticket"], a["level"]) for a in alerts})
    late = [at - deadline_of(desk, t, TARGET) for t in desk.tickets if (at := desk.written_at(t)) is not None]
    print(f"{len(desk.tickets)} tickets, {done}, {len(desk.refused)} refused or failed requests")
    print(line("deadline to the write", late))
    print(f"not exactly once: {wrong or 'none'}; alerts doubled: {doubled}")
    return len(wrong) + doubled


def wake(product: Product, part: str, number: signal.Signals = signal.SIGCONT) -> int:
    """Send a signal; 0 if the part is just not there."""
    try:
        product.signal(part, number)
    except ProcessLookupError:
        return 0
    return 1


if __name__ == "__main__":
    main()
