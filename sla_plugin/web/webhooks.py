"""The door: POST /webhooks/<connection>. Verify the raw bytes, store, commit, answer; everything else happens later."""

import threading
import time
from collections.abc import Callable

import structlog
from flask import Blueprint, Response, jsonify, request
from sqlalchemy.exc import SQLAlchemyError

from sla_plugin.errors import DeliveryRejected, SlaPluginError
from sla_plugin.ports import InboundRequest
from sla_plugin.services.outside import Outside
from sla_plugin.services.receive_delivery import Door, receive_delivery
from sla_plugin.store.connections import count_refusal, find_by_public_id
from sla_plugin.store.db import Database
from sla_plugin.web.committer import Committer

log = structlog.get_logger()
_REMEMBER = 2.0  # seconds a connection's secrets are kept in memory; a retired secret stops working within that


class Doors:
    """Connections by public id, remembered for a moment."""

    def __init__(self, database: Database, outside: Outside) -> None:
        self._database = database
        self._outside = outside
        self._known: dict[str, tuple[float, Door]] = {}
        self._lock = threading.Lock()

    def find(self, public_id: str) -> Door | None:
        """The door of a connection; None if there is no such connection."""
        now = time.monotonic()
        with self._lock:
            known = self._known.get(public_id)
        if known is not None and now - known[0] < _REMEMBER:
            return known[1]
        with self._database.reading() as tx:
            connection = find_by_public_id(tx, public_id)
        if connection is None:
            return None
        door = Door(
            tenant=connection.tenant_id,
            connection=connection.id,
            name=connection.name,
            connector=self._outside.connector(connection.connector),
            secrets=tuple(self._outside.secrets(connection)),
        )
        with self._lock:
            self._known[public_id] = (now, door)
        return door


def _problem(status: int, title: str) -> tuple[Response, int]:
    answer = jsonify({"title": title, "status": status})
    answer.content_type = "application/problem+json"
    return answer, status


def blueprint(database: Database, outside: Outside, clock: Callable[[], int]) -> Blueprint:
    """The webhook endpoint."""
    bp = Blueprint("webhooks", __name__)
    doors = Doors(database, outside)
    committer = Committer(database, outside.queue.wake_inbox)

    @bp.route("/webhooks/<public_id>", methods=["POST"])
    def receive(public_id: str) -> tuple[Response, int]:
        """Take one delivery: 202 stored, 200 known already, 401 refused, 404, 413, 503 try again."""
        received_at = clock()
        try:
            door = doors.find(public_id)
        except (SQLAlchemyError, TimeoutError, OSError):
            return _problem(503, "the database does not answer; send it again")
        if door is None:
            return _problem(404, "there is no such connection; copy the URL from the connection's page")
        limit = door.connector.body_limit
        if request.content_length is not None and request.content_length > limit:
            return _problem(413, f"the body is larger than {limit} bytes")
        body = request.stream.read(limit + 1)
        if len(body) > limit:
            return _problem(413, f"the body is larger than {limit} bytes")
        inbound = InboundRequest(headers={k.lower(): v for k, v in request.headers.items()}, body=body, received_at=received_at)
        try:
            row = receive_delivery(door, inbound)
        except DeliveryRejected as error:
            return _refuse(door, error, received_at)
        try:
            fresh = committer.store(row)
        except (SQLAlchemyError, TimeoutError, OSError) as error:
            log.error("delivery not stored", connection=door.name, error=type(error).__name__, detail=str(error)[:300])
            return _problem(503, "the database does not answer; send it again")
        return jsonify({"delivery": str(row["id"]) if fresh else None, "duplicate": not fresh}), 202 if fresh else 200

    @bp.get("/schemas/<connector>.json")
    def schema(connector: str) -> Response | tuple[Response, int]:
        """The published JSON Schema of a connector's webhook bodies."""
        found = outside.connectors.get(connector)
        if found is None or found.body_schema is None:
            return _problem(404, "no format is published under this name")
        return Response(found.body_schema.read_bytes(), content_type="application/schema+json")

    def _refuse(door: Door, error: SlaPluginError, now: int) -> tuple[Response, int]:
        log.warning("delivery refused", connection=door.name, reason=str(error))
        try:
            with database.transaction() as tx:
                count_refusal(tx, door.tenant, door.connection, now, str(error))
        except (SQLAlchemyError, TimeoutError, OSError):
            log.error("refusal not counted", connection=door.name)
        return _problem(door.connector.refusal_status, str(error))

    return bp
