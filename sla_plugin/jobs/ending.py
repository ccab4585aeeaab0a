"""How a process of ours is ended: the first SIGTERM or SIGINT asks, the second kills. Neither loses anything; the first also leaves nothing to be found out."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ASKING = (signal.SIGTERM, signal.SIGINT)
GLANCE = 0.05  # seconds between two looks of `wait`


class Ending(threading.Event):
    """An Event that a signal handler may set: it takes no lock, which the thread that the handler interrupts might hold."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = False

    def set(self) -> None:
        """End, as soon as what is under way allows it."""
        self._asked = True

    def is_set(self) -> bool:
        """Has anybody asked?"""
        return self._asked

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until somebody asks, at most `timeout` seconds; whether somebody has."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._asked and (end is None or time.monotonic() < end):
            time.sleep(GLANCE if end is None else max(0.0, min(GLANCE, end - time.monotonic())))
        return self._asked


NEVER = Ending()  # for work that nobody interrupts


@contextmanager
def ended_by_signals(ending: Ending, then: Callable[[], None] = lambda: None) -> Iterator[None]:
    """While inside, the first SIGTERM or SIGINT sets `ending` and calls `then` (it may raise); the next one has the kernel's own effect."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        for number in ASKING:
            signal.signal(number, signal.SIG_DFL)
        ending.set()
        then()

    before: list[tuple[int, Any]] = [(number, signal.signal(number, ask)) for number in ASKING]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
