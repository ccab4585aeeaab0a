"""Who looks at personal data: noted after the answer, once a day per person and thing at the latest by its first look; repeated looks are counted together."""

import threading
from collections.abc import Callable, Iterable

import structlog
from flask import Flask, Response, current_app, g
from sqlalchemy.exc import SQLAlchemyError

from sla_plugin.permissions import Actor
from sla_plugin.store.db import Database
from sla_plugin.store.personal_reads import DAY, note_reads

log = structlog.get_logger()
TOGETHER = 60_000_000  # microseconds for which looks that are known of today wait for each other
MOST = 100_000  # looks of a day that a process remembers
_NAME = "sla_plugin.looks"
Look = tuple[int, int, str, str, str]  # tenant, day, actor, kind, thing


class Looks:
    """The looks of one process. A kill loses a minute of counts, never that somebody looked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._waiting: dict[Look, list[int]] = {}
        self._noted: set[Look] = set()  # those that have their row
        self._day = 0
        self._since = 0

    def take(self, tenant: int, actor: str, seen: Iterable[tuple[str, str]], now: int) -> None:
        """Note looks at (kind, thing): the first one of a day at once, others together a minute later, or with the next first one."""
        day = now - now % DAY
        with self._lock:
            if day != self._day or len(self._noted) > MOST:
                self._noted.clear()
                self._day = day
            for kind, thing in seen:
                self._waiting.setdefault((tenant, day, actor, kind, thing), []).append(now)
            if self._noted.issuperset(self._waiting) and now - self._since < TOGETHER:
                return
            waiting, self._waiting, self._since = self._waiting, {}, now
        for owner in {look[0] for look in waiting}:
            self._write(owner, {look: instants for look, instants in waiting.items() if look[0] == owner})

    def _write(self, tenant: int, looks: dict[Look, list[int]]) -> None:
        try:
            with self._database.transaction(tenant) as tx:
                note_reads(tx, tenant, [(*look[2:], instants) for look, instants in looks.items()])
        except (SQLAlchemyError, TimeoutError, OSError) as error:
            log.warning("reads of personal data are noted later", error=type(error).__name__)
            with self._lock:
                for look, instants in looks.items():
                    self._waiting.setdefault(look, []).extend(instants)
        else:
            with self._lock:
                self._noted.update(looks)


def note_look(kind: str, thing: object) -> None:
    """The answer under way shows personal data: `kind` one of KINDS, `thing` its id (or its words)."""
    g.setdefault("looked", []).append((kind, str(thing)))


def register_looks(app: Flask, database: Database, who: Callable[[], tuple[Actor, int] | None]) -> None:
    """Note what `note_look` was told, after each answer. `who`: the actor of the request and its instant."""
    app.extensions[_NAME] = Looks(database)

    @app.after_request
    def note(response: Response) -> Response:
        """Once the answer is sent; one that shows nothing notes nothing."""
        seen, asking = g.get("looked"), who()
        if seen and asking is not None and response.status_code < 400:
            looks: Looks = current_app.extensions[_NAME]
            actor, now = asking
            response.call_on_close(lambda: looks.take(actor.tenant, actor.name, seen, now))
        return response
