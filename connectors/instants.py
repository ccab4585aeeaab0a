"""Vendors' written instants to ours (integer microseconds since 1970-01-01 UTC) and back."""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

SECOND = 1_000_000  # microseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRITTEN = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[Tt ](?P<clock>\d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d+))?(?P<zone>[Zz]|(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>[0-5]\d))?",
    re.ASCII,
)


@lru_cache(maxsize=1024)  # a ticket's creation is told with each of its events
def parse_instant(text: str) -> int:
    """ISO 8601 with offset to microseconds UTC; finer digits are cut off, never rounded (rounding could move it into the next second).

    Raises ValueError in words: not an instant, or one without an offset.
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise ValueError("is not an ISO 8601 instant such as 2026-11-16T08:12:40Z")
    if match["zone"] is None:
        raise ValueError("has no offset from UTC: write 2026-11-16T08:12:40Z or 2026-11-16T09:12:40+01:00")
    offset = timedelta()
    if match["sign"]:
        offset = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"])) * (-1 if match["sign"] == "-" else 1)
    try:
        whole = datetime.fromisoformat(f"{match['day']}T{match['clock']}").replace(tzinfo=timezone(offset))
    except ValueError as problem:
        raise ValueError(f"is not an instant: {problem}") from None
    micros = int((match["fraction"] or "").ljust(6, "0")[:6])
    return (whole - _EPOCH) // timedelta(microseconds=1) + micros


def written(instant: int) -> str:
    """Microseconds UTC as `2026-11-16T08:12:40.418822Z` (no fraction where there is none)."""
    return (_EPOCH + timedelta(microseconds=instant)).isoformat().replace("+00:00", "Z")
