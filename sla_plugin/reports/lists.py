"""How every list is read, by pages and by the API: in the order of an index, a page at a time, counted up to a bound.

A list is walked in *branches*: conditions of equality that an index begins with, after which it goes on in the order of the list. Of branches that differ in
one word (breached, critical, …) a page each is read and merged; no more than that is sorted. A second filter beside the one that an index
serves is looked at row by row, LOOKED rows a page: a page may then be short of rows, and still have a next one.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, case, func, literal, literal_column, select, tuple_, union_all

from sla_plugin.store.db import Transaction

PAGE = 50
MOST = 10_000  # up to which is counted
LOOKED = 2_500  # rows that a page looks at for a filter that no index serves
Key = tuple[int, ...]
Branch = Sequence[ColumnElement[bool]]
Rest = Callable[[Any], ColumnElement[bool]]  # columns -> a condition on them that no index serves


@dataclass(frozen=True)
class Page:
    """Some rows, and the key after which the next ones come (None: these are the last). `looked`: rows looked at where the page had to stop looking."""

    rows: Sequence[Any]
    after: Key | None
    looked: int | None = None


@dataclass(frozen=True)
class Count:
    """So many; `more`: this is where counting ended, there are more."""

    number: int
    more: bool = False


@dataclass(frozen=True)
class Filter:
    """What a list can be narrowed by: the column, and the index that serves it. `words`: the values it can have, where they are few."""

    column: str
    index: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """A list that is offered: what it can be narrowed and sorted by. Pages, the API and the test of their plans read this; `sorts`: name -> descending."""

    name: str
    table: Table
    filters: Mapping[str, Filter]
    sorts: Mapping[str, bool]

    def descending(self, sort: str) -> bool:
        """The direction of a sort; of the first one for a name that is not offered."""
        return self.sorts.get(sort, next(iter(self.sorts.values())))

    def offered(self, asked: Mapping[str, str]) -> dict[str, str]:
        """Of what somebody asks for, what is offered and not empty."""
        return {name: value for name, value in asked.items() if value and name in self.filters}


def read_page(
    tx: Transaction,
    columns: Sequence[Any],
    branches: Sequence[Branch],
    order: Sequence[Any],
    *,
    descending: bool = False,
    rest: Collection[Rest] = (),
    after: Key | None = None,
    limit: int = PAGE,
) -> Page:
    """A page of rows of one table. `order`: columns that no two rows have alike; `columns` holds them; `rest`: what no index serves."""
    if after is not None and len(after) != len(order):
        after = None
    if not branches:
        return Page([], None)
    names = [column.name for column in order]
    walks = []
    for branch in branches:
        walk = select(*columns).where(*branch)
        if after is not None:
            # one column is compared as it is: a row of one is none to SQLite
            here, there = (order[0], literal(after[0])) if len(order) == 1 else (tuple_(*order), tuple_(*map(literal, after)))
            walk = walk.where(here < there if descending else here > there)
        walks.append(walk)
    if rest:
        return _looked_through(tx, walks, columns, order, descending, rest, limit)
    rows = tx.execute(_in_order(walks, columns, order, descending, limit + 1)).all()
    return Page(rows[:limit], _key(rows[limit - 1], names) if len(rows) > limit else None)


def _in_order(walks: Sequence[Select[Any]], columns: Sequence[Any], order: Sequence[Any], descending: bool, limit: int) -> Select[Any]:
    def first_of(query: Select[Any], keys: Sequence[Any]) -> Select[Any]:
        return query.order_by(*(key.desc() if descending else key for key in keys)).limit(limit)

    if len(walks) == 1:
        return first_of(walks[0], order)
    # each ends by itself: left to the planner, the branches are read whole and sorted. They are named once, at the end: every name costs SQLAlchemy a column
    ends: list[Select[Any]] = [select(literal_column("*")).select_from(first_of(walk, order).subquery()) for walk in walks]
    merged = {column.name: literal_column(f'merged."{column.name}"', column.type) for column in columns}
    whole = select(*(there.label(name) for name, there in merged.items())).select_from(union_all(*ends).subquery("merged"))
    return first_of(whole, [merged[key.name] for key in order])


def _looked_through(
    tx: Transaction, walks: Sequence[Select[Any]], columns: Sequence[Any], order: Sequence[Any], descending: bool, rest: Collection[Rest], limit: int
) -> Page:
    """LOOKED rows in order, and of those the ones that fit. Where they are too few, the page ends with the last row looked at."""
    names = [column.name for column in order]
    some = _in_order(walks, columns, order, descending, LOOKED).subquery("looked")
    keys = [some.c[name].desc() if descending else some.c[name] for name in names]
    rows = tx.execute(select(some).where(*(fits(some.c) for fits in rest)).order_by(*keys).limit(limit + 1)).all()
    last = tx.execute(select(*(some.c[name] for name in names)).order_by(*keys).offset(LOOKED - 1).limit(1)).first()
    if len(rows) > limit:
        return Page(rows[:limit], _key(rows[limit - 1], names))
    return Page(rows, tuple(last) if last is not None else None, LOOKED if last is not None else None)


def _key(row: Any, names: Sequence[str]) -> Key:
    return tuple(int(getattr(row, name)) for name in names)


def count_rows(tx: Transaction, table: Table, groups: Mapping[str, Sequence[Branch]], rest: Collection[Rest] = ()) -> dict[str, Count]:
    """How many rows each group of branches has, all in one question. MOST rows of a group are looked at (LOOKED, for `rest`); beyond that there are `more`."""
    asked = []
    most = LOOKED if rest else MOST
    for name, branches in groups.items():
        if branches:
            walks = [select(*(table.c if rest else (table.c.id,))).where(*branch) for branch in branches]
            some = (walks[0].limit(most + 1) if len(walks) == 1 else select(union_all(*walks).subquery()).limit(most + 1)).subquery()
            fits = func.sum(case((and_(*(fits(some.c) for fits in rest)), 1), else_=0)) if rest else func.count()
            asked.append(select(literal(name).label("name"), func.count().label("looked"), fits.label("number")).select_from(some))
    rows = tx.execute(union_all(*asked) if len(asked) > 1 else asked[0]).all() if asked else []
    counted = {row.name: Count(min(int(row.number or 0), most), row.looked > most) for row in rows}
    return {name: counted.get(name, Count(0)) for name in groups}
