"""What each process does, whether `up` started it or an operator did."""

import os
import socket
import threading
import time
from typing import Any

from flask import Flask
from sqlalchemy.exc import OperationalError
from waitress import create_server

from sla_plugin.app import Runtime
from sla_plugin.errors import ConfigurationError
from sla_plugin.jobs.ending import Ending, ended_by_signals
from sla_plugin.jobs.outbox import THREADS
from sla_plugin.jobs.worker import work
from sla_plugin.settings import Settings, local_url
from sla_plugin.store import schema
from sla_plugin.store.db import open_database
from sla_plugin.supervisor.parts import INBOX, OUTBOX, TIMEKEEPER, WEB, announce, forget

BACKLOG = 1024  # connections that wait while the web process restarts
LARGEST_BODY = 32 * 1024 * 1024  # bytes; each connector's own limit is lower and is checked at the door
GRACE = 6.0  # seconds for requests under way; a commit waits 5 s at most
WORKERS = {"inbox": INBOX, "outbox": OUTBOX}


def upgrade_database(settings: Settings) -> None:
    """Bring the database to the newest revision. Raises ConfigurationError where it cannot be reached, or is too new for us."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = open_database(settings.database_url, settings.data_dir).engine
    try:
        schema.upgrade(engine)
        schema.demand(engine)
    except OperationalError as problem:
        raise ConfigurationError(f"DATABASE_URL: the database cannot be used ({str(problem.orig).strip().splitlines()[0]})") from problem
    finally:
        engine.dispose()


def open_listener(settings: Settings) -> socket.socket:
    """The listening socket. Raises ConfigurationError if the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as problem:
        listener.close()
        place = f"{settings.host} port {settings.port}"
        raise ConfigurationError(f"cannot listen on {place} ({problem.strerror or problem}): choose another with SLA_PORT or SLA_HOST") from None
    listener.listen(BACKLOG)
    return listener


def run_web(settings: Settings, app: Flask, listener: socket.socket) -> None:
    """Serve pages and webhooks until SIGTERM or SIGINT; every request that has come in by then is answered, within GRACE seconds."""
    sockets: dict[int, Any] = {}
    server = create_server(
        app,
        map=sockets,
        sockets=[listener],
        threads=settings.web_threads,
        backlog=BACKLOG,
        ident="",
        max_request_body_size=LARGEST_BODY,
        clear_untrusted_proxy_headers=not settings.trusted_proxies,  # else web/true_address.py reads them
    )
    ending = Ending()
    announce(settings, WEB, url=local_url(settings.host, listener.getsockname()[1]))
    with ended_by_signals(ending, server.pull_trigger):  # which interrupts the wait for sockets
        while not ending.is_set():
            server.asyncore.loop(timeout=1, use_poll=True, map=sockets, count=1)
        server.del_channel()  # accepts nothing new
        end, looks = time.monotonic() + GRACE, 0
        while time.monotonic() < end and (looks < 2 or _unanswered(server)):
            server.asyncore.loop(timeout=0.05, use_poll=True, map=sockets, count=1)
            looks += 1
        server.task_dispatcher.shutdown()
    forget(settings, WEB)


def _unanswered(server: Any) -> bool:
    """Whether waitress still has requests to answer, or answers to send."""
    return any(channel.requests or channel.total_outbufs_len for channel in list(server.active_channels.values()))


def run_worker(settings: Settings, queue: str, runtime: Runtime) -> None:
    """Work on `inbox` or `outbox` until SIGTERM."""
    announce(settings, WORKERS[queue])
    work(queue, settings.redis_url, runtime)
    forget(settings, WORKERS[queue])
    if any(thread.name.startswith(THREADS) for thread in threading.enumerate()):
        os._exit(0)  # calls that were given back: Python would wait for their answers


def run_timekeeper(settings: Settings, runtime: Runtime) -> None:
    """Keep time until SIGTERM."""
    announce(settings, TIMEKEEPER)
    with ended_by_signals(runtime.ending):
        runtime.keep_time()
    forget(settings, TIMEKEEPER)
