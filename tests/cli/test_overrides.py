"""Deciding by hand from the command line: a ticket of an imported log would be too old, so the tickets here come through the inbox."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.registry import CONNECTORS
from sla_plugin.jobs.inbox import drain_inbox
from sla_plugin.services.outside import Outside
from sla_plugin.store.connections import list_connections
from sla_plugin.store.db import open_database
from sla_plugin.store.deliveries import delivery_row, insert_deliveries
from sla_plugin.store.duties import Duty
from sla_plugin.store.sealing import Sealer
from sla_plugin.store.tenants import the_tenant
from tests.cli.conftest import Run
from tests.plant import KEY, NoHttp, QuietQueue

CREATED = {"type": "ticket.created", "id": "e1", "ticket": "7", "values": {"status": "open", "priority": "high"}, "actor": {"id": "c", "role": "customer"}}


@pytest.fixture
def ticket(ask: Callable[..., Any], environment: dict[str, str], tmp_path: Path) -> str:
    """Ticket 7 of a connection crm, created a moment ago."""
    ask("connect", "generic", "--name", "crm")
    database = open_database(environment["DATABASE_URL"], tmp_path)
    outside = Outside(connectors={c.name: c for c in CONNECTORS}, http=NoHttp(), queue=QuietQueue(), sealer=Sealer([KEY]))
    with database.transaction(Duty.CHECKING) as tx:
        tenant = the_tenant(tx)
        assert tenant is not None
        (connection,) = list_connections(tx, tenant)
        now = connection.created_at + 1_000_000
        body = json.dumps({**CREATED, "occurred_at": "2026-11-20T10:00:00Z"}).encode()
        insert_deliveries(tx, [delivery_row(tenant, connection.id, "d1", now, {}, body)])
    drain_inbox(database, outside, lambda: now, 10)
    database.engine.dispose()
    return "7"


def test_extend_take_back_and_choose(ticket: str, ask: Callable[..., Any], run: Callable[..., Any]) -> None:
    done = ask("extend", ticket, "--metric", "resolution", "--by", "2h", "--reason", "promised on the phone")
    told = ask("explain", ticket, "--json")
    assert [(d["event"], d["reason"]) for d in told["by_hand"]] == [(done["event"], "promised on the phone")]
    assert "resolution extended by 2 h" in run("explain", ticket).stdout
    ask("extend", ticket, "--take-back", done["event"], "--reason", "a mistake")
    ask("choose-policy", ticket, "Default", "--reason", "a pilot")
    ask("choose-policy", ticket, "--by-conditions", "--reason", "the pilot is over")
    assert len(ask("explain", ticket, "--json")["by_hand"]) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("extend", "7", "--metric", "resolution", "--by", "0h", "--reason", "x"), 1, "by: 0h is zero"),
        (("extend", "7", "--metric", "nothing", "--by", "1h", "--reason", "x"), 1, "metric: the ticket has no clock 'nothing'"),
        (("extend", "8", "--metric", "resolution", "--by", "1h", "--reason", "x"), 1, "there is no ticket '8'"),
        (("extend", "7", "--metric", "resolution", "--reason", "x"), 2, "say --metric and --by"),
        (("extend", "7", "--metric", "resolution", "--by", "1h"), 2, "--reason"),
        (("extend", "7", "--take-back", "e", "--by", "1h", "--reason", "x"), 2, "stands alone"),
        (("choose-policy", "7", "--reason", "x"), 2, "name a policy, or say"),
        (("choose-policy", "7", "Gold", "--by-conditions", "--reason", "x"), 2, "name a policy, or say"),
        (("choose-policy", "7", "Nobody", "--reason", "x"), 1, "no active policy is called 'Nobody'; known are Default"),
        (("strict", "on"), 1, "confirm with --confirm"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(ticket: str, run: Run, ask: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    assert said in run(*arguments, code=code).stderr
    assert ask("explain", ticket, "--json")["by_hand"] == []


def test_strict_mode(ticket: str, run: Callable[..., Any], ask: Callable[..., Any]) -> None:
    assert ask("strict") == {"strict": False}
    name = run("strict", "on", code=1).stderr.split("'")[1]
    assert ask("strict", "on", "--confirm", name) == {"strict": True, "changed": True}
    refused = run("extend", ticket, "--metric", "resolution", "--by", "1h", "--reason", "please", code=1)
    assert "strict mode refuses exceptions" in refused.stderr
    (tried,) = ask("explain", ticket, "--json")["by_hand"]
    assert tried["what"] == "refused by strict mode: resolution extended by 1h"
    assert ask("strict", "off") == {"strict": False, "changed": True}
