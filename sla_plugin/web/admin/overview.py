"""The Overview: what breaks next, and is the machine well?"""

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from sla_plugin.engine.durations import DAY, MINUTE
from sla_plugin.language import gettext
from sla_plugin.reports import queries
from sla_plugin.reports.alert_list import list_alerts
from sla_plugin.reports.ticket_list import OPEN, clocks_of_tickets, count_tickets, list_tickets
from sla_plugin.services.tenant_settings import change_settings, read_settings
from sla_plugin.web.access import needs
from sla_plugin.web.admin.clock_rows import ALERT_TITLES, clock_cells
from sla_plugin.web.admin.frame import page_blueprint, render, viewer
from sla_plugin.web.admin.machine import machine_lights
from sla_plugin.web.runtime import Runtime

_NEXT = 20
_ALERTS = 10


def blueprint(runtime: Runtime) -> Blueprint:
    """`/sla`."""
    pages = page_blueprint("overview", runtime)

    @pages.get("/sla")
    @needs("overview.read")
    def show() -> str:
        """Counters, next deadlines, alerts, the machine."""
        tenant, now = viewer().tenant, viewer().now
        with runtime.database.reading(viewer().tenant) as tx:
            counts = {standing: count.number for standing, count in count_tickets(tx, tenant, tabs=OPEN).items()}
            due = list_tickets(tx, tenant, limit=_NEXT)
            clocks = clocks_of_tickets(tx, tenant, [r.Ticket.id for r in due.rows])
            cells = clock_cells(tx, tenant, clocks, now)
            alerts = list_alerts(tx, tenant, limit=_ALERTS)
            met, finished = queries.met_since(tx, tenant, now - 30 * DAY)
            figures, lights = machine_lights(runtime, tx, tenant, now)
            last_delivery = queries.last_delivery_at(tx, tenant)
            setup = queries.setup_facts(tx, tenant)
            setup_shown = viewer().may("connections.write") and read_settings(tx, tenant)["setup_list"]
        next_at = min((r.due for r in due.rows if r.due > now), default=None)
        return render(
            "overview.html",
            counts=counts,
            due=due.rows,
            cells=cells,
            alerts=alerts.rows,
            met=met,
            finished=finished,
            lights=lights,
            last_delivery=last_delivery,
            setup=setup,
            setup_shown=setup_shown,
            more_alerts=alerts.after is not None,
            last_from=next((one.name for one in figures.connections if one.last_delivery_at == last_delivery), None),
            metrics=ALERT_TITLES,
            poll=3 if next_at is not None and next_at - now < 10 * MINUTE else 30,
            fragment=request.args.get("fragment"),
        )

    @pages.post("/sla/setup")
    @needs("settings.write")
    def hide_setup() -> Response:
        """Take the setup list off the page; the settings bring it back."""
        with runtime.database.transaction(viewer().tenant) as tx:
            change_settings(tx, viewer().tenant, {"setup_list": "no"}, viewer().now, viewer().actor.name, runtime.outside.sealer)
        flash(gettext("The setup list is hidden. The settings show it again."))
        return redirect(url_for("overview.show"))

    return pages
