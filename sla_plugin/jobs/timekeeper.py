"""The timekeeper's loop: sleep until the earliest transition, wake early when a sooner one is written, and now and then look at everything else."""

import threading
import time
from collections.abc import Callable, Iterable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from sla_plugin.errors import SlaPluginError
from sla_plugin.jobs.erasing import erase_step
from sla_plugin.logs import where
from sla_plugin.services.check_provider import is_overdue
from sla_plugin.services.keep_retention import Share, keep_retention
from sla_plugin.services.keep_time import keep_time, set_aside, sweep_terms
from sla_plugin.services.make_plan import fail_plan, next_step, write_step
from sla_plugin.services.outside import Outside
from sla_plugin.services.place_tickets import check_places, place_tickets
from sla_plugin.services.prove_mail import overdue as overdue_mail
from sla_plugin.services.recheck_credentials import EVERY
from sla_plugin.services.sign_in import MEMORY
from sla_plugin.store.calendar_feeds import due_feed
from sla_plugin.store.connections import overdue_check
from sla_plugin.store.credentials import forget_failures
from sla_plugin.store.db import Database
from sla_plugin.store.deliveries import next_tenant
from sla_plugin.store.duties import Duty
from sla_plugin.store.erasures import next_erasure
from sla_plugin.store.idempotency import REMEMBERED, forget_answers
from sla_plugin.store.mails import next_mail_at, next_reset_request
from sla_plugin.store.notices import CHANNEL, LOOK
from sla_plugin.store.outbox import next_call_at, outbox_depth
from sla_plugin.store.plans import computing_plan
from sla_plugin.store.tenants import book_revision, tenant_ids
from sla_plugin.store.tickets import earliest_transition, unplaced_tickets

log = structlog.get_logger()
CHUNK = 500  # promises of a sweep's transaction; a tenth on SQLite
LATER = 60_000_000  # a promise that cannot be evaluated is looked at again after this long
FAULTS = (SlaPluginError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, AssertionError)
FORGET = 3600 * 1_000_000  # how often it looks whether something is older than it is kept
BREATH = 100_000  # microseconds between two chunks of what goes: everybody else comes first
SLICE = 250  # promises of a transaction when many are due at once; a tenth on SQLite. More gains little, and holds their locks for longer
CHECK = 24 * 3600 * 1_000_000  # how often places in lists are compared with the clocks
ROUNDS = 1_000_000  # how often it looks at inbox, outbox and old terms


class Timekeeper:
    """Several may run; each transition is claimed by one."""

    def __init__(self, database: Database, outside: Outside, clock: Callable[[], int], raw_days: int) -> None:
        """`raw_days`: how long the installation keeps raw bodies, at most."""
        self.database = database
        self.outside = outside
        self.clock = clock
        self.lateness = 0  # microseconds, of the last transition kept
        self._rounds_at = 0
        self._raw_days = raw_days
        self._forget_at: dict[int | None, int] = {}  # tenant (None: what is nobody's) -> when to look again for what is too old
        self._checked: dict[int, tuple[int, int]] = {}  # tenant -> (when this look over its places began, the last ticket looked at)
        self._swept: dict[int, int] = {}  # tenant -> revision that all its open promises have

    def run(self, stop: threading.Event) -> None:
        """Keep time until `stop` is set. A database that is gone is waited for."""
        # the alarm speaks to the driver itself, whose errors nobody translates
        gone = (SQLAlchemyError, self.database.engine.dialect.loaded_dbapi.Error, OSError, TimeoutError)
        while not stop.is_set():
            try:
                with _Alarm(self.database) as alarm:
                    while not stop.is_set():
                        self.step(stop, alarm)
            except gone as error:
                log.warning("timekeeper waits for the database", error=type(error).__name__)
                stop.wait(0.5)

    def step(self, stop: threading.Event, alarm: "_Alarm") -> None:
        """Do all that is due, then sleep until the next transition or the next look."""
        self.keep(stop)
        if self.rounds(stop):
            return  # more of a sweep is to be done, but time comes first
        with self.database.reading(Duty.TIME) as tx:
            earliest, call = earliest_transition(tx), next_call_at(tx)
        now = self.clock()
        until = min(earliest if earliest is not None else now + LOOK, now + LOOK)
        if call is not None and now < call < until:
            self._rounds_at, until = 0, call
        if (again := min(self._forget_at.values(), default=until)) < until:
            self._rounds_at, until = 0, max(again, now + BREATH)
        # what is due but waits for deliveries is looked at again shortly
        alarm.wait(stop, max(until - now, 20_000) / 1e6 if earliest is not None and earliest <= now else max(until - now, 0) / 1e6)

    def keep(self, stop: threading.Event) -> int:
        """Work off what is due, in slices."""
        total = 0
        while not stop.is_set():
            with self.database.reading(Duty.TIME) as tx:
                earliest = earliest_transition(tx)
            now = self.clock()
            if earliest is None or earliest > now:
                break
            done = self._slice()
            if not done:
                break
            self.lateness = now - earliest
            total += done
        return total

    def _share(self, promises: int) -> int:
        """So many of them in one transaction: on SQLite a tenth, since it holds the only write turn."""
        return promises if self.database.turn is None else promises // 10

    def _slice(self) -> int:
        """Keep a slice; where one promise cannot be evaluated, the others of the slice one by one, and that one later."""
        try:
            with self.database.transaction(Duty.TIME) as tx:
                return keep_time(tx, self.clock(), self.outside, self._share(SLICE))
        except FAULTS as error:
            log.error("time cannot be kept for a slice", error=type(error).__name__, where=where(error))
        done = 0
        for _ in range(self._share(SLICE)):
            try:
                with self.database.transaction(Duty.TIME) as tx:
                    kept = keep_time(tx, self.clock(), self.outside, 1)
            except FAULTS as error:
                with self.database.transaction(Duty.TIME) as tx:
                    kept = set_aside(tx, self.clock(), LATER)
                log.error("a promise cannot be evaluated; set aside for a minute", promise=kept, error=type(error).__name__, where=where(error))
            if not kept:
                break
            done += 1
        return done

    def rounds(self, stop: threading.Event | None = None) -> bool:
        """Every second: wake workers for what lies in inbox and outbox (a wake may have been lost), bring a chunk of old terms up to date, plan a chunk.

        True if terms or a plan are left to work on.
        """
        now = self.clock()
        if now - self._rounds_at < ROUNDS:
            return False
        self._rounds_at = now
        with self.database.reading(Duty.TIME) as tx:
            inbox = next_tenant(tx, now) is not None
            due = next_call_at(tx)
            depth = outbox_depth(tx)
            unproved = overdue_check(tx, now - EVERY) is not None or is_overdue(tx, now) or overdue_mail(tx, now) is not None
            unread = due_feed(tx, now) is not None
            mail = next_mail_at(tx)
            mails = (mail is not None and mail <= now) or next_reset_request(tx) is not None
            erasure = next_erasure(tx)
            revisions = {tenant: book_revision(tx, tenant) for tenant in tenant_ids(tx)}
            unplaced = next((tenant for tenant in revisions if unplaced_tickets(tx, tenant, 1)), None)
        if inbox:
            self.outside.queue.wake_inbox()
        if (due is not None and due <= now) or depth.get("pending") or depth.get("calling") or unproved or unread or mails:
            self.outside.queue.wake_outbox()
        self._forget(now, revisions)
        if erasure is not None and self._erase(*erasure, stop or threading.Event()):
            self._rounds_at = 0
            return True
        for tenant, revision in revisions.items():
            if self._swept.get(tenant) != revision:
                with self.database.transaction(tenant) as tx:
                    if not sweep_terms(tx, tenant, revision, self.clock(), self.outside, self._share(CHUNK)):
                        self._swept[tenant] = revision
                self._rounds_at = 0
                return True
        return self._place(unplaced) or self._plan() or any(self._check(tenant) for tenant in revisions)

    def _plan(self) -> bool:
        """Work out a chunk of a large plan that somebody waits for; True if there may be more."""
        with self.database.reading(Duty.TIME) as tx:
            found = computing_plan(tx)
        if found is None:
            return False
        tenant, plan = found
        try:
            with self.database.reading(tenant) as tx:
                step = next_step(tx, tenant, plan, self.clock(), self.outside, self._share(CHUNK))
            if step is not None:
                with self.database.transaction(tenant) as tx:
                    write_step(tx, tenant, step)
        except FAULTS as error:
            with self.database.transaction(tenant) as tx:
                fail_plan(tx, tenant, plan, type(error).__name__)
            log.error("a plan cannot be worked out", plan=plan, error=type(error).__name__, where=where(error))
        self._rounds_at = 0
        return True

    def _erase(self, tenant: int, erasure: int, stop: threading.Event) -> bool:
        """A step of an erasure that somebody asked for; whether it went well. Clocks do not wait for what one look finds."""

        def go_on() -> bool:
            self.keep(stop)
            return not stop.is_set()

        try:
            erase_step(self.database, tenant, erasure, self.outside, self.clock, go_on)
        except FAULTS as error:
            log.error("an erasure does not go on", erasure=erasure, error=type(error).__name__, where=where(error))
            return False
        return True

    def _forget(self, now: int, tenants: Iterable[int]) -> None:
        """One chunk of what is older than it is kept, of whoever was not looked at for longest."""
        share = Share(self._share(CHUNK), self._share(CHUNK // 5))
        for owner in (None, *tenants):
            if self._forget_at.get(owner, 0) > now:
                continue
            try:
                if owner is None:
                    with self.database.transaction(Duty.RETENTION) as tx:
                        gone = max(forget_failures(tx, now - MEMORY, share.rows), forget_answers(tx, now - REMEMBERED, share.rows))
                        more = gone == share.rows
                else:
                    with self.database.transaction(owner) as tx:
                        more = keep_retention(tx, owner, now, self._raw_days, self.outside, share)
            except FAULTS as error:
                log.error("what is too old cannot be removed", error=type(error).__name__, where=where(error))
                more = False
            self._forget_at[owner] = now + (BREATH if more else FORGET)
            return

    def _place(self, tenant: int | None) -> bool:
        """Work out the places in lists of a chunk of tickets that have none. True if more may be left."""
        if tenant is None:
            return False
        with self.database.transaction(tenant) as tx:
            done = place_tickets(tx, tenant, self._share(CHUNK))
        self._rounds_at = 0 if done else self._rounds_at
        return done > 0

    def _check(self, tenant: int) -> bool:
        """Once a day, beginning with the start of this process, compare a chunk of places with the clocks. True if more are left."""
        began, last = self._checked.get(tenant, (self.clock(), 0))
        if last < 0:
            if self.clock() - began < CHECK:
                return False
            began, last = self.clock(), 0
        with self.database.transaction(tenant) as tx:
            last = check_places(tx, tenant, last, self._share(CHUNK))
        self._checked[tenant] = (began, last)
        if last >= 0:
            self._rounds_at = 0
        return last >= 0


class _Alarm:
    """Sleeps until a time, a NOTIFY (Postgres) or a commit of another process (SQLite)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> "_Alarm":
        self._connection = self._database.engine.raw_connection()
        raw = self._connection.driver_connection
        assert raw is not None
        self._raw = raw
        self._postgres = self._database.engine.dialect.name == "postgresql"
        if self._postgres:
            raw.rollback()
            raw.autocommit = True
            raw.execute(f"LISTEN {CHANNEL}")
        else:
            self._version = self._data_version()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.invalidate()

    def _data_version(self) -> int:
        return int(self._raw.execute("PRAGMA data_version").fetchone()[0])

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """Return after `seconds`, or earlier when woken."""
        if self._postgres:
            for _ in self._raw.notifies(timeout=seconds, stop_after=1):
                pass
            return
        end = time.monotonic() + seconds
        while not stop.is_set() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
            version = self._data_version()
            if version != self._version:
                self._version = version
                return
