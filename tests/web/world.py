"""A small company for page tests: its helpdesk told us a few stories, and time stands at a fixed instant."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import select

from connectors.generic.connector import GenericConnector
from connectors.zendesk.connector import ZendeskConnector
from sla_plugin.app import Runtime, build
from sla_plugin.ports import Mailer
from sla_plugin.services.apply_deliveries import apply_deliveries
from sla_plugin.services.apply_policy_file import PolicyFile, apply_policy_file
from sla_plugin.services.keep_time import keep_time, sweep_terms
from sla_plugin.services.tokens import make_token
from sla_plugin.settings import Settings
from sla_plugin.store.connections import add_connection, note_state
from sla_plugin.store.deliveries import delivery_row, insert_deliveries
from sla_plugin.store.duties import Duty
from sla_plugin.store.people import add_person, find_person
from sla_plugin.store.requesters import bind_requester
from sla_plugin.store.schema import METADATA
from sla_plugin.store.tenants import add_tenant, book_revision

PASSWORD = "correct horse battery"
_QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)  # tests sign in a thousand times
SECRET = "whsec_00112233445566778899aabbccddeeff"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BERLIN = {"time_zone": "Europe/Berlin", "hours": {d: ["09:00-12:30", "13:30-18:00"] for d in ("mon", "tue", "wed", "thu", "fri")}}
GOLD = {
    "name": "Gold",
    "position": 10,
    "applies_to": {"all": [{"field": "organization", "is": "Acme GmbH"}]},
    "calendar": "Berlin office",
    "targets": {"first_response": "1h", "resolution": {"P0": {"target": "4h", "counts": "calendar"}, "P1": "8h", "P2": "24h"}},
}
REST = {"name": "Everyone", "default": True, "calendar": "24x7", "targets": {"first_response": "2h", "resolution": "30h"}}


def at(text: str) -> int:
    """Microseconds of an ISO instant in UTC."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


NOW = at("2026-11-04T13:32:07")


class SilentQueue:
    """A queue that wakes nobody."""

    def wake_inbox(self) -> None:
        """Nothing."""

    def wake_outbox(self) -> None:
        """Nothing."""


@dataclass
class World:
    """The company: its runtime at a standing clock, and who is in it."""

    runtime: Runtime
    tenant: int = 0
    connection: int = 0
    customer: int = 0
    now: int = NOW
    app: tuple[Any, Flask] | None = None  # what browsers share, and of what it was made
    _keys: list[int] = field(default_factory=lambda: [0])

    def deliver(self, when: str, events: Sequence[Mapping[str, Any]] | None, raw: bytes | None = None) -> None:
        """A delivery received at an instant, applied at once."""
        received = at(when)
        self._keys[0] += 1
        body = raw if raw is not None else json.dumps({"events": list(events or ())}).encode()
        with self.runtime.database.transaction(self.tenant) as tx:
            insert_deliveries(tx, [delivery_row(self.tenant, self.connection, f"d{self._keys[0]}", received, {"content-type": "application/json"}, body)])
            note_state(tx, self.tenant, self.connection, last_delivery_at=received)
        with self.runtime.database.transaction(Duty.INBOX) as tx:
            apply_deliveries(tx, received + 80_000, self.runtime.outside, 50)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Every row of a table that is the tenant's, by id."""
        chosen = METADATA.tables[table]
        with self.runtime.database.reading(self.tenant) as tx:
            return [dict(r) for r in tx.execute(select(chosen).where(chosen.c.tenant_id == self.tenant).order_by(chosen.c.id)).mappings()]

    def pass_time(self, until: int) -> None:
        """What happens by itself until an instant, an hour at a time."""
        step = until - 5 * 86_400_000_000
        while step < until:
            step = min(step + 3_600_000_000, until)
            for _ in range(20):
                with self.runtime.database.transaction(Duty.TIME) as tx:
                    if not keep_time(tx, step, self.runtime.outside, 100):
                        break


def event(kind: str, key: str, ticket: str, when: str, **more: Any) -> dict[str, Any]:
    """A generic event."""
    return {"type": kind, "id": key, "ticket": ticket, "occurred_at": f"{when}Z", **more}


CUSTOMER, AGENT = {"id": "u-1", "role": "customer"}, {"id": "a-7", "role": "agent"}


def _runtime(settings: Settings, mailer: Mailer | None = None) -> Runtime:
    runtime = build(settings, connectors=(ZendeskConnector(), GenericConnector(clock=lambda: NOW / 1e6)), queue=SilentQueue(), mailer=mailer)
    runtime.clock = lambda: NOW  # type: ignore[method-assign]
    return runtime


def copied(world: World, settings: Settings) -> World:
    """The same world in a copy of its database."""
    return replace(world, runtime=_runtime(settings), app=None, _keys=list(world._keys))


def empty_world(settings: Settings, name: str = "Acme Support", domain: str = "example.com", mailer: Mailer | None = None) -> World:
    """A tenant with a person of each role, and nothing else."""
    runtime = _runtime(settings, mailer)
    world, password = World(runtime), _QUICK
    with runtime.database.transaction(Duty.TENANTS) as tx:
        world.tenant = add_tenant(tx, name, at("2026-10-01T08:00:00"))
        add_person(tx, world.tenant, f"kim@{domain}", "Kim Lee", "admin", password, NOW, one_time=False)
        add_person(tx, world.tenant, f"ula@{domain}", "Ula Audit", "auditor", password, NOW, one_time=False)
        add_person(tx, world.tenant, f"ana@{domain}", "Ana Agent", "agent", password, NOW, one_time=False)
        world.customer = add_person(tx, world.tenant, f"carl@{domain}", "Carl Customer", "customer", password, NOW, one_time=False)
    return world


def full_world(settings: Settings, name: str = "Acme Support", domain: str = "example.com") -> World:
    """The company with policies, a connection in dry run, and tickets in every state."""
    world = empty_world(settings, name, domain)
    runtime, start = world.runtime, at("2026-10-01T08:00:00")
    with runtime.database.transaction(world.tenant) as tx:
        apply_policy_file(tx, world.tenant, PolicyFile({"Berlin office": BERLIN}, {"Gold": GOLD, "Everyone": REST}), start, "Kim Lee <kim@example.com>")
        world.connection = add_connection(
            tx,
            world.tenant,
            {
                "public_id": "crm-eu-7f3" if domain == "example.com" else f"crm-{domain}",
                "name": "CRM EU",
                "connector": "generic",
                "base_url": "https://crm.example.com/hook",
                "email": "",
                "sealed_token": None,
                "sealed_secrets": [{"sealed": runtime.outside.sealer.seal(SECRET), "added_at": start}],
                "mode": "dry_run",
                "mapping": {},
                "options": {},
                "assignee": "a-7",
                "facts": {},
                "checked_at": None,
                "created_at": start,
            },
        )
        admin = find_person(tx, world.tenant, f"kim@{domain}")
        assert admin is not None
        make_token(tx, admin, "report", ["tickets.read"], 30, NOW, "Kim Lee <kim@example.com>")
        bind_requester(tx, world.tenant, world.customer, world.connection, "u-1")
    created, acme = "ticket.created", {"organization": "Acme GmbH", "priority": "high", "status": "new"}
    world.deliver(
        "2026-11-02T08:12:00",
        [
            event(
                created,
                "e1",
                "4812",
                "2026-11-02T08:12:00",
                actor=CUSTOMER,
                values={**acme, "subject": "Invoice export fails with a <script>alert(1)</script> in it"},
            )
        ],
    )
    world.deliver("2026-11-02T08:41:00", [event("reply.public", "e2", "4812", "2026-11-02T08:41:00", actor=AGENT)])
    world.deliver(
        "2026-11-02T10:00:00", [event("ticket.updated", "e3", "4812", "2026-11-02T10:00:00", actor=AGENT, changes={"status": {"from": "new", "to": "pending"}})]
    )
    world.deliver(
        "2026-11-02T14:25:00",
        [event("ticket.updated", "e4", "4812", "2026-11-02T14:25:00", actor=CUSTOMER, changes={"status": {"from": "pending", "to": "open"}})],
    )
    for number, (when, subject) in enumerate(
        (("2026-11-04T11:36:00", "Login loop on SSO"), ("2026-11-04T11:55:00", "Slow search"), ("2026-11-04T13:01:00", "Where is my invoice?"))
    ):
        world.deliver(
            when,
            [
                event(
                    created,
                    f"n{number}",
                    str(4820 + number),
                    when,
                    actor=CUSTOMER,
                    values={
                        "organization": "Nordwind",
                        "priority": "normal",
                        "status": "new",
                        "subject": subject,
                        "requester": (f"carl@{domain}", "u-2", "u-1")[number],
                    },
                )
            ],
        )
    world.deliver(
        "2026-11-03T09:00:00",
        [
            event(
                created,
                "h1",
                "4830",
                "2026-11-03T09:00:00",
                actor=CUSTOMER,
                values={**acme, "priority": "normal", "subject": "Please add a second seat to our plan, and tell us what it costs per month and per year"},
            )
        ],
    )
    world.deliver("2026-11-03T09:20:00", [event("reply.public", "h2", "4830", "2026-11-03T09:20:00", actor=AGENT)])
    world.deliver(
        "2026-11-03T09:21:00", [event("ticket.updated", "h3", "4830", "2026-11-03T09:21:00", actor=AGENT, changes={"status": {"from": "new", "to": "pending"}})]
    )
    world.deliver(
        "2026-11-03T15:00:00", [event(created, "m1", "4831", "2026-11-03T15:00:00", actor=CUSTOMER, values={"status": "new", "subject": "Thank you"})]
    )
    world.deliver("2026-11-03T15:20:00", [event("reply.public", "m2", "4831", "2026-11-03T15:20:00", actor=AGENT)])
    world.deliver(
        "2026-11-03T16:00:00", [event("ticket.updated", "m3", "4831", "2026-11-03T16:00:00", actor=AGENT, changes={"status": {"from": "new", "to": "closed"}})]
    )
    world.deliver("2026-11-04T13:30:11", None, raw=b'{"type": "ticket.created", "id": "x", "ticket": "9", "occurred_at": "yesterday"}')
    with runtime.database.transaction(world.tenant) as tx:
        sweep_terms(tx, world.tenant, book_revision(tx, world.tenant), NOW, runtime.outside)
    world.pass_time(NOW)
    return world
