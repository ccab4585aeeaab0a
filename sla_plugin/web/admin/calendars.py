"""Calendars: when do we work, exactly? The list, the editor, copies, and deleting what nobody ever used."""

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from sla_plugin.engine.calendar_definitions import WEEKDAYS
from sla_plugin.engine.calendars import Calendar, local_date
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext
from sla_plugin.reports import queries
from sla_plugin.reports.calendar_outlook import open_until
from sla_plugin.services.apply_policy_file import read_stored
from sla_plugin.services.calendar_use import delete_calendar, users_of
from sla_plugin.store.policies import Calendar as CalendarRow
from sla_plugin.store.policies import calendar_versions
from sla_plugin.web.access import needs
from sla_plugin.web.admin import calendar_form, calendar_words
from sla_plugin.web.admin.calendar_editor import answer, desk_of, show_form, weekly_time
from sla_plugin.web.admin.calendar_sources import put_feeds
from sla_plugin.web.admin.frame import page_blueprint, render, viewer
from sla_plugin.web.admin.policy_form import sentence
from sla_plugin.web.runtime import Runtime

NEW = {"time_zone": "", "hours": {day: ["09:00-17:00"] for day in WEEKDAYS[:5]}}


def blueprint(runtime: Runtime) -> Blueprint:
    """`/calendars`, the editor of one."""
    pages = page_blueprint("calendars", runtime)

    @pages.get("/calendars")
    @needs("calendars.read")
    def listing() -> str:
        """Calendars by name: how they stand now, and who uses them."""
        now = viewer().now
        with runtime.database.reading(viewer().tenant) as tx:
            newest = {v.calendar_id: (name, v) for name, v in calendar_versions(tx, viewer().tenant)}
            stored = read_stored(tx, viewer().tenant)
        rows = []
        for name, v in sorted(newest.values(), key=lambda r: r[0].casefold()):
            calendar = Calendar.from_definition(v.definition, name)
            standing = open_until(calendar, now)
            today = local_date(calendar.zone, now)
            holiday = next(((day, called) for day, called in calendar.holidays if day >= today), None)
            said = calendar_words.now_sentence(*standing, now, calendar.zone)
            rows.append((name, v, calendar, weekly_time(calendar), standing[0], said, holiday))
        return render("calendars.html", rows=rows, users=users_of(stored))

    @pages.route("/calendars/new", methods=["GET", "POST"])
    @needs("calendars.write")
    def new() -> str | Response | tuple[str, int]:
        """A new calendar, an office week or a copy of another (`copy`: its id)."""
        if request.method == "POST":
            return answer(runtime, None)
        with runtime.database.reading(viewer().tenant) as tx:
            source = queries.versions_of_calendar(tx, viewer().tenant, request.args.get("copy", 0, type=int))
            row = tx.get(CalendarRow, (viewer().tenant, source[0].calendar_id)) if source else None
        form = calendar_form.form_of(source[0].definition if source else NEW)
        if row is not None:
            form["name"] = gettext("%(name)s, copy", name=row.name[:190])
        else:
            form["time_zone"] = viewer().zone.key
        return show_form(runtime, None, form, {})

    @pages.route("/calendars/<int(max=9223372036854775807):calendar_id>", methods=["GET", "POST"])
    @needs("calendars.read", "calendars.write")
    def edit(calendar_id: int) -> str | Response | tuple[str, int]:
        """The editor: the viewer's draft, if there is one, else what is in force."""
        desk = desk_of(runtime, calendar_id)
        if request.method == "POST":
            return answer(runtime, desk)
        form = calendar_form.form_of(desk.draft.definition if desk.draft is not None else desk.versions[0].definition)
        if viewer().may("calendars.write"):
            put_feeds(desk.feeds, form)
        return show_form(runtime, desk, form, {})

    @pages.post("/calendars/<int(max=9223372036854775807):calendar_id>/delete")
    @needs("calendars.write")
    def delete(calendar_id: int) -> Response:
        """Delete a calendar that no policy ever used."""
        row = desk_of(runtime, calendar_id).row
        try:
            with runtime.database.transaction(viewer().tenant) as tx:
                delete_calendar(tx, viewer().tenant, calendar_id, row.name, viewer().now, viewer().actor.name)
        except InvalidDefinition as problem:
            flash(sentence(problem.problem), "problem")
            return redirect(url_for("calendars.edit", calendar_id=calendar_id))
        flash(gettext("Deleted: %(name)s. The audit trail keeps what it said.", name=row.name))
        return redirect(url_for("calendars.listing"))

    return pages
