"""A page of any list: by number or after a key, with a count that stops counting. Read only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, or_, select

from sla_plugin.store.db import Transaction

MOST = 10_000  # rows that are counted; beyond, nobody pages by number


@dataclass(frozen=True, slots=True)
class Key:
    """A column, never empty, that a list is sorted by. The last key of a list is unique."""

    column: Any
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows of a list, how many there are in all (at most MOST are counted), and the values of the keys after which it goes on (None: it ends here)."""

    rows: Sequence[Any]
    total: int
    total_is_capped: bool
    after: tuple[Any, ...] | None


def list_rows(tx: Transaction, query: Select[Any], keys: Sequence[Key], *, limit: int, page: int = 1, after: Sequence[Any] | None = None) -> Slice:
    """The rows of a query in the order of `keys`: page by page, or those after the values of the keys of a row. The keys' values are the last columns."""
    counted = tx.scalar(select(func.count()).select_from(query.with_only_columns(literal(1)).limit(MOST + 1).subquery())) or 0
    columns = [key.column.label(f"key_{number}") for number, key in enumerate(keys)]
    wanted = query.add_columns(*columns).order_by(*(key.column.desc() if key.descending else key.column for key in keys))
    wanted = wanted.where(_beyond(keys, after)) if after is not None else wanted.offset((page - 1) * limit)
    rows = tx.execute(wanted.limit(limit + 1)).all()
    more = tuple(rows[limit - 1][-len(keys) :]) if len(rows) > limit else None
    return Slice(rows[:limit], min(counted, MOST), counted > MOST, more)


def _beyond(keys: Sequence[Key], values: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a row comes after one with these values of the keys."""
    cases = []
    for number, (key, value) in enumerate(zip(keys, values, strict=True)):
        same = [earlier.column == known for earlier, known in zip(keys[:number], values, strict=False)]
        cases.append(and_(*same, key.column < value if key.descending else key.column > value))
    first, value = keys[0], values[0]
    # said apart, so that the walk along an index begins here and not at the list's beginning
    return and_(first.column <= value if first.descending else first.column >= value, or_(*cases))
