"""Every Zendesk file of ../shared/payloads, signed and posted to the running server, a fresh connection per file: what it became is what expected.json says."""

import base64
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sla_plugin.app import build
from sla_plugin.services.connect_helpdesk import ConnectionForm, prepare_connection, store_connection
from sla_plugin.settings import Settings
from sla_plugin.store.connections import find_by_name
from sla_plugin.store.duties import Duty
from sla_plugin.store.tenants import the_tenant
from tests.journeys.product import Product, eventually, free_tcp_port, instant_of

PAYLOADS = Path(__file__).resolve().parents[3] / "shared" / "payloads"
EXPECTED = [one for one in (json.loads((PAYLOADS / "expected.json").read_text()) if PAYLOADS.is_dir() else []) if one["connector"] == "zendesk"]
SECRET = "the-secret-of-all-files"
pytestmark = [pytest.mark.platform, pytest.mark.shared]
Rows = dict[str, list[dict[str, Any]]]  # connection -> its rows


@pytest.fixture(scope="module")
def became(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rows, Rows]]:
    """(deliveries, events) by file."""
    product = Product(tmp_path_factory.mktemp("payloads"), free_tcp_port()).start()
    try:
        runtime = build(Settings.from_env(product.environment))
        doors = {}
        for entry in EXPECTED:
            with runtime.database.transaction(Duty.TENANTS) as tx:
                tenant = the_tenant(tx)
                assert tenant is not None
                tx.narrow(tenant)
                form = ConnectionForm(name=entry["file"], connector="zendesk", base_url=product.url, email="a@b.test", token="t0ken", secret=SECRET)
                draft = prepare_connection(tx, tenant, form, runtime.outside, allow_private=True, update=False)
                store_connection(tx, tenant, draft, None, runtime.clock(), "test", runtime.outside)
                connection = find_by_name(tx, tenant, entry["file"])
                assert connection is not None
                doors[entry["file"]] = f"{product.url}/webhooks/{connection.public_id}"
        runtime.database.engine.dispose()
        for file, door in doors.items():
            assert post(door, (PAYLOADS / file).read_bytes()) == 202, file
        eventually(lambda: "stored" not in {d["state"] for d in product.export("deliveries")}, 30, "all is applied")
        yield by_connection(product.export("deliveries")), by_connection(product.export("events"))
    finally:
        product.stop()


def post(door: str, body: bytes) -> int:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    mac = base64.b64encode(hmac.new(SECRET.encode(), stamp.encode() + body, hashlib.sha256).digest()).decode()
    address = urlsplit(door)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    headers = {"Content-Type": "application/json", "X-Zendesk-Webhook-Signature": mac, "X-Zendesk-Webhook-Signature-Timestamp": stamp}
    connection.request("POST", address.path, body, headers)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def by_connection(rows: list[dict[str, Any]]) -> Rows:
    found: Rows = {}
    for row in rows:
        found.setdefault(row["connection"], []).append(row)
    return found


@pytest.mark.parametrize("entry", EXPECTED or [{"file": "absent"}], ids=lambda entry: entry["file"])
def test_posted(became: tuple[Rows, Rows], entry: dict[str, Any]) -> None:
    deliveries, events = became
    (delivery,) = deliveries[entry["file"]]
    outcome = entry.get("if_posted") or entry["outcome"]
    assert delivery["state"] == outcome, delivery["reason"]
    told = events.get(entry["file"], [])
    if outcome != "applied":
        assert delivery["reason"]
        assert told == []
        return
    assert len(told) == len(entry["events"])
    for event, expected in zip(told, entry["events"], strict=True):
        assert event["kind"] in (expected["kind"], *expected.get("kind_also", ()))
        # an instant ahead of the receipt is clamped, and kept as it was said
        assert instant_of(event.get("said_at") or event["at"]) in [instant_of(at) for at in (expected["at"], *expected.get("at_also", ()))]
        # comment text is compared on the parser: events do not keep it
        compared = {name: value for name, value in expected.items() if name not in ("kind", "kind_also", "at", "at_also", "text", "optional")}
        assert {name: event.get(name) for name in compared} == compared
        assert event["own"] is False
