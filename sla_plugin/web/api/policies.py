"""Policies: who is promised what? Every change is a new version, in force from now on."""

from collections.abc import Mapping
from typing import Any

from flask import Response, url_for
from marshmallow import fields

from sla_plugin.actions.registry import ACTIONS
from sla_plugin.engine.facts import STATUSES
from sla_plugin.engine.policies import ALWAYS_OPEN, Policy
from sla_plugin.errors import InvalidDefinition
from sla_plugin.reports.queries import open_tickets_by_policy, versions_of_policy
from sla_plugin.services.apply_policy_file import apply_policy_file, read_policy_file_data, read_stored, warnings_of
from sla_plugin.services.delete_policy import delete_policy
from sla_plugin.store.db import Transaction
from sla_plugin.store.policies import Policy as PolicyRow
from sla_plugin.store.policies import get_policy, policy_ids, policy_versions
from sla_plugin.store.tenants import lock_books
from sla_plugin.web.access import needs
from sla_plugin.web.api.definitions import VersionedSchema, VersionSchema, read_as_body, version_data, without_nulls
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.lists import ListQuery, Sort, page_schema, short_page
from sla_plugin.web.api.problems import Problem, invalid
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Id, Shape, Text
from sla_plugin.web.api.writing import begin
from sla_plugin.web.runtime import Runtime

# what a definition says where it says nothing; answers say it, and what is sent back is no change
DEFAULTS: Mapping[str, Any] = {"description": "", "active": True, "default": False, "position": 100, "calendar": ALWAYS_OPEN, "warning": 80, "critical": 95}
ORDERS = {
    "position": lambda one: (not one["active"], one["default"], one["position"], one["name"]),
    "name": lambda one: one["name"],
    "id": lambda one: one["id"],
}
_POLICY = "/sla/policies/<id:policy_id>"
_PLACE = "policies[0]"  # of a definition in the file that is made of it


def _said(kind: str | list[str], description: str, **more: Any) -> fields.Raw:
    """A field that the engine reads: it says what is wrong better than a schema could."""
    return fields.Raw(allow_none=True, metadata={"type": kind, "description": description, **more})


class PolicySchema(VersionedSchema):
    """A policy, as in a policy file (docs/policies.md has every field)."""

    id = Id(required=True, dump_only=True)
    name = Text(200, required=True, metadata={"description": "It stays; files and tickets call the policy so."})
    description = _said("string", "For people.")
    active = _said("boolean", "Inactive ones are promised to nobody.")
    default = _said("boolean", "Tried after all others.")
    position = _said("integer", "Policies are tried in this order.")
    applies_to = _said("object", "A condition on the ticket; none: every ticket.")
    calendar = _said(["string", "object"], "The calendar that time is counted by, `24x7`, or `{cover: [ours, theirs]}`.")
    targets = _said("object", "Metric: duration, or priority: duration.")
    warning = _said("integer", "Percent of the target.")
    critical = _said("integer", "Percent of the target.")
    pause_in = _said("array", "Statuses in which resolution is on hold.", items={"type": "string", "enum": list(STATUSES)})
    resolution = _said("object", "`starts` and `stops`.")
    on_change = _said("string", "What a change does to a running clock: `keep`, `restart` or `from_now`.")
    metrics = _said("object", "Options by metric, and metrics of your own.")
    tiers = _said("array", "Clocks of each tier.", items={"type": "object"})
    on_breach = _said("array", "Actions at a breach, in order.", items={"type": "string", "enum": list(ACTIONS)})


class PolicyQuery(ListQuery):
    """Parameters of the list of policies."""

    active = fields.Boolean(metadata={"description": "Only those that are, or are not."})
    sort = Sort(ORDERS, load_default=[("position", False)])


class WarningsSchema(Shape):
    """What works but is hardly meant."""

    warnings = fields.List(fields.String(), required=True)


def resource(runtime: Runtime) -> Resource:
    """`/sla/policies`."""
    api = Resource("policies", "Who is promised what. Every change is a new version; open tickets follow it within seconds.")

    @api.get("/sla/policies")
    @needs("policies.read")
    @api.query(PolicyQuery)
    @api.gives(page_schema(PolicySchema))
    def list_policies(query: dict[str, Any]) -> dict[str, Any]:
        """Policies in the order in which they are tried."""
        with runtime.database.reading(caller().tenant) as tx:
            newest = {version.policy_id: (name, version) for name, version in policy_versions(tx, caller().tenant)}
        rows = [_data(policy, name, version) for policy, (name, version) in newest.items()]
        return short_page([row for row in rows if query.get("active", row["active"]) == row["active"]], query, ORDERS)

    @api.post("/sla/policies")
    @needs("policies.write")
    @api.body(PolicySchema)
    @api.gives(PolicySchema, 201)
    def make_policy(told: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
        """Make a policy. It is in force at once, unless it is inactive."""
        tx = begin(runtime)
        lock_books(tx, caller().tenant)
        if told["name"] in read_stored(tx, caller().tenant).policies:
            raise invalid({"name": f"There is a policy {told['name']} already; change that one, or choose another name."})
        _save(tx, without_nulls(told))
        return made(tx, policy_ids(tx, caller().tenant)[told["name"]])

    @api.get("/sla/policies/warnings")
    @needs("policies.read")
    @api.gives(WarningsSchema)
    def warn_of_policies() -> dict[str, Any]:
        """What of the policies works but is hardly meant: ones that never get a ticket, tickets that get none."""
        with runtime.database.reading(caller().tenant) as tx:
            stored = read_stored(tx, caller().tenant)
        return {"warnings": warnings_of([Policy.from_definition(definition, name) for name, (_, definition) in stored.policies.items()])}

    @api.get(_POLICY)
    @needs("policies.read")
    @api.versioned
    @api.gives(PolicySchema)
    def show_policy(policy_id: int) -> dict[str, Any]:
        """One policy, in its newest version."""
        with runtime.database.reading(caller().tenant) as tx:
            return newest_of(tx, policy_id)

    @api.get(f"{_POLICY}/versions")
    @needs("policies.read")
    @api.query(ListQuery)
    @api.gives(page_schema(VersionSchema))
    def list_policy_versions(query: dict[str, Any], policy_id: int) -> dict[str, Any]:
        """Every version of a policy, the newest first."""
        with runtime.database.reading(caller().tenant) as tx:
            _row(tx, policy_id)
            return short_page(versions_of_policy(tx, caller().tenant, policy_id), query)

    @api.put(_POLICY)
    @needs("policies.write")
    @api.versioned
    @api.body(PolicySchema)
    @api.gives(PolicySchema)
    def replace_policy(told: dict[str, Any], policy_id: int) -> dict[str, Any]:
        """Put another definition in force. What is not said goes back to its default."""
        return _change(runtime, api, policy_id, lambda stored: _without_defaults(told, stored))

    @api.patch(_POLICY)
    @needs("policies.write")
    @api.versioned
    @api.body(PolicySchema, partial=True)
    @api.gives(PolicySchema)
    def change_policy(told: dict[str, Any], policy_id: int) -> dict[str, Any]:
        """Change fields of a policy; null takes one back to its default."""
        return _change(runtime, api, policy_id, lambda stored: {**stored, **_without_defaults(told, {**stored, **told})})

    @api.delete(_POLICY)
    @needs("policies.write")
    @api.versioned
    @api.gives(None, 204)
    def take_policy_away(policy_id: int) -> Response:
        """Delete a policy that was never in force. One that was stays, since tickets were judged by it: make it inactive."""
        tenant = caller().tenant
        with runtime.database.transaction(tenant) as tx:
            lock_books(tx, tenant)
            api.check(newest_of(tx, policy_id), PolicySchema)
            try:
                delete_policy(tx, tenant, policy_id, caller().now, caller().actor.name)
            except InvalidDefinition as problem:
                covered = open_tickets_by_policy(tx, tenant).get(policy_id, 0)
                used = [f"{covered} open tickets", "tickets and records of the past"] if covered else ["tickets and records of the past"]
                raise Problem("in-use", f"{problem.problem[0].upper()}{problem.problem[1:]}.", used_by=used) from None
        return Response(status=204)

    return api


def newest_of(tx: Transaction, policy: int) -> dict[str, Any]:
    """A policy as it is answered. Raises Problem where there is none."""
    row = _row(tx, policy)
    return _data(row.id, row.name, versions_of_policy(tx, caller().tenant, policy)[0])


def made(tx: Transaction, policy: int) -> tuple[dict[str, Any], int, dict[str, str]]:
    """The answer of a policy that was just made."""
    return newest_of(tx, policy), 201, {"Location": url_for("api_policies.show_policy", policy_id=policy)}


def _row(tx: Transaction, policy: int) -> PolicyRow:
    row = get_policy(tx, caller().tenant, policy)
    if row is None:
        raise Problem("not-found", "There is no such policy here.")
    return row


def _change(runtime: Runtime, api: Resource, policy: int, change: Any) -> dict[str, Any]:
    with runtime.database.transaction(caller().tenant) as tx:
        lock_books(tx, caller().tenant)
        row = _row(tx, policy)
        api.check(newest_of(tx, policy), PolicySchema)
        definition = without_nulls(change(versions_of_policy(tx, caller().tenant, policy)[0].definition))
        if definition.setdefault("name", row.name) != row.name:
            raise invalid({"name": f"A policy keeps its name, here {row.name}: files and tickets call it so."})
        _save(tx, definition)
        return newest_of(tx, policy)


def _save(tx: Transaction, definition: Mapping[str, Any]) -> None:
    with read_as_body(_PLACE):
        apply_policy_file(tx, caller().tenant, read_policy_file_data({"policies": [definition]}), caller().now, caller().actor.name)


def _without_defaults(told: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """What is told, but for defaults that the stored definition left out, too."""
    return {name: value for name, value in told.items() if name in stored or name not in DEFAULTS or value != DEFAULTS[name]}


def _data(policy: int, name: str, version: Any) -> dict[str, Any]:
    return {**DEFAULTS, **version.definition, "name": name, "id": policy, **version_data(version)}
