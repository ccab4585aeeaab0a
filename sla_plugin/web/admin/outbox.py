"""The outbox: what did we send, what waits, why did it fail?"""

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from sla_plugin.errors import ConfigurationError
from sla_plugin.language import gettext, ngettext
from sla_plugin.reports import queries
from sla_plugin.reports.command_list import LISTING, count_commands, list_commands
from sla_plugin.services.retry_commands import retry_commands
from sla_plugin.store.connections import list_connections
from sla_plugin.web.access import needs
from sla_plugin.web.admin.clock_rows import METRIC_TITLES
from sla_plugin.web.admin.frame import page_blueprint, render, viewer
from sla_plugin.web.admin.list_view import list_view, list_words, plus
from sla_plugin.web.runtime import Runtime


def blueprint(runtime: Runtime) -> Blueprint:
    """`/outbox` and retries."""
    pages = page_blueprint("outbox", runtime)

    @pages.get("/outbox")
    @needs("outbox.read")
    def listing() -> str:
        """Commands, the newest first."""
        tenant, view = viewer().tenant, list_view(LISTING)
        connection = view.filters.get("connection", "")
        with runtime.database.reading(viewer().tenant) as tx:
            page = list_commands(tx, tenant, filters=view.filters, sort=view.sort, after=view.after)
            counts = count_commands(tx, tenant, int(connection) if connection.isascii() and connection.isdigit() and len(connection) < 19 else None)
            connections = queries.connections_with_state(tx, tenant)
        state = view.filters.get("state", "")
        return render(
            "outbox.html",
            view=view,
            page=page,
            counts=counts,
            total=counts[state] if state in counts else plus(*counts.values()),
            connections=connections,
            names={str(c.id): c.name for c, _ in connections},
            metrics=METRIC_TITLES,
            **list_words(),
        )

    @pages.get("/outbox/retry")
    @needs("outbox.retry")
    def retry_plan() -> str:
        """What another try of all that failed means, with their number."""
        connection = list_view(LISTING).filters.get("connection", "")
        chosen = int(connection) if connection.isascii() and connection.isdigit() and len(connection) < 19 else None
        with runtime.database.reading(viewer().tenant) as tx:
            count = count_commands(tx, viewer().tenant, chosen, ("failed",))["failed"]
            names = {c.id: c.name for c in list_connections(tx, viewer().tenant)}
        return render("retry_plan.html", count=count, connection=chosen or "", name=names.get(chosen or 0), **list_words())

    @pages.post("/outbox/retry")
    @needs("outbox.retry")
    def retry() -> Response:
        """Give failed commands (of a ticket, of a connection, all) another chance."""
        wanted, external = request.form.get("connection", ""), request.form.get("external") or None
        try:
            with runtime.database.transaction(viewer().tenant) as tx:
                connection = int(wanted) if wanted.isdigit() else None
                tried = retry_commands(tx, viewer().tenant, viewer().now, viewer().actor.name, runtime.outside, connection=connection, external=external)
        except ConfigurationError as error:
            flash(str(error), "problem")
        else:
            said = ngettext("%(num)d command waits to be sent again.", "%(num)d commands wait to be sent again.", len(tried))
            flash(said if tried else gettext("Nothing had failed."))
        return redirect(url_for("outbox.listing"))

    return pages
