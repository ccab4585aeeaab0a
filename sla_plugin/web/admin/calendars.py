"""Calendars: when do we work, exactly? Every save is a new version; buttons that only change the form give the form back, and nothing is stored."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from flask import Blueprint, abort, flash, redirect, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from sla_plugin.engine.calendars import Calendar, local_date
from sla_plugin.engine.durations import MINUTE
from sla_plugin.engine.policies import ALWAYS_OPEN
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext, language
from sla_plugin.reports import queries
from sla_plugin.reports.calendar_outlook import open_until, outlook
from sla_plugin.services.apply_policy_file import PolicyFile, apply_policy_file, read_stored
from sla_plugin.services.calendar_use import delete_calendar, ever_used_by, users_of
from sla_plugin.services.list_holidays import country_names, nation
from sla_plugin.services.read_ical import LARGEST, read_ical
from sla_plugin.store.policies import Calendar as CalendarRow
from sla_plugin.store.policies import calendar_versions
from sla_plugin.web.access import needs
from sla_plugin.web.admin import calendar_form, calendar_words, holiday_form
from sla_plugin.web.admin.frame import page_blueprint, refuse, render, viewer, zone_of
from sla_plugin.web.admin.policy_form import sentence
from sla_plugin.web.formats import instant, local
from sla_plugin.web.runtime import Runtime

NEW = {"time_zone": "", "hours": {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}}


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
            c = Calendar.from_definition(v.definition, name)
            standing = open_until(c, now)
            today = local_date(c.zone, now)
            holiday = next(((day, called) for day, called in c.holidays if day >= today), None)
            rows.append((name, v, c, weekly_time(c), standing[0], calendar_words.now_sentence(*standing, now, c.zone), holiday))
        return render("calendars.html", rows=rows, users=users_of(stored), words=calendar_words)

    @pages.route("/calendars/new", methods=["GET", "POST"])
    @needs("calendars.write")
    def new() -> str | Response | tuple[str, int]:
        """A new calendar, empty or as a copy of another."""
        if request.method == "POST":
            return _answer(runtime, None)
        with runtime.database.reading(viewer().tenant) as tx:
            source = queries.versions_of_calendar(tx, viewer().tenant, request.args.get("copy", 0, type=int))
            row = tx.get(CalendarRow, (viewer().tenant, source[0].calendar_id)) if source else None
        form = calendar_form.form_of(source[0].definition if source else NEW)
        if row is not None:
            form["name"] = gettext("%(name)s, copy", name=row.name[:190])
        else:
            form["time_zone"] = viewer().zone.key
        return _form(runtime, form, None, [], {})

    @pages.route("/calendars/<int(max=9223372036854775807):calendar_id>", methods=["GET", "POST"])
    @needs("calendars.read", "calendars.write")
    def edit(calendar_id: int) -> str | Response | tuple[str, int]:
        """The calendar's editor, its week as drawn, what comes, its versions."""
        if request.method == "POST":
            return _answer(runtime, calendar_id)
        row, versions = _read(runtime, calendar_id)
        return _form(runtime, calendar_form.form_of(versions[0].definition), row, versions, {})

    @pages.post("/calendars/<int(max=9223372036854775807):calendar_id>/delete")
    @needs("calendars.write")
    def delete(calendar_id: int) -> Response:
        """Delete a calendar that no policy ever used."""
        row, _ = _read(runtime, calendar_id)
        try:
            with runtime.database.transaction(viewer().tenant) as tx:
                delete_calendar(tx, viewer().tenant, calendar_id, row.name, viewer().now, viewer().actor.name)
        except InvalidDefinition as problem:
            flash(sentence(problem.problem), "problem")
            return redirect(url_for("calendars.edit", calendar_id=calendar_id))
        flash(gettext("Deleted: %(name)s. The audit trail keeps what it said.", name=row.name))
        return redirect(url_for("calendars.listing"))

    return pages


def weekly_time(calendar: Calendar) -> int:
    """Open time of an ordinary week, microseconds."""
    return sum((end - start) * MINUTE for spans in calendar.weekly_pattern() for start, end in spans)


def _read(runtime: Runtime, calendar_id: int) -> tuple[Any, Any]:
    with runtime.database.reading(viewer().tenant) as tx:
        row = tx.get(CalendarRow, (viewer().tenant, calendar_id))
        versions = queries.versions_of_calendar(tx, viewer().tenant, calendar_id)
    if row is None or not versions:
        abort(404, gettext("There is no such calendar here."))
    return row, versions


def _answer(runtime: Runtime, calendar_id: int | None) -> str | Response | tuple[str, int]:
    row, versions = _read(runtime, calendar_id) if calendar_id is not None else (None, [])
    form = request.form.copy()
    if row is not None:
        form["name"] = row.name
    if calendar_form.change_form(form):
        return _form(runtime, form, row, versions, {})
    if do := form.pop("do", ""):
        return _form(runtime, form, row, versions, _change_holidays(form, do))
    return _save(runtime, form, row, versions)


def _change_holidays(form: MultiDict[str, str], do: str) -> dict[str, str]:
    """What a button of the holidays does to the form; what is wrong with what was typed for it."""
    years = _years(form)
    if do == "list":
        holiday_form.list_again(form, years, language())
    elif do == "country":
        form.add("country", "")
        form.add("subdivision", "")
    elif do == "own":
        return holiday_form.add_own(form)
    elif do == "file":
        file = request.files.get("file")
        if file is None or not file.filename:
            return {"file": gettext("Choose an iCalendar file (.ics) first.")}
        with file.stream as stream:
            content = stream.read(LARGEST + 1)
        try:
            found = read_ical(content, years)
        except InvalidDefinition as problem:
            return {"file": sentence(gettext("%(file)s %(problem)s", file=file.filename[:100], problem=problem.problem))}
        new = holiday_form.add_rows(form, found.days, f"file {file.filename[:100]}")
        _say_found(len(found.days), new, found.refused, found.elsewhere)
    return {}


def _say_found(found: int, new: int, refused: Any, elsewhere: int) -> None:
    """What a file or feed brought, and why the rest did not."""
    flash(gettext("%(found)d dates read, %(new)d of them new in the list below. They count once you save.", found=found, new=new))
    if refused:
        said = "; ".join(f"{one.event}: {one.reason}" for one in refused[:20])
        more = gettext(" … and %(count)d more", count=len(refused) - 20) if len(refused) > 20 else ""
        flash(gettext("%(count)d refused: %(said)s", count=len(refused), said=said) + more, "warning")
    if elsewhere:
        flash(gettext("%(count)d events lie in other years.", count=elsewhere))


def _years(form: MultiDict[str, str]) -> list[int]:
    """This year and the next, where the calendar is."""
    this: datetime = local(viewer().now, zone_of(form.get("time_zone", "").strip()))
    return [this.year, this.year + 1]


def _save(runtime: Runtime, form: MultiDict[str, str], row: Any, versions: Any) -> str | Response | tuple[str, int]:
    tenant, name = viewer().tenant, form.get("name", "").strip()
    form["name"] = name
    definition, errors = calendar_form.definition_of(form)
    with runtime.database.reading(tenant) as tx:
        stored = read_stored(tx, tenant)
    if not name or len(name) > 200:
        errors["name"] = gettext("Give the calendar a name of at most 200 characters.")
    elif row is None and (name in stored.calendars or name == ALWAYS_OPEN):
        errors["name"] = gettext("The name %(name)s is taken; choose another.", name=name)
    if row is not None and form.get("version") != str(versions[0].version):
        at = instant(versions[0].effective_at, viewer().now, viewer().zone)
        errors[""] = gettext(
            "%(who)s saved version %(version)d at %(at)s, after you opened this form. Your text is kept below; "
            "compare it with the latest version at the foot of the page and save again to put yours on top.",
            who=versions[0].made_by,
            version=versions[0].version,
            at=at,
        )
        form["version"] = str(versions[0].version)
    if errors:
        return _form(runtime, form, row, versions, errors)
    try:
        with runtime.database.transaction(tenant) as tx:
            change = apply_policy_file(tx, tenant, PolicyFile({name: definition}, {}), viewer().now, viewer().actor.name)
    except InvalidDefinition as problem:  # a policy covers this calendar and another that is never open with it
        return _form(runtime, form, row, versions, {"hours": sentence(problem.problem)})
    number = change.calendars.get(name)
    if number:
        flash(gettext("Saved as version %(number)d. Clocks count by it from now on; what was counted before stays.", number=number))
    else:
        flash(gettext("Nothing was different; no new version."))
    with runtime.database.reading(tenant) as tx:
        made = next((v.calendar_id for n, v in calendar_versions(tx, tenant) if n == name), None)
    return redirect(url_for("calendars.edit", calendar_id=made))


def _form(runtime: Runtime, form: MultiDict[str, str], row: Any, versions: Any, errors: dict[str, str]) -> str | tuple[str, int]:
    now, years = viewer().now, _years(form)
    definition, wrong = calendar_form.definition_of(form)
    # what is drawn is what the form says, if it says something that works; else what is stored
    drawn = Calendar.from_definition(definition if not wrong else versions[0].definition, "calendar") if versions or not wrong else None
    with runtime.database.reading(viewer().tenant) as tx:
        used = ever_used_by(tx, viewer().tenant, row.name) if row is not None else {}
        users = users_of(read_stored(tx, viewer().tenant)).get(row.name, []) if row is not None else []
    shown, hidden = holiday_form.shown_rows(form)
    countries = dict(country_names(language()))
    chosen = list(zip(form.getlist("country"), form.getlist("subdivision"), strict=False)) or [("", "")]
    zone = form.get("time_zone", "").strip()
    context: dict[str, Any] = {
        "form": form,
        "calendar": row,
        "versions": [(v, yaml.safe_dump(v.definition, sort_keys=False, allow_unicode=True)) for v in versions],
        "week": calendar_form.week_of(form),
        "kinds": calendar_form.KINDS,
        "exceptions": calendar_form.rows_of(form),
        "drawn": list(zip(calendar_form.DAYS.values(), drawn.weekly_pattern(), strict=True)) if drawn else [],
        "weekly": weekly_time(drawn) if drawn else 0,
        "zones": calendar_words.zones(now),
        "there": f"{local(now, ZoneInfo(zone)):%H:%M}" if "time_zone" not in wrong else "",
        "years": years,
        "by_year": holiday_form.by_year(shown),
        "hidden": hidden,
        "countries": countries,
        "chosen": [(code, part, nation(code) if code in countries else None) for code, part in chosen],
        "outlook": outlook(drawn, now) if drawn else None,
        "zone": drawn.zone if drawn else None,
        "users": users,
        "used": used,
        "words": calendar_words,
        "posted": request.method == "POST",
    }
    if errors:
        return refuse("calendar.html", errors, **context)
    return render("calendar.html", errors={}, **context)
