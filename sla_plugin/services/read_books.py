"""The books of a tenant: what each policy and calendar said, revision by revision."""

import threading
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from sla_plugin.engine.business_time import BusinessTime, business_time
from sla_plugin.engine.calendars import Calendar, Cover, cover
from sla_plugin.engine.policies import ALWAYS_OPEN, Book, Policy, Terms
from sla_plugin.store.db import Transaction
from sla_plugin.store.policies import calendar_versions, policy_versions
from sla_plugin.store.tenants import book_revision

_ALWAYS = Calendar.from_definition({"time_zone": "UTC", "hours": ALWAYS_OPEN}, "24x7")
_Version = tuple[int | None, int | None]  # of a calendar: id, number
_cache: dict[int, tuple[int, list[Book]]] = {}
_lock = threading.Lock()


def read_books(tx: Transaction, tenant: int) -> list[Book]:
    """Every book of the tenant, oldest first; compiled once per revision and process."""
    revision = book_revision(tx, tenant)
    with _lock:
        cached = _cache.get(tenant)
    if cached is not None and cached[0] == revision:
        return cached[1]
    books = build_books(policy_versions(tx, tenant), calendar_versions(tx, tenant))
    with _lock:
        _cache[tenant] = (revision, books)
    return books


def build_books(policies: Sequence[Any], calendars: Sequence[Any]) -> list[Book]:
    """Books from (name, version row) pairs; rows have revision, effective_at, version, definition, quiet."""
    compiled: dict[tuple[_Version, _Version], BusinessTime] = {}
    parsed: dict[int, Policy] = {}
    made: dict[tuple[int, _Version, _Version], Terms] = {}
    by_calendar: dict[str | None, Any] = {}
    by_policy: dict[str, Any] = {}
    books: list[Book] = []
    revisions = sorted({(v.revision, v.effective_at, v.quiet) for _, v in (*policies, *calendars)})
    for revision, since, quiet in revisions:
        by_calendar.update({name: v for name, v in calendars if v.revision == revision})
        by_policy.update({name: v for name, v in policies if v.revision == revision})
        terms = []
        for version in by_policy.values():
            policy = parsed.get(version.id)
            if policy is None:
                policy = parsed[version.id] = Policy.from_definition(version.definition, version.definition.get("name", "policy"))
            pair = [by_calendar.get(policy.calendar), by_calendar.get(policy.beside)]
            ours, theirs = ((c.calendar_id, c.version) if c is not None else (None, None) for c in pair)
            if (ours, theirs) not in compiled:
                compiled[ours, theirs] = business_time(_open_hours([c.definition for c in pair if c is not None]))
            key = (version.id, ours, theirs)
            if key not in made:
                made[key] = Terms(version.policy_id, version.version, policy, ours[0], ours[1], compiled[ours, theirs], theirs[0], theirs[1])
            terms.append(made[key])
        asked = {fact.calendar for t in terms for fact in t.policy.times} & set(by_calendar)
        named = {name: business_time(_open_hours([by_calendar[name].definition])) for name in asked if name is not None}
        books.append(Book.of(revision, since, terms, named, quiet=quiet))
    return books


def _open_hours(definitions: Sequence[Mapping[str, Any]]) -> Calendar | Cover:
    """The hours of no calendar (24x7), of one, or of two that must both be open."""
    hours = [Calendar.from_definition(definition, "calendar") for definition in definitions]
    return cover(hours[0], hours[1]) if len(hours) > 1 else hours[0] if hours else _ALWAYS


def affected_policies(books: Sequence[Book], revision: int) -> frozenset[int] | None:
    """The policies whose tickets the book of that revision may move; None if it may move any, since it chooses otherwise than the book before it."""
    for before, book in pairwise(books):
        if book.revision == revision and before.revision == revision - 1:
            return book.changed_since(before)
    return None


def books_since(books: Sequence[Book], first_received_at: int) -> list[Book]:
    """The books that concern a promise first heard of at an instant: what was in force then covers all before it, later ones come at their time."""
    start = 0
    for number, book in enumerate(books):
        if book.since <= first_received_at:
            start = number
    return list(books[start:])
