"""Feeds of holidays that calendars follow: where each is read, what its last good reading said, and what stands in its way."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, String, Text, UniqueConstraint, delete, insert, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id
from sla_plugin.store.policies import Calendar


class CalendarFeed(TenantRow, Base):
    """One iCal address of a calendar. Instants are microseconds UTC.

    title       how pages and sources of holidays call it: its host, which gives away no secret path
    sealed_url  encrypted at rest: such addresses often carry a secret
    due_at      when it is read next
    read_at     the last good reading, which said `days` [{"date", "name"}], `refused` [{"event", "reason"}] and `elsewhere` events of other years
    problem     why the last reading failed, since `failing_since`; None after a good one
    waiting     how many dates the last reading would change and did not, because they are many: a person decides
    """

    __tablename__ = "calendar_feed"
    __table_args__ = (
        UniqueConstraint("tenant_id", "calendar_id", "title"),
        ForeignKeyConstraint(["tenant_id", "calendar_id"], ["calendar.tenant_id", "calendar.id"], ondelete="CASCADE"),
        Index("ix_calendar_feed_due", "due_at"),
    )
    calendar_id: Mapped[int]
    title: Mapped[str] = mapped_column(String(200))
    sealed_url: Mapped[str] = mapped_column(Text, info={"sealed": True})
    added_at: Mapped[int]
    due_at: Mapped[int]
    read_at: Mapped[int | None]
    days: Mapped[list[Any]]
    refused: Mapped[list[Any]]
    elsewhere: Mapped[int] = mapped_column(default=0)
    problem: Mapped[str | None] = mapped_column(String(500))
    failing_since: Mapped[int | None]
    waiting: Mapped[int] = mapped_column(default=0)


def add_feed_row(tx: Transaction, tenant: int, calendar: int, values: dict[str, Any]) -> int:
    """Insert a feed; returns the id."""
    feed = new_id()
    tx.execute(insert(CalendarFeed).values(tenant_id=tenant, id=feed, calendar_id=calendar, **values))
    return feed


def feeds_of(tx: Transaction, tenant: int, calendar: int) -> Sequence[CalendarFeed]:
    """A calendar's feeds, the oldest first."""
    query = select(CalendarFeed).where(CalendarFeed.tenant_id == tenant, CalendarFeed.calendar_id == calendar)
    return tx.scalars(query.order_by(CalendarFeed.id)).all()


def get_feed(tx: Transaction, tenant: int, feed: int) -> CalendarFeed | None:
    """A feed by id."""
    return tx.get(CalendarFeed, (tenant, feed))


def change_feed(tx: Transaction, tenant: int, feed: int, **values: Any) -> None:
    """Set columns of a feed."""
    tx.execute(update(CalendarFeed).where(CalendarFeed.tenant_id == tenant, CalendarFeed.id == feed).values(**values))


def remove_feed(tx: Transaction, tenant: int, feed: int) -> None:
    """Remove a feed."""
    tx.execute(delete(CalendarFeed).where(CalendarFeed.tenant_id == tenant, CalendarFeed.id == feed))


def due_feed(tx: Transaction, now: int) -> CalendarFeed | None:
    """The feed, of any tenant, that has been due longest, if any is."""
    return tx.scalar(select(CalendarFeed).where(CalendarFeed.due_at <= now).order_by(CalendarFeed.due_at).limit(1))


def take_feed(tx: Transaction, tenant: int, feed: int, seen: int, until: int) -> bool:
    """Claim a due feed by moving `due_at` from what was `seen`; False if another process was first."""
    mine = (CalendarFeed.tenant_id == tenant, CalendarFeed.id == feed, CalendarFeed.due_at == seen)
    return tx.change(update(CalendarFeed).where(*mine).values(due_at=until)) > 0


def troubled_feeds(tx: Transaction, tenant: int) -> Sequence[Any]:
    """(calendar's id and name, title, problem, failing_since, waiting) of feeds that fail or wait for somebody."""
    query = (
        select(CalendarFeed.calendar_id, Calendar.name, CalendarFeed.title, CalendarFeed.problem, CalendarFeed.failing_since, CalendarFeed.waiting)
        .join(Calendar, (Calendar.tenant_id == CalendarFeed.tenant_id) & (Calendar.id == CalendarFeed.calendar_id))
        .where(CalendarFeed.tenant_id == tenant, or_(CalendarFeed.failing_since.is_not(None), CalendarFeed.waiting > 0))
    )
    return tx.execute(query.order_by(CalendarFeed.id)).all()
