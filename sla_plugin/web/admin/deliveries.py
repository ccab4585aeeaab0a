"""Deliveries: did it arrive, what did it become? And putting them back into the inbox."""

import json
from typing import Any

from flask import Blueprint, abort, flash, redirect, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from sla_plugin.engine.durations import DAY, HOUR
from sla_plugin.errors import ConfigurationError
from sla_plugin.language import gettext, marked
from sla_plugin.reports.delivery_list import LISTING, STATES, count_deliveries, count_set_aside, list_deliveries, unreadable_deliveries
from sla_plugin.reports.trace import chain_of
from sla_plugin.services.replay_delivery import replay_deliveries
from sla_plugin.store.connections import list_connections
from sla_plugin.store.deliveries import get_delivery
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import number_arg, page_blueprint, render, viewer
from sla_plugin.web.admin.list_view import list_view, list_words, plus
from sla_plugin.web.formats import number
from sla_plugin.web.looks import note_look
from sla_plugin.web.runtime import Runtime

STATE_WORDS = {
    "stored": marked("stored, waiting"),
    "ignored": marked("ignored"),
    "unreadable": marked("unreadable"),
    "failed": marked("failed"),
}
PERIOD_WORDS = {"1h": marked("last hour"), "24h": marked("last 24 h"), "7d": marked("last 7 days"), "30d": marked("last 30 days"), "all": marked("all")}
PERIODS = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
MOST = 2000  # deliveries replayed at once


def blueprint(runtime: Runtime) -> Blueprint:
    """`/deliveries`, one delivery, and replays."""
    pages = page_blueprint("deliveries", runtime)

    @pages.get("/deliveries")
    @needs("deliveries.read")
    def listing() -> str:
        """Deliveries, the newest first."""
        tenant, now, view = viewer().tenant, viewer().now, list_view(LISTING, "period")
        # who looks for one of them looks in all of them
        period = view.kept.get("period", "all" if view.text else "24h")
        since = now - PERIODS[period] if period in PERIODS else 0
        with runtime.database.reading(viewer().tenant) as tx:
            names = {str(c.id): c.name for c in list_connections(tx, tenant)}
            among = [int(one) for one in names]
            page = list_deliveries(tx, tenant, among, filters=view.filters, text=view.text, since=since, sort=view.sort, after=view.after)
            count = count_deliveries(tx, tenant, among, filters=view.filters, text=view.text, since=since)
            waiting = count_set_aside(tx, tenant)
        return render(
            "deliveries.html",
            view=view,
            page=page,
            count=count,
            stored=waiting["stored"],
            stuck=plus(waiting["unreadable"], waiting["failed"]),
            names=names,
            period=period,
            states=[(state, gettext(STATE_WORDS[state])) for state in STATES],
            periods=[(key, gettext(word)) for key, word in PERIOD_WORDS.items()],
            **list_words(),
        )

    @pages.get("/deliveries/<int(max=9223372036854775807):delivery_id>")
    @needs("deliveries.read")
    def show(delivery_id: int) -> str:
        """One delivery: body, headers, what it became."""
        tenant = viewer().tenant
        with runtime.database.reading(viewer().tenant) as tx:
            delivery = get_delivery(tx, tenant, delivery_id)
            if delivery is None:
                abort(404, gettext("There is no such delivery here."))
            chain = chain_of(tx, tenant, delivery)
        raw = request.args.get("body") == "raw"
        text = body_text(delivery.body, raw=raw) if viewer().may("deliveries.bodies") else None
        if text is not None:
            note_look("body", delivery_id)
        return render("delivery.html", delivery=delivery, chain=chain, text=text, raw=raw)

    @pages.post("/deliveries/<int(max=9223372036854775807):delivery_id>/replay")
    @needs("deliveries.replay")
    def replay(delivery_id: int) -> Response:
        """Put one delivery back into the inbox."""
        with runtime.database.reading(viewer().tenant) as tx:
            if get_delivery(tx, viewer().tenant, delivery_id) is None:
                abort(404, gettext("There is no such delivery here."))
        _replay(runtime, [str(delivery_id)])
        return redirect(url_for("deliveries.show", delivery_id=delivery_id))

    @pages.route("/deliveries/replay", methods=["GET", "POST"])
    @needs("deliveries.replay")
    def replay_unreadable() -> str | Response:
        """Say what a replay of the selected ones, or of all unreadable ones, means; then do it."""
        connection, state = number_arg("connection"), request.args.get("state", "")
        selected = _selected(request.form if request.method == "POST" else request.args)
        with runtime.database.reading(viewer().tenant) as tx:
            found = selected or unreadable_deliveries(tx, viewer().tenant, connection, MOST, state)
            names = {c.id: c.name for c in list_connections(tx, viewer().tenant)}
        if request.method == "GET":
            return render(
                "replay_plan.html", count=len(found), most=MOST, connection=connection, name=names.get(connection or 0), state=state, selected=selected
            )
        _replay(runtime, [str(one) for one in found])
        return redirect(url_for("deliveries.listing", connection=connection))

    return pages


def _selected(given: MultiDict[str, str]) -> list[int]:
    return [int(one) for one in given.getlist("delivery")[:MOST] if one.isascii() and one.isdigit() and len(one) < 19]


def _replay(runtime: Runtime, words: list[str]) -> None:
    try:
        with runtime.database.transaction(viewer().tenant) as tx:
            replayed = replay_deliveries(tx, viewer().tenant, words, viewer().now, viewer().actor.name, runtime.outside)
    except ConfigurationError as error:
        flash(str(error), "problem")
    else:
        flash(gettext("%(count)s put back into the inbox. Reload in a moment to see what became of it.", count=number(len(replayed))))


def body_text(body: bytes | None, *, raw: bool) -> str | None:
    """A body as text, indented where it is JSON; None where it is no longer kept."""
    if body is None:
        return None
    text = body.decode("utf-8", errors="replace")
    if raw:
        return text
    try:
        parsed: Any = json.loads(text)
    except ValueError:
        return text
    return json.dumps(parsed, indent=2, ensure_ascii=False)
