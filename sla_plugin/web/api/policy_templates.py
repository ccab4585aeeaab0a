"""Templates: policies to begin with."""

from typing import Any

from marshmallow import fields

from sla_plugin.language import gettext
from sla_plugin.services.policy_templates import TEMPLATES
from sla_plugin.services.policy_templates import make_policy as make_from_template
from sla_plugin.store.tenants import lock_books
from sla_plugin.web.access import needs
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.lists import ListQuery, page_schema, short_page
from sla_plugin.web.api.policies import PolicySchema, made
from sla_plugin.web.api.problems import Problem
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Shape, Text
from sla_plugin.web.api.writing import begin
from sla_plugin.web.runtime import Runtime


class TemplateSchema(Shape):
    """A policy to begin with."""

    id = fields.String(required=True, metadata={"description": "It never changes."})
    name = fields.String(required=True, metadata={"description": "What a policy made of it is called."})
    summary = fields.String(required=True)
    calendar = fields.String(required=True, metadata={"description": "The calendar it counts by, made where it is missing."})
    definition = fields.Dict(required=True, metadata={"description": "As in a policy file."})


class FromTemplateSchema(Shape):
    """What may be said of a policy that is made of a template."""

    name = Text(200, metadata={"description": "Another name; without it the template's, with a number where it is taken."})
    active = fields.Boolean(load_default=False, metadata={"description": "In force at once; otherwise once it was read and changed."})


def resource(runtime: Runtime) -> Resource:
    """`/sla/templates`."""
    api = Resource("templates", "Policies to begin with. Nothing refers back to a template afterwards.")

    @api.get("/sla/templates")
    @needs("policies.read")
    @api.query(ListQuery)
    @api.gives(page_schema(TemplateSchema))
    def list_templates(query: dict[str, Any]) -> dict[str, Any]:
        """Every template."""
        page = short_page(list(TEMPLATES.values()), query)
        told = [{name: getattr(one, name) for name in ("id", "name", "calendar", "definition")} | {"summary": gettext(one.summary)} for one in page["items"]]
        return {**page, "items": told}

    @api.post("/sla/templates/<template>/create-policy")
    @needs("policies.write")
    @api.body(FromTemplateSchema)
    @api.gives(PolicySchema, 201)
    def make_policy_of_template(told: dict[str, Any], template: str) -> tuple[dict[str, Any], int, dict[str, str]]:
        """Make a policy of a template, with its calendar where that is missing; inactive unless said otherwise."""
        known = template.casefold().replace("-", "_")
        if known not in TEMPLATES:
            raise Problem("not-found", f"There is no such template; there are {', '.join(TEMPLATES)}.")
        tx = begin(runtime)
        lock_books(tx, caller().tenant)
        return made(tx, make_from_template(tx, caller().tenant, known, caller().now, caller().actor.name, told.get("name"), active=told["active"]))

    return api
