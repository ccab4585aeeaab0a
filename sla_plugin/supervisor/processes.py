"""What each process does, whether `up` started it or an operator did."""

import signal
import socket
import threading
from types import FrameType
from typing import NoReturn

from flask import Flask
from sqlalchemy.exc import OperationalError
from waitress import create_server

from sla_plugin.app import Runtime
from sla_plugin.errors import ConfigurationError
from sla_plugin.jobs.worker import work
from sla_plugin.settings import Settings, local_url
from sla_plugin.store import schema
from sla_plugin.store.db import open_database
from sla_plugin.supervisor.parts import INBOX, OUTBOX, TIMEKEEPER, WEB, announce, forget

BACKLOG = 1024  # connections that wait while the web process restarts
LARGEST_BODY = 32 * 1024 * 1024  # bytes; each connector's own limit is lower and is checked at the door
WORKERS = {"inbox": INBOX, "outbox": OUTBOX}


def upgrade_database(settings: Settings) -> None:
    """Bring the database to the newest revision. Raises ConfigurationError where it cannot be reached."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = open_database(settings.database_url, settings.data_dir).engine
    try:
        schema.upgrade(engine)
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
    """Serve pages and webhooks until SIGTERM; requests under way are answered."""
    server = create_server(
        app,
        sockets=[listener],
        threads=settings.web_threads,
        backlog=BACKLOG,
        ident="",
        max_request_body_size=LARGEST_BODY,
        clear_untrusted_proxy_headers=True,
        asyncore_use_poll=True,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    announce(settings, WEB, url=local_url(settings.host, listener.getsockname()[1]))
    server.run()  # returns on SystemExit
    forget(settings, WEB)


def run_worker(settings: Settings, queue: str, runtime: Runtime) -> None:
    """Work on `inbox` or `outbox` until SIGTERM."""
    announce(settings, WORKERS[queue])
    work(queue, settings.redis_url, runtime)
    forget(settings, WORKERS[queue])


def run_timekeeper(settings: Settings, runtime: Runtime) -> None:
    """Keep time until SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    announce(settings, TIMEKEEPER)
    runtime.keep_time(stop)
    forget(settings, TIMEKEEPER)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
