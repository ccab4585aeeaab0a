"""Alerts: what needs a person now?"""

from typing import Any

from flask import Blueprint, abort, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext, marked, ngettext
from sla_plugin.reports.alert_list import LISTING, TABS, count_alerts, last_alert_at, list_alerts, matching_alerts
from sla_plugin.reports.lists import Count
from sla_plugin.services.acknowledge_alert import UNDO, acknowledge_alert, acknowledge_alerts, give_back_alert
from sla_plugin.store.alerts import LEVELS, get_alert
from sla_plugin.web.access import needs
from sla_plugin.web.admin.clock_rows import ALERT_TITLES
from sla_plugin.web.admin.frame import page_blueprint, render, spoken, viewer
from sla_plugin.web.admin.list_view import list_view, list_words, plus
from sla_plugin.web.admin.policy_form import sentence
from sla_plugin.web.runtime import Runtime

AT_ONCE = 1000  # alerts taken at once
TITLES = {"open": marked("Open"), "mine": marked("Mine"), "acknowledged": marked("Acknowledged"), "resolved": marked("Resolved")}
LEVEL_WORDS = {"warning": marked("Warning"), "critical": marked("Critical"), "breach": marked("Breach"), "requested": marked("Asked for")}


def blueprint(runtime: Runtime) -> Blueprint:
    """`/alerts`, taking one or many, and giving one back."""
    pages = page_blueprint("alerts", runtime)

    @pages.get("/alerts")
    @needs("alerts.read")
    def listing() -> str:
        """Alerts of a tab, the newest first."""
        return _page(runtime, {})[0]

    @pages.post("/alerts/<int(max=9223372036854775807):alert>/acknowledge")
    @needs("alerts.acknowledge")
    def acknowledge(alert: int) -> Response:
        """Take an alert, with a note if one likes."""
        with runtime.database.transaction(viewer().tenant) as tx:
            if get_alert(tx, viewer().tenant, alert) is None:
                abort(404, gettext("There is no such alert here."))
            done = acknowledge_alert(tx, viewer().tenant, alert, request.form.get("note", "").strip(), viewer().now, viewer().actor.name)
        flash(gettext("Acknowledged. The clock keeps running.") if done else gettext("Somebody else has taken this alert already."))
        return redirect(url_for("overview.show") if request.form.get("back") == "/sla" else _back())

    @pages.post("/alerts/<int(max=9223372036854775807):alert>/give-back")
    @needs("alerts.acknowledge")
    def give_back(alert: int) -> Response:
        """Undo taking an alert."""
        with runtime.database.transaction(viewer().tenant) as tx:
            if get_alert(tx, viewer().tenant, alert) is None:
                abort(404, gettext("There is no such alert here."))
            done = give_back_alert(tx, viewer().tenant, alert, viewer().now, viewer().actor.name)
        flash(gettext("It stands open again.") if done else gettext("Nobody had it any more: it is open, or over."))
        return redirect(_back())

    @pages.route("/alerts/acknowledge", methods=["GET", "POST"])
    @needs("alerts.acknowledge")
    def acknowledge_many() -> str | Response | tuple[str, int]:
        """Take the selected ones, or (said with their number first) all that match; with a note."""
        if request.method == "GET":
            return _plan(runtime, {})[0]
        tenant, everything = viewer().tenant, request.form.get("all") == "yes"
        try:
            with runtime.database.transaction(tenant) as tx:
                filters = LISTING.offered({name: request.form.get(name, "") for name in LISTING.filters})
                chosen = matching_alerts(tx, tenant, filters, AT_ONCE) if everything else _selected()
                done = acknowledge_alerts(tx, tenant, chosen, request.form.get("note", ""), viewer().now, viewer().actor.name)
        except InvalidDefinition as problem:
            errors = {problem.field: sentence(problem.problem)}
            return _plan(runtime, errors) if everything else _page(runtime, errors)
        if done:
            flash(ngettext("%(num)d acknowledged. Its clock keeps running.", "%(num)d acknowledged. Their clocks keep running.", done))
        else:
            flash(gettext("Nothing was open among them: select alerts first, or somebody was quicker."))
        return redirect(_back())

    return pages


def _selected() -> list[int]:
    return [int(one) for one in request.form.getlist("alert")[:AT_ONCE] if one.isascii() and one.isdigit() and len(one) < 19]


def _back() -> str:
    """The list as it was narrowed; its first page, since rows have moved."""
    kept: dict[str, Any] = {name: value for name in (*LISTING.filters, "show") if (value := request.form.get(name, "")[:40])}
    return url_for("alerts.listing", **kept)


def _page(runtime: Runtime, errors: dict[str, str]) -> tuple[str, int]:
    tenant, actor = viewer().tenant, viewer().actor.name
    view = list_view(LISTING, "show")
    tab = view.kept.get("show", "open") if view.kept.get("show", "open") in TABS else "open"
    with runtime.database.reading(tenant) as tx:
        page = list_alerts(tx, tenant, tab=tab, actor=actor, filters=view.filters, sort=view.sort, after=view.after)
        counts = count_alerts(tx, tenant, actor, view.filters)
        last = last_alert_at(tx, tenant)
    text = render(
        "alerts.html",
        view=view,
        page=page,
        tab=tab,
        tabs=[(key, gettext(title)) for key, title in TITLES.items()],
        counts=counts,
        total=plus(*(counts[level] for level in LEVELS)),
        last=last,
        metrics=spoken(ALERT_TITLES),
        levels=[(key, gettext(word)) for key, word in LEVEL_WORDS.items()],
        undo=UNDO,
        selected=_selected() if request.method == "POST" else [],
        form=request.form,
        errors=errors,
        **list_words(),
    )
    return text, 422 if errors else 200


def _plan(runtime: Runtime, errors: dict[str, str]) -> tuple[str, int]:
    """What taking all that match means, with their number."""
    given = request.form if request.method == "POST" else request.args
    filters = LISTING.offered({name: given.get(name, "")[:200] for name in LISTING.filters})
    with runtime.database.reading(viewer().tenant) as tx:
        count = count_alerts(tx, viewer().tenant, "", filters)["open"]
    most = Count(min(count.number, AT_ONCE))
    words = {**ALERT_TITLES, **LEVEL_WORDS}
    said = [(name, gettext(words.get(value, value))) for name, value in filters.items()]
    text = render("alerts_plan.html", count=count, most=most, filters=filters, said=said, at_once=AT_ONCE, form=given, errors=errors, **list_words())
    return text, 422 if errors else 200
