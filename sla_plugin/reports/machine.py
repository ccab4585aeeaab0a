"""How the machine is, from SQL: one reading for the pages, `sla-plugin status` and `/metrics`, so that they cannot disagree.

Every query goes through an index and looks at no more than MOST rows, however much is stored. What is counted "lately" is counted within the last five
minutes: a total since the beginning would have to be read in full, or be kept in a row that every transaction waits for. Instants and durations are
microseconds.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import and_, select

from sla_plugin.engine.durations import MINUTE
from sla_plugin.ports import Limits
from sla_plugin.store.alerts import alerts_since
from sla_plugin.store.calendar_feeds import troubled_feeds
from sla_plugin.store.connections import CIRCUIT_OPEN, Connection, ConnectionState
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import deliveries_since, inbox_depth, last_applied, set_aside_deliveries
from sla_plugin.store.events import latest_of_deliveries
from sla_plugin.store.identities import provider_check
from sla_plugin.store.mails import MailCheck, failed_mails, mail_check, waiting_mails
from sla_plugin.store.outbox import calls_since, open_calls, tries_by_connection, unsettled_commands
from sla_plugin.store.tenants import Tenant
from sla_plugin.store.tickets import earliest_transition

LATELY = 5 * MINUTE
MOST = 10_000  # rows of one kind that a reading looks at; a count of as many means "at least"
FEW = 100  # failed mails that are counted
NO_LIMITS = Limits()


@dataclass(frozen=True)
class Waiting:
    """Deliveries in the inbox: how many, and the receipt of the oldest (None: there is none)."""

    count: int = 0
    oldest_at: int | None = None


@dataclass(frozen=True)
class Lateness:
    """How long after their instants the alerts of the last minutes were recorded: median, 99th percentile, worst."""

    count: int
    p50: int
    p99: int
    worst: int


@dataclass(frozen=True)
class MailFigures:
    """A tenant's mail: how many wait and when the first is due, how many failed and in whose place nothing newer stands, what the last proof found.

    `check` is None where mail is not set up.
    """

    waiting: Waiting = Waiting()
    failed: int = 0
    check: MailCheck | None = None


@dataclass(frozen=True)
class ConnectionFigures:
    """One connection.

    sending_lag    how long the helpdesk took to tell of the newest event of the last live delivery that was applied (its clock against ours)
    applying_lag   how long we took to apply it
    minute_left    calls that the documented limit per minute still allows; None where there is no limit
    vendor_left    calls left as the helpdesk's last answer said; None where it does not say
    pause          why nothing is written: "circuit" (our decision), "asked" (the helpdesk's); None: nothing is in the way
    problem        what the last proof of the credentials found wrong, in words
    due_at         when the open call that is due first was or is due
    commands       pending, calling and failed ones
    deliveries     of the last five minutes, by state
    calls          tried in the last five minutes, by state
    """

    id: int
    name: str
    mode: str
    last_delivery_at: int | None
    refused: int
    refused_at: int | None
    refused_reason: str | None
    sending_lag: int | None
    applying_lag: int | None
    minute_left: int | None
    vendor_left: int | None
    pause: str | None
    paused_until: int | None
    paused_reason: str | None
    failures: int
    problem: str | None
    due_at: int | None
    commands: Mapping[str, int]
    deliveries: Mapping[str, int]
    calls: Mapping[str, int]


@dataclass(frozen=True)
class SignInFigures:
    """A sign-in service: when it was last asked, and what was wrong then, in words (None: nothing)."""

    checked_at: int
    problem: str | None


@dataclass(frozen=True)
class FeedFigures:
    """A calendar feed that needs somebody: it fails since an instant for a reason, or `waiting` dates are too many to be changed by themselves."""

    calendar: int
    name: str
    title: str
    problem: str | None
    failing_since: int | None
    waiting: int


@dataclass(frozen=True)
class TenantFigures:
    """One tenant.

    inbox       live, history and retrying deliveries
    set_aside   unreadable and failed ones that nobody has replayed
    sign_in     how its sign-in service was when it was last asked; None where none is in use
    feeds       those calendar feeds that need somebody
    """

    id: int
    name: str
    inbox: Mapping[str, Waiting]
    set_aside: Mapping[str, int]
    lateness: Lateness
    alerts: Mapping[str, int]
    connections: Sequence[ConnectionFigures]
    sign_in: SignInFigures | None = None
    mail: MailFigures = MailFigures()
    feeds: Sequence[FeedFigures] = ()


@dataclass(frozen=True)
class Machine:
    """The whole installation at `now`. `overdue`: how long the earliest transition that is not recorded yet has been due (0: none is)."""

    now: int
    overdue: int
    tenants: Sequence[TenantFigures] = field(default_factory=tuple)


def read_machine(tx: Transaction, now: int, limits: Mapping[str, Limits], tenant: int | None = None) -> Machine:
    """Read all figures, of one tenant if given. `limits`: connector -> what its vendor documents."""
    earliest = earliest_transition(tx)
    inboxes: dict[int, dict[str, Waiting]] = defaultdict(lambda: {"live": Waiting(), "history": Waiting(), "retrying": Waiting()})
    for row in inbox_depth(tx, MOST):
        kind = "retrying" if row.retrying else "history" if row.history else "live"
        before = inboxes[row.tenant_id][kind]
        oldest = row.oldest if before.oldest_at is None else min(before.oldest_at, row.oldest)
        inboxes[row.tenant_id][kind] = Waiting(before.count + row.count, oldest)
    set_aside: dict[int, dict[str, int]] = defaultdict(lambda: {"unreadable": 0, "failed": 0})
    for row in set_aside_deliveries(tx, MOST):
        set_aside[row.tenant_id][row.state] = row.count
    commands: dict[tuple[int, int], dict[str, int]] = defaultdict(lambda: {"pending": 0, "calling": 0, "failed": 0})
    for row in unsettled_commands(tx, MOST):
        commands[row.tenant_id, row.connection_id][row.state] = row.count
    mails = {row.tenant_id: Waiting(row.count, row.oldest) for row in waiting_mails(tx, MOST)}
    due = {(row.tenant_id, row.connection_id): row.next_at for row in open_calls(tx, MOST)}

    tenants = select(Tenant.id, Tenant.name).order_by(Tenant.id)
    found = []
    for one in tx.execute(tenants if tenant is None else tenants.where(Tenant.id == tenant)).all():
        alerts = alerts_since(tx, one.id, now - LATELY, MOST)
        found.append(
            TenantFigures(
                id=one.id,
                name=one.name,
                inbox=inboxes[one.id],
                set_aside=set_aside[one.id],
                lateness=lateness_of([max(a.raised_at - a.due_at, 0) for a in alerts]),
                alerts={"warning": 0, "critical": 0, "breach": 0, **Counter(a.level for a in alerts)},
                sign_in=_sign_in(tx, one.id),
                connections=_figures(tx, now, one.id, limits, commands, due),
                mail=MailFigures(mails.get(one.id, Waiting()), len(failed_mails(tx, one.id, FEW)), mail_check(tx, one.id)),
                feeds=[FeedFigures(*row) for row in troubled_feeds(tx, one.id)],
            )
        )
    return Machine(now, 0 if earliest is None else max(now - earliest, 0), found)


def lateness_of(late: Sequence[int]) -> Lateness:
    """Percentiles of what is given: the smallest value that so many are not above."""
    if not late:
        return Lateness(0, 0, 0, 0)
    ordered = sorted(late)
    return Lateness(len(ordered), ordered[(len(ordered) - 1) // 2], ordered[-(-99 * len(ordered) // 100) - 1], ordered[-1])


def _sign_in(tx: Transaction, tenant: int) -> SignInFigures | None:
    check = provider_check(tx, tenant)
    return None if check is None else SignInFigures(check.checked_at, check.problem)


def _connections(tx: Transaction, tenant: int) -> Sequence[tuple[Connection, ConnectionState]]:
    both = and_(ConnectionState.tenant_id == Connection.tenant_id, ConnectionState.connection_id == Connection.id)
    rows = tx.execute(select(Connection, ConnectionState).join(ConnectionState, both).where(Connection.tenant_id == tenant).order_by(Connection.name))
    return [(row[0], row[1]) for row in rows]


def _figures(
    tx: Transaction,
    now: int,
    tenant: int,
    limits: Mapping[str, Limits],
    commands: Mapping[tuple[int, int], Mapping[str, int]],
    due: Mapping[tuple[int, int], int],
) -> list[ConnectionFigures]:
    """The connections of a tenant, however many, in a fixed number of questions."""
    both = _connections(tx, tenant)
    ids = [connection.id for connection, _ in both]
    applied = last_applied(tx, tenant, ids)
    happened = latest_of_deliveries(tx, tenant, {row.id: (connection, row.became["tickets"][0]) for connection, row in applied.items()})
    tried = tries_by_connection(tx, tenant, ids, now - MINUTE)
    deliveries, calls = deliveries_since(tx, tenant, ids, now - LATELY, MOST), calls_since(tx, tenant, ids, now - LATELY, MOST)
    figures = []
    for connection, state in both:
        last, limit = applied.get(connection.id), limits.get(connection.connector, NO_LIMITS).per_minute
        told_at = None if last is None else happened.get(last.id)
        paused = state.paused_until is not None and state.paused_until > now
        figures.append(
            ConnectionFigures(
                id=connection.id,
                name=connection.name,
                mode=connection.mode,
                last_delivery_at=state.last_delivery_at,
                refused=state.refused,
                refused_at=state.refused_at,
                refused_reason=state.refused_reason,
                sending_lag=None if told_at is None or last is None else max(last.received_at - told_at, 0),
                applying_lag=None if last is None else max(last.applied_at - last.received_at, 0),
                minute_left=None if limit is None else max(limit - tried.get(connection.id, 0), 0),
                vendor_left=state.limit_remaining,
                pause=None if not paused else "circuit" if (state.paused_reason or "").startswith(CIRCUIT_OPEN) else "asked",
                paused_until=state.paused_until if paused else None,
                paused_reason=state.paused_reason if paused else None,
                failures=state.failures,
                problem=next(iter(connection.facts.get("problems") or ()), None),
                due_at=due.get((tenant, connection.id)),
                commands=commands[tenant, connection.id],
                deliveries=deliveries[connection.id],
                calls=calls[connection.id],
            )
        )
    return figures
