"""Two hosts, Postgres and Redis at a third: they share the work; one is cut off, the other is killed, nothing is lost or doubled."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.journeys.foreign_desk import ForeignDesk
from tests.journeys.product import eventually
from tests.platform.hosts import Host, a_host, namespaces_work, postgres_at, redis_at
from tests.platform.production import ONCE, POLICY, Load, Production, all_applied, connect_desk, connect_log

pytestmark = [pytest.mark.platform, pytest.mark.postgres, pytest.mark.skipif(not namespaces_work(), reason="no namespaces")]

NETWORKS = (17, 18)
HERE = f"10.213.{NETWORKS[0]}.1"  # the third host: reached from both


class TwoHosts:
    """Host `a` and host `b`, each with a web server, an inbox worker, an outbox worker and a timekeeper."""

    def __init__(self, a: Host, b: Host, database_url: str, redis_url: str, folder: Path) -> None:
        self.hosts = (a, b)
        self.parts = tuple(
            Production(
                folder / host.name, 8080, database_url, redis_url, prefix=host.prefix, SLA_HOST=host.address, SLA_PUBLIC_URL=f"http://{host.address}:8080"
            )
            for host in self.hosts
        )

    def start(self) -> None:
        """All parts of both, until both are ready."""
        for production in self.parts:
            for words in (("worker", "inbox"), ("worker", "outbox"), ("timekeeper",)):
                production.start(*words)
            production.web("--workers", "1")

    def addresses(self, address: str) -> list[str]:
        """The same webhook address at both hosts."""
        return [f"{production.url}{urlsplit(address).path}" for production in self.parts]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[TwoHosts]:
    with ExitStack() as stack:
        a, b = (stack.enter_context(a_host(number, letter)) for number, letter in zip(NETWORKS, "ab", strict=True))
        made = TwoHosts(a, b, stack.enter_context(postgres_at(HERE)), stack.enter_context(redis_at(HERE)), tmp_path)
        first = made.parts[0]
        first.cli("migrate")
        (tmp_path / "policy.yaml").write_text(POLICY)
        first.cli("policy", "apply", str(tmp_path / "policy.yaml"))
        try:
            yield made
        finally:
            b.mend()
            for production in made.parts:
                production.stop()


def test_two_hosts(two: TwoHosts) -> None:
    a, b = two.parts
    two.start()
    address, secret = connect_log(a)
    taken: list[str] = []
    with ForeignDesk(host=HERE) as desk:
        connect_desk(a, desk)
        tickets = []

        def breach(count: int) -> None:
            tickets.extend(desk.open_ticket(priority="high") for _ in range(count))

        def all_written() -> bool:
            return all(desk.count(ticket) == ONCE for ticket in tickets)

        with Load(two.addresses(address), secret, threads=4) as load:  # both answer
            breach(4)
            load.some(60)
        assert (load.errors, set(load.statuses)) == ([], {202})
        taken += load.taken
        eventually(all_written, 20, "every breach is written")

        two.hosts[1].cut()
        with Load(two.addresses(address)[:1], secret, threads=2, first=10_000) as load:
            breach(4)
            load.some(40)
        assert (load.errors, set(load.statuses)) == ([], {202})
        taken += load.taken
        eventually(all_written, 30, "host a does it alone")
        eventually(lambda: all_applied(a), 30, "what host b had under way is free again")

        two.hosts[1].mend()
        eventually(b.ready, 30, "host b finds its way back")
        for part in a.parts:
            part.send_signal(signal.SIGKILL)
        breach(4)
        desk.webhook_url = f"{b.url}{urlsplit(desk.webhook_url).path}"
        with Load(two.addresses(address)[1:], secret, threads=2, first=20_000) as load:
            load.some(40)
        assert (load.errors, set(load.statuses)) == ([], {202})
        taken += load.taken
        eventually(all_written, 30, "host b does it alone")
        eventually(lambda: all_applied(a), 20, "every webhook is applied, the echoes too")
        time.sleep(1)
        assert {ticket: desk.count(ticket) for ticket in tickets} == dict.fromkeys(tickets, ONCE)
    assert sorted(row["ticket"] for row in a.export("tickets", connection="Log")) == sorted(taken)
    levels = sorted((alert["ticket"], alert["level"]) for alert in a.export("alerts"))
    assert levels == sorted((str(ticket), level) for ticket in tickets for level in ("breach", "critical", "warning"))
    assert json.loads(a.cli("connections", "list"))
