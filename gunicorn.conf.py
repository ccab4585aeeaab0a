"""How `gunicorn wsgi:app` serves, run from this folder: it reads this file by itself, and the same environment variables as every other part.

Options on gunicorn's command line win. SIGHUP brings new code without a refused connection: the master keeps the socket and starts new processes before
the old ones end. That is why the app is not preloaded: a master that holds the app would fork the old code for ever.
"""

import os
from typing import Any

from sla_plugin.errors import ConfigurationError
from sla_plugin.settings import Settings

_settings = Settings.from_env(os.environ)
_sqlite = _settings.database_url.startswith("sqlite")

wsgi_app = "wsgi:app"
bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
backlog = 2048
workers = 1 if _sqlite else _settings.web_processes
worker_class = "gthread"
threads = _settings.web_threads
timeout = 60  # seconds after which a process that says nothing is killed; a request waits 5 s for its commit at most
graceful_timeout = 7  # seconds for requests under way; with it every stop takes less than 10
keepalive = 75  # seconds; longer than proxies keep theirs, so that none reuses a connection that we close
_memory = "/dev/shm"  # noqa: S108 - gunicorn makes its heartbeat files there by mkstemp; a heartbeat must not wait for a disk
worker_tmp_dir = _memory if os.path.isdir(_memory) else None
control_socket_disable = True
proc_name = "sla-plugin web"
limit_request_fields = 200  # proxies add theirs


def post_fork(server: Any, _worker: Any) -> None:
    """With --preload: connections made before the fork belong to the master."""
    if server.cfg.preload_app:
        server.app.wsgi().extensions["sla_plugin"].reset_after_fork()


def post_worker_init(worker: Any) -> None:
    """On a database of another version: serve what can be served, say what to do, and let /readyz keep the proxy away."""
    ours = getattr(worker.wsgi, "extensions", {}).get("sla_plugin")
    if ours is None:
        return  # another app under our options: what a measurement compares with
    try:
        ours.demand_schema()
    except ConfigurationError as problem:
        worker.log.error("%s", problem)
