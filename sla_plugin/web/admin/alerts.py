"""Alerts: what needs a person now?"""

from flask import Blueprint, abort, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from sla_plugin.language import gettext
from sla_plugin.reports import queries
from sla_plugin.services.acknowledge_alert import acknowledge_alert
from sla_plugin.store.alerts import get_alert
from sla_plugin.web.access import needs
from sla_plugin.web.admin.clock_rows import ALERT_TITLES
from sla_plugin.web.admin.frame import page_blueprint, page_number, render, viewer
from sla_plugin.web.runtime import Runtime


def blueprint(runtime: Runtime) -> Blueprint:
    """`/alerts` and acknowledging one."""
    pages = page_blueprint("alerts", runtime)

    @pages.get("/alerts")
    @needs("alerts.read")
    def listing() -> str:
        """Open alerts, or acknowledged ones."""
        tenant = viewer().tenant
        acknowledged = request.args.get("show") == "acknowledged"
        with runtime.database.reading(viewer().tenant) as tx:
            page = queries.list_alerts(tx, tenant, acknowledged=acknowledged, after=page_number())
            last = queries.last_alert_at(tx, tenant)
        return render("alerts.html", page=page, acknowledged=acknowledged, last=last, metrics=ALERT_TITLES)

    @pages.post("/alerts/<int(max=9223372036854775807):alert>/acknowledge")
    @needs("alerts.acknowledge")
    def acknowledge(alert: int) -> Response:
        """Take an alert, with a note if one likes."""
        with runtime.database.transaction(viewer().tenant) as tx:
            if get_alert(tx, viewer().tenant, alert) is None:
                abort(404, gettext("There is no such alert here."))
            done = acknowledge_alert(tx, viewer().tenant, alert, request.form.get("note", "").strip(), viewer().now, viewer().actor.name)
        flash(gettext("Acknowledged. The clock keeps running.") if done else gettext("Somebody else has taken this alert already."))
        return redirect(url_for("overview.show" if request.form.get("back") == "/sla" else "alerts.listing"))

    return pages
