"""Thousands of breaches in one second: how long until all are recorded, and whether webhooks are answered meanwhile.

    python bench/mass_breach.py [--breaches 10000] [--rate 50] [--timekeepers 1] [--rounds 1]

A Postgres of its own that really syncs; the product as `sla-plugin up` (web, both workers, timekeeper, Redis). The tickets are put in with their events some
time before; their warnings and criticals are announced, then all first responses break within one second, while webhooks of other tickets of the same
connection are answered and applied. Asserted: every breach has its alert, its clock and its commands, each once.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import text, update

from bench.load import Load, quantile
from bench.open_promises import HOUR, database_url, own_postgres
from sla_plugin.engine.events import Event
from sla_plugin.store.connections import find_by_name
from sla_plugin.store.db import Database, open_database
from sla_plugin.store.duties import Duty
from sla_plugin.store.events import event_row, insert_events
from sla_plugin.store.tenants import the_tenant
from sla_plugin.store.tickets import PROMISES, ensure_tickets
from tests.journeys.product import Product, free_tcp_port

SECOND = 1_000_000
POLICY = """
policies:
  - {name: Load, applies_to: {field: tags, contains: load}, targets: {first_response: 4h, resolution: 120h}}
  - {name: Quick, targets: {first_response: 1h, resolution: 48h}}
"""
ACTIONS = 3  # commands of a breach by default: priority, assignee, comment


def history(ticket: str, at: int) -> list[Event]:
    """A ticket that nobody has answered: created, sorted to a group, a note."""
    values = {"status": "open", "priority": "normal", "requester": "c1", "subject": "It does not work", "tags": ["mail"]}
    return [
        Event(f"{ticket}-1", "ticket.created", ticket, at, actor_id="c1", actor_role="customer", values=values),
        Event(f"{ticket}-2", "group.changed", ticket, at + 60 * SECOND, actor_id="a1", actor_role="agent", field="group", after="first line"),
        Event(f"{ticket}-3", "note.internal", ticket, at + 120 * SECOND, actor_id="a1", actor_role="agent"),
        Event(f"{ticket}-4", "tags.changed", ticket, at + 180 * SECOND, actor_id="a1", actor_role="agent", added=("printer",)),
    ]


def put_in(database: Database, tenant: int, connection: int, tickets: int, breach_at: int) -> None:
    """Tickets whose first response is due within the second that begins at `breach_at`; the timekeeper evaluates them at once."""
    now = time.time_ns() // 1000
    for first in range(0, tickets, 2000):
        numbers = range(first, min(first + 2000, tickets))
        with database.transaction(tenant) as tx:
            known = ensure_tickets(tx, tenant, connection, {f"T{n}": (now, False) for n in numbers})
            rows: list[dict[str, Any]] = []
            for n in numbers:
                ticket, promise = known[f"T{n}"]
                created = breach_at - HOUR + n * SECOND // tickets
                rows += [{**event_row(tenant, connection, None, e.at or now, e), "ticket_id": ticket, "promise_id": promise} for e in history(f"T{n}", created)]
            insert_events(tx, tenant, rows)
            tx.execute(update(PROMISES).where(PROMISES.c.id.in_([p for _, p in known.values()])).values(next_transition_at=now))


class Counts:
    """What other connections to the database see."""

    def __init__(self, database: Database, connection: int) -> None:
        self._database, self._connection = database, connection

    def alerts(self, level: str) -> int:
        """Alerts of a level."""
        return self._ask("SELECT count(*) FROM alert WHERE connection_id = :connection AND level = :level", level=level)

    def is_due(self, until: int) -> bool:
        """Whether a transition up to an instant is still to be kept; a look at one row, which costs the product nothing."""
        return bool(self._ask("SELECT count(*) FROM (SELECT 1 FROM promise WHERE next_transition_at <= :until LIMIT 1) p", until=until))

    def commands(self) -> int:
        """Commands planned."""
        return self._ask("SELECT count(*) FROM command WHERE connection_id = :connection")

    def breached(self) -> int:
        """Clocks that are breached."""
        return self._ask("SELECT count(*) FROM clock JOIN promise p ON p.id = promise_id WHERE breached_at IS NOT NULL AND p.connection_id = :connection")

    def _ask(self, query: str, **values: Any) -> int:
        with self._database.reading(Duty.CHECKING) as tx:
            return int(tx.execute(text(query), {"connection": self._connection, **values}).scalar_one())


def measure(product: Product, database: Database, breaches: int, rate: float) -> float:
    """One mass of breaches; seconds from the last deadline to the last alert that another connection sees."""
    name = f"Load {time.time_ns()}"
    told = product.cli("connect", "generic", "--name", name)
    with database.reading(Duty.CHECKING) as tx:
        tenant = the_tenant(tx)
        assert tenant is not None
        connection = find_by_name(tx, tenant, name)
        assert connection is not None
    counts = Counts(database, connection.id)
    with Load(told["webhook_url"], told["secret"], rate) as load:
        time.sleep(2)
        due = (time.time_ns() // SECOND // 1000 + 20 + breaches // 600) * SECOND  # a whole second, when all is in place
        put_in(database, tenant, connection.id, breaches, due)
        while counts.alerts("critical") < breaches:
            assert time.time() < due / 1e6, f"{counts.alerts('critical')} of {breaches} evaluated when the first one breaks"
            time.sleep(0.5)
        product_cpu = {part: cpu_of(product.pid(part)) for part in ("web", "inbox-worker", "outbox-worker", "timekeeper")}
        assert counts.alerts("breach") == 0
        time.sleep(due / 1e6 - time.time())
        while counts.is_due(due + SECOND):
            assert time.time() < due / 1e6 + 120, f"{counts.alerts('breach')} of {breaches} after two minutes"
            time.sleep(0.02)
        done = time.time()
        used = {part: cpu_of(product.pid(part)) - before for part, before in product_cpu.items()}
        time.sleep(2)
    assert (counts.alerts("breach"), counts.breached(), counts.commands()) == (breaches, breaches, ACTIONS * breaches)
    last = due / 1e6 + (breaches - 1) / breaches
    within = [answer.took for answer in load.answers if due / 1e6 - 0.1 <= answer.left <= done]
    print(
        f"{breaches} breaches within a second: the last alert is committed {done - last:.2f} s after the last deadline,"
        f" {done - due / 1e6:.2f} s after the first;"
        f" {len(within)} webhooks meanwhile: p50 {quantile(within, 0.5) * 1e3:.0f}, p99 {quantile(within, 0.99) * 1e3:.0f}, max {max(within) * 1e3:.0f} ms"
        f" ({load.statuses}); seconds of processor: {', '.join(f'{part} {seconds:.1f}' for part, seconds in used.items())}",
        flush=True,
    )
    return done - last


def cpu_of(pid: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--breaches", type=int, default=10_000)
    arguments.add_argument("--rate", type=float, default=50.0)
    arguments.add_argument("--timekeepers", type=int, default=1)
    arguments.add_argument("--rounds", type=int, default=1)
    given = arguments.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {given.timekeepers} timekeeper(s)", flush=True)
    with own_postgres() as server, tempfile.TemporaryDirectory() as folder:
        url = database_url(server)
        product = Product(Path(folder) / "data", free_tcp_port(), DATABASE_URL=url).start()
        database = open_database(url, Path(folder))
        try:
            product.policy(POLICY)
            for _ in range(given.timekeepers - 1):
                product.run("timekeeper")
            taken = [measure(product, database, given.breaches, given.rate) for _ in range(given.rounds)]
        finally:
            database.engine.dispose()
            product.stop()
    print(f"last deadline to last alert: {sorted(taken)[len(taken) // 2]:.2f} s ({min(taken):.2f} to {max(taken):.2f}, {len(taken)} rounds)")


if __name__ == "__main__":
    main()
