"""A cheap sender for benchmarks of the door: requests made beforehand, raw keep-alive sockets, one epoll loop in a process of its own.

`flood` keeps every connection busy (the next request leaves when an answer came); `pace` sends at given instants and counts an answer's delay from the instant
at which its request was due, whatever kept it from leaving.
"""

import itertools
import json
import multiprocessing
import re
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from connectors.signatures import sign_zendesk

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Result:
    """What a load saw: answers by status, delays in seconds (sorted), seconds from the first request to the last answer."""

    statuses: dict[int, int]
    delays: list[float]
    seconds: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.delays) / self.seconds

    def percentile(self, share: float) -> float:
        """The delay, in milliseconds, within which `share` of the answers came."""
        return 1000 * self.delays[min(len(self.delays) - 1, int(share * len(self.delays)))]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook: its key (the vendor's delivery id) and what to post."""

    key: str
    body: bytes
    headers: dict[str, str]

    def request(self, path: str) -> bytes:
        """The bytes on the wire."""
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(self.body)}", *(f"{k}: {v}" for k, v in self.headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def zendesk_delivery(secret: str, tickets: int = 5000, created_at: str = "2026-11-21T08:00:00Z") -> Delivery:
    """A signed `ticket.status_changed` of about 2 KiB, as Zendesk sends them, with an id nobody had before; about one of `tickets` tickets in turn."""
    number = next(_NUMBERS)
    at = time.time_ns() // 1000
    iso = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    key = f"01KAG{at:016x}{number:08x}"
    detail = {
        "actor_id": "8447388090494",
        "assignee_id": "8447388090494",
        "brand_id": "8447346621310",
        "created_at": created_at,
        "custom_status": "8447320465790",
        "description": "Since this morning the export of the monthly report ends with an error. " * 14,
        "external_id": None,
        "form_id": "8646151517822",
        "group_id": "8447320466430",
        "id": str(100_000 + number % tickets),
        "is_public": True,
        "organization_id": "8447346622462",
        "priority": "HIGH",
        "requester_id": "8447388090494",
        "status": "PENDING" if number % 2 else "OPEN",
        "subject": "The export of the monthly report fails",
        "submitter_id": "8447388090494",
        "tags": ["billing", "export", "emea", "gold-plan"],
        "type": "INCIDENT",
        "updated_at": iso,
        "via": {"channel": "web_service"},
    }
    told = {
        "account_id": 22129848,
        "detail": detail,
        "event": {"current": detail["status"], "previous": "OPEN" if number % 2 else "PENDING"},
        "id": f"{key}-event",
        "subject": f"zen:ticket:{detail['id']}",
        "time": iso,
        "type": "zen:event-type:ticket.status_changed",
        "zendesk_event_version": "2022-11-06",
    }
    body = json.dumps(told).encode()
    headers = {
        "User-Agent": "Zendesk Webhook",
        "Content-Type": "application/json",
        "X-Zendesk-Account-Id": "22129848",
        "X-Zendesk-Webhook-Id": "01HZ5YJ9TWR7YS4BDQ6ZC3CVEG",
        "X-Zendesk-Webhook-Invocation-Id": key,
        **sign_zendesk(secret, body, at),
    }
    return Delivery(key, body, headers)


def flood(url: str, deliveries: Sequence[Delivery], connections: int) -> Result:
    """Send all of them over `connections` connections that are never idle."""
    return _in_own_process(_drive, url, deliveries, connections, None)


def pace(url: str, deliveries: Sequence[Delivery], connections: int, rate: float) -> Result:
    """Send `rate` a second."""
    return _in_own_process(_drive, url, deliveries, connections, rate)


def _in_own_process(work: Callable[..., Result], *given: Any) -> Result:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def run() -> None:
        theirs.send(work(*given))

    child = context.Process(target=run)
    child.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        child.join()


class _Connection:
    __slots__ = ("began", "buffer", "socket")

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.began = 0.0

    def send(self, request: bytes, began: float) -> None:
        self.began = began
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """The status, once the answer is complete."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed a connection with a request on it")
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = _LENGTH.search(self.buffer, 0, end)
        if length is None:
            raise ValueError(f"an answer without length: {self.buffer[:end]!r}")
        if len(self.buffer) < end + 4 + int(length[1]):
            return None
        status = int(self.buffer[9:12])
        self.buffer = b""
        return status


def _drive(url: str, deliveries: Sequence[Delivery], connections: int, rate: float | None) -> Result:
    address = urlsplit(url)
    requests = [delivery.request(address.path or "/") for delivery in deliveries]
    idle = [_Connection(address.hostname or "", address.port or 80) for _ in range(connections)]
    by_number = {connection.socket.fileno(): connection for connection in idle}
    poll = select.epoll()
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    statuses: Counter[int] = Counter()
    delays: list[float] = []
    sent = 0
    now = start = time.perf_counter()
    while len(delays) < len(requests):
        while idle and sent < len(requests):
            due = now if rate is None else start + sent / rate
            if due > now:
                break
            idle.pop().send(requests[sent], due)
            sent += 1
        wait = 30.0 if rate is None or not idle or sent == len(requests) else max(0.0, start + sent / rate - time.perf_counter())
        ready = poll.poll(wait)
        now = time.perf_counter()
        if not ready and wait == 30.0:
            raise TimeoutError(f"no answer within 30 s; {len(requests) - len(delays)} are missing")
        for number, _ in ready:
            connection = by_number[number]
            status = connection.receive()
            if status is not None:
                statuses[status] += 1
                delays.append(now - connection.began)
                idle.append(connection)
    for connection in by_number.values():
        connection.socket.close()
    return Result(dict(statuses), sorted(delays), now - start)
