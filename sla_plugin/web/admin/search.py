"""The search of the top bar: a number leads straight to its page, other words to what holds them."""

from typing import NamedTuple

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from sla_plugin.language import gettext
from sla_plugin.reports import find
from sla_plugin.reports.queries import STATES
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import get_delivery
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import page_blueprint, render, viewer
from sla_plugin.web.runtime import Runtime

_LONGEST_ID = 19  # digits of a 63-bit number


class Hit(NamedTuple):
    """One line of what was found."""

    href: str
    text: str
    beside: str = ""


Group = tuple[str, list[Hit], str | None]  # title, what is shown, where the rest is


def blueprint(runtime: Runtime) -> Blueprint:
    """`/search`."""
    pages = page_blueprint("search", runtime)

    @pages.get("/search")
    @needs("tickets.read")
    def show() -> str | Response:
        """What the words of `q` find, in groups; straight on where there is only one answer."""
        text = request.args.get("q", "").strip()[:200]
        name, _, value = text.partition(":")
        if name == "state" and value in STATES:
            return redirect(url_for("tickets.listing", state=value))
        groups: list[Group] = []
        if text:
            with runtime.database.reading(viewer().tenant) as tx:
                straight = _straight(tx, text.removeprefix("#"))
                groups = [] if straight else _groups(tx, text)
            if straight:
                return redirect(straight)
        return render("search.html", text=text, groups=groups)

    return pages


def _straight(tx: Transaction, text: str) -> str | None:
    """The page of the one thing that is called exactly so."""
    numbered = find.tickets_numbered(tx, viewer().tenant, text)
    if len(numbered) == 1:
        return url_for("tickets.show", ticket_id=numbered[0].id)
    if viewer().may("deliveries.read") and text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID and int(text) < 2**63:
        delivery = get_delivery(tx, viewer().tenant, int(text))
        if delivery is not None:
            return url_for("deliveries.show", delivery_id=delivery.id)
    return None


def _groups(tx: Transaction, text: str) -> list[Group]:
    tenant = viewer().tenant
    numbered = list(find.tickets_numbered(tx, tenant, text.removeprefix("#")))
    about = [t for t in find.tickets_about(tx, tenant, text) if t.id not in {n.id for n in numbered}]
    more = url_for("tickets.listing", state="all", q=text) if len(about) > find.FEW else None
    tickets = [Hit(url_for("tickets.show", ticket_id=t.id), f"#{t.external_id} {t.subject}", t.organization or "") for t in [*numbered, *about[: find.FEW]]]
    groups: list[Group] = [(gettext("Tickets"), tickets, more)]
    if viewer().may("connections.read"):
        found = [Hit(url_for("connections.show", connection_id=c.id), c.name) for c in find.connections_named(tx, tenant, text)]
        groups.append((gettext("Connections"), found, None))
    groups.append((gettext("Policies"), [Hit(url_for("policies.edit", policy_id=p.id), p.name) for p in find.policies_named(tx, tenant, text)], None))
    groups.append((gettext("Calendars"), [Hit(url_for("calendars.edit", calendar_id=c.id), c.name) for c in find.calendars_named(tx, tenant, text)], None))
    if viewer().may("people.read"):
        people = [Hit(url_for("people.show", person_id=p.id), p.name, p.email) for p in find.people_named(tx, tenant, text)]
        groups.append((gettext("People"), people, None))
    return [group for group in groups if group[1]]
