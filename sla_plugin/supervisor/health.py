"""What `sla-plugin status` says: every part looked at from outside."""

import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from redis.exceptions import RedisError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from sla_plugin.errors import SlaPluginError
from sla_plugin.jobs.queue import connect
from sla_plugin.reports.lights import Light, lights_of
from sla_plugin.reports.machine import read_machine
from sla_plugin.settings import Settings, local_url
from sla_plugin.store import schema
from sla_plugin.store.db import open_database
from sla_plugin.store.duties import Duty
from sla_plugin.store.isolation import isolation
from sla_plugin.supervisor.parts import INBOX, OUTBOX, REDIS, SUPERVISOR, TIMEKEEPER, WEB, process_state, read_part

ANSWER_WITHIN = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class Health:
    """One part: its pid (None where it is not our process), whether it works, since when (ISO, UTC), and a few words."""

    pid: int | None
    healthy: bool
    since: str | None
    detail: str


def check(settings: Settings) -> dict[str, Health]:
    """Look at every part: process alive, page, Redis and database answering."""
    answers: dict[str, Callable[[], str]] = {WEB: lambda: _ask_web(settings), REDIS: lambda: _ask_redis(settings)}
    found = {name: _check_process(settings, name, answers.get(name)) for name in (SUPERVISOR, WEB, INBOX, OUTBOX, TIMEKEEPER)}
    if settings.embedded_redis:
        found[REDIS] = _check_process(settings, REDIS, answers[REDIS])
    else:
        found[REDIS] = _check_service(answers[REDIS])
    found["database"] = _check_service(lambda: _ask_database(settings))
    if found["database"].healthy:
        found |= {light.name if light.about != "connection" else f"connection {light.name}": _lit(light) for light in _read_lights(settings)}
    return found


def _lit(light: Light) -> Health:
    return Health(None, light.level != "bad", None, light.text.replace("\u00a0", " "))


def _read_lights(settings: Settings) -> list[Light]:
    """The lights of queues and connections, as the pages show them; none before the first start or while the schema is another version's."""
    database = open_database(settings.database_url, settings.data_dir)
    try:
        schema.demand(database.engine)
        with database.reading(Duty.CHECKING) as tx:
            machine = read_machine(tx, time.time_ns() // 1000, {})
    except (SQLAlchemyError, OSError, SlaPluginError):
        return []
    finally:
        database.engine.dispose()
    several = len(machine.tenants) > 1
    return [
        replace(light, name=f"{light.name} ({tenant.name})") if several else light for tenant in machine.tenants for light in lights_of(machine, tenant, {})
    ]


def glance(settings: Settings) -> dict[str, Health]:
    """The same at a glance: only whether the processes live, for a page that asks often and is itself one of the parts."""
    names = [SUPERVISOR, WEB, INBOX, OUTBOX, TIMEKEEPER, *([REDIS] if settings.embedded_redis else [])]
    return {name: _check_process(settings, name, None) for name in names}


def page_status(url: str, seconds: float) -> int:
    """HTTP status of the health page at `url`. Raises OSError or http.client.HTTPException if nobody answers in time."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=seconds)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()


def _check_process(settings: Settings, name: str, ask: Callable[[], str] | None) -> Health:
    part = read_part(settings, name)
    if part is None:
        return Health(None, False, None, "not started")
    state = process_state(part)
    if state != "running" or ask is None:
        return Health(part.pid if state != "gone" else None, state == "running", part.since, state)
    answer = _check_service(ask)
    return Health(part.pid, answer.healthy, part.since, answer.detail)


def _check_service(ask: Callable[[], str]) -> Health:
    try:
        return Health(None, True, None, ask())
    except (OSError, http.client.HTTPException, RedisError, SQLAlchemyError, SlaPluginError) as problem:
        return Health(None, False, None, f"{type(problem).__name__}: {problem}".splitlines()[0][:300])


def _ask_web(settings: Settings) -> str:
    part = read_part(settings, WEB)
    url = part.url if part and part.url else local_url(settings.host, settings.port)
    status = page_status(url, ANSWER_WITHIN)
    if status != 200:
        raise http.client.HTTPException(f"{url}/healthz answers {status}")
    return url


def _ask_redis(settings: Settings) -> str:
    redis = connect(settings.redis_url, socket_timeout=ANSWER_WITHIN, socket_connect_timeout=ANSWER_WITHIN)
    try:
        redis.ping()
    finally:
        redis.close()
    return "embedded" if settings.embedded_redis else "outside"


def _ask_database(settings: Settings) -> str:
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise FileNotFoundError(f"{url.database} is not there yet")
    database = open_database(settings.database_url, settings.data_dir)
    try:
        apart = isolation(database.engine)
    finally:
        database.engine.dispose()
    return f"{url.get_backend_name()}; tenants kept apart by the database: {apart.state} ({apart.detail})"
