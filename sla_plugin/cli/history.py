"""`sla-plugin import-log`: an incident log through the front door, as fast as it opens."""

import http.client
import queue
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import click

from sla_plugin.cli.installation import answer, open_installation
from sla_plugin.errors import ConfigurationError, InvalidDefinition
from sla_plugin.reports.export_rows import instant_text
from sla_plugin.services.change_connection import find_connection
from sla_plugin.services.import_log import MOST_EVENTS, LogDelivery, LogRow, count_rows, end_of_history, open_log, pack, read_rows
from sla_plugin.settings import Settings, local_url

PATIENCE = 120.0  # seconds for which a door that answers 503, or not at all, is tried again
_AHEAD = 500  # rows that wait for a lane


@click.command("import-log")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--connection", "name", required=True, metavar="NAME", help="A generic connection.")
@click.option("--url", help="Address of the running server [default: the one on this machine].")
@click.option("--batch", type=click.IntRange(1, MOST_EVENTS), default=1, show_default=True, help="Events per delivery; a row of the log is never split.")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many incidents.")
@click.option("--threads", type=click.IntRange(1, 32), default=4, show_default=True, help="Requests under way; the order within an incident is kept.")
@click.option("--secret", help="Webhook secret [default: the newest one of the connection].")
@click.option("--end-history", is_flag=True, help="Say afterwards that the past ends here: tickets still open live from now on.")
@click.pass_obj
def import_command(
    settings: Settings, file: Path, name: str, url: str | None, batch: int, limit: int | None, threads: int, secret: str | None, end_history: bool
) -> None:
    """Send an incident log (CSV, also .gz) to the running server as signed generic deliveries, marked as history: nothing of it alerts or is written back.

    \b
    Columns (UCI data set 498): number, incident_state, sys_mod_count, opened_at, sys_updated_at, priority are needed; category, assignment_group,
    assigned_to, caller_id, contact_type are used. Times are d/m/Y H:M, read as UTC; ? and the state -100 are not told. An incident is created at
    opened_at; each row is an update at sys_updated_at with sys_mod_count as its sequence. Sending it again changes nothing.
    """
    installation = open_installation(settings)
    with installation.reading() as tx:
        connection = find_connection(tx, installation.tenant, name)
    if connection.connector != "generic":
        raise ConfigurationError(f"{name} is a {connection.connector} connection: a log goes to a generic one")
    secrets = [secret] if secret else installation.outside.secrets(connection)[:1]
    if not secrets:
        raise ConfigurationError(f"{name} has no webhook secret: add one with `sla-plugin connections secret {name!r} --add SECRET`")
    with open_log(file) as log:
        rows = count_rows(log, limit)

    def sign(key: str, body: bytes) -> Mapping[str, str]:
        return installation.runtime.sign_delivery(secrets, key, body, installation.now())

    door = Door(f"{(url or local_url(settings.host, settings.port)).rstrip('/')}/webhooks/{connection.public_id}", sign)
    began = time.monotonic()
    with open_log(file) as log, click.progressbar(length=rows, label="importing", file=sys.stderr) as bar:
        sent = send_log(read_rows(log, limit), door, batch, threads, bar.update)
        if end_history:
            now = installation.now()
            sent.deliver(Door(door.url, sign), end_of_history(f"log-end-{now}", instant_text(now) or ""))
    seconds = time.monotonic() - began
    answer(
        {
            "deliveries": sent.deliveries,
            "duplicates": sent.duplicates,
            "events": sent.events,
            "rows": sent.rows,
            "incidents": sent.incidents,
            "tried_again": sent.tried_again,
            "seconds": round(seconds, 1),
            "events_per_second": round(sent.events / max(seconds, 0.001)),
        }
    )


class Door:
    """One kept-alive HTTP connection to a webhook address."""

    def __init__(self, url: str, sign: Callable[[str, bytes], Mapping[str, str]]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidDefinition("--url", f"{url!r} is no address; write one such as http://127.0.0.1:8080")
        self.url = url
        self._path = parts.path
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=30)
        self.sign = sign

    def post(self, delivery: LogDelivery) -> tuple[int, str]:
        """Status and beginning of the answer. Raises OSError or HTTPException when there is none."""
        headers = {"Content-Type": "application/json", **self.sign(delivery.key, delivery.body)}
        try:
            self._connection.request("POST", self._path, delivery.body, headers)
            response = self._connection.getresponse()
            return response.status, response.read().decode(errors="replace")[:300]
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


@dataclass
class Sent:
    """What was sent, counted over all lanes."""

    deliveries: int = 0
    duplicates: int = 0
    events: int = 0
    rows: int = 0
    incidents: int = 0
    tried_again: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    problem: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def deliver(self, door: Door, delivery: LogDelivery) -> None:
        """Post until it is taken. Raises ConfigurationError when the door refuses it, or stays closed for `PATIENCE`."""
        end = time.monotonic() + PATIENCE
        wait = 0.1
        while not self.stopped.is_set():
            try:
                status, said = door.post(delivery)
            except (OSError, http.client.HTTPException) as problem:
                status, said = 503, f"no answer ({problem})"
            if 200 <= status < 300:
                with self._lock:
                    self.deliveries += 1
                    self.duplicates += status == 200
                    self.events += delivery.events
                    self.rows += delivery.rows
                return
            if status not in (429, 503) or time.monotonic() > end:
                raise ConfigurationError(f"{door.url} answered {status} to {delivery.key}: {said}")
            with self._lock:
                self.tried_again += 1
            self.stopped.wait(wait)
            wait = min(wait * 2, 5.0)

    def give_up(self, problem: str) -> None:
        """The first problem ends all lanes."""
        with self._lock:
            self.problem = self.problem or problem
        self.stopped.set()


def send_log(rows: Iterator[LogRow], door: Door, batch: int, threads: int, progress: Callable[[int], None]) -> Sent:
    """Send rows in `threads` lanes; an incident keeps to one lane, so its rows arrive in their order. Raises ConfigurationError for a refusal."""
    sent = Sent()
    lanes: list[queue.Queue[LogRow | None]] = [queue.Queue(_AHEAD) for _ in range(threads)]
    workers = [threading.Thread(target=_lane, args=(lane, Door(door.url, door.sign), batch, sent), daemon=True) for lane in lanes]
    for worker in workers:
        worker.start()
    shown = 0
    last = None
    try:
        for row in rows:
            if row.incident != last:
                sent.incidents += 1
                last = row.incident
            _put(lanes[zlib.crc32(row.incident.encode()) % threads], row, sent)
            if sent.rows - shown >= 50:
                shown = _show(sent, shown, progress)
            if sent.stopped.is_set():
                break
        for lane in lanes:
            _put(lane, None, sent)
        while any(worker.is_alive() for worker in workers):
            next((worker for worker in workers if worker.is_alive()), workers[0]).join(0.1)
            shown = _show(sent, shown, progress)
    except BaseException:
        sent.stopped.set()
        raise
    if sent.problem is not None:
        raise ConfigurationError(sent.problem)
    return sent


def _put(lane: "queue.Queue[LogRow | None]", row: LogRow | None, sent: Sent) -> None:
    while not sent.stopped.is_set():
        try:
            lane.put(row, timeout=0.5)
            return
        except queue.Full:
            continue


def _show(sent: Sent, shown: int, progress: Callable[[int], None]) -> int:
    rows = sent.rows
    progress(rows - shown)
    return rows


def _lane(lane: "queue.Queue[LogRow | None]", door: Door, batch: int, sent: Sent) -> None:
    try:
        for delivery in pack(iter(lane.get, None), batch):
            sent.deliver(door, delivery)
            if sent.stopped.is_set():
                return
    except ConfigurationError as problem:
        sent.give_up(str(problem))


COMMANDS = (import_command,)
