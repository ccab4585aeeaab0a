"""Production tried for longer than the tests do, with figures: reloads under load, how long each part takes to end, backup and restore.

    python bench/production.py [--rounds N] [--webhooks N]

A Postgres that syncs and a Redis outside, gunicorn with two processes, two of each worker, two timekeepers; six threads send signed webhooks without pause.
Ends with exit code 1 where a webhook failed, a row is missing or exports differ. Prints one line per figure.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.open_promises import database_of
from sla_plugin.reports.exports import EXPORTS
from sla_plugin.supervisor.redis_server import find_server
from tests.journeys.product import eventually, free_tcp_port
from tests.platform.production import POLICY, Load, Production, all_applied, connect_log, ended, exchange, reload

KINDS = (("worker", "inbox"), ("worker", "outbox"), ("timekeeper",))


def main() -> None:
    """Play it and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5, help="reloads of web, and replacements of each other part")
    parser.add_argument("--webhooks", type=int, default=300, help="between two of them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sla-production-") as folder, database_of("postgres") as url:
        socket = Path(folder) / "redis.sock"
        words = [str(find_server()), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL) as redis:
            try:
                play(Production(Path(folder) / "data", free_tcp_port(), url, f"unix://{socket}"), Path(folder), options.rounds, options.webhooks)
            finally:
                redis.terminate()


def play(production: Production, folder: Path, rounds: int, webhooks: int) -> None:
    """The whole story; raises AssertionError where something was lost."""
    try:
        production.cli("migrate")
        (folder / "policy.yaml").write_text(POLICY)
        production.cli("policy", "apply", str(folder / "policy.yaml"))
        parts = {kind: production.start(*kind, count=2) for kind in KINDS}
        web = production.web()
        address, secret = connect_log(production)
        ends: dict[str, list[float]] = {}
        with Load([address], secret) as load:
            load.some(webhooks)
            for name, change in (("without", lambda: load.some(webhooks)), ("SIGHUP", lambda: reload(web)), ("SIGTTIN, SIGTTOU", lambda: exchange(web, 5))):
                load.slowest = 0.0
                change()
                load.some(20)
                print(f"slowest webhook, {name:<18} {load.slowest:.2f} s")
        assert (load.errors, set(load.statuses)) == ([], {202})
        with Load([address], secret, first=1_000_000) as more:
            begun = time.monotonic()
            for _ in range(rounds):
                more.some(webhooks)
                exchange(web, 5)
                for kind, running in parts.items():
                    running += production.start(*kind)
                    ends.setdefault(" ".join(kind), []).append(ended(running.pop(0)))
            more.some(webhooks)
            rate = len(more.taken) / (time.monotonic() - begun)
        print(f"{rounds} reloads and {rounds} replacements of each part: {more.statuses[202]} webhooks ({rate:.0f}/s), slowest {more.slowest:.2f} s,", end=" ")
        print(f"other answers {sum(more.statuses.values()) - more.statuses[202]}, broken connections {len(more.errors)}")
        assert not more.errors, more.errors[:3]
        assert set(more.statuses) == {202}
        eventually(lambda: all_applied(production), 60, "every webhook is applied")
        assert sorted(row["ticket"] for row in production.export("tickets", connection="Log")) == sorted(load.taken + more.taken)
        ends["web (gunicorn)"] = [ended(web)]
        for name, seconds in ends.items():
            print(f"SIGTERM to end, {name:<16} median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s ({len(seconds)})")
        back_up(production, folder)
    finally:
        production.stop()


def back_up(production: Production, folder: Path) -> None:
    """Backup, restore into SQLite, exports compared."""
    told = json.loads(production.cli("backup", str(folder / "b")))
    rows = sum(told["rows"].values())
    print(f"backup: {rows} rows, {told['bytes'] / 1e6:.1f} MB, {told['seconds']:.2f} s ({rows / max(told['seconds'], 0.01):.0f} rows/s)")
    there = Production(folder / "there", 1, f"sqlite:///{folder / 'there' / 'sla.db'}", "")
    begun = time.monotonic()
    there.cli("restore", str(folder / "b"))
    print(f"restore into SQLite: {time.monotonic() - begun:.2f} s, with the start of the command")
    different = [kind for kind in EXPORTS if there.export(kind, ids=True) != production.export(kind, ids=True)]
    print(f"exports that differ: {different or 'none'}")
    assert not different


if __name__ == "__main__":
    try:
        main()
    except AssertionError as problem:
        sys.exit(f"FAILED: {problem}")
