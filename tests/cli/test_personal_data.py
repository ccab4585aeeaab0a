"""Somebody's data by command: what is held, all of it, and gone; a log never says whom it was about."""

import json
from collections.abc import Callable
from typing import Any

from sla_plugin.app import build
from sla_plugin.settings import Settings
from sla_plugin.store.connections import list_connections
from sla_plugin.store.deliveries import delivery_row, insert_deliveries
from sla_plugin.store.duties import Duty
from sla_plugin.store.tenants import tenant_ids
from tests.plant import QuietQueue

Run = Callable[..., Any]
WHO = "carla@private.example"


def test_somebody_is_found_handed_out_and_erased(environment: dict[str, str], run: Run, ask: Run) -> None:
    environment["SLA_LOG_LEVEL"] = "DEBUG"
    run("connect", "generic", "--name", "CRM")
    runtime = build(Settings.from_env(environment), queue=QuietQueue())
    with runtime.database.reading(Duty.TENANTS) as tx:
        (tenant,) = tenant_ids(tx)
    told = {"type": "ticket.created", "id": "1", "ticket": "7", "occurred_at": "2026-10-01T09:00:00Z", "values": {"requester": WHO, "subject": "Payslips"}}
    with runtime.database.transaction(tenant) as tx:
        (connection,) = list_connections(tx, tenant)
        insert_deliveries(tx, [delivery_row(tenant, connection.id, "d1", runtime.clock(), {}, json.dumps(told).encode())])
    runtime.drain_inbox()
    assert ask("person", "plan", WHO)["ticket"] == 1
    exported = run("person", "export", WHO)
    assert json.loads(exported.stdout)["tables"]["ticket"][0]["requester"] == WHO
    assert "--confirm carla" in run("person", "erase", WHO, code=1).stderr
    erased = run("person", "erase", WHO.upper(), "--confirm", WHO)
    pseudonym = json.loads(erased.stdout)["pseudonym"]
    assert pseudonym.startswith("erased person ")
    assert ask("person", "plan", WHO) == {}
    assert WHO not in run("export", "tickets").stdout
    assert pseudonym in run("export", "tickets").stdout
    assert "whole" in run("audit", "verify").stdout
    assert "kept again" in run("person", "lift", WHO).stdout
    assert "nobody of that name" in run("person", "lift", WHO, code=1).stderr
    assert "is no mail address" in run("person", "plan", "carla", code=1).stderr
    for said in (exported, erased):
        assert WHO not in said.stderr.lower()
        assert "Payslips" not in said.stderr
