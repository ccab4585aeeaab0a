"""Lists: page and limit, `after` for long ones, sorting and periods over what is offered; one shape of answer for all."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask import g, request
from marshmallow import Schema, ValidationError, fields, validates_schema

from sla_plugin.reports.listing import MOST, Key, Slice
from sla_plugin.reports.lists import Count, Listing, Page
from sla_plugin.reports.lists import Key as Walked
from sla_plugin.web.api.problems import Problem, invalid
from sla_plugin.web.api.shapes import LARGEST_ID, DateOrInstant, Shape, Word, begins_at, ends_before

LIMIT, LARGEST_LIMIT = 20, 100
DAYS, MOST_DAYS = 30, 3660
_DAY = 86_400_000_000
_NUMBER = "a whole number from {} to {}"


class Whole(fields.Integer):
    """A whole number within bounds."""

    def __init__(self, low: int, high: int, **options: Any) -> None:
        self.low, self.high = low, high
        super().__init__(metadata={"minimum": low, "maximum": high, **options.pop("metadata", {})}, strict=False, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> int:
        said = f"Write {_NUMBER.format(self.low, self.high)}."
        if isinstance(value, str) and not (value.isascii() and value.isdigit()):
            raise ValidationError(said)
        if isinstance(value, float | bool):
            raise ValidationError(said)
        try:
            number = int(value)
        except (TypeError, ValueError):
            raise ValidationError(said) from None
        if not self.low <= number <= self.high:
            raise ValidationError(said)
        return number


class Sort(fields.Field[list[tuple[str, bool]]]):
    """`sort=field,-other`: (field, descending) of those offered."""

    def __init__(self, offered: Iterable[str], **options: Any) -> None:
        self.offered = tuple(offered)
        words = "|".join(self.offered)
        described = {"type": "string", "pattern": f"^-?({words})(,-?({words}))*$", "description": f"Of {', '.join(self.offered)}; a minus turns it round."}
        usual = ",".join(f"{'-' if descending else ''}{name}" for name, descending in options.get("load_default") or ())
        super().__init__(metadata={**described, "default": usual}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> list[tuple[str, bool]]:
        found: list[tuple[str, bool]] = []
        for part in str(value).split(","):
            name, descending = part.strip().removeprefix("-").casefold(), part.strip().startswith("-")
            if name not in self.offered or name in dict(found):
                raise ValidationError(f"Sort by {', '.join(self.offered)}, each once; a minus turns it round.")
            found.append((name, descending))
        return found


class ListQuery(Shape):
    """Parameters of every list."""

    page = Whole(1, MOST, load_default=1, metadata={"description": f"The first is 1; beyond {MOST} rows go on with `after`."})
    limit = Whole(1, LARGEST_LIMIT, load_default=LIMIT, metadata={"description": "Rows of a page."})

    @validates_schema
    def not_too_far(self, told: Mapping[str, Any], **_: Any) -> None:
        """Paging by number ends where counting does."""
        if told.get("page", 1) * told.get("limit", LIMIT) > MOST + LARGEST_LIMIT:
            raise ValidationError({"page": [f"Beyond {MOST} rows go on with `after`, the end of `next`."]})


class LongListQuery(ListQuery):
    """Parameters of a list that may be long."""

    after = fields.String(metadata={"description": "Where to go on; taken from `next`. It wins over `page`."})


class PeriodBoundsQuery(Shape):
    """Parameters that say a period."""

    start_date = DateOrInstant(metadata={"description": "The first date or instant, included. Dates are in the tenant's zone."})
    end_date = DateOrInstant(metadata={"description": "The last date or instant, included."})
    days = Whole(1, MOST_DAYS, metadata={"description": f"So many days up to now, or to `end_date`, instead of `start_date`. {DAYS} if neither is said."})


class PeriodQuery(LongListQuery, PeriodBoundsQuery):
    """Parameters of a list of what happened."""


def period(query: Mapping[str, Any], zone: ZoneInfo, now: int) -> tuple[int, int]:
    """The instants (first, first that is too late) of a PeriodBoundsQuery. Raises Problem for one that ends before it begins, or says its beginning twice."""
    start: date | int | None = query.get("start_date")
    end: date | int | None = query.get("end_date")
    if start is not None and "days" in query:
        raise invalid({"days": "Say start_date or days, not both."})
    until = ends_before(end, zone) if end is not None else now + 1
    since = begins_at(start, zone) if start is not None else until - query.get("days", DAYS) * _DAY
    if since >= until:
        raise invalid({"end_date": "Ends before start_date."} if end is not None else {"start_date": "Lies in the future."})
    return since, until


@cache
def page_schema(row: type[Schema]) -> type[Schema]:
    """The answer of a list of such rows."""
    name = row.__name__.removesuffix("Schema")
    return Shape.from_dict(
        {
            "items": fields.List(fields.Nested(row), required=True),
            "page": fields.Integer(required=True, allow_none=True, metadata={"description": "None where `after` was said."}),
            "limit": fields.Integer(required=True),
            "total": fields.Integer(required=True, metadata={"description": f"How many there are; counting ends at {MOST}."}),
            "total_is_capped": fields.Boolean(required=True, metadata={"description": "There are more than `total`."}),
            "next": fields.String(required=True, allow_none=True, metadata={"description": "The next page, as in the header Link; None on the last."}),
        },
        name=f"{name}PageSchema",
    )


def short_page(rows: Sequence[Any], query: Mapping[str, Any], orders: Mapping[str, Callable[[Any], Any]] | None = None) -> dict[str, Any]:
    """A page of a list that is short enough to be read whole; sorted by `query["sort"]`, where `orders` say how."""
    sorted_rows = list(rows)
    for name, descending in reversed(query.get("sort") or []):
        sorted_rows.sort(key=(orders or {})[name], reverse=descending)
    page, limit = query["page"], query["limit"]
    shown = sorted_rows[(page - 1) * limit : page * limit]
    following = _address(page=page + 1) if len(sorted_rows) > page * limit else None
    return _answer(shown, query, len(rows), False, following)


def sort_keys(query: Mapping[str, Any], columns: Mapping[str, Any], last: Any) -> list[Key]:
    """The keys of a long list: what is sorted by, then the column `last`, which is unique, in the same direction."""
    chosen = [Key(columns[name], descending) for name, descending in query["sort"]]
    return chosen if any(key.column is last for key in chosen) else [*chosen, Key(last, chosen[-1].descending)]


def after_of(query: Mapping[str, Any], keys: Sequence[Key]) -> tuple[Any, ...] | None:
    """The values of the keys that `after` holds. Raises Problem for one that is not of this list in this order."""
    if query.get("after") is None:
        return None
    values = _read_place(query["after"], _order_of(keys))
    if len(values) == len(keys) and all(_fits(value, key) for value, key in zip(values, keys, strict=True)):
        return values
    raise _no_place()


def _fits(value: Any, key: Key) -> bool:
    """Whether the database takes it for a value of the column."""
    if not isinstance(value, key.column.type.python_type):
        return False
    return "\x00" not in value if isinstance(value, str) else not isinstance(value, int) or abs(value) <= LARGEST_ID


def long_page(found: Slice, query: Mapping[str, Any], keys: Sequence[Key], row: Callable[[Any], Any]) -> dict[str, Any]:
    """A page of a long list, each row made into what is answered."""
    following = None
    if found.after is not None:
        following = _address(page=None, after=_place(_order_of(keys), found.after))
    return _answer([row(one) for one in found.rows], query, found.total, found.total_is_capped, following)


def _order_of(keys: Sequence[Key]) -> str:
    return ",".join(f"{'-' if key.descending else ''}{key.column.key}" for key in keys)


def _place(order: str, values: Iterable[Any]) -> str:
    """A place in a list as `after` has it."""
    return base64.urlsafe_b64encode(json.dumps([order, *values], separators=(",", ":")).encode()).rstrip(b"=").decode()


def _read_place(cursor: str, wanted: str) -> tuple[Any, ...]:
    """The values of a place in a list of this order. Raises Problem for one of another."""
    try:
        order, *values = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=="))
        if order == wanted:
            return tuple(values)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        pass
    raise _no_place()


def _no_place() -> Problem:
    return invalid({"after": "This is no place in this list, sorted like this; take it from `next`."})


# --- lists that pages read, too (reports/lists.py) --------------------------------------------------------------------
def sorts_of(listing: Listing) -> Word:
    """The parameter `sort` of such a list."""
    return Word(listing.sorts, load_default=next(iter(listing.sorts)), metadata={"description": "A minus: the last first."})


def filters_of(query: Mapping[str, Any], *names: str) -> dict[str, str]:
    """What such a list is narrowed by, as its functions take it: those of the parameters that are said."""
    return {name: str(query[name]) for name in names if name in query}


def walk(listing: Listing, query: Mapping[str, Any], read: Callable[[Walked | None, int], Page]) -> Page:
    """The page that is asked for: after its place, or by number, up to which the list is walked. `read`: (place, limit) -> page."""
    after: Walked | None = None
    if query.get("after") is not None:
        after = _read_place(query["after"], _name_of(listing, query))
        if not after or not all(isinstance(one, int) and not isinstance(one, bool) and abs(one) <= LARGEST_ID for one in after):
            raise _no_place()
        return read(after, query["limit"])
    passing = (query["page"] - 1) * query["limit"]
    while passing > 0:
        passed = read(after, min(passing, LARGEST_LIMIT))
        if passed.after is None or passed.looked is not None:
            return Page([], passed.after, passed.looked)
        passing, after = passing - len(passed.rows), passed.after
    return read(after, query["limit"])


def walked_page(listing: Listing, query: Mapping[str, Any], page: Page, count: Count, rows: Sequence[Any]) -> dict[str, Any]:
    """The answer of such a list; `rows`: those of the page as they are answered."""
    following = None if page.after is None else _address(page=None, after=_place(_name_of(listing, query), page.after))
    return _answer(rows, query, count.number, count.more, following)


def _name_of(listing: Listing, query: Mapping[str, Any]) -> str:
    return f"{listing.name} {query['sort']}"


def _address(**changed: Any) -> str:
    """The address of this request with parameters changed; None takes one away."""
    told = {**request.args.to_dict(flat=True), **changed}
    return f"{request.path}?{urlencode({name: value for name, value in told.items() if value is not None})}"


def _answer(items: Sequence[Any], query: Mapping[str, Any], total: int, capped: bool, following: str | None) -> dict[str, Any]:
    g.next_page = following  # the header Link says it, too
    page = None if query.get("after") is not None else query["page"]
    return {"items": items, "page": page, "limit": query["limit"], "total": total, "total_is_capped": capped, "next": following}
