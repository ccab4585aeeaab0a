"""A list as its address describes it: everything chosen stands in the query string, so that every view is a link to share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import request, url_for

from sla_plugin.language import gettext
from sla_plugin.reports.lists import Count, Key, Listing, Page
from sla_plugin.web.formats import number

LONGEST = 200  # letters of a text that is searched for
_KEYS = 3  # numbers of a key


@dataclass(frozen=True)
class Chip:
    """A filter that was chosen, in words, and the address of the list without it."""

    text: str
    without: str


@dataclass(frozen=True)
class ListView:
    """What a list's address asks for. `kept`: all of it but the page; `first`: the number of its first row."""

    listing: Listing
    kept: Mapping[str, str]
    filters: Mapping[str, str]
    text: str
    sort: str
    after: Key | None
    first: int

    def link(self, **changes: object) -> str:
        """The address of the first page with something else chosen (None or empty: not chosen)."""
        asked: dict[str, Any] = {**(request.view_args or {}), **self.kept, **{name: str(value) for name, value in changes.items() if value not in (None, "")}}
        gone = {name for name, value in changes.items() if value in (None, "")}
        wanted: dict[str, Any] = {name: value for name, value in asked.items() if name not in gone}
        return url_for(request.endpoint or "", **wanted)

    @property
    def narrowed(self) -> bool:
        """Is anything chosen that may hide rows?"""
        return bool(self.filters or self.text)

    @property
    def clear(self) -> str:
        """The address without filters."""
        return self.link(**dict.fromkeys((*self.listing.filters, "q")))

    def chips(self, labels: Mapping[str, str], words: Mapping[str, Mapping[str, str]]) -> Sequence[Chip]:
        """The chosen filters; `labels`: their names, `words`: what their values are called."""
        chosen = [Chip(f"{labels.get(name, name)}: {words.get(name, {}).get(value, value)}", self.link(**{name: None})) for name, value in self.filters.items()]
        return [*chosen, *([Chip(f"“{self.text}”", self.link(q=None))] if self.text else [])]

    def next_link(self, page: Page) -> str | None:
        """The address of the page after this one."""
        if page.after is None:
            return None
        return self.link(after="-".join(map(str, page.after)), n=self.first + len(page.rows))

    def other_way(self, sort: str) -> tuple[str, str]:
        """For the header of a sort: (its `aria-sort`, the address of the list sorted the other way)."""
        down = self.listing.descending(self.sort)
        other = next(name for name, descending in self.listing.sorts.items() if name.lstrip("-") == sort and descending is not down)
        return "descending" if down else "ascending", self.link(sort=None if other == next(iter(self.listing.sorts)) else other)


def list_view(listing: Listing, *also: str) -> ListView:
    """The view that the request asks for; `also`: words of its address that are no filters (a tab, a period)."""
    kept = {name: value for name in (*also, *listing.filters, "q") if (value := request.args.get(name, "").strip()[:LONGEST])}
    sort = request.args.get("sort", "")
    if sort in listing.sorts and sort != next(iter(listing.sorts)):
        kept["sort"] = sort
    first = request.args.get("n", "")
    return ListView(
        listing,
        kept,
        listing.offered(kept),
        kept.get("q", ""),
        sort if sort in listing.sorts else next(iter(listing.sorts)),
        page_key(),
        int(first) if first.isascii() and first.isdigit() and len(first) < 12 and page_key() else 1,
    )


def page_key() -> Key | None:
    """The key of keyset paging in the query string, numbers with dashes between; None on the first page."""
    parts = request.args.get("after", "").split("-")
    numbers = [int(part) for part in parts[:_KEYS] if part.isascii() and part.isdigit() and len(part) < 20]
    return tuple(numbers) if len(numbers) == len(parts) and all(one < 2**63 for one in numbers) else None


def counted(count: Count) -> str:
    """A count in words: `214`, `more than 10,000`."""
    return gettext("more than %(number)s", number=number(count.number)) if count.more else number(count.number)


def counted_short(count: Count) -> str:
    """A count where there is little room: `214`, `10,000+`."""
    return number(count.number) + ("+" if count.more else "")


def plus(*counts: Count) -> Count:
    """Counts of different rows as one."""
    return Count(sum(c.number for c in counts), any(c.more for c in counts))


def where(view: ListView, page: Page, count: Count | None) -> str:
    """Which rows these are: `1–50 of 214`."""
    if not page.rows:
        return ""
    last = view.first + len(page.rows) - 1
    if count is None or (not count.more and count.number < last):  # something has come or gone meanwhile
        return f"{number(view.first)}–{number(last)}"
    total = Count(max(count.number, last), count.more)
    return gettext("%(first)s–%(last)s of %(count)s", first=number(view.first), last=number(last), count=counted(total))


def list_words() -> dict[str, Any]:
    """What the macros of lists need in their templates."""
    return {"counted": counted, "counted_short": counted_short, "where": where}
