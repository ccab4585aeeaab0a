"""Webhooks at a steady rate, so that a benchmark measures a product that is at work."""

import http.client
import json
import threading
import time
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from connectors.signatures import sign_standard

LOAD_TICKETS = 200


class Answer(NamedTuple):
    """One answered request: when it left (seconds since 1970), how long the answer took (seconds), its status."""

    left: float
    took: float
    status: int


class Load:
    """Signed generic deliveries at a steady rate, each about one of many tickets."""

    def __init__(self, url: str, secret: str, rate: float) -> None:
        self.address, self.secret, self.rate = urlsplit(url), secret, rate
        self.statuses: dict[int, int] = {}
        self.answers: list[Answer] = []
        self._number = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(4)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, offset: int) -> None:
        connection = http.client.HTTPConnection(self.address.hostname or "", self.address.port, timeout=30)
        gap = len(self._threads) / self.rate
        due = time.monotonic() + gap * offset / len(self._threads)
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += gap
            began = time.monotonic()
            body = self._body()
            headers = sign_standard([self.secret], f"load-{self._number}-{offset}-{began}", body, time.time_ns() // 1000)
            connection.request("POST", self.address.path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            answer.read()
            with self._lock:
                self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
                took = time.monotonic() - began
                self.answers.append(Answer(time.time() - took, took, answer.status))

    def _body(self) -> bytes:
        with self._lock:
            self._number += 1
            number = self._number
        ticket, turn = number % LOAD_TICKETS, number // LOAD_TICKETS
        event = {"id": f"e{number}", "ticket": f"L{ticket}", "occurred_at": datetime.now(UTC).isoformat(), "actor": {"id": "c", "role": "customer"}}
        if turn == 0:
            return json.dumps({**event, "type": "ticket.created", "values": {"status": "open", "priority": "normal", "tags": ["load"]}}).encode()
        words = ("pending", "open")
        return json.dumps({**event, "type": "ticket.updated", "changes": {"status": {"from": words[turn % 2], "to": words[1 - turn % 2]}}}).encode()


def quantile(values: list[float], share: float) -> float:
    """The value that `share` of all stay within."""
    ordered = sorted(values)
    return ordered[max(0, round(share * len(ordered)) - 1)]
