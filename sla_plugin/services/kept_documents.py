"""JSON documents of sign-in services (what one offers, its keys), kept in this process: asked for rarely, used for a bounded time while it is down."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sla_plugin.errors import SlaPluginError
from sla_plugin.ports import Http

SECOND = 1_000_000
FRESH = 600 * SECOND  # used without asking; so long does a key still open that was taken away
USABLE = 3600 * SECOND  # used while the service does not answer
RENEW = 60 * SECOND  # between two asks for something newer: who sends unknown key ids makes us ask no more often
AGAIN = 15 * SECOND  # between two asks of a service that did not answer
MOST = 200  # documents; the oldest make room
PATIENCE = 3.0  # seconds that a thread waits for another one that asks


class Unanswered(Exception):
    """A document cannot be had, and none is kept that may still be used; the message says why, for an operator."""


@dataclass
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    document: Mapping[str, Any] | None = None
    at: int = 0
    failed_at: int | None = None
    failure: str = ""

    def younger(self, age: int, now: int) -> Mapping[str, Any] | None:
        """The document, if it is not older."""
        return self.document if self.document is not None and -RENEW <= now - self.at < age else None


class KeptDocuments:
    """By address; instants are microseconds UTC. One thread asks, the others go on with what there is, or wait for it."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._guard = threading.Lock()

    def read(self, http: Http, url: str, now: int, *, newer: bool = False) -> Mapping[str, Any]:
        """The document at an address; `newer`: what is kept does not do (a key is missing in it), so it is asked for again unless that was just done.

        Raises Unanswered.
        """
        kept = self._of(url)
        found = kept.younger(RENEW if newer else FRESH, now)
        if found is not None:
            return found
        usable = kept.younger(USABLE, now)
        if not kept.lock.acquire(timeout=PATIENCE if usable is None or newer else 0):
            if usable is None:
                raise Unanswered("the service takes long to answer")
            return usable
        try:
            found = kept.younger(RENEW if newer else FRESH, now)  # another thread may just have asked
            return found if found is not None else self._ask(kept, http, url, now)
        finally:
            kept.lock.release()

    def ask(self, http: Http, url: str, now: int) -> Mapping[str, Any]:
        """The document as it is now, whatever is kept. Raises Unanswered."""
        kept = self._of(url)
        with kept.lock:
            kept.failed_at = None
            document = self._ask(kept, http, url, now)
            if kept.failed_at is not None:
                raise Unanswered(kept.failure)
            return document

    def _of(self, url: str) -> _Kept:
        with self._guard:
            if url not in self._kept:
                while len(self._kept) >= MOST:
                    del self._kept[min(self._kept, key=lambda one: self._kept[one].at)]
                self._kept[url] = _Kept()
            return self._kept[url]

    @staticmethod
    def _ask(kept: _Kept, http: Http, url: str, now: int) -> Mapping[str, Any]:
        """Ask, unless it failed a moment ago; what is kept and may be used covers a failure."""
        if kept.failed_at is None or not 0 <= now - kept.failed_at < AGAIN:
            try:
                document = json.loads(http.request("GET", url, operation="sign-in service").body)
                if not isinstance(document, dict):
                    raise ValueError("no object")
            except SlaPluginError as error:
                kept.failed_at, kept.failure = now, str(error)
            except ValueError:
                kept.failed_at, kept.failure = now, f"what is at {url} is no JSON object"
            else:
                kept.document, kept.at, kept.failed_at = document, now, None
                return document
        usable = kept.younger(USABLE, now)
        if usable is None:
            raise Unanswered(kept.failure)
        return usable
