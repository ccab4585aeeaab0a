"""A log's rows as events: what each row says at its own time."""

import gzip
import io
import json
from pathlib import Path

import pytest

from connectors.generic import inbound
from sla_plugin.errors import InvalidDefinition
from sla_plugin.ports import InboundRequest
from sla_plugin.services.import_log import count_rows, end_of_history, open_log, pack, read_rows

HEADER = "number,incident_state,sys_mod_count,opened_at,sys_updated_at,priority,category,assignment_group,assigned_to,caller_id,closed_at"
LOG = f"""{HEADER}
I1,New,0,29/2/2016 01:16,29/2/2016 01:16,3 - Moderate,Cat,?,?,Caller 1,5/3/2016 12:00
I1,Closed,4,29/2/2016 01:16,5/3/2016 12:00,3 - Moderate,Cat,G,R,Caller 1,5/3/2016 12:00
I2,Resolved,2,29/2/2016 04:40,1/3/2016 04:57,2 - High,?,?,?,?,?
I2,-100,3,29/2/2016 04:40,1/3/2016 04:58,2 - High,?,?,?,?,?
"""


def rows(text: str = LOG, incidents: int | None = None):  # type: ignore[no-untyped-def]
    return list(read_rows(io.BytesIO(text.encode()), incidents))


def test_rows_become_events_that_leak_no_future() -> None:
    first, closed, second, junk = rows()
    common = {"priority": "3 - Moderate", "category": "Cat", "requester": "Caller 1"}
    assert list(first.events) == [
        {
            "type": "ticket.created",
            "id": "I1:created",
            "ticket": "I1",
            "occurred_at": "2016-02-29T01:16:00Z",
            "values": {"status": "New", **common},
            "history": True,
        }
    ]
    assert list(closed.events) == [
        {
            "type": "ticket.updated",
            "id": "I1:2",
            "ticket": "I1",
            "occurred_at": "2016-03-05T12:00:00Z",
            "sequence": 4,
            "values": {"status": "Closed", **common, "group": "G", "assignee": "R"},
            "history": True,
        }
    ]
    # the first row that is known comes later than the creation: its state is told at its own time
    assert [(e["type"], e["occurred_at"], e["values"].get("status")) for e in second.events] == [
        ("ticket.created", "2016-02-29T04:40:00Z", None),
        ("ticket.updated", "2016-03-01T04:57:00Z", "Resolved"),
    ]
    assert "status" not in junk.events[0]["values"]


@pytest.mark.parametrize(("batch", "sizes"), [(1, [1, 1, 2, 1]), (3, [2, 3]), (4, [4, 1]), (500, [5])])
def test_batches_hold_whole_rows_in_order(batch: int, sizes: list[int]) -> None:
    packed = list(pack(rows(), batch))
    assert [one.events for one in packed] == sizes
    assert sum(one.rows for one in packed) == 4
    parsed = [event.key for one in packed for event in inbound.parse(InboundRequest({}, one.body, 0), {}).events]
    assert parsed == ["I1:created", "I1:2", "I2:created", "I2:1", "I2:2"]
    assert [one.key for one in packed] == [one.key for one in pack(rows(), batch)]
    assert len({one.key for one in packed}) == len(packed)


def test_the_end_of_history_is_a_delivery_of_its_own() -> None:
    (event,) = inbound.parse(InboundRequest({}, end_of_history("log-end", "2026-11-16T09:00:00Z").body, 0), {}).events
    assert (event.kind, event.history_end) == ("history.ended", True)


def test_a_limit_counts_incidents(tmp_path: Path) -> None:
    assert [row.incident for row in rows(incidents=1)] == ["I1", "I1"]
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(LOG.encode()))
    for incidents, expected in ((1, 2), (None, 4), (9, 4)):
        with open_log(path) as log:
            assert count_rows(log, incidents) == expected
    assert json.loads(next(pack(rows(), 1)).body)["id"] == "I1:created"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a,b\n1,2\n", "header"),
        (LOG.replace("29/2/2016 01:16,29/2", "2016-02-29,29/2"), "line 2.opened_at"),
        (LOG.replace("5/3/2016 12:00,3", "31/2/2016 12:00,3"), "line 3.sys_updated_at"),
        (LOG.replace("Resolved,2", "Resolved,x"), "line 4.sys_mod_count"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, place: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        rows(text)
    assert refused.value.field == place
