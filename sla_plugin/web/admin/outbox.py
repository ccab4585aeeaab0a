"""The outbox: what did we send, what waits, why did it fail?"""

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from sla_plugin.errors import ConfigurationError
from sla_plugin.language import gettext, ngettext
from sla_plugin.reports import queries
from sla_plugin.services.retry_commands import retry_commands
from sla_plugin.store.outbox import COMMAND_STATES
from sla_plugin.web.access import needs
from sla_plugin.web.admin.clock_rows import METRIC_TITLES
from sla_plugin.web.admin.frame import number_arg, page_blueprint, page_number, render, viewer
from sla_plugin.web.runtime import Runtime


def blueprint(runtime: Runtime) -> Blueprint:
    """`/outbox` and retries."""
    pages = page_blueprint("outbox", runtime)

    @pages.get("/outbox")
    @needs("outbox.read")
    def listing() -> str:
        """Commands, the newest first."""
        tenant = viewer().tenant
        state, connection = request.args.get("state", ""), number_arg("connection")
        with runtime.database.reading(viewer().tenant) as tx:
            page = queries.list_commands(tx, tenant, state=state if state in COMMAND_STATES else "", connection=connection, after=page_number())
            counts = queries.count_commands(tx, tenant, connection)
            connections = queries.connections_with_state(tx, tenant)
        return render(
            "outbox.html", page=page, counts=counts, connections=connections, names={c.id: c.name for c, _ in connections},
            state=state, connection=connection, states=COMMAND_STATES, metrics=METRIC_TITLES,
        )  # fmt: skip

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
            flash(
                ngettext("%(num)d command waits to be sent again.", "%(num)d commands wait to be sent again.", len(tried))
                if tried
                else gettext("Nothing had failed.")
            )
        return redirect(url_for("outbox.listing"))

    return pages
