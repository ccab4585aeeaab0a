"""Replaying deliveries and retrying write-backs."""

from collections.abc import Iterator
from typing import Any

import pytest

from sla_plugin.errors import ConfigurationError, PermanentFailure
from sla_plugin.ports import HttpAnswer
from sla_plugin.services.change_connection import set_mode
from sla_plugin.services.replay_delivery import Replayed, replay_deliveries
from sla_plugin.services.retry_commands import retry_commands
from sla_plugin.settings import Settings
from tests.plant import Plant

CREATED = {"type": "ticket.created", "id": "e1", "ticket": "T1", "occurred_at": "2026-11-16T09:00:00Z", "values": {"status": "open"}}


class Receiver:
    """An outgoing webhook's receiver that refuses until it is put right."""

    def __init__(self) -> None:
        self.broken = True

    def request(self, *_: Any, **__: Any) -> HttpAnswer:
        if self.broken:
            raise PermanentFailure("does not allow that (403)", status=403)
        return HttpAnswer(200, {}, b"")


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def plant(settings: Settings, receiver: Receiver) -> Iterator[Plant]:
    made = Plant(settings, http=receiver)
    yield made
    made.close()


def replay(plant: Plant, *words: str) -> list[Replayed]:
    with plant.database.transaction(plant.tenant) as tx:
        return replay_deliveries(tx, plant.tenant, words, plant.now, "test", plant.outside)


def test_replaying_what_was_applied_changes_nothing(plant: Plant) -> None:
    plant.policy(targets={"resolution": "1h"})
    delivery = plant.deliver(CREATED, key="k1")
    plant.apply()
    before = [plant.rows(table) for table in ("event", "ticket", "clock", "alert")]
    plant.queue.wakes.clear()
    (replayed,) = replay(plant, "k1")
    assert (replayed.id, replayed.was) == (delivery, "applied")
    assert plant.queue.wakes == ["inbox"]
    assert plant.apply() == 1
    assert [plant.rows(table) for table in ("event", "ticket", "clock", "alert")] == before
    (row,) = plant.rows("delivery")
    assert (row["state"], row["reason"]) == ("applied", "its event was known already: nothing changed")


def test_an_unreadable_delivery_is_read_again_by_id(plant: Plant) -> None:
    delivery = plant.deliver(body=b"not json")
    plant.apply()
    (replayed,) = replay(plant, str(delivery))
    assert replayed.was == "unreadable"
    assert replayed.reason is not None
    assert [d["state"] for d in plant.rows("delivery")] == ["stored"]


def test_one_unknown_delivery_replays_none(plant: Plant) -> None:
    plant.deliver(CREATED, key="k1")
    plant.apply()
    with pytest.raises(ConfigurationError, match="no delivery 'k2'"):
        replay(plant, "k1", "k2")
    assert [d["state"] for d in plant.rows("delivery")] == ["applied"]


def test_failed_commands_are_tried_again_once_put_right(plant: Plant, receiver: Receiver) -> None:
    plant.policy(targets={"resolution": "1h"}, on_breach=["comment_breach"])
    plant.tell(CREATED)
    plant.pass_time("2026-11-16T10:01")
    plant.send()
    assert [c["state"] for c in plant.rows("command")] == ["failed"]
    receiver.broken = False
    plant.queue.wakes.clear()
    with plant.database.transaction(plant.tenant) as tx:
        (retried,) = retry_commands(tx, plant.tenant, plant.now, "test", plant.outside, connection=plant.crm, external="T1")
    assert (retried.ticket, retried.kind, retried.reason) == ("T1", "add_comment", "crm: does not allow that (403)")
    assert plant.queue.wakes == ["outbox"]
    plant.send()
    assert [c["state"] for c in plant.rows("command")] == ["sent"]
    assert [c["state"] for c in plant.rows("call")] == ["failed", "sent"]


def test_a_connection_that_is_not_live_is_not_written_to_by_a_retry(plant: Plant) -> None:
    plant.policy(targets={"resolution": "1h"}, on_breach=["comment_breach"])
    plant.tell(CREATED)
    plant.pass_time("2026-11-16T10:01")
    plant.send()
    with plant.database.transaction(plant.tenant) as tx:
        set_mode(tx, plant.tenant, "crm", "dry_run", plant.now, "test", plant.outside)
    with plant.database.transaction(plant.tenant) as tx, pytest.raises(ConfigurationError, match="crm is not live"):
        retry_commands(tx, plant.tenant, plant.now, "test", plant.outside)
    assert [c["state"] for c in plant.rows("command")] == ["failed"]
