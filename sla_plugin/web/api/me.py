"""Who the token acts for."""

from typing import Any

from marshmallow import fields

from sla_plugin.permissions import ROLES
from sla_plugin.store.people import get_person
from sla_plugin.store.tenants import get_tenant
from sla_plugin.web.access import needs
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Id, Shape, Word
from sla_plugin.web.runtime import Runtime


class TenantSchema(Shape):
    """The tenant that a token is of."""

    id = Id(required=True)
    name = fields.String(required=True)
    time_zone = fields.String(required=True)


class MeSchema(Shape):
    """Whom a token acts for, and what is left of their role."""

    id = Id(required=True)
    name = fields.String(required=True)
    email = fields.String(required=True)
    role = Word(ROLES, required=True)
    permissions = fields.List(fields.String(), required=True, metadata={"description": "What this token may do."})
    tenant = fields.Nested(TenantSchema, required=True)


def resource(runtime: Runtime) -> Resource:
    """`/me`."""
    api = Resource("me", "Who the token acts for.")

    @api.get("/me")
    @needs("account.use")
    @api.gives(MeSchema)
    def show_me() -> dict[str, Any]:
        """Whom the token acts for, and what it may do."""
        actor = caller().actor
        with runtime.database.reading(actor.tenant) as tx:
            person, tenant = get_person(tx, actor.tenant, actor.person), get_tenant(tx, actor.tenant)
        assert person is not None
        return {"id": person.id, "name": person.name, "email": person.email, "role": actor.role, "permissions": sorted(actor.permissions), "tenant": tenant}

    return api
