"""Group commit: one thread per serving process commits deliveries for all requests, and answers each after the commit that holds its row.

Who comes alone is committed at once. After a commit the next one begins at the earliest `GAP` after the last one began, so that a rush shares commits.
"""

import atexit
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from sla_plugin.store.db import Database, Statements, Transaction
from sla_plugin.store.deliveries import count_duplicates, insert_deliveries
from sla_plugin.store.duties import Duty

log = structlog.get_logger()
ROWS = 200  # of one commit, at most
BYTES = 4_000_000
GAP = 0.003  # seconds between the beginnings of two commits, at least
PATIENCE = 5.0  # seconds


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

    def wait(self, seconds: float) -> bool:
        return self._done.acquire(timeout=seconds)


class Committer:
    """Stores verified deliveries durably; `stored` runs after each commit (a wake). Safe across a fork: the thread starts with the first row.

    `patience` is how many seconds a request waits for its commit.
    """

    def __init__(self, database: Database, stored: Callable[[], None], patience: float = PATIENCE) -> None:
        self._patience = patience
        self._statements = Statements(database, Duty.RECEIVE)
        self._stored = stored
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._queue: queue.SimpleQueue[_Slot | None] = queue.SimpleQueue()
        self._began: float | None = None  # monotonic seconds, while a commit is under way

    def store(self, row: dict[str, Any]) -> bool:
        """Commit one delivery; False if it was stored before. Raises NotStored when that did not happen in time or cannot happen.

        While a commit is under way for longer than `patience`, it is raised at once: threads that wait in vain would be missing elsewhere.
        """
        began = self._began
        if began is not None and time.monotonic() - began > self._patience:
            raise NotStored(f"a commit has not ended for {self._patience:g} s")
        slot = _Slot(row)
        if self._thread is None or not self._thread.is_alive():
            self._start()
        self._queue.put(slot)
        if not slot.wait(self._patience):
            raise NotStored(f"no commit within {self._patience:g} s")
        if slot.failed is not None:
            raise NotStored(slot.failed)
        return slot.fresh

    def close(self) -> None:
        """Commit what is queued and end; called at the end of the process."""
        if self._thread is not None and self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(self._patience)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
                self._thread.start()
                atexit.register(self.close)

    def _run(self) -> None:
        while (batch := self._take()) is not None:
            self._began = began = time.monotonic()
            self._commit(batch)
            self._began = None
            time.sleep(max(0.0, began + GAP - time.monotonic()))
        self._statements.close()

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
        rows = [slot.row for slot in batch]
        try:
            fresh = self._statements.run(lambda tx: _write(tx, rows))
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


def _write(tx: Transaction, rows: Sequence[dict[str, Any]]) -> set[int]:
    """Ids of those that were not known."""
    fresh = insert_deliveries(tx, rows)
    known = [row for row in rows if row["id"] not in fresh]
    if known:
        count_duplicates(tx, known)
    return fresh
