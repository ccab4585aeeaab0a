"""What SQLite stands: webhooks while the worker applies them, and how many a second it takes for good.

    python bench/sqlite_door.py [--seconds S] [--rate WEBHOOKS_PER_SECOND] [--step S]

The product runs as `sla-plugin up` on SQLite. First signed Zendesk deliveries of 2 KiB at a steady rate, each changing a ticket with running clocks, applied
as they come: their delay is counted from the instant at which each was due. Then the rate rises step by step, until webhooks or worker fall behind: a step is
held if p99 stays within 40 ms and the inbox is empty 1 s after its last webhook. Every answer and every row is accounted for.
"""

import argparse
import os
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from webhook_load import Result, pace, zendesk_delivery

from tests.journeys.product import Product, free_tcp_port

SECRET = "bench-signing-secret"
POLICY = "policies:\n  - {name: Default, default: true, calendar: 24x7, targets: {first_response: 4h, resolution: 120h}}\n"
STEPS = (20, 40, 60, 80, 100, 150, 200, 300, 400, 600, 800)  # webhooks a second
WITHIN = 40.0  # milliseconds, p99 of a step that is held
TICKETS = 2000


class Door:
    """A running product, its webhook address, and its database looked at from outside."""

    def __init__(self, product: Product, url: str) -> None:
        self.url = url
        self.database = sqlite3.connect(product.folder / "sla.db")
        self.created_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    def send(self, rate: float, seconds: float) -> Result:
        """A steady load, every delivery of which has its row."""
        before = self._count("1")
        sent = [zendesk_delivery(SECRET, TICKETS, self.created_at) for _ in range(int(rate * seconds))]
        result = pace(self.url, sent, 8, rate)
        assert result.statuses == {202: len(sent)}, result.statuses
        assert self._count("1") - before == len(sent)
        return result

    def waiting(self) -> int:
        """Deliveries that are not applied."""
        return self._count("state = 'stored'")

    def drained(self, seconds: float) -> bool:
        """True if the inbox is empty within so long."""
        end = time.monotonic() + seconds
        while self.waiting() and time.monotonic() < end:
            time.sleep(0.02)
        return not self.waiting()

    def check(self) -> None:
        """Everything that came was applied, and there are clocks."""
        states = dict(self.database.execute("SELECT state, count(*) FROM delivery GROUP BY state").fetchall())
        clocks = self.database.execute("SELECT count(*) FROM clock").fetchone()[0]
        assert set(states) == {"applied"}, states
        assert clocks >= 1, "nothing was evaluated"
        print(f"{states['applied']} deliveries stored and applied, {clocks} clocks")

    def _count(self, condition: str) -> int:
        return int(self.database.execute(f"SELECT count(*) FROM delivery WHERE {condition}").fetchone()[0])


def held(door: Door, steps: Sequence[int], seconds: float) -> int:
    """The highest rate that is held, all lower ones held, too."""
    best = 0
    for rate in steps:
        result = door.send(rate, seconds)
        late = result.percentile(0.99)
        kept_up = door.drained(1.0)
        print(
            f"{rate}/s for {seconds:g} s: p50 {result.percentile(0.5):.1f} ms, p99 {late:.1f} ms, {'inbox empty' if kept_up else f'{door.waiting()} wait'}",
            flush=True,
        )
        if late > WITHIN or not kept_up:
            break
        best = rate
    door.drained(60)
    return best


def main() -> None:
    """Read the options, run the product, print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--step", type=float, default=10, help="seconds of each step of the rising rate; 0 leaves it out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sla-sqlite-") as folder:
        product = Product(Path(folder), free_tcp_port()).start()
        try:
            product.policy(POLICY)
            account = ("--base-url", "https://desk.example.com", "--email", "robot@example.com", "--token", "t", "--skip-check")
            door = Door(product, product.cli("connect", "zendesk", "--name", "Desk", *account, "--secret", SECRET)["webhook_url"])
            time.sleep(1)  # so that tickets are younger than the connection
            door.created_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            door.send(options.rate, 3)
            result = door.send(options.rate, options.seconds)
            delays = f"p50 {result.percentile(0.5):.1f} ms, p99 {result.percentile(0.99):.1f} ms, slowest {1000 * result.delays[-1]:.1f} ms"
            print(f"SQLite, {options.rate:g} webhooks/s, applied as they come: {delays} (n={len(result.delays)}, load {os.getloadavg()[0]:.1f})", flush=True)
            if options.step:
                print(f"held: {held(door, STEPS, options.step)} webhooks/s")
            door.drained(60)
            door.check()
        finally:
            product.stop()


if __name__ == "__main__":
    main()
