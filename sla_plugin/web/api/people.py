"""People: who can do what?"""

from typing import Any

from flask import url_for
from marshmallow import fields

from sla_plugin.permissions import ROLES
from sla_plugin.services import people as changes
from sla_plugin.services.session_settings import open_sessions
from sla_plugin.store.db import Transaction
from sla_plugin.store.people import Person, get_person, list_people, lock_person
from sla_plugin.web.access import needs
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.lists import ListQuery, Sort, page_schema, short_page
from sla_plugin.web.api.problems import Problem
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Id, Instant, Shape, Text, Word
from sla_plugin.web.api.writing import begin
from sla_plugin.web.runtime import Runtime

ORDERS = {"name": lambda person: person.name.casefold(), "email": lambda person: person.email, "id": lambda person: person.id}
_PERSON = "/people/<id:person_id>"


class PersonSchema(Shape):
    """Somebody who may sign in."""

    id = Id(required=True, dump_only=True)
    email = fields.String(required=True, dump_only=True)
    name = fields.String(required=True, dump_only=True)
    role = Word(ROLES, required=True)
    disabled = fields.Boolean(required=True, metadata={"description": "Let in no more: sessions have ended, tokens are refused."})
    language = fields.String(required=True, dump_only=True, allow_none=True)
    created_at = Instant(required=True, dump_only=True)


class InvitationSchema(Shape):
    """Somebody new."""

    email = Text(320, required=True)
    name = Text(200, required=True)
    role = Word(ROLES, required=True)


class LinkSchema(Shape):
    """A link by which a person sets a password, once."""

    link = fields.String(required=True, metadata={"description": "It works once; a newer one voids it. It is shown here, and never again."})
    expires_at = Instant(required=True)


class InvitedSchema(PersonSchema):
    """Somebody invited, with the link to send them."""

    link = fields.Nested(LinkSchema, required=True, dump_only=True)


class SessionSchema(Shape):
    """A browser somebody signed in with."""

    id = Id(required=True)
    begun_at = Instant(required=True)
    seen_at = Instant(required=True, metadata={"description": "The last use, to five minutes."})
    expires_at = Instant(required=True)
    source = fields.String(required=True, metadata={"description": "The network address."})
    browser = fields.String(required=True)


class EndedSchema(Shape):
    """How many sessions were ended."""

    ended = fields.Integer(required=True)


class PeopleQuery(ListQuery):
    """Parameters of the list of people."""

    role = Word(ROLES)
    sort = Sort(ORDERS, load_default=[("name", False), ("id", False)])


def resource(runtime: Runtime) -> Resource:
    """`/people`."""
    api = Resource("people", "Who may sign in, as what; their sessions and links.")

    @api.get("/people")
    @needs("people.read")
    @api.query(PeopleQuery)
    @api.gives(page_schema(PersonSchema))
    def list_everybody(query: dict[str, Any]) -> dict[str, Any]:
        """People of the tenant, the disabled ones too."""
        with runtime.database.reading(caller().tenant) as tx:
            people = [person for person in list_people(tx, caller().tenant) if query.get("role", person.role) == person.role]
        page = short_page(people, query, ORDERS)
        return {**page, "items": [_data(person) for person in page["items"]]}

    @api.post("/people")
    @needs("people.write")
    @api.body(InvitationSchema)
    @api.gives(InvitedSchema, 201)
    def invite_a_person(told: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
        """Invite somebody. They set a password by the link in the answer."""
        tx = begin(runtime)
        person, secret = changes.invite(tx, caller().tenant, told["email"], told["name"], told["role"], caller().now, caller().actor.name)
        answer = {**_data(_person(tx, person)), "link": _link(runtime, secret)}
        return answer, 201, {"Location": url_for("api_people.show_person", person_id=person)}

    @api.get(_PERSON)
    @needs("people.read")
    @api.versioned
    @api.gives(PersonSchema)
    def show_person(person_id: int) -> dict[str, Any]:
        """One person."""
        with runtime.database.reading(caller().tenant) as tx:
            return _data(_person(tx, person_id))

    @api.patch(_PERSON)
    @needs("people.write")
    @api.versioned
    @api.body(PersonSchema, partial=True)
    @api.gives(PersonSchema)
    def change_a_person(told: dict[str, Any], person_id: int) -> dict[str, Any]:
        """Give somebody another role, let them in no more, or again. Nobody does this to themselves, and the last admin stays."""
        tenant, now, actor = caller().tenant, caller().now, caller().actor
        with runtime.database.transaction(tenant) as tx:
            person = _found(lock_person(tx, tenant, person_id))
            api.check(_data(person), PersonSchema)
            if told.get("disabled") is False:
                changes.enable(tx, tenant, person, now, actor.name)
            if "role" in told:
                changes.change_role(tx, tenant, person, told["role"], now, actor.name, actor.person)
            if told.get("disabled"):
                changes.disable(tx, tenant, person, now, actor.name, actor.person)
            tx.refresh(person)
            return _data(person)

    @api.post(f"{_PERSON}/link")
    @needs("people.write")
    @api.gives(LinkSchema, 201)
    def make_a_link(person_id: int) -> dict[str, Any]:
        """Make a link by which somebody sets a new password. What they have stays valid until then."""
        tx = begin(runtime)
        return _link(runtime, changes.reset(tx, caller().tenant, _person(tx, person_id), caller().now, caller().actor.name))

    @api.get(f"{_PERSON}/sessions")
    @needs("people.read")
    @api.query(ListQuery)
    @api.gives(page_schema(SessionSchema))
    def list_sessions(query: dict[str, Any], person_id: int) -> dict[str, Any]:
        """Open sessions of a person, the last used first."""
        with runtime.database.reading(caller().tenant) as tx:
            return short_page(open_sessions(tx, caller().tenant, _person(tx, person_id).id, caller().now), query)

    @api.post(f"{_PERSON}/sign-out")
    @needs("people.write")
    @api.gives(EndedSchema)
    def sign_somebody_out(person_id: int) -> dict[str, int]:
        """End every session of a person."""
        tx = begin(runtime)
        return {"ended": changes.sign_out(tx, caller().tenant, _person(tx, person_id).id, caller().now, caller().actor.name)}

    return api


def _person(tx: Transaction, person: int) -> Person:
    return _found(get_person(tx, caller().tenant, person))


def _found(person: Person | None) -> Person:
    if person is None:
        raise Problem("not-found", "There is no such person here.")
    return person


def _data(person: Person) -> dict[str, Any]:
    told = {name: getattr(person, name) for name in ("id", "email", "name", "role", "language", "created_at")}
    return {**told, "disabled": person.disabled_at is not None}


def _link(runtime: Runtime, secret: str) -> dict[str, Any]:
    return {"link": f"{runtime.settings.public_url}{url_for('signing_in.welcome', secret=secret)}", "expires_at": caller().now + changes.LINK}
