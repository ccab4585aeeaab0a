"""What the door answered, counted: the only figures that are not in SQL. Kept in memory that the web processes of a host share, and a restart continues.

Each process counts in a slot of its own, a small file in the data folder that is mapped into memory and locked while the process lives; the next process
takes a free slot and counts on from there. So a sum over the slots never falls, needs no timer and no exit hook, and costs a request two additions.
"""

import fcntl
import mmap
import os
import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # seconds; one more holds what took longer
STATUSES = (200, 202, 401, 403, 404, 405, 406, 411, 413, 503)
_VERSION = 1  # of the order of the numbers below
_CELLS = 1 + len(STATUSES) + len(BOUNDS) + 1 + 1  # version, answers by status, answers by duration, microseconds in all
_SIZE = 8 * _CELLS


@dataclass(frozen=True)
class Answers:
    """The answers of all web processes of this host since the first one. `within[i]` took at most BOUNDS[i] seconds, the last one longer; not cumulated."""

    by_status: dict[int, int]
    within: Sequence[int]
    seconds: float


class Tally:
    """Counts answers; safe for threads, and across a fork: the slot is taken with the first answer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._cells: memoryview | None = None
        self._handle: int | None = None

    def count(self, status: int, seconds: float) -> None:
        """One more answer."""
        with self._lock:
            cells = self._cells
            if cells is None:
                cells = self._cells = self._take_slot()
            if status in STATUSES:
                cells[1 + STATUSES.index(status)] += 1
            cells[1 + len(STATUSES) + bisect_left(BOUNDS, seconds)] += 1
            cells[_CELLS - 1] += int(seconds * 1e6)

    def read(self) -> Answers:
        """The sum over all slots of this host; without a folder to share, this process alone."""
        total = [0] * _CELLS
        shared = False
        for path in sorted(self._folder.glob("door-*")):
            try:
                content = path.read_bytes()
            except OSError:
                continue
            if len(content) == _SIZE:
                shared = True
                total = [a + b for a, b in zip(total, memoryview(content).cast("Q"), strict=True)]
        if not shared and self._cells is not None:
            total = list(self._cells)
        within = total[1 + len(STATUSES) : _CELLS - 1]
        return Answers(dict(zip(STATUSES, total[1 : 1 + len(STATUSES)], strict=True)), within, total[_CELLS - 1] / 1e6)

    def close(self) -> None:
        """Leave the slot to the next process; the end of this one does the same."""
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
            self._cells = self._handle = None

    def _take_slot(self) -> memoryview:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for number in count():
                handle = os.open(self._folder / f"door-{number}", os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(handle)
                    continue
                self._handle = handle  # stays open, and so locked
                return _mapped(handle)
        except OSError:
            pass  # a full or read-only disk must not cost a webhook: this process counts for itself
        return memoryview(bytearray(_SIZE)).cast("Q")


def _mapped(handle: int) -> memoryview:
    """The file as numbers. One of another version starts at nought."""
    if os.fstat(handle).st_size != _SIZE:
        os.ftruncate(handle, 0)
        os.posix_fallocate(handle, 0, _SIZE)  # a page that the disk has no room for would end the process at the first write
    cells = memoryview(mmap.mmap(handle, _SIZE)).cast("Q")
    if cells[0] != _VERSION:
        for cell in range(_CELLS):
            cells[cell] = 0
        cells[0] = _VERSION
    return cells
