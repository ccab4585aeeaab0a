"""How values look in the API: ids, instants, durations, words of ours, dates; and the base of every schema."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import Schema, ValidationError, fields, pre_load
from werkzeug.routing import BaseConverter

from sla_plugin.web.formats import iso

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)  # what calendars know of
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
ID_PATTERN = "^[0-9]{1,19}$"
_ID = re.compile(r"\d{1,19}", re.ASCII)
LARGEST_ID = 2**63 - 1


class Shape(Schema):
    """Base of every schema. What an answer says beside what may be sent (`dump_only`) is passed over where it is sent back, so that GET, change, PUT works."""

    error_messages = {"unknown": "There is no such field.", "type": "Send a JSON object."}  # noqa: RUF012 - as marshmallow wants it

    @pre_load
    def leave_out_what_only_we_say(self, data: Any, **_: Any) -> Any:
        """Without the fields that are only answered."""
        return {k: v for k, v in data.items() if k not in self.dump_fields or k in self.load_fields} if isinstance(data, Mapping) else data


class Id(fields.Field[int]):
    """An id: a text of digits, because numbers of 63 bits lose digits in JavaScript."""

    def __init__(self, **options: Any) -> None:
        described = {"type": "string", "pattern": ID_PATTERN, **options.pop("metadata", {})}
        super().__init__(metadata=described, **options)

    def _serialize(self, value: int | None, attr: str | None, obj: Any, **_: Any) -> str | None:
        return None if value is None else str(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> int:
        if not isinstance(value, str) or not _ID.fullmatch(value) or int(value) > LARGEST_ID:
            raise ValidationError("An id is a text of digits, as in answers.")
        return int(value)


class IdInPath(BaseConverter):
    """An id in an address, `<id:policy_id>`. What is no id is nothing that is there, whatever the method: the pattern says so, not a check afterwards."""

    regex = "(?:[0-9]{1,18}|[1-8][0-9]{18})"  # beyond all that are made until the year 2092, and within 63 bits

    def to_python(self, value: str) -> int:
        """The number."""
        return int(value)


class Instant(fields.Field[int]):
    """An instant: microseconds inside, RFC 3339 in UTC outside."""

    def __init__(self, **options: Any) -> None:
        super().__init__(metadata={"type": "string", "format": "date-time", **options.pop("metadata", {})}, **options)

    def _serialize(self, value: int | None, attr: str | None, obj: Any, **_: Any) -> str | None:
        return None if value is None else iso(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> int:
        return read_instant(value)


class Seconds(fields.Field[int]):
    """A duration: microseconds inside, seconds outside (cut, as everywhere)."""

    def __init__(self, **options: Any) -> None:
        described = {"type": "integer", "description": "seconds", **options.pop("metadata", {})}
        super().__init__(metadata=described, **options)

    def _serialize(self, value: int | None, attr: str | None, obj: Any, **_: Any) -> int | None:
        return None if value is None else (value // 1_000_000 if value >= 0 else -(-value // 1_000_000))


class Word(fields.String):
    """One of our words, in any case; `first response` and `first-response` are `first_response`, too."""

    def __init__(self, words: Collection[str], **options: Any) -> None:
        self.words = tuple(words)
        super().__init__(metadata={"enum": [*self.words, *([None] if options.get("allow_none") else [])], **options.pop("metadata", {})}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        text = str(super()._deserialize(value, attr, data, **more))
        plain = _plain(text)
        for word in self.words:
            if _plain(word) == plain:
                return word
        raise ValidationError(f"{text[:50]!r} is none of {', '.join(self.words)}.")


def _plain(word: str) -> str:
    return word.strip().casefold().replace("-", "_").replace(" ", "_")


class Text(fields.String):
    """A text that is not only blanks, at most `most` characters."""

    def __init__(self, most: int, *, least: int = 1, **options: Any) -> None:
        self.least, self.most = least, most
        super().__init__(metadata={"minLength": least, "maxLength": most, **options.pop("metadata", {})}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        text = str(super()._deserialize(value, attr, data, **more)).strip()
        if not self.least <= len(text) <= self.most:
            raise ValidationError(f"Use at most {self.most} characters." if len(text) > self.most else "Say something.")
        return text


class DateOrInstant(fields.Field[date | int]):
    """A date, or an instant with its offset."""

    def __init__(self, **options: Any) -> None:
        described = {"type": "string", "description": "A date (2026-11-21) in the tenant's zone, or an instant (2026-11-21T09:00:00Z)."}
        super().__init__(metadata={**described, **options.pop("metadata", {})}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> date | int:
        if isinstance(value, str) and _DATE.fullmatch(value):
            try:
                day = date.fromisoformat(value)
            except ValueError:
                day = date.min
            if _FIRST.date() <= day < _LAST.date():
                return day
            raise ValidationError(f"{value!r} is no date from {_FIRST.year} to {_LAST.year - 1}.")
        return read_instant(value)


def read_instant(value: Any) -> int:
    """Microseconds UTC of an RFC 3339 text. Raises ValidationError with what to write."""
    try:
        moment = datetime.fromisoformat(value)
        if moment.utcoffset() is not None and _FIRST <= moment < _LAST:
            return (moment - _EPOCH) // timedelta(microseconds=1)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValidationError("Write an instant with its offset, such as 2026-11-21T09:00:00Z.")


def begins_at(told: date | int, zone: ZoneInfo) -> int:
    """The first instant of a date in a zone; of an instant itself."""
    if isinstance(told, int):
        return told
    return (datetime.combine(told, time(), zone).astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)


def ends_before(told: date | int, zone: ZoneInfo) -> int:
    """The first instant that is after a date in a zone, or after an instant: what is told is included."""
    return told + 1 if isinstance(told, int) else begins_at(told + timedelta(days=1), zone)
