"""SQLite's write turn: whoever writes takes one file lock first."""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class WriteTurn:
    """SQLite's single writer: one file lock that every writing transaction takes first, so that writers queue instead of failing.

    The holder writes its pid and the instant into the file: the supervisor kills a holder that keeps it over 2 s (a stopped process).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.Lock()

    @contextmanager
    def hold(self, wait: float) -> Iterator[None]:
        """Hold the turn; raises TimeoutError after `wait` seconds without it."""
        end = time.monotonic() + wait
        if not self._local.acquire(timeout=wait):
            raise TimeoutError("no write turn within the process")
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                while True:
                    try:
                        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        if time.monotonic() > end:
                            raise TimeoutError(f"no write turn within {wait} s: {self.holder()}") from None
                        time.sleep(0.001)
                os.pwrite(handle, json.dumps({"pid": os.getpid(), "since": time.time()}).encode().ljust(64), 0)
                try:
                    yield
                finally:
                    os.pwrite(handle, b"".ljust(64), 0)
            finally:
                os.close(handle)
        finally:
            self._local.release()

    def holder(self) -> dict[str, Any] | None:
        """Who holds the turn: {"pid", "since" (epoch seconds)}; None if nobody does."""
        try:
            content = self.path.read_bytes().strip()
            return json.loads(content) if content else None
        except (OSError, ValueError):
            return None
