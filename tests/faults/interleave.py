"""Transactions of several actors on one Postgres, interleaved statement by statement in an order that a seed gives: what a race might do is done on purpose.

Nothing sleeps and nothing is hoped for. Before each statement and each commit an actor waits for its turn; whether one that has its turn works or waits for
another's lock is asked of Postgres itself.
"""

import random
import threading
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.exc import SQLAlchemyError

from sla_plugin.errors import SlaPluginError

# What a transaction may wait for, in the order in which it may do so: whoever holds one of these waits only for those further down. A claim with SKIP LOCKED
# waits for nobody. Each pair is (part of a statement, rank).
LOCK_ORDER: tuple[tuple[str, str], ...] = (
    ("call", "FROM call"),
    ("ticket", "INSERT INTO ticket "),
    ("event", "INSERT INTO event "),
    ("promise", "FROM promise"),
    ("command", "UPDATE command"),
    ("command", "INSERT INTO command"),
    ("connection_state", "UPDATE connection_state"),
    ("audit chain", "FROM audit_head"),
)


def lock_of(statement: str) -> int | None:
    """The rank in LOCK_ORDER of what a statement may wait for; None if it waits for nobody."""
    told = " ".join(statement.split())
    for rank, (_, part) in enumerate(LOCK_ORDER):
        if part in told and "SKIP LOCKED" not in told and (told.startswith(("INSERT", "UPDATE")) or "FOR UPDATE" in told):
            return rank
    return None


class Deadlock(AssertionError):
    """Every actor waits for another."""


class _Actor(threading.Thread):
    def __init__(self, name: str, work: Callable[[], Any], changed: threading.Condition) -> None:
        super().__init__(name=name, daemon=True)
        self.work, self.changed = work, changed
        self.state = "waiting"  # at a gate; or "running", "ended"
        self.pid = 0
        self.error: Exception | None = None
        self.rank = -1
        self.statement = ""
        self.disorder: list[str] = []

    def run(self) -> None:
        try:
            self.gate()
            self.work()
        except (SQLAlchemyError, SlaPluginError, AssertionError, LookupError, TypeError, ValueError, AttributeError) as error:
            self.error = error
        finally:
            with self.changed:
                self.state = "ended"
                self.changed.notify_all()

    def gate(self) -> None:
        """Wait for a turn."""
        with self.changed:
            self.state = "waiting"
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.state == "running")

    def note(self, statement: str) -> None:
        """Hold a statement against the order of locks."""
        self.statement = " ".join(statement.split())
        rank = lock_of(statement)
        if rank is not None:
            if rank < self.rank and LOCK_ORDER[rank][0] != LOCK_ORDER[self.rank][0]:
                self.disorder.append(f"{self.name} waits for {LOCK_ORDER[rank][0]} while it may hold {LOCK_ORDER[self.rank][0]}")
            self.rank = max(self.rank, rank)


def interleave(engine: Engine, watch: str, actors: Mapping[str, Callable[[], Any]], seed: int) -> list[str]:
    """Run the actors to their ends, one statement at a time, in the order of the seed. Returns that order, by name; raises what an actor raised, or Deadlock.

    `watch`: URL of the same server for looking on (psycopg's form).
    """
    chance = random.Random(seed)
    changed = threading.Condition()
    threads = [_Actor(name, work, changed) for name, work in actors.items()]

    def before(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        actor = threading.current_thread()
        if isinstance(actor, _Actor):
            actor.pid = connection.connection.driver_connection.info.backend_pid
            actor.note(statement)
            actor.gate()

    def ending(_connection: Any) -> None:
        actor = threading.current_thread()
        if isinstance(actor, _Actor):
            actor.rank = -1
            actor.gate()

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "commit", ending)
    order: list[str] = []
    try:
        with psycopg.connect(watch, autocommit=True) as looking:
            for actor in threads:
                actor.start()
            while alive := [a for a in threads if a.state != "ended"]:
                ready = [a for a in alive if _settled(a, looking) and a.state == "waiting"]
                if not ready:
                    if all(_blocked(a, looking) for a in alive if a.state == "running"):
                        raise Deadlock("\n".join([f"after {order} each waits for another:", *(f"{a.name}: {a.statement}" for a in alive)]))
                    continue
                actor = chance.choice(ready)
                order.append(actor.name)
                with changed:
                    actor.state = "running"
                    changed.notify_all()
                _settled(actor, looking)
    finally:
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "commit", ending)
        with changed:  # after a Deadlock Postgres ends one of them, and nothing holds the others any more
            for actor in threads:
                actor.gate = lambda: None  # type: ignore[method-assign]
                actor.state = "running" if actor.state == "waiting" else actor.state
            changed.notify_all()
        for actor in threads:
            actor.join(20)
    for actor in threads:
        if actor.error is not None:
            raise AssertionError(f"{actor.name} failed, in the order {order}") from actor.error
        assert not actor.disorder, actor.disorder
    return order


def _settled(actor: _Actor, looking: psycopg.Connection[Any]) -> bool:
    """Wait until an actor is at a gate, at its end, or held up by another's lock; False if it is held up."""
    while True:
        with actor.changed:
            if actor.changed.wait_for(lambda: actor.state != "running", 0.002):
                return True
        if _blocked(actor, looking):
            return False


def _blocked(actor: _Actor, looking: psycopg.Connection[Any]) -> bool:
    """Whether Postgres says that it waits for another's lock."""
    row = looking.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", (actor.pid,)).fetchone()
    return actor.state == "running" and row is not None and bool(row[0])
