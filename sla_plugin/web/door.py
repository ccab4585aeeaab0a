"""The door: POST /webhooks/<connection>, a plain WSGI callable before Flask. Verify the raw bytes, store, commit, answer; everything else happens later.

202 stored, 200 known already, 401 (the connector's choice) refused and counted, 404 no such connection, 405, 411, 413 too large, 503 send it again.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from sla_plugin.errors import DeliveryRejected
from sla_plugin.ports import InboundRequest
from sla_plugin.services.outside import Outside
from sla_plugin.services.receive_delivery import Door, receive_delivery
from sla_plugin.store.connections import count_refusal, find_by_public_id
from sla_plugin.store.db import Database
from sla_plugin.store.duties import Duty
from sla_plugin.web.committer import Committer, NotStored
from sla_plugin.web.tally import Tally

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger()
_speaking = logging.getLogger(__name__)  # asked before a line is made that nobody wants
PREFIX = "/webhooks/"
_REMEMBER = 2.0  # seconds a connection's secrets are kept in memory; a retired secret stops working within twice that
_STATUS = {
    200: "200 OK",
    202: "202 Accepted",
    401: "401 Unauthorized",
    403: "403 Forbidden",
    404: "404 Not Found",
    405: "405 Method Not Allowed",
    406: "406 Not Acceptable",
    411: "411 Length Required",
    413: "413 Content Too Large",
    503: "503 Service Unavailable",
}


class Doors:
    """Connections by public id, remembered for a moment. `clock` gives monotonic seconds."""

    def __init__(self, database: Database, outside: Outside, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._outside = outside
        self._known: dict[str, tuple[float, Door]] = {}
        self._looking = threading.Lock()

    def find(self, public_id: str) -> Door | None:
        """The door of a connection; None if there is no such connection.

        When what we know grows old, one thread looks it up again; the others do not all ask at once, but go on with it for as long again.
        """
        known = self._known.get(public_id)
        if known is None:
            return self._look_up(public_id)
        age = self._clock() - known[0]
        if age < _REMEMBER:
            return known[1]
        mine = self._looking.acquire(blocking=False)
        if not mine and age < 2 * _REMEMBER:
            return known[1]
        try:
            return self._look_up(public_id)
        finally:
            if mine:
                self._looking.release()

    def _look_up(self, public_id: str) -> Door | None:
        now = self._clock()
        with self._database.reading(Duty.DOOR) as tx:
            connection = find_by_public_id(tx, public_id)
        if connection is None:
            self._known.pop(public_id, None)
            return None
        door = Door(
            tenant=connection.tenant_id,
            connection=connection.id,
            name=connection.name,
            connector=self._outside.connector(connection.connector),
            secrets=tuple(self._outside.secrets(connection)),
        )
        self._known[public_id] = (now, door)
        return door


class WebhookDoor:
    """WSGI: webhooks here, everything else to `inner`."""

    def __init__(self, inner: "WSGIApplication", database: Database, outside: Outside, clock: Callable[[], int], tally: Tally) -> None:
        self._inner = inner
        self._tally = tally
        self._database = database
        self._clock = clock
        self._doors = Doors(database, outside)
        self.committer = Committer(database, outside.queue.wake_inbox)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """One request."""
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self._inner(environ, start_response)
        began = time.monotonic()
        status, answer = self._receive(environ, path[len(PREFIX) :].rstrip("/"))
        self._tally.count(status, time.monotonic() - began)
        body = json.dumps(answer).encode()
        headers = [
            ("Content-Type", "application/json" if status < 300 else "application/problem+json"),
            ("Content-Length", str(len(body))),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if status == 405:
            headers.append(("Allow", "POST"))
        if status == 503:
            headers.append(("Retry-After", "5"))
        start_response(_STATUS[status], headers)
        return [body] if environ["REQUEST_METHOD"] != "HEAD" else [b""]

    def _receive(self, environ: "WSGIEnvironment", public_id: str) -> tuple[int, dict[str, Any]]:
        received_at = self._clock()
        try:
            door = self._doors.find(public_id)
        except (SQLAlchemyError, TimeoutError, OSError):
            return _problem(503, "the database does not answer; send it again")
        if door is None:
            return _problem(404, "there is no such connection; copy the URL from the connection's page")
        if environ["REQUEST_METHOD"] != "POST":
            return _problem(405, "send webhooks with POST")
        body = _body(environ, door.connector.body_limit)
        if isinstance(body, int):
            return _problem(body, "name the body's length" if body == 411 else f"the body is larger than {door.connector.body_limit} bytes")
        try:
            row = receive_delivery(door, InboundRequest(headers=_headers(environ), body=body, received_at=received_at))
        except DeliveryRejected as error:
            self._count_refusal(door, received_at, str(error))
            return _problem(door.connector.refusal_status, str(error))
        try:
            fresh = self.committer.store(row)
        except NotStored:
            return _problem(503, "the database does not answer; send it again")
        if _speaking.isEnabledFor(logging.DEBUG):
            log.debug("delivery stored" if fresh else "delivery known already", trace=row["id"], connection=door.name, bytes=len(body))
        return (202, {"delivery": str(row["id"]), "duplicate": False}) if fresh else (200, {"delivery": None, "duplicate": True})

    def _count_refusal(self, door: Door, now: int, reason: str) -> None:
        log.warning("delivery refused", connection=door.name, reason=reason)
        try:
            with self._database.transaction(door.tenant) as tx:
                count_refusal(tx, door.tenant, door.connection, now, reason)
        except (SQLAlchemyError, TimeoutError, OSError):
            log.error("refusal not counted", connection=door.name)


def _problem(status: int, title: str) -> tuple[int, dict[str, Any]]:
    return status, {"title": title, "status": status}


def _body(environ: "WSGIEnvironment", limit: int) -> bytes | int:
    """The raw body, or the status that refuses it."""
    length = environ.get("CONTENT_LENGTH") or ""
    if not length:
        if not environ.get("wsgi.input_terminated"):
            return b"" if environ.get("HTTP_TRANSFER_ENCODING") is None else 411
        body: bytes = environ["wsgi.input"].read(limit + 1)
    elif not length.isdigit() or int(length) > limit:
        return 413
    else:
        body = environ["wsgi.input"].read(int(length))
    return 413 if len(body) > limit else body


def _headers(environ: "WSGIEnvironment") -> dict[str, str]:
    """Header names in lower case."""
    headers = {_header_name(name): value for name, value in environ.items() if name.startswith("HTTP_")}
    if "CONTENT_TYPE" in environ:
        headers["content-type"] = environ["CONTENT_TYPE"]
    return headers


@lru_cache(512)  # senders name the same few again and again
def _header_name(name: str) -> str:
    return name[5:].replace("_", "-").lower()
