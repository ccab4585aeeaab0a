"""API tokens: what may programs do?"""

from flask import Blueprint, abort, flash, redirect, request, session, url_for
from werkzeug.wrappers import Response

from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext, marked
from sla_plugin.permissions import PERMISSIONS, allowed
from sla_plugin.services.tokens import make_token, revoke_token
from sla_plugin.store.credentials import list_tokens
from sla_plugin.store.people import list_people
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import page_blueprint, render, spoken, viewer
from sla_plugin.web.admin.policy_form import sentence
from sla_plugin.web.runtime import Runtime

SPANS = {"30": marked("30 days"), "90": marked("90 days"), "365": marked("a year"), "": marked("until it is revoked")}


def blueprint(runtime: Runtime) -> Blueprint:
    """`/tokens`: the list, a new one (shown once), revoking."""
    pages = page_blueprint("tokens", runtime)

    @pages.get("/tokens")
    @needs("tokens.read")
    def listing() -> str:
        """Every token, and the form of a new one."""
        return _page(runtime, {})

    @pages.post("/tokens")
    @needs("tokens.write")
    def make() -> Response | tuple[str, int]:
        """A token that acts for the viewer within the scopes chosen."""
        days = request.form.get("days", "")
        try:
            if days not in SPANS:
                raise InvalidDefinition("days", "choose one of the list")
            with runtime.database.transaction(viewer().tenant) as tx:
                span = int(days) if days else None
                made = make_token(tx, viewer().person, request.form.get("name", ""), request.form.getlist("scopes"), span, viewer().now, viewer().actor.name)
        except InvalidDefinition as problem:
            return _page(runtime, {problem.field: sentence(problem.problem)}), 422
        session["token_shown_once"] = runtime.outside.sealer.seal(made.secret)
        flash(gettext("The token is made. Copy it now; it is not shown again."))
        return redirect(url_for("tokens.listing"))

    @pages.post("/tokens/<int(max=9223372036854775807):token_id>/revoke")
    @needs("tokens.write")
    def revoke(token_id: int) -> Response:
        """The next request with the token is refused."""
        with runtime.database.transaction(viewer().tenant) as tx:
            token = revoke_token(tx, viewer().tenant, token_id, viewer().now, viewer().actor.name)
        if token is None:
            abort(404, gettext("There is no such token here."))
        flash(gettext("%(name)s is revoked.", name=token.name))
        return redirect(url_for("tokens.listing"))

    return pages


def _page(runtime: Runtime, errors: dict[str, str]) -> str:
    with runtime.database.reading(viewer().tenant) as tx:
        tokens = list_tokens(tx, viewer().tenant)
        people = {person.id: person for person in list_people(tx, viewer().tenant)}
    mine = allowed(viewer().person.role)
    scopes = [(name, row.help) for name, row in PERMISSIONS.items() if name in mine]
    shown = runtime.outside.sealer.open(session.pop("token_shown_once", None))
    return render("tokens.html", tokens=tokens, people=people, scopes=scopes, spans=spoken(SPANS).items(), shown_once=shown, errors=errors, form=request.form)
