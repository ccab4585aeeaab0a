"""Group commit: one thread per serving process commits deliveries for all requests, and answers each after the commit that holds its row.

It never waits for company: it takes what is queued, commits, answers, and takes what came meanwhile. So a lone delivery costs one commit, and a rush shares.
"""

import atexit
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from sla_plugin.store.db import Database
from sla_plugin.store.deliveries import count_duplicate, insert_deliveries
from sla_plugin.store.duties import Duty

log = structlog.get_logger()
ROWS = 200  # of one commit, at most
BYTES = 4_000_000
PATIENCE = 5.0  # seconds a request waits for its commit


class NotStored(Exception):
    """The row was not committed; the sender must send again."""


class _Slot:
    """A row on its way, and the answer its request waits for."""

    __slots__ = ("_done", "failed", "fresh", "row")

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row
        self.fresh = False
        self.failed: str | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def answer(self, fresh: bool, failed: str | None = None) -> None:
        self.fresh, self.failed = fresh, failed
        self._done.release()

    def wait(self) -> bool:
        return self._done.acquire(timeout=PATIENCE)


class Committer:
    """Stores verified deliveries durably; `stored` runs after each commit (a wake). Safe across a fork: the thread starts with the first row."""

    def __init__(self, database: Database, stored: Callable[[], None]) -> None:
        self._database = database
        self._stored = stored
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._queue: queue.SimpleQueue[_Slot | None] = queue.SimpleQueue()

    def store(self, row: dict[str, Any]) -> bool:
        """Commit one delivery; False if it was stored before. Raises NotStored when that did not happen within 5 s or cannot happen."""
        slot = _Slot(row)
        if self._thread is None or not self._thread.is_alive():
            self._start()
        self._queue.put(slot)
        if not slot.wait():
            raise NotStored("no commit within 5 s")
        if slot.failed is not None:
            raise NotStored(slot.failed)
        return slot.fresh

    def close(self) -> None:
        """Commit what is queued and end; called at the end of the process."""
        if self._thread is not None and self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(PATIENCE)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
                self._thread.start()
                atexit.register(self.close)

    def _run(self) -> None:
        while True:
            batch = self._take()
            if batch is None:
                return
            self._commit(batch)

    def _take(self) -> list[_Slot] | None:
        """What is queued, at least one; None = end."""
        first = self._queue.get()
        if first is None:
            return None
        batch, size = [first], len(first.row["body"])
        while len(batch) < ROWS and size < BYTES:
            try:
                slot = self._queue.get_nowait()
            except queue.Empty:
                break
            if slot is None:
                self._queue.put(None)
                break
            batch.append(slot)
            size += len(slot.row["body"])
        return batch

    def _commit(self, batch: Sequence[_Slot]) -> None:
        try:
            fresh = self._write([slot.row for slot in batch])
        except (OperationalError, TimeoutError, OSError) as error:
            log.error("deliveries not stored", rows=len(batch), error=type(error).__name__)
            for slot in batch:
                slot.answer(False, "the database does not answer")
        except (SQLAlchemyError, ValueError, TypeError) as error:
            if len(batch) > 1:  # one bad row must fail one request
                for slot in batch:
                    self._commit([slot])
                return
            log.error("delivery cannot be stored", error=type(error).__name__)
            batch[0].answer(False, "the database refused it")
        else:
            for slot in batch:
                slot.answer(slot.row["id"] in fresh)
            self._stored()

    def _write(self, rows: Sequence[dict[str, Any]]) -> set[int]:
        with self._database.transaction(Duty.RECEIVE) as tx:
            fresh = insert_deliveries(tx, rows)
            for row in rows:
                if row["id"] not in fresh:
                    count_duplicate(tx, row["tenant_id"], row["connection_id"], row["delivery_key"])
        return fresh
