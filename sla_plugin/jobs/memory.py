"""Memory that a rush needed goes back to the system when the rush is over (glibc; elsewhere nothing happens)."""

import ctypes
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # mallopt's names, malloc.h
_KEPT = 131_072  # bytes the allocator may keep at the top of its heap; blocks above are mapped and unmapped one by one


def _find(name: str) -> Any:
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None


_malloc_trim, _mallopt = _find("malloc_trim"), _find("mallopt")


def keep_small() -> None:
    """Tell the allocator to share one arena among threads and to keep little; call before threads and forks, which inherit it."""
    if _mallopt is not None:
        for option, value in ((_ARENA_MAX, 1), (_TRIM_THRESHOLD, _KEPT), (_MMAP_THRESHOLD, _KEPT)):
            _mallopt(option, value)


def give_back() -> None:
    """Return freed memory to the system; a few milliseconds."""
    if _malloc_trim is not None:
        _malloc_trim(0)
