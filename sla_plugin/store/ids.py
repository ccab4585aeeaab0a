"""Ids: 63-bit, time-ordered, globally unique numbers made by the app: 41 bits of milliseconds since 2024, 12 bits of process, 10 bits of count."""

import os
import threading
import time

_EPOCH_MS = 1_704_067_200_000  # 2024-01-01 UTC


class _Ids:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._node = int.from_bytes(os.urandom(2), "big") & 0xFFF
        self._last = 0
        self._count = 0

    def take(self) -> int:
        with self._lock:
            now = time.time_ns() // 1_000_000 - _EPOCH_MS
            if now <= self._last:
                self._count += 1
                if self._count > 0x3FF:
                    self._last += 1
                    self._count = 0
            else:
                self._last = now
                # a random start, so that two processes that drew the same node still rarely meet
                self._count = int.from_bytes(os.urandom(2), "big") & 0x1FF
            return (self._last << 22) | (self._node << 10) | self._count


_ids = _Ids()
os.register_at_fork(after_in_child=_ids.reset)


def new_id() -> int:
    """A new id; later calls of one process give larger ones."""
    return _ids.take()
