"""Instants as machines write them. Inside, an instant is an integer number of microseconds since 1970-01-01 UTC."""

from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def instant(text: str) -> int:
    """Microseconds UTC of an ISO instant with offset. Raises ValueError for anything else: a naive time names no instant."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no offset; write one, e.g. {text}Z")
    return (moment - EPOCH) // _MICROSECOND


def read_instant(value: Any) -> int | None:
    """The same of what a helpdesk sent, or microseconds as they are; None for what is no instant."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return instant(str(value))
    except ValueError:
        return None


def iso(at: int | None) -> str | None:
    """`2026-11-21T09:00:00Z`; None for an instant that does not come (before year 1, after year 9999, or None)."""
    try:
        return None if at is None else (EPOCH + _MICROSECOND * at).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return None
