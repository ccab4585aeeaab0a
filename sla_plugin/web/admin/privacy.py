"""Privacy: what is held about somebody, as a file; erasing them for good; who was erased."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext
from sla_plugin.services.erase_person import begin_erasure, plan_erasure
from sla_plugin.services.gather_person import personal_data
from sla_plugin.services.somebody import Somebody, find_somebody
from sla_plugin.store.audit import append_audit
from sla_plugin.store.connections import list_connections
from sla_plugin.store.db import Transaction
from sla_plugin.store.erasures import list_erasures
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import page_blueprint, refuse, render, viewer
from sla_plugin.web.admin.policy_form import sentence
from sla_plugin.web.looks import note_look
from sla_plugin.web.runtime import Runtime


def blueprint(runtime: Runtime) -> Blueprint:
    """`/privacy`: finding somebody, their data as a file, erasing them. Whom it is about is never part of an address, which logs and histories keep."""
    pages = page_blueprint("privacy", runtime)

    @pages.get("/privacy")
    @needs("privacy.read")
    def show() -> str:
        """The way to somebody, and the erasures."""
        return render("privacy.html", **_context(runtime, {}))

    @pages.post("/privacy")
    @needs("privacy.export")
    def plan() -> str | tuple[str, int]:
        """What is held about somebody, table by table, and what erasing them would do."""
        try:
            with runtime.database.reading(viewer().tenant) as tx:
                somebody = _asked(tx)
                counts = plan_erasure(tx, viewer().tenant, somebody)
        except InvalidDefinition as problem:
            return refuse("privacy.html", {problem.field: gettext(sentence(problem.problem))}, **_context(runtime, request.form, errors=False))
        note_look("export", somebody.person or somebody.shown)
        return render("privacy.html", **_context(runtime, request.form), about=somebody, counts=counts)

    @pages.post("/privacy/export")
    @needs("privacy.export")
    def export() -> AnyResponse | tuple[str, int]:
        """All of it as one JSON file, streamed; the audit trail knows that it was made."""
        tenant, now = viewer().tenant, viewer().now
        try:
            with runtime.database.transaction(tenant) as tx:
                somebody = _asked(tx)
                told = {"person": str(somebody.person)} if somebody.person is not None else {"address": somebody.shown}
                append_audit(tx, tenant, now, viewer().actor.name, "personal data exported", told)
        except InvalidDefinition as problem:
            return refuse("privacy.html", {problem.field: gettext(sentence(problem.problem))}, **_context(runtime, request.form, errors=False))
        note_look("export", somebody.person or somebody.shown)
        answer = Response(personal_data(lambda: runtime.database.reading(tenant), tenant, somebody, now), content_type="application/json")
        answer.headers["Content-Disposition"] = 'attachment; filename="personal-data.json"'
        return answer

    @pages.post("/privacy/erase")
    @needs("privacy.erase")
    def erase() -> AnyResponse | tuple[str, int]:
        """Erase somebody, confirmed by typing who they are; the timekeeper does it, and the page shows how far it is."""
        tenant = viewer().tenant
        somebody, counts = None, {}
        try:
            with runtime.database.transaction(tenant) as tx:
                somebody = _asked(tx)
                if request.form.get("confirm", "").strip().casefold() != somebody.shown.casefold():
                    raise InvalidDefinition("confirm", f"type {somebody.shown} to erase them; nobody can bring back what is gone")
                _, pseudonym = begin_erasure(tx, tenant, somebody, viewer().now, viewer().actor.name, viewer().person.id, runtime.outside.sealer)
        except InvalidDefinition as problem:
            if somebody is not None:
                with runtime.database.reading(tenant) as tx:
                    counts = plan_erasure(tx, tenant, somebody)
            said = {problem.field: gettext(sentence(problem.problem))}
            return refuse("privacy.html", said, **_context(runtime, request.form, errors=False), about=somebody, counts=counts)
        flash(gettext("Begun: they are %(pseudonym)s from now on. Below is how far it is.", pseudonym=pseudonym))
        return redirect(url_for("privacy.show", _anchor="erasures"))

    def _asked(tx: Transaction) -> Somebody:
        form = request.form
        number = form.get("person", "")
        person = int(number) if number.isascii() and number.isdigit() and len(number) < 19 else None
        who = {"address": form.get("address", ""), "connection": form.get("connection", ""), "name": form.get("name", "")}
        return find_somebody(tx, viewer().tenant, person=person, **who)

    return pages


def _context(runtime: Runtime, form: Mapping[str, str], *, errors: bool = True) -> dict[str, Any]:
    with runtime.database.reading(viewer().tenant) as tx:
        connections = [connection.name for connection in list_connections(tx, viewer().tenant)]
        erasures = list_erasures(tx, viewer().tenant)
    return {"connections": connections, "erasures": erasures, "form": form, **({"errors": {}} if errors else {})}
