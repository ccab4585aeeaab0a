"""The incident log of BPI Challenge 2013 (Volvo IT): its rows as generic events, a policy of several metrics, and what a plain reading of the log expects."""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from sla_plugin.engine.durations import SECOND
from sla_plugin.services.explain_ticket import choose_ticket, explain_ticket
from tests.plant import Plant

LOG = Path(__file__).resolve().parents[3] / "shared" / "data" / "bpic2013_volvo_incidents.csv.gz"
BATCH = 500  # events of a delivery
STATUS = {  # the log's "Status / Sub Status" in our words
    "accepted / in progress": "in_progress",
    "accepted / assigned": "assigned",
    "accepted / wait": "waiting_internal",
    "accepted / wait - implementation": "waiting_internal",
    "accepted / wait - vendor": "waiting_internal",
    "accepted / wait - user": "waiting_customer",
    "accepted / wait - customer": "waiting_customer",
    "queued / awaiting assignment": "open",
    "unmatched / unmatched": "open",
    "completed / in call": "resolved",
    "completed / resolved": "resolved",
    "completed / closed": "closed",
    "completed / cancelled": "cancelled",
}
PRIORITY = {"major": "P0", "high": "P1", "medium": "P2", "low": "P3"}
POLICY: Mapping[str, Any] = {
    "calendar": "Volvo IT",
    "pause_in": ["waiting_customer", "waiting_internal"],
    "targets": {
        "resolution": {"P0": "4h", "P1": "8h", "P2": "40h", "P3": "80h"},
        "requester_wait": "60h",
        "agent_work": {"target": "10d", "counts": "calendar"},
        "group_ownership": "16h",
    },
}
CALENDAR = {
    "time_zone": "Etc/GMT-1",  # the log is written in a fixed +01:00
    "hours": {day: ["07:00-12:00", "12:30-19:00"] for day in ("mon", "tue", "wed", "thu", "fri")},
    "holidays": [{"date": f"{year}-05-01", "name": "First of May"} for year in (2010, 2011, 2012)],
}


def read_log(incidents: int | None = None) -> dict[str, list[dict[str, Any]]]:
    """Incident -> its events in log order; the first `incidents` that the log names."""
    found: dict[str, list[dict[str, Any]]] = {}
    with gzip.open(LOG, "rt", encoding="utf-8-sig", newline="") as log:
        for row in csv.DictReader(log):
            number = row["SR Number"]
            if number not in found and incidents is not None and len(found) == incidents:
                continue
            events = found.setdefault(number, [])
            values = {
                "status": f"{row['Status']} / {row['Sub Status']}",
                "priority": row["SR Latest Impact"],
                "group": row["Involved ST"],
                "assignee": row["Resource"] or None,
                "category": row["Product"],
            }
            events.append(
                {
                    "type": "ticket.updated" if events else "ticket.created",
                    "id": f"{number}:{len(events)}",
                    "ticket": number,
                    "occurred_at": row["Change Date+Time"],
                    "sequence": len(events),
                    "values": values,
                    "history": True,
                }
            )
    return found


def replay(plant: Plant, incidents: Mapping[str, Sequence[Mapping[str, Any]]]) -> int:
    """Store all events as deliveries of a connection with the log's words, and apply them. Returns how many deliveries."""
    plant.policy({"Volvo IT": CALENDAR}, **POLICY)
    desk = plant.connect("volvo", "generic", mapping={"status": STATUS, "priority": PRIORITY}, created_at=0)
    events = [event for told in incidents.values() for event in told]
    batches = [events[first : first + BATCH] for first in range(0, len(events), BATCH)]
    for batch in batches:
        plant.deliver(*batch, connection=desk)
        plant.apply()
    return len(batches)


def explained(plant: Plant) -> Iterator[dict[str, Any]]:
    """Every ticket explained; explain_ticket itself refuses a ledger that does not sum."""
    names = [ticket["external_id"] for ticket in plant.rows("ticket")]
    with plant.database.reading(plant.tenant) as tx:
        for name in names:
            ticket, connection = choose_ticket(tx, plant.tenant, name, None)
            yield explain_ticket(tx, plant.tenant, ticket, connection, plant.now, plant.outside)


def faults(told: Mapping[str, Any]) -> list[str]:
    """What is not explained about a ticket's clocks: a ledger with a hole, or one that does not sum, or a clock without a sentence or a policy."""
    found = []
    for clock in told["clocks"]:
        rows, name = clock["ledger"], f"{told['ticket']} {clock['metric']} {clock['cycle']}"
        if not clock["sentence"] or clock["policy"] is None:
            found.append(f"{name}: nobody says why")
        if sum(row["counted_us"] for row in rows) != clock["elapsed_us"] or sum(row["counted"] for row in rows) != clock["elapsed"]:
            found.append(f"{name}: does not sum")
        edges = [clock["started_at"], *(row["to"] for row in rows)]
        if [row["from"] for row in rows] != edges[:-1] or edges[-1] != max(clock["counted_until_at"], clock["started_at"]):
            found.append(f"{name}: has a hole")
        if any(not row["cause"] for row in rows):
            found.append(f"{name}: a segment without a cause")
    return found


def working_time(events: Sequence[Mapping[str, Any]]) -> int:
    """Microseconds in which a plain reading of the rows finds neither a wait nor an end."""
    moments = [(datetime.fromisoformat(e["occurred_at"]), STATUS[e["values"]["status"].lower()]) for e in events]
    total = 0
    for (at, status), (until, _) in pairwise(moments):
        if not status.startswith("waiting") and status not in ("resolved", "closed", "cancelled"):
            total += round((until - at).total_seconds()) * SECOND
    return total


def elapsed_by_ticket(tickets: Sequence[Mapping[str, Any]], metric: str) -> dict[str, int]:
    """Microseconds counted over all cycles of a metric."""
    total: dict[str, int] = defaultdict(int)
    for told in tickets:
        total[told["ticket"]] += sum(clock["elapsed_us"] for clock in told["clocks"] if clock["metric"] == metric)
    return total
