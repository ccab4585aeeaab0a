"""Published formats: GET /schemas/<connector>.json."""

from flask import Blueprint, Response, abort

from sla_plugin.services.outside import Outside


def blueprint(outside: Outside) -> Blueprint:
    """The schema endpoint."""
    bp = Blueprint("schemas", __name__)

    @bp.get("/schemas/<connector>.json")
    def schema(connector: str) -> Response:
        """The published JSON Schema of a connector's webhook bodies."""
        found = outside.connectors.get(connector)
        if found is None or found.body_schema is None:
            abort(404)
        return Response(found.body_schema.read_bytes(), content_type="application/schema+json")

    return bp
