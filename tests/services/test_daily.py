"""What happens by itself every day: credentials are proved again, old raw bodies are dropped."""

from collections.abc import Iterator

import pytest

from connectors.http import Http
from connectors.zendesk.simulator import ZendeskSimulator
from sla_plugin.jobs.outbox import recheck_credentials
from sla_plugin.services.apply_deliveries import apply_deliveries
from sla_plugin.settings import Settings
from sla_plugin.store.retention import remove_old
from tests.plant import SECOND, Plant

DAY = 24 * 3600 * SECOND


@pytest.fixture
def desk() -> Iterator[ZendeskSimulator]:
    """A Zendesk whose token is `token`."""
    with ZendeskSimulator(email="robot@example.com", token="token", webhook_url="http://127.0.0.1:9/", secret="secret") as simulator:
        yield simulator


def test_a_revoked_token_is_seen_the_next_day(settings: Settings, desk: ZendeskSimulator) -> None:
    plant = Plant(settings, http=Http(allow_private=True))
    plant.connect("desk", "zendesk", base_url=desk.url, checked_at=plant.now)
    plant.connect("revoked", "zendesk", base_url=desk.url, checked_at=plant.now, sealed_token=plant.outside.sealer.seal("old"))
    before = {c["name"]: c["facts"] for c in plant.rows("connection")}
    for _ in range(4):
        recheck_credentials(plant.database, plant.outside, lambda: plant.now)
    known = {c["name"]: c["facts"] for c in plant.rows("connection")}
    assert (known["desk"], known["revoked"]) == (before["desk"], before["revoked"]), "proved today already"
    plant.now += DAY + SECOND
    for _ in range(4):
        recheck_credentials(plant.database, plant.outside, lambda: plant.now)
    after = {c["name"]: c for c in plant.rows("connection")}
    assert after["desk"]["checked_at"] == after["revoked"]["checked_at"] == plant.now
    assert not after["desk"]["facts"]["problems"]
    assert "401" in after["revoked"]["facts"]["problems"][0]
    plant.close()


def test_old_raw_bodies_go_and_what_they_became_stays(settings: Settings) -> None:
    plant = Plant(settings)
    plant.tell({"type": "ticket.created", "id": "e1", "ticket": "T1", "occurred_at": "2026-11-16T09:00:00Z"})
    plant.deliver(body=b"unreadable")
    plant.apply()
    events = plant.rows("event")
    with plant.database.transaction(plant.tenant) as tx:
        assert remove_old(tx, plant.tenant, "bodies", plant.now + 1, 100) == (1, False)
    assert [d["body"] for d in plant.rows("delivery")] == [None, b"unreadable"], "what may still be replayed is kept"
    assert plant.rows("event") == events
    plant.close()


def test_a_batch_has_a_size_in_memory_too(settings: Settings) -> None:
    plant = Plant(settings)
    for number in range(5):
        plant.deliver(
            {"type": "ticket.created", "id": f"e{number}", "ticket": f"T{number}", "occurred_at": "2026-11-16T09:00:00Z", "values": {"subject": "x" * 400_000}}
        )
    sizes = []
    while True:
        with plant.database.transaction(plant.tenant) as tx:
            applied = apply_deliveries(tx, plant.now, plant.outside, 200)
        if not applied.deliveries:
            break
        sizes.append(applied.deliveries)
    assert sizes == [2, 2, 1]
    assert {d["state"] for d in plant.rows("delivery")} == {"applied"}
    plant.close()
