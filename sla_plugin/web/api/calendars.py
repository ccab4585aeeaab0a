"""Calendars: when do we work, exactly? Every change is a new version, in force from now on."""

from collections.abc import Mapping
from typing import Any

from flask import Response, url_for
from marshmallow import fields

from sla_plugin.engine.calendar_definitions import WEEKDAYS
from sla_plugin.engine.policies import ALWAYS_OPEN
from sla_plugin.reports.queries import versions_of_calendar
from sla_plugin.services.apply_policy_file import apply_policy_file, read_policy_file_data, read_stored
from sla_plugin.services.calendar_use import delete_calendar, ever_used_by, users_of
from sla_plugin.store.db import Transaction
from sla_plugin.store.policies import Calendar as CalendarRow
from sla_plugin.store.policies import calendar_ids, calendar_versions, get_calendar
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

ORDERS = {"name": lambda one: one["name"], "id": lambda one: one["id"]}
_CALENDAR = "/sla/calendars/<id:calendar_id>"


def _said(kind: str | list[str], description: str, **more: Any) -> fields.Raw:
    return fields.Raw(allow_none=True, metadata={"type": kind, "description": description, **more})


class CalendarSchema(VersionedSchema):
    """A calendar, as in a policy file (docs/policies.md has every field)."""

    id = Id(required=True, dump_only=True)
    name = Text(200, required=True, metadata={"description": "It stays; policies call the calendar so."})
    time_zone = fields.Raw(required=True, metadata={"type": "string", "description": "An IANA zone, such as Europe/Berlin."})
    hours = fields.Raw(
        required=True, metadata={"type": ["object", "string"], "description": f"`24x7`, or by weekday ({', '.join(WEEKDAYS)}) a list of `09:00-17:00`."}
    )
    holidays = _said("array", "Dates that are closed: `2026-12-25`, or `{date, name}`.", items={"type": ["string", "object"]})
    exceptions = _said("object", "Date: the hours of that date; none: closed.")
    breaks = _said("object", "Date: what is cut out of that date.")
    holidays_of = fields.Raw(
        allow_none=True,
        load_only=True,
        metadata={"type": ["object", "array"], "description": "Public holidays, copied in: `{country: DE, subdivision: BY, years: [2026, 2027]}`."},
    )


class CalendarQuery(ListQuery):
    """Parameters of the list of calendars."""

    sort = Sort(ORDERS, load_default=[("name", False)])


class UseSchema(Shape):
    """Who uses a calendar."""

    used_by = fields.List(fields.String(), required=True, metadata={"description": "Policies that count by it, or ask it, now."})


def resource(runtime: Runtime) -> Resource:
    """`/sla/calendars`."""
    api = Resource("calendars", "When time counts. Every change is a new version; what was counted before it stays.")

    @api.get("/sla/calendars")
    @needs("calendars.read")
    @api.query(CalendarQuery)
    @api.gives(page_schema(CalendarSchema))
    def list_calendars(query: dict[str, Any]) -> dict[str, Any]:
        """Calendars by name."""
        with runtime.database.reading(caller().tenant) as tx:
            newest = {version.calendar_id: (name, version) for name, version in calendar_versions(tx, caller().tenant)}
        return short_page([_data(calendar, name, version) for calendar, (name, version) in newest.items()], query, ORDERS)

    @api.post("/sla/calendars")
    @needs("calendars.write")
    @api.body(CalendarSchema)
    @api.gives(CalendarSchema, 201)
    def make_calendar(told: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
        """Make a calendar. It counts once a policy names it."""
        tx = begin(runtime)
        lock_books(tx, caller().tenant)
        name = told.pop("name")
        if name in {ALWAYS_OPEN, *read_stored(tx, caller().tenant).calendars}:
            raise invalid({"name": f"The name {name} is taken; choose another."})
        _save(tx, name, without_nulls(told))
        calendar = calendar_ids(tx, caller().tenant)[name]
        return _newest(tx, calendar), 201, {"Location": url_for("api_calendars.show_calendar", calendar_id=calendar)}

    @api.get(_CALENDAR)
    @needs("calendars.read")
    @api.versioned
    @api.gives(CalendarSchema)
    def show_calendar(calendar_id: int) -> dict[str, Any]:
        """One calendar, in its newest version."""
        with runtime.database.reading(caller().tenant) as tx:
            return _newest(tx, calendar_id)

    @api.get(f"{_CALENDAR}/use")
    @needs("calendars.read")
    @api.gives(UseSchema)
    def show_use_of_calendar(calendar_id: int) -> dict[str, Any]:
        """The policies that use a calendar now."""
        with runtime.database.reading(caller().tenant) as tx:
            return {"used_by": users_of(read_stored(tx, caller().tenant)).get(_row(tx, calendar_id).name, [])}

    @api.get(f"{_CALENDAR}/versions")
    @needs("calendars.read")
    @api.query(ListQuery)
    @api.gives(page_schema(VersionSchema))
    def list_calendar_versions(query: dict[str, Any], calendar_id: int) -> dict[str, Any]:
        """Every version of a calendar, the newest first."""
        with runtime.database.reading(caller().tenant) as tx:
            _row(tx, calendar_id)
            return short_page(versions_of_calendar(tx, caller().tenant, calendar_id), query)

    @api.put(_CALENDAR)
    @needs("calendars.write")
    @api.versioned
    @api.body(CalendarSchema)
    @api.gives(CalendarSchema)
    def replace_calendar(told: dict[str, Any], calendar_id: int) -> dict[str, Any]:
        """Put other hours in force. What is not said is gone."""
        return _change(runtime, api, calendar_id, told, {})

    @api.patch(_CALENDAR)
    @needs("calendars.write")
    @api.versioned
    @api.body(CalendarSchema, partial=True)
    @api.gives(CalendarSchema)
    def change_calendar(told: dict[str, Any], calendar_id: int) -> dict[str, Any]:
        """Change fields of a calendar; null takes one away."""
        return _change(runtime, api, calendar_id, told, None)

    @api.delete(_CALENDAR)
    @needs("calendars.write")
    @api.versioned
    @api.gives(None, 204)
    def take_calendar_away(calendar_id: int) -> Response:
        """Delete a calendar that no policy ever used. One that was used stays, since time was counted by it."""
        tenant = caller().tenant
        with runtime.database.transaction(tenant) as tx:
            lock_books(tx, tenant)
            api.check(_newest(tx, calendar_id), CalendarSchema)
            name = _row(tx, calendar_id).name
            users = ever_used_by(tx, tenant, name)
            if users:
                used = [f"{policy} (version {', '.join(map(str, versions))})" for policy, versions in users.items()]
                raise Problem("in-use", f"{name} is used by {', '.join(used)}; what was counted by it needs it.", used_by=used)
            delete_calendar(tx, tenant, calendar_id, name, caller().now, caller().actor.name)
        return Response(status=204)

    return api


def _row(tx: Transaction, calendar: int) -> CalendarRow:
    row = get_calendar(tx, caller().tenant, calendar)
    if row is None:
        raise Problem("not-found", "There is no such calendar here.")
    return row


def _newest(tx: Transaction, calendar: int) -> dict[str, Any]:
    row = _row(tx, calendar)
    return _data(row.id, row.name, versions_of_calendar(tx, caller().tenant, calendar)[0])


def _change(runtime: Runtime, api: Resource, calendar: int, told: dict[str, Any], base: Mapping[str, Any] | None) -> dict[str, Any]:
    """Put `base` (None: what is there) with what is told in force."""
    with runtime.database.transaction(caller().tenant) as tx:
        lock_books(tx, caller().tenant)
        row = _row(tx, calendar)
        api.check(_newest(tx, calendar), CalendarSchema)
        if told.pop("name", row.name) != row.name:
            raise invalid({"name": f"A calendar keeps its name, here {row.name}: policies call it so."})
        stored = versions_of_calendar(tx, caller().tenant, calendar)[0].definition if base is None else base
        _save(tx, row.name, without_nulls({**stored, **told}))
        return _newest(tx, calendar)


def _save(tx: Transaction, name: str, definition: Mapping[str, Any]) -> None:
    with read_as_body(f"calendars.{name}"):
        apply_policy_file(tx, caller().tenant, read_policy_file_data({"calendars": {name: definition}}), caller().now, caller().actor.name)


def _data(calendar: int, name: str, version: Any) -> dict[str, Any]:
    return {**version.definition, "name": name, "id": calendar, **version_data(version)}
