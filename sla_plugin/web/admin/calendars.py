"""Calendars: when do we work, exactly? Every save is a new version."""

from typing import Any

import yaml
from flask import Blueprint, abort, flash, redirect, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from sla_plugin.engine.calendars import Calendar
from sla_plugin.engine.durations import MINUTE
from sla_plugin.engine.policies import ALWAYS_OPEN
from sla_plugin.engine.policy_definitions import read_calendars
from sla_plugin.language import gettext
from sla_plugin.reports import queries
from sla_plugin.services.apply_policy_file import PolicyFile, apply_policy_file, read_stored
from sla_plugin.store.policies import Calendar as CalendarRow
from sla_plugin.store.policies import calendar_versions
from sla_plugin.web.access import needs
from sla_plugin.web.admin import calendar_form
from sla_plugin.web.admin.frame import page_blueprint, refuse, render, viewer
from sla_plugin.web.formats import instant, local
from sla_plugin.web.runtime import Runtime

NEW = {"time_zone": "", "hours": {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}}


def blueprint(runtime: Runtime) -> Blueprint:
    """`/calendars`, the form of one."""
    pages = page_blueprint("calendars", runtime)

    @pages.get("/calendars")
    @needs("calendars.read")
    def listing() -> str:
        """Calendars by name, with the policies that use them."""
        with runtime.database.reading(viewer().tenant) as tx:
            newest = {v.calendar_id: (name, v) for name, v in calendar_versions(tx, viewer().tenant)}
            stored = read_stored(tx, viewer().tenant)
        users: dict[str | None, list[str]] = {}
        for name, (_, definition) in stored.policies.items():
            for calendar in read_calendars(definition.get("calendar"), name):
                users.setdefault(calendar, []).append(name)
        rows = [(name, v, Calendar.from_definition(v.definition, name)) for name, v in sorted(newest.values(), key=lambda r: r[0])]
        return render("calendars.html", rows=[(n, v, c, weekly_time(c)) for n, v, c in rows], users=users)

    @pages.route("/calendars/new", methods=["GET", "POST"])
    @needs("calendars.write")
    def new() -> str | Response | tuple[str, int]:
        """A new calendar."""
        if request.method == "GET":
            form = calendar_form.form_of(NEW)
            form["time_zone"] = viewer().zone.key
            return _form(form, None, [], {})
        return _save(runtime, None)

    @pages.route("/calendars/<int(max=9223372036854775807):calendar_id>", methods=["GET", "POST"])
    @needs("calendars.read", "calendars.write")
    def edit(calendar_id: int) -> str | Response | tuple[str, int]:
        """The calendar's form, its week as drawn, its versions."""
        if request.method == "POST":
            return _save(runtime, calendar_id)
        with runtime.database.reading(viewer().tenant) as tx:
            row = tx.get(CalendarRow, (viewer().tenant, calendar_id))
            versions = queries.versions_of_calendar(tx, viewer().tenant, calendar_id)
        if row is None or not versions:
            abort(404, gettext("There is no such calendar here."))
        return _form(calendar_form.form_of(versions[0].definition), row, versions, {})

    return pages


def weekly_time(calendar: Calendar) -> int:
    """Open time of an ordinary week, microseconds."""
    return sum((end - start) * MINUTE for spans in calendar.weekly_pattern() for start, end in spans)


def _save(runtime: Runtime, calendar_id: int | None) -> str | Response | tuple[str, int]:
    tenant, form = viewer().tenant, request.form.copy()
    with runtime.database.reading(viewer().tenant) as tx:
        row = tx.get(CalendarRow, (tenant, calendar_id)) if calendar_id is not None else None
        versions = queries.versions_of_calendar(tx, tenant, calendar_id) if calendar_id is not None else []
        stored = read_stored(tx, tenant)
    if calendar_id is not None and row is None:
        abort(404, gettext("There is no such calendar here."))
    name = row.name if row is not None else form.get("name", "").strip()
    form["name"] = name
    definition, errors = calendar_form.definition_of(form)
    if not name or len(name) > 200:
        errors["name"] = gettext("Give the calendar a name of at most 200 characters.")
    elif row is None and (name in stored.calendars or name == ALWAYS_OPEN):
        errors["name"] = gettext("The name %(name)s is taken; choose another.", name=name)
    if row is not None and versions and form.get("version") != str(versions[0].version):
        at = instant(versions[0].effective_at, viewer().now, viewer().zone)
        errors[""] = gettext(
            "%(who)s saved version %(number)d at %(when)s, after you opened this form. Your text is kept below; "
            "compare it with the latest version at the foot of the page and save again to put yours on top.",
            who=versions[0].made_by,
            number=versions[0].version,
            when=at,
        )
        form["version"] = str(versions[0].version)
    if errors:
        return _form(form, row, versions, errors)
    with runtime.database.transaction(viewer().tenant) as tx:
        change = apply_policy_file(tx, tenant, PolicyFile({name: definition}, {}), viewer().now, viewer().actor.name)
    number = change.calendars.get(name)
    if number:
        flash(gettext("Saved as version %(number)d. Clocks count by it from now on; what was counted before stays.", number=number))
    else:
        flash(gettext("Nothing was different; no new version."))
    with runtime.database.reading(viewer().tenant) as tx:
        made = next((v.calendar_id for n, v in calendar_versions(tx, tenant) if n == name), None)
    return redirect(url_for("calendars.edit", calendar_id=made))


def _form(form: MultiDict[str, str], row: Any, versions: Any, errors: dict[str, str]) -> str | tuple[str, int]:
    drawn = Calendar.from_definition(versions[0].definition, row.name) if versions else None
    context: dict[str, Any] = {
        "form": form,
        "calendar": row,
        "versions": [(v, yaml.safe_dump(v.definition, sort_keys=False, allow_unicode=True)) for v in versions],
        "days": calendar_form.DAYS,
        "week": list(zip(calendar_form.DAYS.values(), drawn.weekly_pattern(), strict=True)) if drawn else [],
        "weekly": weekly_time(drawn) if drawn else 0,
        "there": f"{local(viewer().now, drawn.zone):%H:%M}" if drawn else "",
    }
    if errors:
        return refuse("calendar.html", errors, **context)
    return render("calendar.html", errors={}, **context)
