"""/healthz: this process answers. /readyz: it can do its work (the database answers, at a revision that this version can serve)."""

from flask import Blueprint, Response, jsonify
from sqlalchemy.exc import SQLAlchemyError

from sla_plugin.errors import ConfigurationError
from sla_plugin.store import schema
from sla_plugin.store.db import Database


def blueprint(database: Database) -> Blueprint:
    """The health endpoints."""
    bp = Blueprint("health", __name__)

    @bp.get("/healthz")
    def healthz() -> Response:
        """200 while the process answers at all."""
        return jsonify({"status": "ok"})

    @bp.get("/readyz")
    def readyz() -> tuple[Response, int]:
        """200 when a request can be served, else 503 with the part that is missing."""
        try:
            schema.demand(database.engine)
        except ConfigurationError as error:
            return jsonify({"status": "unavailable", "database": str(error)}), 503
        except (SQLAlchemyError, OSError) as error:
            return jsonify({"status": "unavailable", "database": type(error).__name__}), 503
        return jsonify({"status": "ok", "database": "ok"}), 200

    return bp
