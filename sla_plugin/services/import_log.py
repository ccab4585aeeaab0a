"""An incident log as deliveries of the generic connector: what a row says at its own time, nothing that later columns leak.

The format is that of the "Incident management process enriched event log" (UCI data set 498): one CSV row per update, in log order, naive times as
`d/m/Y H:M` (read as UTC), `?` for what is not told.
"""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from sla_plugin.errors import InvalidDefinition

NEEDED = ("number", "incident_state", "sys_mod_count", "opened_at", "sys_updated_at", "priority")
MOST_EVENTS = 500  # that one generic delivery may hold
_UNTOLD = ("", "?")
_NO_STATE = ("-100",)  # how the log writes a state that is not known
_FIELDS = {
    "incident_state": "status",
    "priority": "priority",
    "category": "category",
    "assignment_group": "group",
    "assigned_to": "assignee",
    "caller_id": "requester",
    "contact_type": "channel",
}


@dataclass(frozen=True)
class LogDelivery:
    """One delivery to send: `key` is its webhook-id, the same at every try and in every run; `rows` of the log are in it."""

    key: str
    incident: str
    body: bytes
    events: int
    rows: int


@dataclass(frozen=True)
class LogRow:
    """The events of one row, ready for JSON."""

    incident: str
    events: tuple[dict[str, Any], ...]


def open_log(path: Path) -> IO[bytes]:
    """The log as bytes, unpacked if its name ends in .gz."""
    return cast(IO[bytes], gzip.GzipFile(path)) if path.suffix == ".gz" else path.open("rb")


def read_rows(log: IO[bytes], incidents: int | None = None) -> Iterator[LogRow]:
    """The rows in log order, at most those of the first `incidents` incidents. Raises InvalidDefinition naming row and column."""
    reader = csv.DictReader(io.TextIOWrapper(log, "utf-8-sig", newline=""))
    missing = [column for column in NEEDED if column not in (reader.fieldnames or ())]
    if missing:
        raise InvalidDefinition("header", f"the column {missing[0]} is missing; an incident log has at least {', '.join(NEEDED)}")
    seen: dict[str, int] = {}
    try:
        for line, row in enumerate(reader, start=2):
            incident = row["number"]
            if incident not in seen and incidents is not None and len(seen) == incidents:
                continue
            seen[incident] = seen.get(incident, 0) + 1
            yield LogRow(incident, tuple(_events(row, seen[incident], f"line {line}")))
    except UnicodeDecodeError:
        raise InvalidDefinition("file", "is not UTF-8 text") from None


def count_rows(log: IO[bytes], incidents: int | None = None) -> int:
    """How many rows `read_rows` will give, counted without reading what they say."""
    reader = csv.reader(io.TextIOWrapper(log, "utf-8-sig", newline=""))
    header = next(reader, [])
    if "number" not in header:
        raise InvalidDefinition("header", f"the column number is missing; an incident log has at least {', '.join(NEEDED)}")
    column = header.index("number")
    seen: set[str] = set()
    count = 0
    for row in reader:
        if row and (row[column] in seen or incidents is None or len(seen) < incidents):
            seen.add(row[column])
            count += 1
    return count


def _events(row: Mapping[str, str], number: int, place: str) -> Iterator[dict[str, Any]]:
    """What one row tells: with an incident's first row its creation, and the row's own state at its own time."""
    incident = row["number"]
    values = {field: row[column] for column, field in _FIELDS.items() if row.get(column, "?") not in _UNTOLD}
    if values.get("status") in _NO_STATE:
        del values["status"]
    updated_at = _instant(row["sys_updated_at"], f"{place}.sys_updated_at")
    if number == 1:
        opened_at = _instant(row["opened_at"], f"{place}.opened_at")
        # a status of later must not be told at the creation
        at_once = updated_at == opened_at and values.get("status") == "New"
        known = {field: value for field, value in values.items() if field != "status" or at_once}
        yield {"type": "ticket.created", "id": f"{incident}:created", "ticket": incident, "occurred_at": opened_at, "values": known, "history": True}
        if at_once:
            return
    yield {
        "type": "ticket.updated",
        "id": f"{incident}:{number}",
        "ticket": incident,
        "occurred_at": updated_at,
        "sequence": _count(row["sys_mod_count"], f"{place}.sys_mod_count"),
        "values": values,
        "history": True,
    }


def _instant(text: str, place: str) -> str:
    try:
        return datetime.strptime(text, "%d/%m/%Y %H:%M").replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        raise InvalidDefinition(place, f"{text!r} is no time such as 29/2/2016 01:16") from None


def _count(text: str, place: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidDefinition(place, f"{text!r} is no whole number") from None


def pack(rows: Iterable[LogRow], batch: int) -> Iterator[LogDelivery]:
    """Deliveries of at most `batch` events in the order of the rows; a row is never split, so with 1 each row is a delivery."""
    waiting: list[LogRow] = []
    size = 0
    for row in rows:
        if waiting and size + len(row.events) > batch:
            yield _delivery(waiting)
            waiting, size = [], 0
        waiting.append(row)
        size += len(row.events)
    if waiting:
        yield _delivery(waiting)


def _delivery(rows: list[LogRow]) -> LogDelivery:
    events = [event for row in rows for event in row.events]
    body = json.dumps({"events": events} if len(events) > 1 else events[0], separators=(",", ":")).encode()
    return LogDelivery(f"log-{events[0]['id']}-{events[-1]['id']}", rows[0].incident, body, len(events), len(rows))


def end_of_history(key: str, at: str) -> LogDelivery:
    """The delivery that ends the import: from `at` (ISO 8601) on the connection's tickets live."""
    event = {"type": "history.ended", "id": key, "occurred_at": at}
    return LogDelivery(key, "", json.dumps(event).encode(), 1, 0)
