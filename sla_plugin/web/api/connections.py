"""Connections: the accounts at helpdesks. Credentials are proved before they are stored; no answer holds one, but a secret that was just made."""

from dataclasses import replace
from typing import Any

from flask import url_for
from marshmallow import fields

from sla_plugin.reports.command_list import count_commands
from sla_plugin.services.change_connection import add_secret, record_check, retire_secret, set_mode, shown_secrets
from sla_plugin.services.connect_helpdesk import ConnectionForm, new_secret, prepare_connection, prove_connection, store_connection
from sla_plugin.services.recheck_credentials import prove_again
from sla_plugin.services.send_test_delivery import send_test_delivery
from sla_plugin.store.connections import MODES, Connection, find_by_name, get_connection, get_state, list_connections
from sla_plugin.store.db import Transaction
from sla_plugin.store.outbox import COMMAND_STATES
from sla_plugin.web.access import needs
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.lists import ListQuery, Sort, page_schema, short_page
from sla_plugin.web.api.problems import Problem, invalid
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Id, Instant, Shape, Text, Word
from sla_plugin.web.api.writing import begin, recall
from sla_plugin.web.runtime import Runtime

_CONNECTION = "/connections/<id:connection_id>"
_LIVE = "Writes to the helpdesk begin with this: breaches change its tickets. Send `sure: true` beside it."
ORDERS = {"name": lambda one: one["name"].casefold(), "id": lambda one: one["id"]}


class SecretSchema(Shape):
    """A webhook secret in force, by its fingerprint."""

    fingerprint = fields.String(required=True)
    added_at = Instant(required=True)


class ConnectionSchema(Shape):
    """An account at a helpdesk."""

    id = Id(required=True, dump_only=True)
    name = fields.String(required=True, dump_only=True, metadata={"description": "It stays."})
    connector = fields.String(required=True, dump_only=True, metadata={"description": "The kind of helpdesk; it stays."})
    base_url = Text(500, least=0, required=True, allow_none=True, metadata={"description": "The address of the helpdesk."})
    email = Text(320, least=0, required=True, allow_none=True, metadata={"description": "The helpdesk user that the token belongs to."})
    assignee = Text(64, least=0, required=True, allow_none=True, metadata={"description": "Who gets tickets that nobody has, at a breach."})
    mapping = fields.Dict(required=True, metadata={"description": "Words of this helpdesk: `status`, `priority`: {theirs: ours}, `unset_priority`: ours."})
    mode = Word(MODES, required=True, metadata={"description": "observe: nothing is planned; dry_run: it is kept, not sent; live: it is written."})
    proved = fields.List(fields.String(), required=True, dump_only=True, metadata={"description": "What the last check of the credentials found."})
    problems = fields.List(fields.String(), required=True, dump_only=True, metadata={"description": "What is wrong with them."})
    checked_at = Instant(required=True, dump_only=True, allow_none=True)
    webhook = fields.String(required=True, dump_only=True, metadata={"description": "The address where the helpdesk delivers."})
    secrets = fields.List(fields.Nested(SecretSchema), required=True, dump_only=True, metadata={"description": "Webhook secrets in force, the newest first."})
    has_token = fields.Boolean(required=True, dump_only=True)
    created_at = Instant(required=True, dump_only=True)


class ConnectionChangeSchema(ConnectionSchema):
    """What may be changed of a connection. Anything but the mode is proved at the helpdesk before it is stored."""

    token = Text(1000, load_only=True, metadata={"description": "A new API token; it is never answered."})
    sure = fields.Boolean(load_only=True, load_default=False, metadata={"description": "With mode live: yes, write."})


class NewConnectionSchema(Shape):
    """A connection to be made."""

    name = Text(200, required=True)
    connector = Text(40, required=True, metadata={"description": "The kind of helpdesk, such as zendesk."})
    base_url = Text(500, load_default=None, allow_none=True)
    email = Text(320, load_default=None, allow_none=True)
    token = Text(1000, load_default=None, allow_none=True)
    secret = Text(1000, load_default=None, allow_none=True, metadata={"description": "The sender's webhook secret; where both sides use ours, one is made."})
    assignee = Text(64, load_default=None, allow_none=True)
    mapping = fields.Dict(load_default=None, allow_none=True)
    mode = Word(MODES[:2], load_default="dry_run", metadata={"description": "It goes live by PATCH, once it is wired."})


class MadeConnectionSchema(ConnectionSchema):
    """A connection just made."""

    secret = fields.String(required=True, allow_none=True, metadata={"description": "The webhook secret, where we made it. It is shown here, and never again."})


class HealthSchema(Shape):
    """How traffic with a helpdesk goes."""

    last_delivery_at = Instant(required=True, allow_none=True)
    refused = fields.Integer(required=True, metadata={"description": "Deliveries refused at the door: forged or stale."})
    refused_at = Instant(required=True, allow_none=True)
    refused_reason = fields.String(required=True, allow_none=True)
    paused_until = Instant(required=True, allow_none=True, metadata={"description": "Until then nothing is written."})
    paused_reason = fields.String(required=True, allow_none=True)
    failures = fields.Integer(required=True, metadata={"description": "Calls that failed in a row."})
    limit_remaining = fields.Integer(required=True, allow_none=True, metadata={"description": "Calls left in the helpdesk's window."})
    commands = fields.Dict(
        required=True, metadata={"description": f"How many commands are in each state ({', '.join(COMMAND_STATES)}); counting ends at 10,000."}
    )


class NewSecretSchema(Shape):
    """A webhook secret to be added."""

    secret = Text(1000, load_default=None, allow_none=True, metadata={"description": "The sender's; none: one is made."})


class MadeSecretSchema(SecretSchema):
    """A webhook secret just added."""

    secret = fields.String(required=True, allow_none=True, metadata={"description": "Where we made it. It is shown here, and never again."})


class RetiredSchema(Shape):
    """A webhook secret to be retired."""

    fingerprint = Text(8, required=True, metadata={"description": "Which one; `old`: all but the newest."})


class StoredTestSchema(Shape):
    """A delivery of our own, signed and stored as the sender's would be."""

    delivery_id = Id(required=True)


class ConnectionQuery(ListQuery):
    """Parameters of the list of connections."""

    sort = Sort(ORDERS, load_default=[("name", False)])


def resource(runtime: Runtime) -> Resource:
    """`/connections`."""
    api = Resource("connections", "The accounts at helpdesks: wired both ways, proved, and how traffic goes.")

    def data(connection: Connection) -> dict[str, Any]:
        told = {name: getattr(connection, name) for name in ("id", "name", "connector", "base_url", "email", "mapping", "mode", "checked_at", "created_at")}
        return {
            **told,
            "assignee": connection.assignee or "",
            "proved": connection.facts.get("proved") or [],
            "problems": connection.facts.get("problems") or [],
            "webhook": f"{runtime.settings.public_url}/webhooks/{connection.public_id}",
            "secrets": shown_secrets(connection, runtime.outside),
            "has_token": connection.sealed_token is not None,
        }

    @api.get("/connections")
    @needs("connections.read")
    @api.query(ConnectionQuery)
    @api.gives(page_schema(ConnectionSchema))
    def list_all_connections(query: dict[str, Any]) -> dict[str, Any]:
        """Connections by name."""
        with runtime.database.reading(caller().tenant) as tx:
            return short_page([data(connection) for connection in list_connections(tx, caller().tenant)], query, ORDERS)

    @api.post("/connections")
    @needs("connections.write")
    @api.body(NewConnectionSchema)
    @api.gives(MadeConnectionSchema, 201)
    def make_a_connection(told: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
        """Make a connection. Its credentials are proved at the helpdesk first; it writes nothing yet."""
        recall(runtime)
        tenant, outside = caller().tenant, runtime.outside
        if told["connector"] not in outside.connectors:
            raise invalid({"connector": f"There is no such connector; there are {', '.join(outside.connectors)}."})
        with runtime.database.reading(tenant) as tx:
            draft = prepare_connection(tx, tenant, ConnectionForm(**told), outside, allow_private=runtime.settings.allow_private_urls, update=False)
        facts = prove_connection(draft, outside)
        tx = begin(runtime)
        made = store_connection(tx, tenant, draft, facts, caller().now, caller().actor.name, outside)
        connection = find_by_name(tx, tenant, made.name)
        assert connection is not None
        return {**data(connection), "secret": made.secret}, 201, {"Location": url_for("api_connections.show_connection", connection_id=connection.id)}

    @api.get(_CONNECTION)
    @needs("connections.read")
    @api.versioned
    @api.gives(ConnectionSchema)
    def show_connection(connection_id: int) -> dict[str, Any]:
        """One connection. How its traffic goes is told apart, so that traffic does not change what one is about to change."""
        with runtime.database.reading(caller().tenant) as tx:
            return data(_found(tx, connection_id))

    @api.patch(_CONNECTION)
    @needs("connections.write")
    @api.versioned
    @api.body(ConnectionChangeSchema, partial=True)
    @api.gives(ConnectionSchema)
    def change_a_connection(told: dict[str, Any], connection_id: int) -> dict[str, Any]:
        """Change settings, credentials or the mode. What is sent and different is proved at the helpdesk before it is stored."""
        tenant, outside, now, actor = caller().tenant, runtime.outside, caller().now, caller().actor.name
        sure, mode = told.pop("sure", False), told.pop("mode", None)
        with runtime.database.reading(tenant) as tx:
            connection = _found(tx, connection_id)
            before = data(connection)
            api.check(before, ConnectionSchema)
            changed = {name: value for name, value in _without_null(told).items() if name == "token" or value != before[name]}
            if mode == "live" and before["mode"] != "live" and not sure:
                raise invalid({"sure": _LIVE})
            form = replace(ConnectionForm(name=connection.name, connector=connection.connector), **changed)
            draft = prepare_connection(tx, tenant, form, outside, allow_private=runtime.settings.allow_private_urls, update=True) if changed else None
        facts = prove_connection(draft, outside) if draft is not None else None
        with runtime.database.transaction(tenant) as tx:
            connection = _found(tx, connection_id)
            api.check(data(connection), ConnectionSchema)
            if draft is not None:
                store_connection(tx, tenant, draft, facts, now, actor, outside)
                tx.refresh(connection)
            if mode is not None:
                set_mode(tx, tenant, connection.name, mode, now, actor, outside)
                tx.refresh(connection)
            return data(connection)

    @api.get(f"{_CONNECTION}/health")
    @needs("connections.read")
    @api.gives(HealthSchema)
    def show_health_of_connection(connection_id: int) -> dict[str, Any]:
        """How traffic with the helpdesk goes, both ways."""
        with runtime.database.reading(caller().tenant) as tx:
            state = get_state(tx, caller().tenant, _found(tx, connection_id).id)
            counts = count_commands(tx, caller().tenant, connection_id)
        told = {name: getattr(state, name) for name in HealthSchema._declared_fields if name != "commands"}
        return {**told, "commands": {name: one.number for name, one in counts.items()}}

    @api.post(f"{_CONNECTION}/check")
    @needs("connections.write")
    @api.gives(ConnectionSchema)
    def check_credentials(connection_id: int) -> dict[str, Any]:
        """Prove the credentials at the helpdesk again. What is wrong with them stands in `problems`."""
        recall(runtime)
        with runtime.database.reading(caller().tenant) as tx:
            asked = _found(tx, connection_id)
        facts = prove_again(asked, runtime.outside)
        tx = begin(runtime)
        connection = _found(tx, connection_id)
        record_check(tx, caller().tenant, connection, facts, caller().now, caller().actor.name)
        tx.refresh(connection)
        return data(connection)

    @api.post(f"{_CONNECTION}/test")
    @needs("connections.write")
    @api.gives(StoredTestSchema, 201)
    def send_a_test_delivery(connection_id: int) -> tuple[dict[str, int], int, dict[str, str]]:
        """Sign and store a delivery of our own, as the sender would. What becomes of it stands at its address."""
        tx = begin(runtime)
        delivery = send_test_delivery(tx, _found(tx, connection_id), caller().now, caller().actor.name, runtime.outside)
        return {"delivery_id": delivery}, 201, {"Location": url_for("api_deliveries.show_delivery", delivery_id=delivery)}

    @api.post(f"{_CONNECTION}/secrets")
    @needs("connections.write")
    @api.body(NewSecretSchema)
    @api.gives(MadeSecretSchema, 201)
    def add_a_secret(told: dict[str, Any], connection_id: int) -> dict[str, Any]:
        """Add a webhook secret beside the one in force, to rotate. Both are valid until the old one is retired."""
        tx = begin(runtime)
        connection, secret = _found(tx, connection_id), told["secret"] or new_secret()
        kept = add_secret(tx, caller().tenant, connection.name, secret, caller().now, caller().actor.name, runtime.outside)
        return {**kept[0], "secret": None if told["secret"] else secret}

    @api.post(f"{_CONNECTION}/secrets/retire")
    @needs("connections.write")
    @api.body(RetiredSchema)
    @api.gives(ConnectionSchema)
    def retire_a_secret(told: dict[str, Any], connection_id: int) -> dict[str, Any]:
        """Retire a webhook secret: deliveries signed with it are refused from now on. The last one stays."""
        tx = begin(runtime)
        connection = _found(tx, connection_id)
        retire_secret(tx, caller().tenant, connection.name, told["fingerprint"], caller().now, caller().actor.name, runtime.outside)
        tx.refresh(connection)
        return data(connection)

    return api


def _found(tx: Transaction, connection: int) -> Connection:
    found = get_connection(tx, caller().tenant, connection)
    if found is None:
        raise Problem("not-found", "There is no such connection here.")
    return found


def _without_null(told: dict[str, Any]) -> dict[str, Any]:
    """Null takes away: an empty text to the service."""
    return {name: "" if value is None else value for name, value in told.items()}
