"""API tokens: what may programs do?"""

from typing import Any

from flask import Response, url_for
from marshmallow import fields

from sla_plugin.permissions import PERMISSIONS
from sla_plugin.services.tokens import LONGEST, make_token, revoke_token
from sla_plugin.store.credentials import Token, get_token, list_tokens
from sla_plugin.store.db import Transaction
from sla_plugin.store.people import get_person
from sla_plugin.web.access import needs
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.lists import ListQuery, Sort, Whole, page_schema, short_page
from sla_plugin.web.api.problems import Problem
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Id, Instant, Shape, Text, Word
from sla_plugin.web.api.writing import begin
from sla_plugin.web.runtime import Runtime

ORDERS = {"id": lambda token: token.id, "name": lambda token: token.name.casefold()}


class TokenSchema(Shape):
    """A token, without what it is proved by."""

    id = Id(required=True, dump_only=True)
    name = Text(200, required=True, metadata={"description": "What it is for."})
    scopes = fields.List(Word(PERMISSIONS), required=True, metadata={"description": "Permissions, none beyond the role of whom it acts for."})
    person_id = Id(required=True, dump_only=True, metadata={"description": "Whom it acts for."})
    prefix = fields.String(required=True, dump_only=True, metadata={"description": "The eight digits after `sla_`."})
    made_by = fields.String(required=True, dump_only=True)
    made_at = Instant(required=True, dump_only=True)
    expires_at = Instant(required=True, dump_only=True, allow_none=True)
    used_at = Instant(required=True, dump_only=True, allow_none=True, metadata={"description": "The last use, to five minutes."})
    revoked_at = Instant(required=True, dump_only=True, allow_none=True)


class NewTokenSchema(TokenSchema):
    """A token to be made."""

    days = Whole(1, LONGEST, load_default=None, load_only=True, allow_none=True, metadata={"description": "Days until it expires; none: until it is revoked."})


class MadeTokenSchema(TokenSchema):
    """A token just made."""

    secret = fields.String(required=True, dump_only=True, metadata={"description": "What programs send. It is shown here, and never again."})


class TokenQuery(ListQuery):
    """Parameters of the list of tokens."""

    sort = Sort(ORDERS, load_default=[("id", True)])


def resource(runtime: Runtime) -> Resource:
    """`/tokens`."""
    api = Resource("tokens", "API tokens: names, scopes, last use. A token acts for the person who made it, within its scopes.")

    @api.get("/tokens")
    @needs("tokens.read")
    @api.query(TokenQuery)
    @api.gives(page_schema(TokenSchema))
    def list_all_tokens(query: dict[str, Any]) -> dict[str, Any]:
        """Tokens of the tenant, the newest first; revoked ones too."""
        with runtime.database.reading(caller().tenant) as tx:
            return short_page(list_tokens(tx, caller().tenant), query, ORDERS)

    @api.post("/tokens")
    @needs("tokens.write")
    @api.body(NewTokenSchema)
    @api.gives(MadeTokenSchema, 201)
    def make_a_token(told: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
        """Make a token that acts for oneself. It may do no more than the token that makes it."""
        beyond = sorted(set(told["scopes"]) - caller().actor.permissions)
        if beyond:
            raise Problem("forbidden", f"{', '.join(beyond)}: beyond what this token may do itself.")
        tx = begin(runtime)
        person = get_person(tx, caller().tenant, caller().actor.person)
        assert person is not None
        made = make_token(tx, person, told["name"], told["scopes"], told["days"], caller().now, caller().actor.name)
        token = _token(tx, made.id)
        return {**_data(token), "secret": made.secret}, 201, {"Location": url_for("api_tokens.show_token", token_id=made.id)}

    @api.get("/tokens/<id:token_id>")
    @needs("tokens.read")
    @api.versioned
    @api.gives(TokenSchema)
    def show_token(token_id: int) -> Token:
        """One token."""
        with runtime.database.reading(caller().tenant) as tx:
            return _token(tx, token_id)

    @api.delete("/tokens/<id:token_id>")
    @needs("tokens.write")
    @api.versioned
    @api.gives(None, 204)
    def revoke_a_token(token_id: int) -> Response:
        """Revoke a token: the next request with it is refused. It stays in the list."""
        with runtime.database.transaction(caller().tenant) as tx:
            api.check(_token(tx, token_id), TokenSchema)
            revoke_token(tx, caller().tenant, token_id, caller().now, caller().actor.name)
        return Response(status=204)

    return api


def _token(tx: Transaction, token: int) -> Token:
    found = get_token(tx, caller().tenant, token)
    if found is None:
        raise Problem("not-found", "There is no such token here.")
    return found


def _data(token: Token) -> dict[str, Any]:
    return {name: getattr(token, name) for name in TokenSchema._declared_fields}
