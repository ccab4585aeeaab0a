"""Durations as people write and read them. Inside, a duration is an integer number of microseconds."""

import re
from typing import Final

from sla_plugin.errors import InvalidDefinition

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
LONGEST: Final = 3653 * DAY  # ten years: anything longer is a typing error

_UNITS = re.compile(r"(?:(?P<d>\d{1,9})\s*d)?\s*(?:(?P<h>\d{1,9})\s*h)?\s*(?:(?P<m>\d{1,9})\s*m)?\s*(?:(?P<s>\d{1,9})\s*s)?", re.ASCII)
_HOURS_MINUTES = re.compile(r"(?P<h>\d{1,9})\s*[h:]\s*(?P<m>[0-5]\d)", re.ASCII)  # 1h30 and 1:30
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
_SPACE = "\u00a0"  # a unit never parts from its number at a line end


def parse_duration(value: object, field: str, *, allow_days: bool = False) -> int:
    """Microseconds of `45s`, `15m`, `8h`, `1h30`, `1h30m`, `1:30` (h:mm) and, with `allow_days`, `2d` (days of 24 hours).

    `field` names the place for the message. Raises InvalidDefinition for anything else: a number without a unit, zero, negative, above ten years.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidDefinition(field, f"{value!r} is no duration; write one such as 45s, 15m, 8h or 1h30")
    text = str(value).strip().lower()
    if text.startswith("-"):
        raise InvalidDefinition(field, f"{text} is negative; write a duration above zero, e.g. 8h")
    if _PLAIN_NUMBER.fullmatch(text):
        raise InvalidDefinition(field, f"{text} has no unit; write a unit, e.g. {text}s, {text}m or {text}h (in YAML put h:mm in quotes)")
    match = _HOURS_MINUTES.fullmatch(text) or _UNITS.fullmatch(text)
    if not text or match is None:
        raise InvalidDefinition(field, f"{text!r} is unclear; write a duration such as 45s, 15m, 8h or 1h30")
    parts = {unit: int(number) for unit, number in match.groupdict().items() if number}
    if "d" in parts and not allow_days:
        raise InvalidDefinition(field, f"{text} is unclear, a day has a different length on each calendar; write hours, e.g. 16h")
    amount = parts.get("d", 0) * DAY + parts.get("h", 0) * HOUR + parts.get("m", 0) * MINUTE + parts.get("s", 0) * SECOND
    if amount == 0:
        raise InvalidDefinition(field, f"{text} is zero; write a duration above zero, e.g. 15m")
    if amount > LONGEST:
        raise InvalidDefinition(field, f"{text} is longer than ten years; write a shorter one")
    return amount


def format_duration(amount: int, *, days: bool = False) -> str:
    """The two largest units of `amount` microseconds, rounded down: `42 s`, `38 m`, `3 h 55 m`, `31 h 05 m`; the spaces do not break.

    Hours become days (`3 d 4 h`) only with `days`, for calendar time: a day of business time has no fixed length.
    """
    seconds = abs(amount) // SECOND
    sizes = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)) if days else (("h", 3600), ("m", 60), ("s", 1))
    index = next((i for i, (_, size) in enumerate(sizes) if seconds >= size), len(sizes) - 1)
    unit, size = sizes[index]
    text = f"{seconds // size}{_SPACE}{unit}"
    if index + 1 < len(sizes):
        smaller, smaller_size = sizes[index + 1]
        rest = seconds % size // smaller_size
        if rest:
            text += f"{_SPACE}{rest if smaller == 'h' else f'{rest:02}'}{_SPACE}{smaller}"
    return f"-{text}" if amount < 0 and seconds else text


def clock_text(amount: int) -> str:
    """`amount` microseconds to the second, as h:mm:ss (`1:20:07`), rounded towards zero; for ledgers and exports."""
    seconds = abs(amount) // SECOND
    text = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"-{text}" if amount < 0 and seconds else text


def badge_text(amount: int) -> str:
    """`amount` microseconds as Zendesk's badge shows it: one unit, an exact half rounds down; minutes up to 90m, hours up to 36h, else days."""
    for unit, size, most in (("m", MINUTE, 90), ("h", HOUR, 36)):
        count = _rounded_half_down(amount, size)
        if count <= most:
            return f"{count}{unit}"
    return f"{_rounded_half_down(amount, DAY)}d"


def _rounded_half_down(amount: int, size: int) -> int:
    return -((size - 2 * amount) // (2 * size))
