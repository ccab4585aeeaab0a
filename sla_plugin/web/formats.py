"""How pages write durations, instants, rates and numbers. Instants are microseconds UTC; `zone` is the viewer's."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sla_plugin.engine.durations import DAY, HOUR, MINUTE, SECOND, format_duration

NBSP = "\u00a0"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def local(at: int, zone: ZoneInfo) -> datetime:
    """An instant on the wall clock of a zone."""
    return (_EPOCH + timedelta(microseconds=at)).astimezone(zone)


def iso(at: int) -> str:
    """An instant for `datetime=`: 2026-11-04T09:37:00.250000Z, without fraction where there is none."""
    return (_EPOCH + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z")


def instant(at: int, now: int, zone: ZoneInfo, *, seconds: bool = False) -> str:
    """An instant as short as it is clear: `15:52` today, `Thu 10:05` within 6 days, `5 Nov 10:37` this year, else `5 Nov 2025 10:37`."""
    moment, today = local(at, zone), local(now, zone)
    clock = f"{moment:%H:%M:%S}" if seconds else f"{moment:%H:%M}"
    if moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset():
        clock += f"{NBSP}{moment.tzname()}"  # the hour that autumn has twice
    apart = abs((moment.date() - today.date()).days)
    if apart == 0:
        return clock
    if apart <= 6:
        return f"{_DAYS[moment.weekday()]}{NBSP}{clock}"
    day = f"{moment.day}{NBSP}{_MONTHS[moment.month - 1]}"
    if moment.year == today.year:
        return f"{day}{NBSP}{clock}"
    return f"{day}{NBSP}{moment.year}{NBSP}{clock}"


def instant_title(at: int, zone: ZoneInfo) -> str:
    """An instant in full: `Wed 4 Nov 2026, 10:37:00 CET · 09:37:00 UTC`."""
    moment, utc = local(at, zone), local(at, ZoneInfo("UTC"))
    said = f"{_DAYS[moment.weekday()]} {moment.day} {_MONTHS[moment.month - 1]} {moment.year}, {moment:%H:%M:%S} {moment.tzname()}"
    return said if moment.tzname() == "UTC" else f"{said} · {utc:%H:%M:%S} UTC"


def ago(at: int, now: int) -> str | None:
    """How long ago, for the past below seven days: `12 s ago`, `3 min ago`, `2 h ago`, `4 d ago`; None otherwise."""
    past = now - at
    if past < 0 or past >= 7 * DAY:
        return None
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if past >= size:
            return f"{past // size}{NBSP}{unit} ago"
    return f"{past // SECOND}{NBSP}s ago"


def time_left(left: int, *, business: bool = True) -> str:
    """Counted time to the target: `2 h 24 m left`, `due now`, `over by 1 s` (an overrun is never shown as less)."""
    if left > 0:
        return f"{format_duration(left, days=not business)} left"
    if left == 0:
        return "due now"
    return f"over by {format_duration(max(-left, SECOND), days=not business)}"


def rate(met: int, total: int) -> str:
    """A share in percent with one decimal, cut and not rounded: `94.9 %`; `–` of nothing."""
    if total == 0:
        return "–"
    tenths = met * 1000 // total
    return f"{tenths // 10}.{tenths % 10}{NBSP}%"


def rate_word(met: int, total: int) -> str:
    """What a share means: good (from 95), watch (from 80), low; few below twenty; none of nothing. It agrees with the digits of `rate`."""
    if total == 0:
        return "none"
    if total < 20:
        return "few"
    return "good" if met * 100 >= total * 95 else "watch" if met * 100 >= total * 80 else "low"


def number(value: int) -> str:
    """A whole number, grouped: `12,400`."""
    return f"{value:,}"


def size(value: int) -> str:
    """Bytes: `740 B`, `2.1 kB`."""
    return f"{value}{NBSP}B" if value < 1000 else f"{value / 1000:.1f}{NBSP}kB"


def plain_cell(value: object) -> str:
    """A cell of CSV that no spreadsheet takes for a formula; a number is none."""
    text = "" if value is None else str(value)
    if isinstance(value, int | float):
        return text
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
