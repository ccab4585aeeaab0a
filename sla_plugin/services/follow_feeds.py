"""iCal feeds: read through the one way out, listed before they count, read again every day. A small change becomes a new version of the calendar by itself;
a large one waits for a person, and a feed that fails leaves the calendar as it was."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from urllib.parse import urlsplit

from sla_plugin.engine.calendar_definitions import read_holidays
from sla_plugin.engine.calendar_notes import holiday_entry
from sla_plugin.engine.calendars import Calendar, local_date
from sla_plugin.errors import ConfigurationError, ConnectorError, InvalidDefinition
from sla_plugin.ports import Http
from sla_plugin.services.apply_policy_file import PolicyFile, apply_policy_file, read_stored
from sla_plugin.services.read_ical import ICalHolidays, read_ical
from sla_plugin.store.audit import append_audit
from sla_plugin.store.calendar_feeds import CalendarFeed, add_feed_row, change_feed, due_feed, feeds_of, get_feed, remove_feed, take_feed
from sla_plugin.store.db import Transaction
from sla_plugin.store.policies import Calendar as CalendarRow
from sla_plugin.store.sealing import Sealer
from sla_plugin.store.tenants import lock_books

HOUR: Final = 3600 * 1_000_000
EVERY: Final = 24 * HOUR  # between two readings
AGAIN: Final = 4 * HOUR  # after one that failed
CLAIM: Final = HOUR // 4  # a process that dies while it reads loses the feed for this long
MOST_FEEDS: Final = 8  # of a calendar
MOST_CHANGED: Final = 10  # dates of years that the feed knew before; more at once wait for a person
MOST_NEW: Final = 60  # dates of a year that has just come into sight


@dataclass(frozen=True)
class Difference:
    """What a reading would change in a calendar: dates that come, dates that go."""

    added: Mapping[date, str]
    gone: Collection[date]

    def __len__(self) -> int:
        return len(self.added) + len(self.gone)


def source_of_feed(title: str) -> str:
    """How a calendar names the feed as the source of a holiday."""
    return f"feed {title}"


def years_of(calendar: Calendar, now: int) -> list[int]:
    """The years that are read: this one and the next, where the calendar is."""
    this = local_date(calendar.zone, now).year
    return [this, this + 1]


def checked_url(typed: str) -> str:
    """The address to read. Raises InvalidDefinition("feed") for what is none."""
    url = typed.strip()
    if url.lower().startswith("webcal://"):
        url = "https://" + url[len("webcal://") :]
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.scheme in ("http", "https") and (parts.port is None or parts.port) else None
    except ValueError:
        host = None
    if host is None or len(url) > 1000 or any(c.isspace() for c in url):
        raise InvalidDefinition("feed", "is no address; write one such as https://example.com/holidays.ics")
    if "@" in parts.netloc:
        raise InvalidDefinition("feed", "holds a name or password before the host; use the address that the calendar offers for sharing")
    return url


def fetch_feed(url: str, http: Http, years: Collection[int]) -> ICalHolidays:
    """Read an address now. Raises InvalidDefinition("feed") with what is wrong; never quotes the address beyond its host."""
    try:
        answer = http.request("GET", url, operation="read a calendar feed", headers={"Accept": "text/calendar, */*;q=0.1"})
    except ConnectorError as error:
        host = urlsplit(url).hostname
        said = f"{host} answers with status {error.status}" if error.status is not None else str(error)
        if error.status is not None and 300 <= error.status < 400:
            said = f"{host} sends us to another address ({error.status}); enter that one"
        raise InvalidDefinition("feed", f"cannot be read: {said}") from None
    except ConfigurationError as error:
        raise InvalidDefinition("feed", f"cannot be read: {error}") from None
    try:
        return read_ical(answer.body, years)
    except InvalidDefinition as problem:
        raise InvalidDefinition("feed", f"what lies there {problem.problem}") from None


def add_feed(tx: Transaction, tenant: int, calendar: int, url: str, found: ICalHolidays, sealer: Sealer, now: int, actor: str) -> str:
    """Keep a feed that was read just now; its title. Nothing counts by it until somebody saves the calendar with its dates.

    Raises InvalidDefinition("feed") if the calendar has it already, or has too many.
    """
    known = feeds_of(tx, tenant, calendar)
    if any(sealer.open(one.sealed_url) == url for one in known):
        raise InvalidDefinition("feed", "is among the feeds of this calendar already")
    if len(known) >= MOST_FEEDS:
        raise InvalidDefinition("feed", f"is one too many; a calendar follows at most {MOST_FEEDS}")
    host = (urlsplit(url).hostname or "")[:150]
    taken = {one.title for one in known}
    title = next(name for name in (host, *(f"{host} {n}" for n in range(2, MOST_FEEDS + 2))) if name not in taken)
    add_feed_row(tx, tenant, calendar, {"title": title, "sealed_url": sealer.seal(url), "added_at": now, "due_at": now + EVERY, **_reading(found, now)})
    append_audit(tx, tenant, now, actor, "calendar feed added", {"calendar": calendar, "feed": title})
    return title


def drop_feed(tx: Transaction, tenant: int, feed: CalendarFeed, now: int, actor: str) -> None:
    """Follow a feed no more; its dates in the calendar stay until somebody saves without them."""
    remove_feed(tx, tenant, feed.id)
    append_audit(tx, tenant, now, actor, "calendar feed removed", {"calendar": feed.calendar_id, "feed": feed.title})


def _reading(found: ICalHolidays, now: int) -> dict[str, Any]:
    return {
        "read_at": now,
        "days": [{"date": day.isoformat(), "name": name} for day, name in found.days.items()],
        "refused": [{"event": one.event, "reason": one.reason} for one in found.refused[:100]],
        "elsewhere": found.elsewhere,
        "problem": None,
        "failing_since": None,
        "waiting": 0,
    }


def claim_feed(tx: Transaction, now: int) -> CalendarFeed | None:
    """A feed that is due; it is this caller's to read."""
    feed = due_feed(tx, now)
    return feed if feed is not None and take_feed(tx, feed.tenant_id, feed.id, feed.due_at, now + CLAIM) else None


def note_failure(tx: Transaction, tenant: int, feed_id: int, problem: str, now: int) -> None:
    """A reading failed: the last good dates stay, and a light says so."""
    feed = get_feed(tx, tenant, feed_id)
    if feed is not None:
        since = feed.failing_since if feed.failing_since is not None else now
        change_feed(tx, tenant, feed_id, problem=problem[:500], failing_since=since, due_at=now + AGAIN)


def note_reading(tx: Transaction, tenant: int, feed_id: int, found: ICalHolidays, now: int) -> int | None:
    """Keep a reading. What it changes in a calendar that follows it becomes a new version; its number, None if nothing changed.

    A calendar follows a feed once somebody saved it with dates of the feed. Too large a change is only noted (`waiting`).
    """
    lock_books(tx, tenant)  # before the feed's own row: who deletes a calendar takes them in this order
    feed = get_feed(tx, tenant, feed_id)
    row = tx.get(CalendarRow, (tenant, feed.calendar_id)) if feed is not None else None
    if feed is None or row is None:
        return None
    definition = read_stored(tx, tenant).calendars[row.name][1]
    calendar = Calendar.from_definition(definition, row.name)
    difference = difference_of(calendar, feed.title, found.days, years_of(calendar, now))
    follows = follows_feed(calendar, feed.title)
    large = is_large(difference, feed.days, found.days)
    reading = {**_reading(found, now), "due_at": now + EVERY, "waiting": len(difference) if follows and large else 0}
    change_feed(tx, tenant, feed_id, **reading)
    if not follows or large or not len(difference):
        return None
    changed = with_difference(definition, feed.title, difference)
    written = Calendar.from_definition(changed, f"calendars.{row.name}").to_definition()
    return apply_policy_file(tx, tenant, PolicyFile({row.name: written}, {}), now, "machine").calendars.get(row.name)


def follows_feed(calendar: Calendar, title: str) -> bool:
    """Whether somebody has saved the calendar with dates of the feed."""
    source = source_of_feed(title)
    return any(one == source for _, one in calendar.notes.sources) or any(one == source for _, _, one in calendar.notes.unticked)


def difference_of(calendar: Calendar, title: str, days: Mapping[date, str], years: Collection[int]) -> Difference:
    """What a reading would change in a calendar: an unticked date stays so, a date from elsewhere stays there, years out of sight stay as they are."""
    source = source_of_feed(title)
    own = {day for day, one in calendar.notes.sources if one == source}
    known = {day for day, _ in calendar.holidays} | {day for day, _, _ in calendar.notes.unticked}
    added = {day: name for day, name in days.items() if day not in known and day.year in years}
    return Difference(added, sorted(day for day in own if day.year in years and day not in days))


def is_large(difference: Difference, before: Collection[Mapping[str, Any]], days: Collection[date]) -> bool:
    """Whether a difference waits for a person: it empties the feed, or changes many dates of years that the feed knew before."""
    years = {int(one["date"][:4]) for one in before}
    changed = [day for day in (*difference.added, *difference.gone) if day.year in years]
    return (bool(difference.gone) and not days) or len(changed) > MOST_CHANGED or len(difference) > MOST_NEW


def with_difference(definition: Mapping[str, Any], title: str, difference: Difference) -> dict[str, Any]:
    """The definition with a difference taken."""
    kept = [one for one in definition.get("holidays", ()) if read_holidays([one], "holidays")[0][0] not in difference.gone]
    added = [holiday_entry(day, name, source_of_feed(title)) for day, name in difference.added.items()]
    return {**definition, "holidays": [*kept, *added]}
