"""Calendar feeds are read again every day, one in each round of the outbox worker, because that process may wait for others."""

from collections.abc import Callable

import structlog

from sla_plugin.engine.calendars import Calendar
from sla_plugin.errors import InvalidDefinition, SlaPluginError
from sla_plugin.services.apply_policy_file import read_stored
from sla_plugin.services.follow_feeds import claim_feed, fetch_feed, note_failure, note_reading, years_of
from sla_plugin.services.outside import Outside
from sla_plugin.store.calendar_feeds import CalendarFeed, due_feed
from sla_plugin.store.db import Database
from sla_plugin.store.duties import Duty
from sla_plugin.store.policies import Calendar as CalendarRow

log = structlog.get_logger()


def read_due_feed(database: Database, outside: Outside, clock: Callable[[], int]) -> None:
    """Read one feed if that is due; the timekeeper wakes this process again as long as another is."""
    with database.reading(Duty.FEEDS) as tx:
        if due_feed(tx, clock()) is None:
            return
    with database.transaction(Duty.FEEDS) as tx:
        feed = claim_feed(tx, clock())
    if feed is not None:
        read_feed(database, outside, clock, feed)


def read_feed(database: Database, outside: Outside, clock: Callable[[], int], feed: CalendarFeed) -> None:
    """Read one feed; what it says, or why it could not be read, is kept."""
    with database.reading(feed.tenant_id) as tx:
        row = tx.get(CalendarRow, (feed.tenant_id, feed.calendar_id))
        if row is None:
            return
        calendar = Calendar.from_definition(read_stored(tx, feed.tenant_id).calendars[row.name][1], row.name)
    try:
        found = fetch_feed(outside.sealer.open(feed.sealed_url), outside.http, years_of(calendar, clock()))
        with database.transaction(feed.tenant_id) as tx:
            version = note_reading(tx, feed.tenant_id, feed.id, found, clock())
        if version is not None:
            log.info("a feed changed a calendar", feed=feed.title, version=version)
    except SlaPluginError as error:
        with database.transaction(feed.tenant_id) as tx:
            note_failure(tx, feed.tenant_id, feed.id, error.problem if isinstance(error, InvalidDefinition) else str(error), clock())
        log.warning("a feed was not read", feed=feed.title, error=type(error).__name__)
