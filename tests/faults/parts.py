"""The product's parts as forked processes that do one step at a time: killed with -9, stopped and continued for real; only the time is given."""

import contextlib
import io
import mmap
import os
import random
import selectors
import signal
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from connectors.http import Http
from sla_plugin.jobs import outbox
from sla_plugin.jobs.inbox import drain_inbox
from sla_plugin.jobs.outbox import drain_outbox
from sla_plugin.jobs.timekeeper import Timekeeper
from sla_plugin.services.outside import Outside
from sla_plugin.store.db import Database
from sla_plugin.supervisor.children import fork
from sla_plugin.web.door import WebhookDoor
from sla_plugin.web.tally import Tally
from tests.faults.points import Channel, WatchedHttp, watch_commits, watch_turn

ROLES = ("door", "inbox", "outbox", "timekeeper")
RAW_DAYS = 90
BATCH = 3  # deliveries a transaction: small, so that a few tickets make several batches


class GivenClock:
    """Microseconds UTC, the same for all processes, moved by the director."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 8)

    def __call__(self) -> int:
        return int(struct.unpack("q", self._shared[:])[0])

    def set(self, now: int) -> None:
        """It is `now`."""
        self._shared[:] = struct.pack("q", now)


class Work:
    """What a process of a role does when it is told to."""

    def __init__(self, database: Database, outside: Outside, clock: GivenClock) -> None:
        self.database, self.outside, self.clock = database, outside, clock
        self._keeper = Timekeeper(database, outside, clock, RAW_DAYS)
        self._door = WebhookDoor(_nothing_else, database, outside, clock, Tally(Path(os.devnull)))

    def inbox(self) -> int:
        """One wake of the inbox worker."""
        return drain_inbox(self.database, self.outside, self.clock, BATCH)

    def outbox(self) -> int:
        """One wake of the outbox worker."""
        return drain_outbox(self.database, self.outside, self.clock, 1)

    def timekeeper(self) -> int:
        """All that is due, and a look at everything else."""
        done = self._keeper.keep(threading.Event())
        for _ in range(50):
            if not self._keeper.rounds():
                break
        return done

    def door(self, path: str, headers: Mapping[str, str], body: str) -> int:
        """One webhook; the status it is answered with."""
        content = body.encode()
        said: list[str] = []
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
        environ |= {"REQUEST_METHOD": "POST", "PATH_INFO": path, "CONTENT_LENGTH": str(len(content)), "wsgi.input": io.BytesIO(content)}
        self._door(environ, lambda status, _headers, _exc=None: said.append(status) or (lambda _data: None))
        return int(said[0].split()[0])

    def close(self) -> None:
        """End the door's thread; the next webhook starts another."""
        self._door.committer.close()


def _nothing_else(_environ: Any, _start: Any) -> Any:
    raise AssertionError("only webhooks come here")


@dataclass
class Part:
    """A process of the product as the director sees it."""

    role: str
    name: str  # as the trace calls it
    pid: int
    line: socket.socket
    file: Any = field(repr=False)
    state: str = "idle"  # idle | busy | waiting (at a point) | stopped (at a point) | dead
    said: Mapping[str, Any] = field(default_factory=dict)  # of the point it waits at
    result: Mapping[str, Any] = field(default_factory=dict)  # of the last step it finished
    stopped_by: tuple[str, str] | None = None

    def tell(self, text: bytes) -> None:
        """Write to it; it may be dead."""
        with contextlib.suppress(OSError):
            self.line.sendall(text + b"\n")

    def computes(self) -> bool:
        """True while one of its threads wants the processor."""
        states = []
        for stat in Path(f"/proc/{self.pid}/task").glob("*/stat"):
            with contextlib.suppress(OSError):
                states.append(stat.read_text().rpartition(")")[2].split()[0])
        return "R" in states

    def kill(self) -> None:
        """kill -9; returns when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.bury()

    def bury(self) -> None:
        """It is gone, or is about to be."""
        if self.state != "dead":
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.state = "dead"
            self.file.close()
            self.line.close()


def start(role: str, database: Database, outside: Outside, clock: GivenClock, *, seed: int, close: Callable[[], None]) -> Part:
    """Fork a process of `role`; `seed` is that of its jitter, `close` lets go of what belongs to the parent only."""
    ours, theirs = socket.socketpair()
    if database.turn is not None:
        database.engine.dispose()  # no open SQLite file crosses a fork

    def run() -> None:
        ours.close()
        close()
        random.seed(seed)
        _live(Channel(theirs, role), role, database, outside, clock)

    pid = fork(run)
    theirs.close()
    return Part(role, f"{role}-{seed}", pid, ours, ours.makefile("rb"))


def _live(channel: Channel, role: str, database: Database, outside: Outside, clock: GivenClock) -> None:
    database.reset_after_fork()
    watch_commits(database.engine, channel)
    if database.turn is not None:
        watch_turn(database.turn, channel)
    outbox.LOOK = 60.0  # the sender's wall clock is the one that is not given: whether it looks meanwhile must not depend on the machine's load
    work = Work(database, replace(outside, http=WatchedHttp(Http(allow_private=True), channel)), clock)
    step = getattr(work, role)
    # as in the product: a worker logs and goes on, a database that is gone is waited for
    gone = (SQLAlchemyError, OSError, TimeoutError, database.engine.dialect.loaded_dbapi.Error)
    while (order := channel.hear()) is not None:
        try:
            channel.tell(done=step(**order))
        except gone as error:
            channel.tell(failed=f"{type(error).__name__}: {str(error)[:300]}")
        except Exception as error:  # noqa: BLE001 - shown in the report: nothing of the kind should come here
            channel.tell(failed=f"{type(error).__name__}: {str(error)[:300]}", odd=True)


class Switchboard:
    """Waits for all that parts say and for all that they send to the helpdesk."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()

    def add(self, part: Part, heard: Callable[[Part], None]) -> None:
        """Call `heard` when the part says something."""
        self.selector.register(part.line, selectors.EVENT_READ, lambda: heard(part))

    def drop(self, part: Part) -> None:
        """Listen to it no more."""
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(part.line)

    def wait(self, seconds: float) -> bool:
        """Handle what comes within `seconds`; False if nothing came."""
        ready = self.selector.select(seconds)
        for key, _ in ready:
            if key.fileobj in self.selector.get_map():
                key.data()
        return bool(ready)
