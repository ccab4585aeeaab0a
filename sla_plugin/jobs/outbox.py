"""Drain the outbox: bind, claim, send with several threads, never two for one ticket; mail beside it (`jobs.mails`)."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import bound_contextvars

from sla_plugin.errors import ConfigurationError, ConnectorError, PermanentFailure, TemporaryFailure, WriteConflict
from sla_plugin.jobs.ending import NEVER
from sla_plugin.jobs.feeds import read_due_feed
from sla_plugin.jobs.holders import dead_holders, this_holder
from sla_plugin.jobs.mails import MailDrain
from sla_plugin.logs import said, where
from sla_plugin.ports import Account, Answer, Command, Connector, Http
from sla_plugin.services.check_provider import ask_issuer, claim_provider, is_overdue, note_provider
from sla_plugin.services.outside import Outside, Traced
from sla_plugin.services.recheck_credentials import EVERY, claim_check, note_check, prove_again
from sla_plugin.services.send_calls import (
    bind_calls,
    budget_wait,
    carry,
    freeze,
    leave,
    postpone,
    safe_at,
    settle_conflict,
    settle_permanent,
    settle_sent,
    settle_temporary,
)
from sla_plugin.services.sign_in_with_provider import provider_in_use
from sla_plugin.store.connections import Connection, get_connection, overdue_check, paused_connections
from sla_plugin.store.db import Database
from sla_plugin.store.duties import Duty
from sla_plugin.store.outbox import CallRow, CommandRow, claim_calls, commands_of, free_leases, lease_holders

log = structlog.get_logger()
_LEFT: set[tuple[int, int, int]] = set()  # (tenant, call, lease) of tries of this process that broke off
LOOK = 0.05  # seconds between two looks for new calls while others are under way
LEASE = 90_000_000  # longer than all timeouts of one call together
UNDER_WAY = 30_000_000  # a request that gets no answer arrives within this, or never
CLOCKS_APART = 2_000_000  # the helpdesk's clock and ours, and its whole seconds
PATIENCE = 5.0  # seconds that calls under way have to end once the process was asked to
THREADS = "outbox"  # what the threads of calls are called


def drain_outbox(
    database: Database, outside: Outside, clock: Callable[[], int], threads: int, ending: threading.Event = NEVER, patience: float = PATIENCE
) -> int:
    """Send what is due until nothing is. Returns how many calls were tried.

    New calls start while slow ones are under way, and one connection never takes all threads: a slow helpdesk delays only itself. Once `ending` is set no
    call is claimed; those under way have `patience` seconds, then they are given back for somebody else to find out how far they came.
    """
    total = 0
    under_way: list[Future[Any]]
    running: dict[Future[None], CallRow] = {}
    most = max(threads - 1, 1)
    holder = this_holder()
    with database.reading(Duty.OUTBOX) as tx:
        dead = dead_holders(list(lease_holders(tx)))
    if dead:
        with database.transaction(Duty.OUTBOX) as tx:
            free_leases(tx, dead)
    pool = ThreadPoolExecutor(threads, thread_name_prefix=THREADS)
    mails = MailDrain(database, outside, clock, ending, f"{THREADS}-mail")
    try:
        while not ending.is_set():
            mails.look()
            calls = _claim(database, clock, holder, threads - len(running), [call.connection_id for call in running.values()], most)
            if not calls and not running and not mails.running:
                break
            total += len(calls)
            running |= {pool.submit(_send, database, outside, clock, call): call for call in calls}
            under_way = [*running, *mails.running]
            wait(under_way, timeout=LOOK, return_when=FIRST_COMPLETED)
            for future in [one for one in running if one.done()]:
                del running[future]
                future.result()
        under_way = [*running, *mails.running]
        wait(under_way, timeout=patience)
        late = [call for future, call in running.items() if not future.done()]
        if late:
            _give_back(database, clock, late)
    finally:
        pool.shutdown(wait=not ending.is_set())
        mails.close()
    if not ending.is_set():
        recheck_credentials(database, outside, clock)
        recheck_provider(database, outside, clock)
        read_due_feed(database, outside, clock)
    return total


def _give_back(database: Database, clock: Callable[[], int], calls: Sequence[CallRow]) -> None:
    """End our leases of calls that do not come back in time; whatever their threads still learn no longer counts."""
    with database.transaction(Duty.OUTBOX) as tx:
        for call in calls:
            leave(tx, call.tenant_id, call.id, call.lease, clock(), "the process that sent it ended before the answer")
    log.warning("calls given back unfinished", calls=[call.id for call in calls])


def _claim(database: Database, clock: Callable[[], int], holder: str, free: int, under_way: list[int], most: int) -> list[CallRow]:
    """Claim calls for `free` threads; a connection has at most `most` calls under way."""
    claimed: list[CallRow] = []
    with database.transaction(Duty.OUTBOX) as tx:
        now = clock()
        for left in list(_LEFT):
            leave(tx, *left, now, "the last try broke off on our side")
            tx.after_commit(partial(_LEFT.discard, left))
        bind_calls(tx, now, 200)
        paused = paused_connections(tx, now)
        for _ in range(free):
            counts = Counter([*under_way, *(c.connection_id for c in claimed)])
            busy = [connection for connection, count in counts.items() if count >= most]
            calls = claim_calls(tx, now, now + LEASE, 1, [*paused, *busy], holder)
            if not calls:
                break
            claimed += calls
    return claimed


def trace_of(call: CallRow) -> int:
    """What logs, ours and the helpdesk's, are searched for: the delivery the call goes back to, else the call itself."""
    return call.trace or call.id


def _send(database: Database, outside: Outside, clock: Callable[[], int], call: CallRow) -> None:
    """`send_call`, its lines with the trace; after a failure of our own (the database gone, a fault) the next claim gives the call back, not its lease."""
    try:
        with bound_contextvars(trace=trace_of(call)):
            send_call(database, outside, clock, call)
    except (SQLAlchemyError, OSError, TimeoutError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        log.error("write-back broke off", trace=trace_of(call), call=call.id, error=type(error).__name__, where=where(error))
        _LEFT.add((call.tenant_id, call.id, call.lease))


def recheck_credentials(database: Database, outside: Outside, clock: Callable[[], int]) -> None:
    """Prove one connection's credentials again if that is due; here because this process may wait for vendors."""
    with database.reading(Duty.CREDENTIALS) as tx:
        if overdue_check(tx, clock() - EVERY) is None:
            return
    with database.transaction(Duty.CREDENTIALS) as tx:
        connection = claim_check(tx, clock())
    if connection is not None:
        facts = prove_again(connection, outside)
        with database.transaction(connection.tenant_id) as tx:
            note_check(tx, connection, facts, clock())
        if facts.problems:
            log.warning("credentials not proved", connection=connection.name, problems=len(facts.problems))


def recheck_provider(database: Database, outside: Outside, clock: Callable[[], int]) -> None:
    """Ask one tenant's sign-in service whether it can be signed in through, if that is due; its light tells."""
    with database.reading(Duty.CREDENTIALS) as tx:
        if not is_overdue(tx, clock()):
            return
    with database.transaction(Duty.CREDENTIALS) as tx:
        tenant = claim_provider(tx, clock())
    if tenant is None:
        return
    with database.reading(tenant) as tx:
        provider = provider_in_use(tx, tenant)
    if provider is None:
        return
    problem = ask_issuer(provider.issuer, outside, clock())
    with database.transaction(tenant) as tx:
        note_provider(tx, tenant, problem, clock())
    if problem is not None:
        log.warning("sign-in service not well", tenant=tenant, problem=problem)


def send_call(database: Database, outside: Outside, clock: Callable[[], int], call: CallRow) -> None:
    """Try one claimed call: read or look whether it landed, freeze, send, settle."""
    with database.reading(call.tenant_id) as tx:
        connection = get_connection(tx, call.tenant_id, call.connection_id)
        rows = commands_of(tx, call.tenant_id, call.id)
        if connection is None:
            return
        connector = outside.connector(connection.connector)
        wait = budget_wait(tx, call, connector.limits, clock())
    if wait:
        with database.transaction(call.tenant_id) as tx:
            postpone(tx, call.tenant_id, call.id, call.lease, clock() + wait)
        return
    http = Traced(outside.http, trace_of(call))
    try:
        answer = _try(database, outside, clock, call, connection, connector, outside.account(connection), http, rows)
    except WriteConflict:
        with database.transaction(call.tenant_id) as tx:
            settle_conflict(tx, call, connection, clock(), outside)
    except TemporaryFailure as error:
        log.info("write-back postponed", connection=connection.name, ticket=call.external_id, call=call.id, status=error.status, reason=said(error))
        with database.transaction(call.tenant_id) as tx:
            settle_temporary(tx, call, connection, error, clock(), random.random())  # noqa: S311 - spreads retries, guards nothing
    except (ConnectorError, ConfigurationError) as error:
        failure = (
            error
            if isinstance(error, ConnectorError)
            else PermanentFailure(str(error), connector=connector.name, connection=connection.name, operation="write")
        )
        log.warning("write-back failed", connection=connection.name, ticket=call.external_id, call=call.id, status=failure.status, reason=said(error))
        with database.transaction(call.tenant_id) as tx:
            settle_permanent(tx, call, connection, failure, clock(), outside)
    else:
        if answer is not None:
            with database.transaction(call.tenant_id) as tx:
                settle_sent(tx, call, connection, answer, clock(), outside)
            log.info("written to helpdesk", connection=connection.name, ticket=call.external_id, call=call.id, audit=answer.audit_id)


def _try(
    database: Database,
    outside: Outside,
    clock: Callable[[], int],
    call: CallRow,
    connection: Connection,
    connector: Connector,
    account: Account,
    http: Http,
    rows: Sequence[CommandRow],
) -> Answer | None:
    """The answer of the helpdesk; None if there was nothing to send or the lease was lost."""
    commands: list[Command] = []
    overtaken: list[tuple[CommandRow, str]] = []
    if call.frozen is not None:
        if call.unknown and (landed := _landed(call, connector, account, http)) is not None:
            return landed
        frozen = call.frozen
    else:
        snapshot = connector.read(call.external_id, account, http)
        _, commands, overtaken = carry(rows, snapshot, account.words)
        if snapshot is not None and (at := safe_at(commands, snapshot, clock())) is not None:
            with database.transaction(call.tenant_id) as tx:
                postpone(tx, call.tenant_id, call.id, call.lease, at)
            return None
        frozen = connector.prepare(call.external_id, commands, snapshot, call.marker, account) if commands else {}
    with database.transaction(call.tenant_id) as tx:
        if not freeze(tx, call, connection, frozen, commands, overtaken, clock(), outside):
            return None
    if clock() > call.leased_until - LEASE // 2:
        raise TemporaryFailure("held up too long before sending", sent=False, connector=connector.name, connection=connection.name, operation="write")
    try:
        return connector.send(frozen, account, http)
    except WriteConflict:
        # an earlier try of ours may be what changed the ticket
        if call.frozen is not None and (landed := _landed(call, connector, account, http)) is not None:
            return landed
        raise


def _landed(call: CallRow, connector: Connector, account: Account, http: Http) -> Answer | None:
    """What the helpdesk made of an earlier try, if it landed. Where only the instant speaks, the ticket must have changed while that try was under way."""
    answer = connector.find(call.frozen or {}, call.marker, account, http)
    if answer is None or answer.certain:
        return answer
    since = call.tried_at or 0
    return answer if answer.at is not None and since - CLOCKS_APART <= answer.at <= since + UNDER_WAY else None
