"""Actions: what was and will be written to helpdesks, why, and how it went."""

from typing import Any

from marshmallow import fields

from sla_plugin.reports.command_list import LISTING, count_commands, list_commands
from sla_plugin.reports.lists import Count
from sla_plugin.services.retry_commands import retry_commands
from sla_plugin.store.db import Transaction
from sla_plugin.store.outbox import COMMAND_STATES, CommandRow, get_call, get_command
from sla_plugin.web.access import needs
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.lists import LongListQuery, filters_of, page_schema, sorts_of, walk, walked_page
from sla_plugin.web.api.problems import Problem
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Id, Instant, Shape, Word
from sla_plugin.web.api.writing import begin
from sla_plugin.web.runtime import Runtime

_ACTION = "/actions/<id:action_id>"


class CallSchema(Shape):
    """The request to the helpdesk that carried an action last."""

    id = Id(required=True)
    state = fields.String(required=True)
    marker = fields.String(required=True, metadata={"description": "By which it is found again at the helpdesk."})
    tries = fields.Integer(required=True)
    status = fields.Integer(required=True, allow_none=True, metadata={"description": "The HTTP status of the last answer."})
    reason = fields.String(required=True, allow_none=True)
    created_at = Instant(required=True)
    tried_at = Instant(required=True, allow_none=True)
    settled_at = Instant(required=True, allow_none=True)


class ActionSchema(Shape):
    """One intent, such as a comment at a breach."""

    id = Id(required=True)
    connection_id = Id(required=True)
    ticket_id = Id(required=True)
    external_id = fields.String(required=True, metadata={"description": "The ticket's number in the helpdesk."})
    kind = fields.String(required=True)
    payload = fields.Dict(required=True, metadata={"description": "What is asked of the helpdesk."})
    cause = fields.Dict(required=True, metadata={"description": "The clock and level behind it."})
    state = fields.String(required=True, metadata={"enum": list(COMMAND_STATES)})
    reason = fields.String(required=True, allow_none=True, metadata={"description": "Why it failed, or is not needed any more."})
    created_at = Instant(required=True)
    due_at = Instant(required=True, metadata={"description": "The instant of the verdict behind it."})
    settled_at = Instant(required=True, allow_none=True)
    call = fields.Nested(CallSchema, required=True, allow_none=True)


class ActionQuery(LongListQuery):
    """Parameters of the list of actions."""

    state = Word(COMMAND_STATES)
    connection = Id()
    sort = sorts_of(LISTING)


def resource(runtime: Runtime) -> Resource:
    """`/actions`."""
    api = Resource("actions", "What was and will be written to helpdesks: pending, calling, then sent, overtaken or failed; dry_run is kept and never sent.")

    @api.get("/actions")
    @needs("outbox.read")
    @api.query(ActionQuery)
    @api.gives(page_schema(ActionSchema))
    def list_all_actions(query: dict[str, Any]) -> dict[str, Any]:
        """Actions, the latest first."""
        tenant, filters = caller().tenant, filters_of(query, "state", "connection")
        with runtime.database.reading(tenant) as tx:
            page = walk(LISTING, query, lambda after, limit: list_commands(tx, tenant, filters=filters, sort=query["sort"], after=after, limit=limit))
            counts = count_commands(tx, tenant, query.get("connection"), [query["state"]] if "state" in query else COMMAND_STATES)
        count = Count(sum(one.number for one in counts.values()), any(one.more for one in counts.values()))
        return walked_page(LISTING, query, page, count, [_data(row.CommandRow, row.CallRow) for row in page.rows])

    @api.get(_ACTION)
    @needs("outbox.read")
    @api.gives(ActionSchema)
    def show_action(action_id: int) -> dict[str, Any]:
        """One action, and the call that carried it last."""
        with runtime.database.reading(caller().tenant) as tx:
            return _one(tx, _found(tx, action_id))

    @api.post(f"{_ACTION}/retry")
    @needs("outbox.retry")
    @api.gives(ActionSchema, 202)
    def retry(action_id: int) -> dict[str, Any]:
        """Give an action that failed another chance. Its connection must be live."""
        tx = begin(runtime)
        action = _found(tx, action_id)
        if not retry_commands(tx, caller().tenant, caller().now, caller().actor.name, runtime.outside, command=action_id):
            raise Problem("not-possible", f"It has not failed: it is {action.state}.")
        tx.refresh(action)
        return _one(tx, action)

    return api


def _found(tx: Transaction, action: int) -> CommandRow:
    found = get_command(tx, caller().tenant, action)
    if found is None:
        raise Problem("not-found", "There is no such action here.")
    return found


def _one(tx: Transaction, action: CommandRow) -> dict[str, Any]:
    return _data(action, None if action.call_id is None else get_call(tx, caller().tenant, action.call_id))


def _data(action: Any, call: Any) -> dict[str, Any]:
    return {**{name: getattr(action, name) for name in ActionSchema._declared_fields if name != "call"}, "call": call}
