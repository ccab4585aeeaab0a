"""Send the mail queue beside the calls of the outbox: a few threads, claims that two workers never share, answers to forgotten passwords, daily proofs."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import structlog
from sqlalchemy.exc import SQLAlchemyError

from sla_plugin.errors import ConfigurationError
from sla_plugin.jobs.ending import NEVER
from sla_plugin.jobs.holders import dead_holders, this_holder
from sla_plugin.logs import where
from sla_plugin.ports import MailProblem, MailTry
from sla_plugin.services import forgot_password, prove_mail, send_mail
from sla_plugin.services.outside import Outside
from sla_plugin.store.db import Database
from sla_plugin.store.duties import Duty
from sla_plugin.store.mails import Mail, drop_reset_request, free_mails, mail_holders, next_mail_at, next_reset_request

log = structlog.get_logger()
MOST = 2  # mails of a process under way at once
GAP = 0.5  # seconds between two looks while nothing changes
MISTAKES = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError)
FAULTS = (SQLAlchemyError, OSError, TimeoutError, *MISTAKES)


class MailDrain:
    """The mails of one drain of the outbox: `look` starts what is due in threads of its own, so that a slow mail server holds up no helpdesk."""

    def __init__(self, database: Database, outside: Outside, clock: Callable[[], int], ending: threading.Event = NEVER, threads: str = "mail") -> None:
        """`threads`: what the threads are called."""
        self.running: set[Future[bool]] = set()
        self._database, self._outside, self._clock, self._ending = database, outside, clock, ending
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._looked: float | None = None
        free_dead(database, clock)

    def look(self) -> None:
        """Start what is due, if a thread is free."""
        done = {future for future in self.running if future.done()}
        self.running -= done
        if self._looked is not None and not done and time.monotonic() - self._looked < GAP:
            return
        self._looked = time.monotonic()
        if len(self.running) < MOST and is_due(self._database, self._clock()):
            self._pool = self._pool or ThreadPoolExecutor(MOST, thread_name_prefix=self._threads)
            self.running |= {self._pool.submit(self._work) for _ in range(MOST - len(self.running))}

    def close(self) -> None:
        """Wait for what is under way, unless the process was asked to end: what it leaves behind is due again after its lease, or once it is seen dead."""
        if self._pool is not None:
            self._pool.shutdown(wait=not self._ending.is_set())

    def _work(self) -> bool:
        """One after the other until nothing is due."""
        while not self._ending.is_set() and step(self._database, self._outside, self._clock):
            pass
        return True


def drain_mails(database: Database, outside: Outside, clock: Callable[[], int], ending: threading.Event = NEVER) -> int:
    """Do all that is due in this thread; how many steps."""
    free_dead(database, clock)
    done = 0
    while not ending.is_set() and step(database, outside, clock):
        done += 1
    return done


def free_dead(database: Database, clock: Callable[[], int]) -> None:
    """What processes of this host left behind when they died is due at once."""
    with database.reading(Duty.MAIL) as tx:
        dead = dead_holders(mail_holders(tx))
    if dead:
        with database.transaction(Duty.MAIL) as tx:
            free_mails(tx, dead, clock())


def is_due(database: Database, now: int) -> bool:
    """Whether there is a mail to send, a forgotten password to answer, or a server to prove."""
    with database.reading(Duty.MAIL) as tx:
        next_at = next_mail_at(tx)
        return (next_at is not None and next_at <= now) or next_reset_request(tx) is not None or prove_mail.overdue(tx, now) is not None


def step(database: Database, outside: Outside, clock: Callable[[], int]) -> bool:
    """The first thing that is due; False if nothing is. A fault of our own is logged, and what it was about is due again later."""
    try:
        return _answer_request(database, outside, clock) or _send_next(database, outside, clock) or _prove_next(database, outside, clock)
    except FAULTS as error:
        log.error("sending mail broke off", error=type(error).__name__, where=where(error))
        return False


def _answer_request(database: Database, outside: Outside, clock: Callable[[], int]) -> bool:
    """Answer who asked for a new password. The request goes last, so that a process that dies leaves it; answering twice mails once."""
    with database.reading(Duty.SIGN_IN) as tx:
        request = next_reset_request(tx)
        if request is None:
            return False
        try:
            people = forgot_password.who_asked(tx, request, outside)
        except ConfigurationError:
            people = ()
            log.warning("a request for a new password cannot be opened with SLA_SECRET_KEYS, and is dropped")
    for person in people:
        try:
            with database.transaction(person.tenant_id) as tx:
                forgot_password.answer(tx, person, clock(), outside)
        except MISTAKES as error:  # the next one must not wait for ever behind it
            log.error("a request for a new password cannot be answered, and is dropped", error=type(error).__name__, where=where(error))
    with database.transaction(Duty.SIGN_IN) as tx:
        drop_reset_request(tx, request.id)
    return True


def _send_next(database: Database, outside: Outside, clock: Callable[[], int]) -> bool:
    if not _mail_is_due(database, clock()):
        return False
    with database.transaction(Duty.MAIL) as tx:
        mail = send_mail.claim(tx, clock(), this_holder())
    if mail is None:
        return False
    send(database, outside, clock, mail)
    return True


def _mail_is_due(database: Database, now: int) -> bool:
    with database.reading(Duty.MAIL) as tx:
        next_at = next_mail_at(tx)
    return next_at is not None and next_at <= now


def send(database: Database, outside: Outside, clock: Callable[[], int], mail: Mail) -> None:
    """Try one claimed mail and record what came of it."""
    with database.reading(mail.tenant_id) as tx:
        ready = send_mail.write(tx, mail, clock(), outside)
    tried = MailTry((), ready) if isinstance(ready, MailProblem) else outside.mailer.try_out(ready.server, ready.letter)
    with database.transaction(mail.tenant_id) as tx:
        state = send_mail.settle(tx, mail, tried, clock())
    told = {"number": mail.id, "kind": mail.kind, "tries": mail.attempts}  # `mail` as a key would be taken out of the line
    if tried.problem is None:
        log.info("mail sent", **told)
    elif state == "failed":
        log.warning("mail failed", **told, why=tried.problem.why, status=tried.problem.status)
    else:
        log.info("mail postponed" if state == "pending" else "mail not sent", **told, why=tried.problem.why, status=tried.problem.status)


def _prove_next(database: Database, outside: Outside, clock: Callable[[], int]) -> bool:
    now = clock()
    with database.reading(Duty.MAIL) as tx:
        if prove_mail.overdue(tx, now) is None:
            return False
    with database.transaction(Duty.MAIL) as tx:
        tenant = prove_mail.claim_proof(tx, now)
    if tenant is None:
        return False
    with database.reading(tenant) as tx:
        settings = prove_mail.settings_to_prove(tx, tenant, outside)
    tried = prove_mail.prove(settings, outside)
    with database.transaction(tenant) as tx:
        prove_mail.note_proof(tx, tenant, tried, now, clock(), "machine")
    if tried.problem is not None:
        log.warning("mail settings not proved", why=tried.problem.why, status=tried.problem.status)
    return True
