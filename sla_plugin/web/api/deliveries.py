"""Deliveries: what helpdesks sent, what became of it, and putting it back into the inbox."""

from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import fields

from sla_plugin.reports.delivery_list import LISTING, STATES, count_deliveries, list_deliveries
from sla_plugin.reports.export_rows import written_out
from sla_plugin.reports.trace import chain_of
from sla_plugin.services.replay_delivery import requeue_deliveries
from sla_plugin.store.connections import list_connections
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import STATES as ALL_STATES
from sla_plugin.store.deliveries import Delivery, get_delivery
from sla_plugin.store.tenants import get_tenant
from sla_plugin.web.access import needs
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.lists import PeriodQuery, filters_of, page_schema, period, sorts_of, walk, walked_page
from sla_plugin.web.api.problems import Problem
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Id, Instant, Shape, Text, Word
from sla_plugin.web.api.writing import begin
from sla_plugin.web.looks import note_look
from sla_plugin.web.runtime import Runtime

_DELIVERY = "/deliveries/<id:delivery_id>"


class DeliverySchema(Shape):
    """One request of a helpdesk, as it was taken in."""

    id = Id(required=True)
    connection_id = Id(required=True)
    received_at = Instant(required=True)
    state = fields.String(required=True, metadata={"enum": list(ALL_STATES)})
    reason = fields.String(required=True, allow_none=True, metadata={"description": "Why it was ignored, or could not be read or applied."})
    tries = fields.Integer(required=True)
    duplicates = fields.Integer(required=True, metadata={"description": "How often the same one came again."})
    history = fields.Boolean(required=True, metadata={"description": "It tells of an imported past."})
    applied_at = Instant(required=True, allow_none=True)
    became = fields.Dict(required=True, allow_none=True, metadata={"description": "What it told: how many events, of which tickets."})


class TracedDeliverySchema(DeliverySchema):
    """A delivery with what became of it."""

    key = fields.String(required=True, metadata={"description": "By which the same delivery is known when it comes again."})
    has_body = fields.Boolean(required=True, metadata={"description": "Its body is still kept."})
    events = fields.List(fields.Dict(), required=True)
    tickets = fields.List(
        fields.Dict(), required=True, metadata={"description": "By ticket, the alerts, commands and calls since, as `sla-plugin trace --json` has them."}
    )


class BodySchema(Shape):
    """A delivery as it came."""

    headers = fields.Dict(required=True)
    body = fields.String(required=True, allow_none=True, metadata={"description": "As text; None where it is no longer kept."})


class DeliveryQuery(PeriodQuery):
    """Parameters of the list of deliveries."""

    state = Word(tuple(STATES), metadata={"description": "Those that wait, and those that changed nothing; nearly all others are applied."})
    connection = Id()
    q = Text(200, metadata={"description": "An id, a delivery key, or a ticket's number."})
    sort = sorts_of(LISTING)


def resource(runtime: Runtime) -> Resource:
    """`/deliveries`."""
    api = Resource("deliveries", "What helpdesks sent, what became of it, and putting it back into the inbox.")

    @api.get("/deliveries")
    @needs("deliveries.read")
    @api.query(DeliveryQuery)
    @api.gives(page_schema(DeliverySchema))
    def list_all_deliveries(query: dict[str, Any]) -> dict[str, Any]:
        """Deliveries of a period, the latest first."""
        tenant, filters, text = caller().tenant, filters_of(query, "state", "connection"), query.get("q", "")
        with runtime.database.reading(tenant) as tx:
            since, until = period(query, ZoneInfo(get_tenant(tx, tenant).time_zone), caller().now)
            among = [connection.id for connection in list_connections(tx, tenant)]
            if "connection" in query:
                among = [one for one in among if one == query["connection"]]
            page = walk(
                LISTING,
                query,
                lambda after, limit: list_deliveries(
                    tx, tenant, among, filters=filters, text=text, since=since, until=until, sort=query["sort"], after=after, limit=limit
                ),
            )
            count = count_deliveries(tx, tenant, among, filters=filters, text=text, since=since, until=until)
        return walked_page(LISTING, query, page, count, page.rows)

    @api.get(_DELIVERY)
    @needs("deliveries.read")
    @api.gives(TracedDeliverySchema)
    def show_delivery(delivery_id: int) -> dict[str, Any]:
        """One delivery, and what became of it. Its body stands at an address of its own."""
        with runtime.database.reading(caller().tenant) as tx:
            delivery = _found(tx, delivery_id)
            chain = written_out(chain_of(tx, caller().tenant, delivery))
        whole = {"key": delivery.delivery_key, "has_body": delivery.body is not None}
        return {**_data(delivery), **whole, "events": _ids(chain["events"]), "tickets": _ids(chain["tickets"])}

    @api.get(f"{_DELIVERY}/body")
    @needs("deliveries.bodies")
    @api.gives(BodySchema)
    def show_body(delivery_id: int) -> dict[str, Any]:
        """A delivery as it came. Who looks is noted."""
        with runtime.database.reading(caller().tenant) as tx:
            delivery = _found(tx, delivery_id)
        note_look("body", delivery_id)
        return {"headers": delivery.headers, "body": None if delivery.body is None else delivery.body.decode("utf-8", errors="replace")}

    @api.post(f"{_DELIVERY}/replay")
    @needs("deliveries.replay")
    @api.gives(DeliverySchema, 202)
    def replay(delivery_id: int) -> dict[str, Any]:
        """Put a delivery back into the inbox. What was applied already changes nothing."""
        tx = begin(runtime)
        delivery = _found(tx, delivery_id)
        requeue_deliveries(tx, caller().tenant, [delivery], caller().now, caller().actor.name, runtime.outside)
        tx.refresh(delivery)
        return _data(delivery)

    return api


def _found(tx: Transaction, delivery: int) -> Delivery:
    found = get_delivery(tx, caller().tenant, delivery)
    if found is None:
        raise Problem("not-found", "There is no such delivery here.")
    return found


def _data(delivery: Delivery) -> dict[str, Any]:
    return {name: getattr(delivery, name) for name in DeliverySchema._declared_fields}


def _ids(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ids as texts of digits, as everywhere in the API."""
    return [{name: str(value) if name.endswith("_id") and value is not None else value for name, value in row.items()} for row in rows]
