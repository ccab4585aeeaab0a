"""Memory that a rush needed goes back to the system when the rush is over."""

import ctypes
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _find() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None  # not glibc
    return found


_malloc_trim = _find()


def give_back() -> None:
    """Return freed memory to the system; a few milliseconds."""
    if _malloc_trim is not None:
        _malloc_trim(0)


@contextmanager
def uncollected() -> Iterator[None]:
    """Leave cyclic garbage for later: a batch makes a hundred thousand objects that all live to its end, and looking them through costs a fifth of it."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
