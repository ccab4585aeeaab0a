"""How long it takes to say what would go, and to remove a chunk of it, of a million deliveries: `python bench/retention.py [rows] [database url]`."""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from sla_plugin.app import build
from sla_plugin.services.keep_retention import DAY, Share, keep_retention, would_go
from sla_plugin.settings import Settings
from sla_plugin.store import schema
from sla_plugin.store.bulk import insert_rows
from sla_plugin.store.deliveries import DELIVERIES
from sla_plugin.store.duties import Duty
from sla_plugin.store.ids import new_id
from sla_plugin.store.tenants import add_tenant
from tests.owner import as_owner

NOW = 1_800_000_000_000_000
BODY = b"x" * 300


def fill(rows: int, url: str, folder: Path) -> tuple[object, int]:
    """A database with so many applied deliveries of the last hundred days."""
    runtime = build(Settings.from_env({"DATABASE_URL": url, "SLA_DATA_DIR": str(folder)}))
    schema.upgrade(runtime.database.engine)
    with runtime.database.transaction(Duty.TENANTS) as tx:
        tenant = add_tenant(tx, "Bench", NOW)
    step = 100 * DAY // rows
    for start in range(0, rows, 10_000):
        with runtime.database.transaction(tenant) as tx:
            insert_rows(
                tx,
                DELIVERIES,
                [
                    {
                        "tenant_id": tenant, "id": new_id(), "connection_id": 1, "delivery_key": f"k{n}", "received_at": NOW - n * step, "headers": {},
                        "body": BODY, "state": "applied", "history": False, "tries": 1, "duplicates": 0,
                    }
                    for n in range(start, min(start + 10_000, rows))
                ],
            )  # fmt: skip
    if runtime.database.turn is None:  # Postgres: as autovacuum would have done long before
        with as_owner(runtime.database.engine) as connection:
            connection.exec_driver_sql("ANALYZE")
    return runtime, tenant


def main(rows: int, url: str) -> None:
    """Fill, measure, print."""
    with tempfile.TemporaryDirectory() as folder:
        runtime, tenant = fill(rows, url, Path(folder))
        database = runtime.database
        looks = []
        for _ in range(5):
            with database.reading(tenant) as tx:
                began = time.perf_counter()
                counts = would_go(tx, tenant, NOW, 30)
                looks.append(time.perf_counter() - began)
        share = Share(50, 10) if database.turn is not None else Share(500, 100)
        chunks = []
        for _ in range(100):
            began = time.perf_counter()
            with database.transaction(tenant) as tx:
                keep_retention(tx, tenant, NOW, 30, runtime.outside, share)
            chunks.append(time.perf_counter() - began)
        print(f"{rows} deliveries: count of what would go {counts}: median {statistics.median(looks) * 1e3:.1f} ms")
        print(f"a chunk of {share.rows}: median {statistics.median(chunks) * 1e3:.1f} ms, longest {max(chunks) * 1e3:.1f} ms")


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    main(count, sys.argv[2] if len(sys.argv) > 2 else "")
