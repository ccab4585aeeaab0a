"""How soon work goes on when Postgres or Redis is back.

    python bench/resume.py [--gone 20] [--rounds 3] [--what postgres|redis|both]

The product as `sla-plugin up` on a Postgres and a Redis of the benchmark's own, webhooks arriving all the time. One of the two is taken away (Postgres stopped,
Redis killed) for a while, in which a promise breaks; then it comes back, and it is measured from the instant at which it answers again: the first webhook
answered with 2xx, the first delivery applied that was received after it, every delivery that waited applied, the breach recorded and written back, and both
workers waiting for wakes again.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, LiteralString

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg
from redis import Redis

from bench.load import Load
from bench.open_promises import database_url, own_postgres
from connectors.zendesk.simulator import ZendeskSimulator
from sla_plugin.supervisor.redis_server import find_server
from tests.journeys.product import Product, eventually, free_tcp_port

RATE = 20.0
POLICY = """
policies:
  - {name: Load, applies_to: {field: tags, contains: load}, targets: {first_response: 4h, resolution: 120h}}
  - {name: Quick, targets: {first_response: 10s}}
"""


class RedisServer:
    """A Redis on a socket that comes and goes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "redis.sock"
        self.url = f"unix://{self.path}"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = [find_server(), "--port", "0", "--unixsocket", self.path, "--save", "", "--dir", self.path.parent]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        eventually(self.path.exists, 5, "Redis listens")
        with Redis.from_url(self.url) as redis:
            redis.ping()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self.path.unlink(missing_ok=True)

    def waiting(self) -> int:
        """How many clients wait for something to come into a queue."""
        with Redis.from_url(self.url) as redis:
            return int(redis.info("clients")["blocked_clients"])


class Outage:
    """Takes a part away, gives it back, and measures what goes on from then."""

    def __init__(self, database: str, desk: ZendeskSimulator, redis: RedisServer, load: Load) -> None:
        self._database, self._desk, self._redis, self._load = database, desk, redis, load

    def measure(self, take: Callable[[], None], give: Callable[[], None], gone: float) -> dict[str, float]:
        """Seconds from the return to each thing that must go on."""
        ticket = self._desk.create_ticket()  # breaks 10 s from now, while the part is gone
        time.sleep(2)
        take()
        time.sleep(gone)
        give()
        back = time.time()
        found: dict[str, float] = {}
        with psycopg.connect(self._database, autocommit=True) as looking:
            received = int(back * 1e6)
            looks: dict[str, Callable[[], Any]] = {
                "a webhook answered with 2xx": lambda: any(a.status < 300 and a.left + a.took > back for a in self._load.answers[-50:]),
                "the breach recorded": lambda: _one(looking, "SELECT 1 FROM alert WHERE level = 'breach' AND external_id = %s", ticket),
                "a new delivery applied": lambda: _one(looking, "SELECT 1 FROM delivery WHERE state = 'applied' AND received_at > %s LIMIT 1", received),
                "all that waited applied": lambda: not _one(looking, "SELECT 1 FROM delivery WHERE state = 'stored' AND received_at < %s LIMIT 1", received),
                "workers wait for wakes": lambda: self._redis.waiting() >= 2,
                "the breach written back": lambda: any(write["ticket"] == ticket and write["applied"] for write in self._desk.writes),
            }
            while time.time() < back + 60 and len(found) < len(looks):
                for name, look in looks.items():
                    if name not in found and look():
                        found[name] = time.time() - back
                time.sleep(0.01)
        return found


def _one(looking: psycopg.Connection[Any], query: LiteralString, value: Any) -> bool:
    return looking.execute(query, (value,)).fetchone() is not None


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--gone", type=float, default=20.0, help="seconds")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--what", choices=("postgres", "redis", "both"), default="both")
    given = arguments.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; gone for {given.gone:.0f} s, {RATE:g} webhooks/s", flush=True)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sla-resume-")))
        server = stack.enter_context(own_postgres())
        redis = RedisServer(folder)
        stack.callback(redis.kill)
        url = database_url(server)
        product = Product(folder / "data", free_tcp_port(), DATABASE_URL=url, REDIS_URL=redis.url).start()
        stack.callback(product.stop)
        product.policy(POLICY)
        desk = stack.enter_context(ZendeskSimulator())
        account = ("--base-url", desk.url, "--email", desk.email, "--token", desk.token, "--secret", desk.sender.secret, "--live")
        desk.sender.url = product.cli("connect", "zendesk", "--name", "Desk", *account)["webhook_url"]
        told = product.cli("connect", "generic", "--name", "Load")
        load = stack.enter_context(Load(told["webhook_url"], told["secret"], RATE))
        time.sleep(2)
        for what, take, give in (("postgres", server.stop, server.start), ("redis", redis.kill, redis.start)):
            if given.what not in (what, "both"):
                continue
            rounds = []
            for _ in range(given.rounds):
                rounds.append(Outage(url.replace("+psycopg", ""), desk, redis, load).measure(take, give, given.gone))
                print(what, {name: round(seconds, 2) for name, seconds in rounds[-1].items()}, flush=True)
                time.sleep(5)
            for name in rounds[0]:
                taken = [r[name] for r in rounds if name in r]
                print(
                    f"{what} back: {name:<26} {statistics.median(taken):6.2f} s  ({min(taken):.2f} to {max(taken):.2f}, {len(taken)} of {len(rounds)} rounds)"
                )
        print(f"answers of the door: {load.statuses}")


if __name__ == "__main__":
    main()
