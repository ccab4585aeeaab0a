"""The editor of a calendar: what it works on, what its buttons do to the form, and keeping what is typed.

While a policy counts by a calendar, what is typed becomes a draft, whose plan says what it would move; one that nobody uses is saved at once.
"""

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from flask import abort, flash, redirect, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from sla_plugin.engine.calendars import Calendar
from sla_plugin.engine.durations import MINUTE
from sla_plugin.engine.policies import ALWAYS_OPEN
from sla_plugin.errors import InvalidDefinition, Overtaken
from sla_plugin.language import gettext, language
from sla_plugin.reports import queries
from sla_plugin.reports.calendar_outlook import outlook
from sla_plugin.services.apply_policy_file import PolicyFile, apply_policy_file, read_stored
from sla_plugin.services.calendar_use import ever_used_by, users_of
from sla_plugin.services.follow_feeds import follows_feed
from sla_plugin.services.list_holidays import country_names, nation
from sla_plugin.services.save_draft import Author, Newest, discard_draft, overtaken_by, save_draft
from sla_plugin.store.calendar_feeds import CalendarFeed, feeds_of
from sla_plugin.store.drafts import DraftRow, drafts_of
from sla_plugin.store.policies import Calendar as CalendarRow
from sla_plugin.store.policies import calendar_ids
from sla_plugin.web.admin import calendar_form, calendar_words, holiday_form
from sla_plugin.web.admin.calendar_sources import change_feeds, change_holidays, years_of_form
from sla_plugin.web.admin.frame import refuse, render, viewer
from sla_plugin.web.admin.plans import Subject, start_plan
from sla_plugin.web.admin.policy_form import sentence
from sla_plugin.web.formats import instant, local
from sla_plugin.web.runtime import Runtime


@dataclass(frozen=True)
class Desk:
    """What the editor works on. `users`: policies that use it now; `used`: policy -> versions that ever did; `newer`: saved since the draft was begun."""

    row: CalendarRow
    versions: Any
    users: list[str]
    used: dict[str, list[int]]
    feeds: list[CalendarFeed]
    draft: DraftRow | None
    others: list[DraftRow]
    newer: Newest | None


def desk_of(runtime: Runtime, calendar_id: int) -> Desk:
    """Aborts with 404 where the tenant has no such calendar."""
    tenant = viewer().tenant
    with runtime.database.reading(tenant) as tx:
        row = tx.get(CalendarRow, (tenant, calendar_id))
        versions = queries.versions_of_calendar(tx, tenant, calendar_id)
        if row is None or not versions:
            abort(404, gettext("There is no such calendar here."))
        drafts = drafts_of(tx, tenant, "calendar", calendar_id) if viewer().may("calendars.write") else []
        mine = next((d for d in drafts if d.person_id == viewer().person.id), None)
        return Desk(
            row,
            versions,
            users_of(read_stored(tx, tenant)).get(row.name, []),
            ever_used_by(tx, tenant, row.name),
            list(feeds_of(tx, tenant, calendar_id)),
            mine,
            [d for d in drafts if d is not mine],
            overtaken_by(tx, tenant, mine) if mine is not None else None,
        )


def weekly_time(calendar: Calendar) -> int:
    """Open time of an ordinary week, microseconds."""
    return sum((end - start) * MINUTE for spans in calendar.weekly_pattern() for start, end in spans)


# --- buttons and saving ----------------------------------------------------------------------------------------------
def answer(runtime: Runtime, desk: Desk | None) -> str | Response | tuple[str, int]:
    """Give the form back changed (its own buttons), or keep what it says."""
    form = request.form.copy()
    if desk is not None:
        form["name"] = desk.row.name  # policies and files call it so
    if calendar_form.change_form(form):
        return show_form(runtime, desk, form, {})
    do, _, what = form.pop("do", "").partition(":")
    if do.startswith("feed") and desk is not None:
        wrong = change_feeds(runtime, desk.row.id, desk.feeds, form, do, what)
        return show_form(runtime, desk_of(runtime, desk.row.id), form, wrong)
    if do:
        return show_form(runtime, desk, form, change_holidays(form, do))
    return _save(runtime, desk, form)


def _save(runtime: Runtime, desk: Desk | None, form: MultiDict[str, str]) -> str | Response | tuple[str, int]:
    tenant, name = viewer().tenant, form.get("name", "").strip()
    form["name"] = name
    definition, errors = calendar_form.definition_of(form)
    if desk is None:
        with runtime.database.reading(tenant) as tx:
            taken = name in calendar_ids(tx, tenant) or name == ALWAYS_OPEN
        if not name or len(name) > 200:
            errors["name"] = gettext("Give the calendar a name of at most 200 characters.")
        elif taken:
            errors["name"] = gettext("The name %(name)s is taken; choose another.", name=name)
    elif not desk.users and form.get("version") != str(desk.versions[0].version):
        errors[""] = _overtaken(desk.versions[0])
        form["version"] = str(desk.versions[0].version)
    elif desk.draft is not None and form.get("edition") != str(desk.draft.edition):
        at = instant(desk.draft.saved_at, viewer().now, viewer().zone)
        errors[""] = gettext("You saved this draft in another window at %(at)s. Your text is kept below; save again to put it on top.", at=at)
        form["edition"] = str(desk.draft.edition)
    if errors:
        return show_form(runtime, desk, form, errors)
    if desk is not None and definition == desk.versions[0].definition:
        if desk.draft is not None:
            with runtime.database.transaction(tenant) as tx:
                discard_draft(tx, tenant, desk.draft)
        flash(gettext("Nothing was different; no new version."))
        return redirect(url_for("calendars.edit", calendar_id=desk.row.id))
    if desk is not None and desk.users:
        return _plan(runtime, desk, form, definition)
    return _apply(runtime, desk, form, name, definition)


def _overtaken(newest: Any) -> str:
    return gettext(
        "%(who)s saved version %(version)d at %(at)s, after you opened this form. Your text is kept below; "
        "compare it with the latest version at the foot of the page and save again to put yours on top.",
        who=newest.made_by,
        version=newest.version,
        at=instant(newest.effective_at, viewer().now, viewer().zone),
    )


def _apply(runtime: Runtime, desk: Desk | None, form: MultiDict[str, str], name: str, definition: dict[str, Any]) -> str | Response | tuple[str, int]:
    """Save at once: no policy counts by it, so no clock moves."""
    tenant = viewer().tenant
    try:
        with runtime.database.transaction(tenant) as tx:
            if desk is not None and desk.draft is not None:
                discard_draft(tx, tenant, desk.draft)
            change = apply_policy_file(tx, tenant, PolicyFile({name: definition}, {}), viewer().now, viewer().actor.name)
            made = calendar_ids(tx, tenant)[name]
    except InvalidDefinition as problem:
        return show_form(runtime, desk, form, {"hours": sentence(problem.problem)})
    flash(gettext("Saved as version %(number)d. No policy counts by it yet, so nothing moves.", number=change.calendars[name]))
    return redirect(url_for("calendars.edit", calendar_id=made))


def _plan(runtime: Runtime, desk: Desk, form: MultiDict[str, str], definition: dict[str, Any]) -> str | Response | tuple[str, int]:
    """Keep a draft; unless only that was asked for, show what it would do."""
    tenant, author = viewer().tenant, Author(viewer().person.id, viewer().actor.name)
    base = int(form["version"]) if form.get("version", "").isdigit() and len(form["version"]) < 10 else 0
    seen = desk.draft.edition if desk.draft is not None else 0
    try:
        with runtime.database.transaction(tenant) as tx:
            draft = save_draft(tx, tenant, "calendar", desk.row.id, desk.row.name, definition, base=base, seen=seen, author=author, now=viewer().now)
    except Overtaken:
        said = gettext("You saved this draft in another window just now. Your text is kept below; save again to put it on top.")
        return show_form(runtime, desk_of(runtime, desk.row.id), form, {"": said})
    if "draft" in form:
        flash(gettext("The draft is saved. Nothing counts by it before you apply it."))
        return redirect(url_for("calendars.edit", calendar_id=desk.row.id))
    try:
        return redirect(start_plan(runtime, Subject("calendar", desk.row.id), draft))
    except InvalidDefinition as problem:  # a policy covers this calendar and another that is never open with it
        form["edition"] = str(draft.edition)
        return show_form(runtime, desk_of(runtime, desk.row.id), form, {"hours": sentence(problem.problem)})


# --- the page --------------------------------------------------------------------------------------------------------
def show_form(runtime: Runtime, desk: Desk | None, form: MultiDict[str, str], errors: dict[str, str]) -> str | tuple[str, int]:
    """The editor with a form in it."""
    now, years = viewer().now, years_of_form(form)
    definition, wrong = calendar_form.definition_of(form)
    # what is drawn is what the form says, if it says something that works; else what is stored
    drawn = Calendar.from_definition(definition, "calendar") if not wrong else _in_force(desk) if desk is not None else None
    shown, hidden = holiday_form.shown_rows(form)
    countries = dict(country_names(language()))
    chosen = list(zip(form.getlist("country"), form.getlist("subdivision"), strict=False)) or [("", "")]
    zone = form.get("time_zone", "").strip()
    context: dict[str, Any] = {
        "form": form,
        "desk": desk,
        "calendar": desk.row if desk is not None else None,
        "versions": [(v, yaml.safe_dump(v.definition, sort_keys=False, allow_unicode=True)) for v in desk.versions] if desk is not None else [],
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
        "words": calendar_words,
        "posted": request.method == "POST",
        "follows": {feed.id: follows_feed(_in_force(desk), feed.title) for feed in desk.feeds} if desk is not None else {},
    }
    if errors:
        return refuse("calendar.html", errors, **context)
    return render("calendar.html", errors={}, **context)


def _in_force(desk: Desk) -> Calendar:
    return Calendar.from_definition(desk.versions[0].definition, desk.row.name)
