"""Where a calendar's holidays come from, in its editor: countries, files, dates of one's own, feeds. All of it is listed before it counts."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from flask import flash, request
from werkzeug.datastructures import MultiDict

from sla_plugin.engine.calendars import local_date
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext, language, ngettext
from sla_plugin.services.follow_feeds import add_feed, checked_url, drop_feed, fetch_feed, note_failure, note_reading, source_of_feed
from sla_plugin.services.read_ical import LARGEST, read_ical
from sla_plugin.store.calendar_feeds import CalendarFeed
from sla_plugin.web.admin import holiday_form
from sla_plugin.web.admin.frame import viewer, zone_of
from sla_plugin.web.admin.policy_form import sentence
from sla_plugin.web.runtime import Runtime


def years_of_form(form: MultiDict[str, str]) -> list[int]:
    """This year and the next, where the calendar is."""
    this: date = local_date(zone_of(form.get("time_zone", "").strip()), viewer().now)
    return [this.year, this.year + 1]


def change_holidays(form: MultiDict[str, str], do: str) -> dict[str, str]:
    """What a button of the holidays does to the form; what is wrong with what was typed for it."""
    years = years_of_form(form)
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
        _say_found(len(found.days), new, [{"event": one.event, "reason": one.reason} for one in found.refused], found.elsewhere)
    return {}


def change_feeds(runtime: Runtime, calendar_id: int, feeds: Sequence[CalendarFeed], form: MultiDict[str, str], do: str, what: str) -> dict[str, str]:
    """Add, read again or remove a feed; its dates are listed and count once somebody saves. What is wrong: field -> sentence."""
    tenant, now, years = viewer().tenant, viewer().now, years_of_form(form)
    if do == "feed":
        try:
            url = checked_url(form.get("feed", ""))
            found = fetch_feed(url, runtime.outside.http, years)
            with runtime.database.transaction(tenant) as tx:
                title = add_feed(tx, tenant, calendar_id, url, found, runtime.outside.sealer, now, viewer().actor.name)
        except InvalidDefinition as problem:
            return {"feed": gettext("The address %(problem)s.", problem=problem.problem)}
        form.pop("feed", None)
        new = holiday_form.add_rows(form, found.days, source_of_feed(title))
        _say_found(len(found.days), new, [{"event": one.event, "reason": one.reason} for one in found.refused], found.elsewhere)
        return {}
    feed = next((one for one in feeds if str(one.id) == what), None)
    if feed is None:
        return {"feed": gettext("This feed is gone.")}
    if do == "feed-drop":
        with runtime.database.transaction(tenant) as tx:
            drop_feed(tx, tenant, feed, now, viewer().actor.name)
        holiday_form.drop_source(form, source_of_feed(feed.title))
        flash(gettext("The feed %(feed)s is removed. Its dates are off the list; save to let them go.", feed=feed.title))
    elif do == "feed-read":
        try:
            found = fetch_feed(runtime.outside.sealer.open(feed.sealed_url), runtime.outside.http, years)
        except InvalidDefinition as problem:
            with runtime.database.transaction(tenant) as tx:
                note_failure(tx, tenant, feed.id, problem.problem, now)
            return {"feed": gettext("The feed %(feed)s %(problem)s. Its last good dates stay.", feed=feed.title, problem=problem.problem)}
        with runtime.database.transaction(tenant) as tx:
            version = note_reading(tx, tenant, feed.id, found, now)
        _put_feed(form, feed.title, found.days, years)
        if version is not None:
            flash(gettext("The feed had news, which is in force as version %(number)d.", number=version))
            form["version"] = str(version)
        _say_found(len(found.days), 0, [{"event": one.event, "reason": one.reason} for one in found.refused], found.elsewhere)
    return {}


def _put_feed(form: MultiDict[str, str], title: str, days: Any, years: list[int]) -> bool:
    """List a feed's dates as it says them now: new ones ticked, those that it lost gone. True if that changed the list."""
    source, before = source_of_feed(title), holiday_form.rows_of(form)
    holiday_form.put_rows(form, [row for row in before if row.source != source or row.day.year not in years or row.day in days])
    return holiday_form.add_rows(form, days, source) > 0 or len(holiday_form.rows_of(form)) != len(before)


def put_feeds(feeds: Sequence[CalendarFeed], form: MultiDict[str, str]) -> None:
    """List what feeds say and the calendar does not yet: feeds just added, and changes too large to be taken unseen."""
    for feed in feeds:
        days = {date.fromisoformat(one["date"]): one["name"] for one in feed.days}
        if days and _put_feed(form, feed.title, days, years_of_form(form)):
            flash(gettext("The feed %(feed)s says dates that the calendar does not have yet; they are listed below and count once you save.", feed=feed.title))


def _say_found(found: int, new: int, refused: list[dict[str, str]], elsewhere: int) -> None:
    """What a file or feed brought, and why the rest did not."""
    read = ngettext("%(num)d date read", "%(num)d dates read", found)
    flash(gettext("%(read)s, %(new)d of them new in the list below. What is listed counts once you save.", read=read, new=new))
    if refused:
        said = "; ".join(f"{one['event']}: {one['reason']}" for one in refused[:20])
        more = gettext(" … and %(count)d more", count=len(refused) - 20) if len(refused) > 20 else ""
        flash(gettext("%(count)d refused: %(said)s", count=len(refused), said=said) + more, "warning")
    if elsewhere:
        flash(ngettext("%(num)d event lies in other years.", "%(num)d events lie in other years.", elsewhere))
