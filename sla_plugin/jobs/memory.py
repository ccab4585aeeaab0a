"""Memory that a rush needed goes back to the system when the rush is over."""

import ctypes
from collections.abc import Callable


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
