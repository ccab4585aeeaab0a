"""The product in one process, with time given: a tenant, connections, policies; deliveries go in, rows and writes come out."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from connectors.registry import CONNECTORS
from sla_plugin.engine.policies import Policy
from sla_plugin.jobs.inbox import drain_inbox
from sla_plugin.jobs.outbox import drain_outbox
from sla_plugin.ports import Connector, Http
from sla_plugin.services.keep_time import keep_time, sweep_terms
from sla_plugin.services.outside import Outside
from sla_plugin.settings import Settings
from sla_plugin.store.connections import add_connection
from sla_plugin.store.db import Database, open_database
from sla_plugin.store.deliveries import delivery_row, insert_deliveries
from sla_plugin.store.duties import Duty
from sla_plugin.store.policies import add_calendar_version, add_policy_version
from sla_plugin.store.schema import METADATA
from sla_plugin.store.sealing import Sealer
from sla_plugin.store.tenants import add_tenant, book_revision, next_book_revision

SECOND = 1_000_000
MINUTE = 60 * SECOND
KEY = "bm90IGEgc2VjcmV0OiB0ZXN0cyBvbmx5IDAxMjM0NTY="
OFFICE = {"time_zone": "UTC", "hours": {d: ["09:00-17:00"] for d in ("mon", "tue", "wed", "thu", "fri")}}


def instant(text: str) -> int:
    """Microseconds UTC of `2026-11-16T09:00` (UTC unless it names an offset)."""
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6)


def iso(at: int) -> str:
    """An instant as vendors write it."""
    return datetime.fromtimestamp(at / 1e6, UTC).isoformat()


@dataclass
class QuietQueue:
    """A JobQueue that counts wakes."""

    wakes: list[str] = field(default_factory=list)

    def wake_inbox(self) -> None:
        self.wakes.append("inbox")

    def wake_outbox(self) -> None:
        self.wakes.append("outbox")


class NoHttp:
    """A way out that must not be taken."""

    def request(self, method: str, url: str, **_: Any) -> Any:
        raise AssertionError(f"unexpected call: {method} {url}")


class Plant:
    """A tenant with one generic connection called `crm`; `now` is moved by hand."""

    def __init__(
        self,
        settings: Settings,
        now: str = "2026-11-16T09:00",
        http: Http | None = None,
        connectors: Sequence[Connector] = CONNECTORS,
        database: Database | None = None,
    ) -> None:
        """`database`: one that is open already."""
        self.now = instant(now)
        self.database = database or open_database(settings.database_url, settings.data_dir)
        self.queue = QuietQueue()
        self.outside = Outside(connectors={c.name: c for c in connectors}, http=http or NoHttp(), queue=self.queue, sealer=Sealer([KEY]))
        self._deliveries = 0
        with self.database.transaction(Duty.TENANTS) as tx:
            self.tenant = add_tenant(tx, "Test", self.now)
        self.crm = self.connect("crm", "generic")

    def close(self) -> None:
        """Let go of the database."""
        self.database.engine.dispose()

    def connect(self, name: str, connector: str, **values: Any) -> int:
        """A live connection with the token `token` and the secret `secret`."""
        with self.database.transaction(self.tenant) as tx:
            return add_connection(
                tx,
                self.tenant,
                {
                    "public_id": name,
                    "name": name,
                    "connector": connector,
                    "base_url": "https://helpdesk.example.com",
                    "email": "robot@example.com",
                    "sealed_token": self.outside.sealer.seal("token"),
                    "sealed_secrets": [{"sealed": self.outside.sealer.seal("secret"), "added_at": self.now}],
                    "mode": "live",
                    "mapping": {},
                    "options": {},
                    "assignee": "77",
                    "facts": {"user_id": "77"},
                    "created_at": self.now - 3600 * SECOND,
                    **values,
                },
            )

    def policy(self, calendars: Mapping[str, Any] | None = None, **definition: Any) -> int:
        """A new version of a policy (name `P` unless given) and of calendars, in force from now on; returns the book's revision."""
        definition = {"name": "P", **definition}
        Policy.from_definition(definition, "policy")
        with self.database.transaction(self.tenant) as tx:
            revision = next_book_revision(tx, self.tenant)
            for name, calendar in (calendars or {}).items():
                add_calendar_version(tx, self.tenant, name, calendar, self.now, revision, "test")
            add_policy_version(tx, self.tenant, definition["name"], definition, self.now, revision, "test")
        return revision

    def deliver(self, *events: Mapping[str, Any], connection: int | None = None, key: str | None = None, body: bytes | None = None) -> int:
        """Store one generic delivery with these events, received now; returns its id."""
        self._deliveries += 1
        content = body if body is not None else json.dumps(events[0] if len(events) == 1 else {"events": list(events)}).encode()
        row = delivery_row(self.tenant, connection or self.crm, key or f"d{self._deliveries}", self.now, {}, content)
        with self.database.transaction(self.tenant) as tx:
            insert_deliveries(tx, [row])
        return int(row["id"])

    def apply(self, batch: int = 200) -> int:
        """Drain the inbox at `now`."""
        return drain_inbox(self.database, self.outside, lambda: self.now, batch)

    def tell(self, *events: Mapping[str, Any], connection: int | None = None) -> None:
        """Deliver and apply."""
        self.deliver(*events, connection=connection)
        self.apply()

    def pass_time(self, until: str | int) -> None:
        """Move to an instant, keeping every transition on the way at its time (and twice, as every job must stand)."""
        end = instant(until) if isinstance(until, str) else until
        for _ in range(100):
            coming = self.next_transition()
            if coming is None or coming > end:
                break
            self.now = max(coming, self.now)
            self.keep()
        else:
            raise AssertionError("a transition stays due for ever")
        self.now = end
        self.keep()

    def keep(self) -> None:
        """One look of the timekeeper, twice."""
        for _ in range(2):
            with self.database.reading(self.tenant) as tx:
                revision = book_revision(tx, self.tenant)
            with self.database.transaction(self.tenant) as tx:
                sweep_terms(tx, self.tenant, revision, self.now, self.outside)
            with self.database.transaction(Duty.TIME) as tx:
                keep_time(tx, self.now, self.outside, 100)

    def next_transition(self) -> int | None:
        """The earliest next transition of all promises."""
        rows = [r["next_transition_at"] for r in self.rows("promise") if r["next_transition_at"] is not None]
        return min(rows, default=None)

    def send(self, clock: Callable[[], int] | None = None) -> int:
        """Drain the outbox."""
        return drain_outbox(self.database, self.outside, clock or (lambda: self.now), 1)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Every row of a table, by id."""
        with self.database.reading(self.tenant) as tx:
            from_table = schema_table(table)
            return [dict(r) for r in tx.execute(select(from_table).order_by(from_table.c.id)).mappings()]

    def net(self, external: str | None = None) -> dict[tuple[str, str, int], tuple[Any, ...]]:
        """(ticket, metric, cycle) -> the net verdict: the record with its last correction."""
        tickets = {t["promise_id"]: t["external_id"] for t in self.rows("ticket")}
        verdicts: dict[int, tuple[Any, ...] | None] = {}
        keys = {}
        for r in self.rows("record"):
            verdicts[r["id"]] = (r["started_at"], r["stopped_at"], r["target"], r["elapsed"], bool(r["met"]))
            keys[r["id"]] = (tickets[r["promise_id"]], r["metric"], r["cycle"])
        for c in sorted(self.rows("correction"), key=lambda c: c["number"]):
            n = c["now"]
            verdicts[c["record_id"]] = None if n is None else (n["started_at"], n["stopped_at"], n["target"], n["elapsed"], n["met"])
        return {keys[i]: v for i, v in verdicts.items() if v is not None and (external is None or keys[i][0] == external)}


def schema_table(name: str) -> Any:
    """A table by name."""
    return METADATA.tables[name]
