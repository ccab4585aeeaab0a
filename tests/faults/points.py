"""Fault points, found where they are reached: every COMMIT and every call to a helpdesk, each with a moment before and a moment after.

Installed from outside in a child process (an engine's dialect, the way out over HTTP): the product has no code for it. At each moment the child tells the
director where it is and waits for what happens next; being killed or stopped happens to it right there.
"""

import json
import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Engine, event

from sla_plugin.ports import Http, HttpAnswer
from sla_plugin.store.write_turn import WriteTurn

LOSE = "X-Lose"  # header of a played request: which half of the exchange the wire loses
TURN = "TURN"  # no fault point: a part that waits for the write turn
TROUBLE = "X-Trouble"  # header of a played request: what the helpdesk answers instead


class Point(NamedTuple):
    """A place in the product where something may go wrong, as the table prints it."""

    role: str  # the process it was reached in
    kind: str  # COMMIT or HTTP
    where: str  # module, line and function that commits or calls
    what: str = ""  # of a call: method and operation


class Moment(NamedTuple):
    """What happened where: fault at one side of a point."""

    point: Point
    side: str  # before | after
    fault: str  # kill | stop | lose, or a helpdesk's trouble


KILL_OR_STOP = [("before", "kill"), ("before", "stop")]
AFTER = [("after", "kill"), ("after", "stop")]
COMMIT_BEFORE = [*KILL_OR_STOP, ("before", "lose")]
COMMIT_AFTER = [*AFTER, ("after", "lose")]
HTTP_BEFORE = [*KILL_OR_STOP, ("before", "lose"), ("after", "lose")]
WRITE_BEFORE = [*HTTP_BEFORE, ("before", "503"), ("before", "429"), ("before", "late")]


class Channel:
    """A child's line to the director: one JSON text a line, both ways."""

    def __init__(self, end: socket.socket, role: str) -> None:
        self.role = role
        self._file = end.makefile("rwb")
        self._one_at_a_time = threading.Lock()
        self.backends: list[int] = []  # of this process at Postgres

    def hear(self) -> dict[str, Any] | None:
        """The next order; None at the end."""
        line = self._file.readline()
        return json.loads(line) if line else None

    def tell(self, **said: Any) -> None:
        """Say something."""
        self._file.write(json.dumps(said).encode() + b"\n")
        self._file.flush()

    def reach(self, kind: str, what: str, choices: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
        """Say which point is reached and what may go wrong there; whoever is not killed here learns what goes wrong."""
        with self._one_at_a_time:
            self.tell(at=[self.role, kind, _where(), what], choices=choices, backends=self.backends)
            answer = self.hear()
        if answer is None:
            raise SystemExit
        return tuple(answer["fault"]) if answer["fault"] else None


def _where() -> str:
    """Module, line and function of ours that commits or calls."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("sla_plugin.") and module != "sla_plugin.store.db":
            return f"{module.removeprefix('sla_plugin.')}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "?"


def watch_commits(engine: Engine, channel: Channel) -> None:
    """Every COMMIT of this process's engine is a point from now on, and so is every statement that commits itself (the door's, on Postgres)."""
    commit, execute = engine.dialect.do_commit, engine.dialect.do_execute
    postgres = engine.dialect.name == "postgresql"

    def watched(connection: Any) -> None:
        if channel.reach("COMMIT", "", COMMIT_BEFORE) is not None:
            if not postgres:
                raise sqlite3.OperationalError("database or disk is full")
            connection.driver_connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        commit(connection)
        if channel.reach("COMMIT", "", COMMIT_AFTER) is not None:
            if not postgres:
                raise sqlite3.OperationalError("disk I/O error")
            connection.driver_connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    def watched_statement(cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        commits = context is not None and context.root_connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
        if not commits or statement.startswith("SET "):
            execute(cursor, statement, parameters, context)
            return
        if channel.reach("COMMIT", "", COMMIT_BEFORE) is not None:
            cursor.connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        execute(cursor, statement, parameters, context)
        if channel.reach("COMMIT", "", COMMIT_AFTER) is not None:
            cursor.connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    engine.dialect.do_commit = watched  # type: ignore[method-assign]
    if postgres:
        engine.dialect.do_execute = watched_statement  # type: ignore[method-assign]
        event.listen(engine, "connect", lambda connection, _record: channel.backends.append(connection.info.backend_pid))


def watch_turn(turn: WriteTurn, channel: Channel) -> None:
    """Who takes SQLite's write turn next is the director's choice: a seed gives one order."""
    hold = turn.hold

    @contextmanager
    def watched(wait: float) -> Iterator[None]:
        channel.reach(TURN, "", ())
        with hold(wait):
            yield

    turn.hold = watched  # type: ignore[method-assign]


class WatchedHttp:
    """`connectors.http.Http`, every call a point."""

    def __init__(self, http: Http, channel: Channel) -> None:
        self._http, self._channel = http, channel

    def request(self, method: str, url: str, *, operation: str, headers: Mapping[str, str] | None = None, **words: Any) -> HttpAnswer:
        what = f"{method} {operation}"
        fault = self._channel.reach("HTTP", what, WRITE_BEFORE if method == "PUT" else HTTP_BEFORE)
        played = {} if fault is None else {LOSE: fault[0]} if fault[1] == "lose" else {TROUBLE: fault[1]}
        answer = self._http.request(method, url, operation=operation, headers={**(headers or {}), **played}, **words)
        self._channel.reach("HTTP", what, AFTER)
        return answer
