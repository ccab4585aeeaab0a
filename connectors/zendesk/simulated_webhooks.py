"""How the simulated Zendesk sends its webhooks: signed, from background threads, and as badly as a test wants."""

import heapq
import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from connectors.http import Http
from connectors.instants import SECOND
from connectors.signatures import sign_zendesk
from sla_plugin.errors import SlaPluginError

_TRIES = 6  # of one webhook; the real one repeats timeouts, too


class Sender:
    """Signed webhooks from background threads, with the bad habits of a network as options (all off).

    `drop` loses the next n, `duplicate` sends everything twice, `reorder` turns each pair of events around, `delay` is in seconds; `clock` gives
    seconds since 1970.
    """

    def __init__(self, url: str, secret: str, clock: Callable[[], float], threads: int = 4) -> None:
        self.url, self.secret = url, secret
        self.drop, self.duplicate, self.reorder, self.delay = 0, False, False, 0.0
        self.sent: list[dict[str, Any]] = []  # {event, status, at}: one row per request
        self._clock = clock
        self._held: dict[str, Any] | None = None
        self._queue: list[tuple[float, int, int, dict[str, Any], str]] = []
        self._number = 0
        self._wake = threading.Condition()
        self._closed = False
        self._http = Http(connect_timeout=2, read_timeout=10, allow_private=True)
        for _ in range(threads):
            threading.Thread(target=self._work, daemon=True).start()

    def emit(self, event: dict[str, Any]) -> None:
        """Queue an event (called under the desk's lock)."""
        with self._wake:
            if self.drop > 0:
                self.drop -= 1
                return
            if self.reorder and self._held is None:
                self._held = event
                return
            self._put(event)
            if self._held is not None:
                self._put(self._held)
                self._held = None

    def close(self) -> None:
        """Stop sending."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()

    def _put(self, event: dict[str, Any], delay: float | None = None, tries: int = 1, invocation: str = "") -> None:
        for _ in range(2 if self.duplicate and tries == 1 else 1):
            self._number += 1
            due = time.monotonic() + (self.delay if delay is None else delay)
            heapq.heappush(self._queue, (due, self._number, tries, event, invocation or uuid.uuid4().hex))
        self._wake.notify_all()

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._closed and (not self._queue or self._queue[0][0] > time.monotonic()):
                    self._wake.wait(self._queue[0][0] - time.monotonic() if self._queue else None)
                if self._closed:
                    return
                _, _, tries, event, invocation = heapq.heappop(self._queue)
            self._post(event, tries, invocation)

    def _post(self, event: dict[str, Any], tries: int, invocation: str) -> None:
        body = json.dumps(event, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "X-Zendesk-Webhook-Invocation-Id": invocation}
        headers |= sign_zendesk(self.secret, body, int(self._clock() * SECOND))
        status: int | None
        try:
            status = self._http.request("POST", self.url, operation="webhook", headers=headers, data=body).status
        except SlaPluginError as error:
            status = getattr(error, "status", None)
        with self._wake:
            self.sent.append({"event": event, "status": status, "at": self._clock()})
            if (status is None or status >= 500 or status in (409, 429)) and tries < _TRIES:
                self._put(event, delay=float(tries), tries=tries + 1, invocation=invocation)
