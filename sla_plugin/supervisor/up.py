"""`sla-plugin up`: everything on one machine under one command.

The app is imported once and frozen, then forked into web, two workers and the timekeeper, so that they share its memory. The supervisor itself opens no
database and starts no thread: what it forks later is as clean as what it forked first.
"""

import fcntl
import gc
import http.client
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from sla_plugin.app import Runtime, build, create_app
from sla_plugin.errors import ConfigurationError, SlaPluginError
from sla_plugin.settings import Settings, local_url, redis_socket
from sla_plugin.supervisor.children import HANDLED, Child, die_with_parent, fork
from sla_plugin.supervisor.health import glance, page_status
from sla_plugin.supervisor.parts import INBOX, OUTBOX, REDIS, SUPERVISOR, TIMEKEEPER, WEB, announce, forget, pid_runs
from sla_plugin.supervisor.processes import open_listener, run_timekeeper, run_web, run_worker, upgrade_database
from sla_plugin.supervisor.redis_server import command, find_server
from sla_plugin.supervisor.turn_watch import TurnWatch

log = logging.getLogger("sla_plugin.supervisor")

ENDINGS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
LOOK = 0.25  # seconds between two looks at the children and the write turn
GRACE = 7.0  # seconds a part has to end by itself
LOCK_WAIT = 3.0  # seconds for the children of a killed predecessor to die with it


class AlreadyRunning(ConfigurationError):
    """The data folder is in use by another `up`."""


def up(settings: Settings, *, end_with_parent: bool = False) -> None:
    """Run everything until SIGINT or SIGTERM. Raises AlreadyRunning, or ConfigurationError where it cannot start.

    `end_with_parent`: end in order when the process that started us dies.
    """
    if end_with_parent:
        die_with_parent(signal.SIGTERM, os.getppid())
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with take_lock(settings.data_dir / "up.lock") as lock, open_listener(settings) as listener:
        settings = with_port(settings, listener.getsockname()[1])
        lock.truncate(0)
        lock.write(json.dumps({"pid": os.getpid(), "url": local_url(settings.host, settings.port)}))
        lock.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        try:
            Supervisor(settings, listener).run()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)


def with_port(settings: Settings, port: int) -> Settings:
    """The settings with the port that was really taken (SLA_PORT=0 takes a free one)."""
    if settings.public_url != local_url(settings.host, settings.port):
        return replace(settings, port=port)
    return replace(settings, port=port, public_url=local_url(settings.host, port))


def take_lock(path: Path) -> TextIO:
    """The open, locked file; the lock ends with this process and its children. Raises AlreadyRunning with pid and address of the holder."""
    file = path.open("a+")
    patience = time.monotonic() + LOCK_WAIT
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            file.seek(0)
            holder = _holder(file.read())
            if pid_runs(holder.get("pid")) or time.monotonic() > patience:
                file.close()
                raise AlreadyRunning(f"{path.parent} is in use: sla_plugin runs already as pid {holder.get('pid')} at {holder.get('url')}") from None
            time.sleep(0.05)


def _holder(content: str) -> dict[str, object]:
    try:
        return dict(json.loads(content))
    except ValueError:
        return {}


class Supervisor:
    """The parent of all parts."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self.settings = settings
        self._turn = TurnWatch(settings.data_dir / "write.turn")
        self._ready = False
        redis = command(find_server(), settings) if settings.embedded_redis else []
        runtime = build(settings)
        runtime.parts = lambda: glance(settings)
        app = create_app(settings, runtime)
        self._runtime = runtime
        parts = {
            WEB: lambda: run_web(settings, app, listener),
            INBOX: lambda: run_worker(settings, "inbox", runtime),
            OUTBOX: lambda: run_worker(settings, "outbox", runtime),
            TIMEKEEPER: lambda: run_timekeeper(settings, runtime),
        }
        self._children = [Child(name, _after_fork(runtime, run)) for name, run in parts.items()]
        if redis:
            self._children.insert(0, Child(REDIS, lambda: self._become_redis(redis)))

    def run(self) -> None:
        """Prepare the database, start all parts, keep them alive, end them in order."""
        message = prepare(self.settings, self._runtime)
        if message:
            print(message, flush=True)
        gc.collect()
        gc.freeze()  # the collector must not touch, and so copy, what the children share
        announce(self.settings, SUPERVISOR)
        try:
            for child in self._children:
                child.start(time.monotonic())
            while next_signal(LOOK if self._ready else 0.02) not in ENDINGS:
                self._look(time.monotonic())
        finally:
            self._end()

    def _look(self, now: float) -> None:
        for child in self._children:
            if child.reap(now):
                log.warning("%s died; it starts again%s", child.name, f" in {child.due - now:.1f} s" if child.due > now else "")
            if child.pid is None and child.due <= now:
                child.start(now)
        stuck = self._turn.stuck(now)
        for child in self._children:
            if stuck is not None and child.pid == stuck:
                log.warning("%s holds the write turn and does not move; it is killed and starts again", child.name)
                child.kill(signal.SIGKILL)
        if not self._ready:
            self._tell_when_ready()

    def _tell_when_ready(self) -> None:
        try:
            page_status(local_url(self.settings.host, self.settings.port), 1.0)
        except (OSError, http.client.HTTPException):
            return
        self._ready = True
        print(f"sla_plugin runs at {self.settings.public_url} (Ctrl-C ends it)", flush=True)

    def _end(self) -> None:
        """Workers and web first, Redis last; who does not end in GRACE seconds, or at a second Ctrl-C, is killed."""
        ours = [child for child in self._children if child.name != REDIS]
        _end_all(ours, GRACE)
        _end_all([child for child in self._children if child.name == REDIS], 1.5)
        for name in (*(child.name for child in self._children), SUPERVISOR):
            forget(self.settings, name)

    def _become_redis(self, words: list[str]) -> None:
        announce(self.settings, REDIS)
        redis_socket(self.settings.data_dir).unlink(missing_ok=True)
        os.execv(words[0], words)


def next_signal(seconds: float) -> int:
    """The signal that came within `seconds`; 0 if none did."""
    came = signal.sigtimedwait(HANDLED, seconds)
    return came.si_signo if came else 0


def _after_fork(runtime: Runtime, run: Callable[[], None]) -> Callable[[], None]:
    def start() -> None:
        runtime.reset_after_fork()
        run()

    return start


def _end_all(children: list[Child], grace: float) -> None:
    for child in children:
        child.kill(signal.SIGTERM)
    end = time.monotonic() + grace
    while any(child.pid is not None for child in children):
        now = time.monotonic()
        for child in children:
            child.reap(now)
        if now > end:
            for child in children:
                child.kill(signal.SIGKILL)
        if next_signal(0.05) in ENDINGS:
            end = 0.0


def prepare(settings: Settings, runtime: Runtime) -> str | None:
    """Bring the database up to date in a child process; returns what the operator must be told at the very first start. Raises ConfigurationError."""
    read, write = os.pipe()

    def run() -> None:
        answer: dict[str, str | None] = {}
        try:
            upgrade_database(settings)
            answer["message"] = runtime.first_start_message()
        except SlaPluginError as problem:
            answer["error"] = str(problem)
        os.write(write, json.dumps(answer).encode())

    pid = fork(run)
    os.close(write)
    with os.fdopen(read) as pipe:
        content = pipe.read()
    os.waitpid(pid, 0)
    answer = json.loads(content or '{"error": "the database could not be prepared; the lines above say why"}')
    if "error" in answer:
        raise ConfigurationError(answer["error"])
    return answer["message"] if isinstance(answer["message"], str) else None
