"""The customer's own pages: what did you promise me, and is it on time?"""

from flask import Blueprint, abort, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext
from sla_plugin.reports.own_tickets import own_ticket, own_tickets
from sla_plugin.reports.ticket_list import clocks_of_tickets
from sla_plugin.services.request_escalation import METRIC, request_escalation
from sla_plugin.store.alerts import alerts_of
from sla_plugin.web.access import needs
from sla_plugin.web.admin.clock_rows import clock_cells
from sla_plugin.web.admin.frame import page_blueprint, page_number, refuse, render, viewer
from sla_plugin.web.admin.policy_form import sentence
from sla_plugin.web.runtime import Runtime


def blueprint(runtime: Runtime) -> Blueprint:
    """`/portal`, one ticket of it, and asking to escalate."""
    pages = page_blueprint("portal", runtime)

    @pages.get("/portal")
    @needs("portal.read")
    def listing() -> str:
        """The viewer's own tickets, the last changed first."""
        tenant, now, person = viewer().tenant, viewer().now, viewer().person
        with runtime.database.reading(viewer().tenant) as tx:
            page = own_tickets(tx, tenant, person.id, person.email, page_number())
            cells = clock_cells(tx, tenant, clocks_of_tickets(tx, tenant, [t.id for t in page.rows]), now)
        return render("portal.html", page=page, cells=cells)

    @pages.get("/portal/<int(max=9223372036854775807):ticket_id>")
    @needs("portal.read")
    def show(ticket_id: int) -> str:
        """One ticket in the customer's words: promises, due instants, no internals."""
        return _page(runtime, ticket_id, {})

    @pages.post("/portal/<int(max=9223372036854775807):ticket_id>/escalate")
    @needs("portal.escalate")
    def escalate(ticket_id: int) -> Response | tuple[str, int]:
        """Ask to escalate, with a reason."""
        person = viewer().person
        try:
            with runtime.database.transaction(viewer().tenant) as tx:
                ticket = own_ticket(tx, viewer().tenant, person.id, person.email, ticket_id)
                if ticket is None:
                    abort(404, gettext("There is no such ticket of yours."))
                request_escalation(tx, viewer().tenant, ticket, request.form.get("reason", ""), viewer().now, viewer().actor)
        except InvalidDefinition as problem:
            return _page(runtime, ticket_id, {"reason": sentence(problem.problem)}), 422
        flash(gettext("Your request stands with the agents now."))
        return redirect(url_for("portal.show", ticket_id=ticket_id))

    return pages


def _page(runtime: Runtime, ticket_id: int, errors: dict[str, str]) -> str:
    tenant, now, person = viewer().tenant, viewer().now, viewer().person
    with runtime.database.reading(viewer().tenant) as tx:
        ticket = own_ticket(tx, tenant, person.id, person.email, ticket_id)
        if ticket is None:
            abort(404, gettext("There is no such ticket of yours."))
        cells = clock_cells(tx, tenant, clocks_of_tickets(tx, tenant, [ticket.id]), now).get(ticket.id, [])
        requests = [a for a in alerts_of(tx, tenant, ticket.promise_id) if a.metric == METRIC]
    context = {"ticket": ticket, "cells": cells, "requests": requests, "waits": any(a.acknowledged_at is None for a in requests)}
    return refuse("portal_ticket.html", errors, **context)[0] if errors else render("portal_ticket.html", errors={}, **context)
