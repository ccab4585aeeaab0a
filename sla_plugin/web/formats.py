"""How pages write durations, instants, rates and numbers, in the language spoken. Instants are microseconds UTC; `zone` is the viewer's."""

import re
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from babel.core import Locale
from babel.dates import format_date, format_skeleton
from babel.numbers import get_decimal_symbol, get_group_symbol

from sla_plugin.engine.durations import DAY, HOUR, MINUTE, SECOND, format_duration
from sla_plugin.language import gettext, locale, ngettext, units

NBSP = "\u00a0"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        return f"{weekday(moment.weekday())}{NBSP}{clock}"
    return f"{_day(moment.date(), locale(), moment.year != today.year)}{NBSP}{clock}"


def instant_title(at: int, zone: ZoneInfo) -> str:
    """An instant in full: `Wed 4 Nov 2026, 10:37:00 CET · 09:37:00 UTC`."""
    moment, utc = local(at, zone), local(at, ZoneInfo("UTC"))
    said = f"{full_day(moment.date())}, {moment:%H:%M:%S} {moment.tzname()}"
    return said if moment.tzname() == "UTC" else f"{said} · {utc:%H:%M:%S} UTC"


def full_day(day: date, *, year: bool = True) -> str:
    """A day with its weekday: `Thu 24 Dec 2026`."""
    return f"{weekday(day.weekday())} {_day(day, locale(), year)}".replace(NBSP, " ")


def weekday(number: int) -> str:
    """A day of the week, short: `Mon` for 0."""
    return _weekdays(locale())[number]


@cache
def _weekdays(spoken: str) -> list[str]:
    monday = date(2026, 11, 2)
    return [format_date(monday + timedelta(days=n), "ccc", locale=spoken).rstrip(".") for n in range(7)]


@lru_cache(maxsize=4096)
def _day(day: date, spoken: str, year: bool) -> str:
    return format_skeleton("yMMMd" if year else "MMMd", day, locale=spoken).replace(" ", NBSP)


def ago(at: int, now: int) -> str | None:
    """How long ago, for the past below seven days: `12 s ago`, `3 min ago`, `2 h ago`, `4 d ago`; None otherwise."""
    past = now - at
    if past < 0 or past >= 7 * DAY:
        return None
    if past >= DAY:
        return _tied(ngettext("%(num)d d ago", "%(num)d d ago", past // DAY))
    if past >= HOUR:
        return _tied(gettext("%(count)d h ago", count=past // HOUR))
    if past >= MINUTE:
        return _tied(gettext("%(count)d min ago", count=past // MINUTE))
    return _tied(gettext("%(count)d s ago", count=past // SECOND))


def _tied(said: str) -> str:
    """With spaces that do not break between numbers and their units."""
    return re.sub(r"(?<=\d) ", NBSP, said)


def duration(amount: int, *, days: bool = False) -> str:
    """The two largest units of an amount of time, rounded down: `3 h 55 m`; hours become days only with `days` (calendar time)."""
    return units(format_duration(amount, days=days))


def moments(amount: int) -> str:
    """A short amount of time for measurements: `0.04 s`, from ten seconds on as a duration."""
    return f"{_decimals(amount / SECOND, 2)}{NBSP}{gettext('s')}" if amount < 10 * SECOND else duration(amount)


def time_left(left: int, *, business: bool = True) -> str:
    """Counted time to the target: `2 h 24 m left`, `due now`, `over by 1 s` (an overrun is never shown as less)."""
    if left > 0:
        return gettext("%(time)s left", time=duration(left, days=not business))
    if left == 0:
        return gettext("due now")
    return gettext("over by %(time)s", time=duration(max(-left, SECOND), days=not business))


def rate(met: int, total: int) -> str:
    """A share in percent with one decimal, cut and not rounded: `94.9 %`; `–` of nothing."""
    if total == 0:
        return "–"
    return f"{_decimals((met * 1000 // total) / 10, 1)}{NBSP}%"


def rate_word(met: int, total: int) -> str:
    """What a share means: good (from 95), watch (from 80), low; few below twenty; none of nothing. It agrees with the digits of `rate`."""
    if total == 0:
        return "none"
    if total < 20:
        return "few"
    return "good" if met * 100 >= total * 95 else "watch" if met * 100 >= total * 80 else "low"


def number(value: int) -> str:
    """A whole number, grouped: `12,400`."""
    return f"{value:,}".replace(",", _symbols(locale())[1])


def size(value: int) -> str:
    """Bytes: `740 B`, `2.1 kB`."""
    return f"{value}{NBSP}B" if value < 1000 else f"{_decimals(value / 1000, 1)}{NBSP}kB"


def _decimals(value: float, places: int) -> str:
    return f"{value:.{places}f}".replace(".", _symbols(locale())[0])


@cache
def _symbols(spoken: str) -> tuple[str, str]:
    """The decimal mark and the mark between thousands."""
    known = Locale.parse(spoken)
    return get_decimal_symbol(known), get_group_symbol(known)
