"""People: who can do what? Invite, change role, disable, end sessions, bind the names that helpdesks have for customers."""

from collections.abc import Callable

from flask import Blueprint, abort, flash, redirect, request, session, url_for
from werkzeug.wrappers import Response

from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext
from sla_plugin.permissions import ROLES
from sla_plugin.reports.mail_words import explained
from sla_plugin.services import people as changes
from sla_plugin.services.bind_requester import bind, unbind
from sla_plugin.services.queue_mail import LINKS, welcome_url
from sla_plugin.services.session_settings import open_sessions
from sla_plugin.services.sign_in_with_provider import unbind as unbind_identity
from sla_plugin.store.connections import list_connections
from sla_plugin.store.db import Transaction
from sla_plugin.store.erasures import erased_as
from sla_plugin.store.identities import identities_of
from sla_plugin.store.mails import failed_mails, last_mail, mail_check
from sla_plugin.store.people import Person, get_person, list_people
from sla_plugin.store.personal_reads import reads_of
from sla_plugin.store.requesters import requesters_of
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import page_blueprint, render, viewer
from sla_plugin.web.admin.policy_form import sentence
from sla_plugin.web.looks import note_look
from sla_plugin.web.runtime import Runtime


def blueprint(runtime: Runtime) -> Blueprint:
    """`/people`, inviting, one person."""
    pages = page_blueprint("people", runtime)

    @pages.get("/people")
    @needs("people.read")
    def listing() -> str:
        """Everybody, and the form of an invitation."""
        return _list(runtime, {})

    @pages.post("/people")
    @needs("people.write")
    def invite() -> Response | tuple[str, int]:
        """Somebody new; their one-time link goes by mail, or is shown once where the tenant sends none."""
        form = request.form
        try:
            with runtime.database.transaction(viewer().tenant) as tx:
                person, secret = changes.invite(
                    tx, viewer().tenant, form.get("email", ""), form.get("name", ""), form.get("role", ""), viewer().now, viewer().actor.name, runtime.outside
                )  # fmt: skip
        except InvalidDefinition as problem:
            return _list(runtime, {problem.field: sentence(problem.problem)}), 422
        if secret:
            _show_once(runtime, secret)
        flash(gettext("Invited. Send the link below; it works once, for three days.") if secret else gettext("Invited. A mail with a link is on its way."))
        return redirect(url_for("people.show", person_id=person))

    @pages.get("/people/<int(max=9223372036854775807):person_id>")
    @needs("people.read")
    def show(person_id: int) -> str:
        """One person: role, sessions, names in helpdesks."""
        return _one(runtime, person_id, {})

    @pages.post("/people/<int(max=9223372036854775807):person_id>/role")
    @needs("people.write")
    def role(person_id: int) -> Response | tuple[str, int]:
        """Another role; never one's own, never the last admin's."""
        wanted = request.form.get("role", "")
        return _change(
            runtime,
            person_id,
            lambda tx, who: changes.change_role(tx, viewer().tenant, who, wanted, viewer().now, viewer().actor.name, viewer().person.id),
            gettext("The role is changed."),
        )

    @pages.post("/people/<int(max=9223372036854775807):person_id>/disable")
    @needs("people.write")
    def disable(person_id: int) -> Response | tuple[str, int]:
        """Let in no more, or again (`again`)."""

        def act(tx: Transaction, who: Person) -> None:
            if "again" in request.form:
                changes.enable(tx, viewer().tenant, who, viewer().now, viewer().actor.name)
            else:
                changes.disable(tx, viewer().tenant, who, viewer().now, viewer().actor.name, viewer().person.id)

        done = gettext("May sign in again.") if "again" in request.form else gettext("Disabled; sessions have ended, tokens are refused.")
        return _change(runtime, person_id, act, done)

    @pages.post("/people/<int(max=9223372036854775807):person_id>/link")
    @needs("people.write")
    def link(person_id: int) -> Response | tuple[str, int]:
        """A one-time link for a new password: by mail, or shown once (`show`, or where the tenant sends no mail)."""
        mailed: list[bool] = []

        def act(tx: Transaction, who: Person) -> None:
            outside = None if "show" in request.form else runtime.outside
            secret = changes.reset(tx, viewer().tenant, who, viewer().now, viewer().actor.name, outside)
            mailed.append(not secret)
            if secret:
                _show_once(runtime, secret)

        def done() -> str:
            if mailed[-1]:
                return gettext("A mail with a link is on its way. The old password stays valid until it is used.")
            return gettext("Send the link below; it works once, for three days. The old password stays valid until then.")

        return _change(runtime, person_id, act, done)

    @pages.post("/people/<int(max=9223372036854775807):person_id>/sessions")
    @needs("people.write")
    def sessions(person_id: int) -> Response | tuple[str, int]:
        """End one session of a person, or all."""
        chosen = request.form.get("session", "")
        only = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 20 else None

        def act(tx: Transaction, who: Person) -> None:
            changes.sign_out(tx, viewer().tenant, who.id, viewer().now, viewer().actor.name, only=only, but=viewer().session)

        return _change(runtime, person_id, act, gettext("Ended."))

    @pages.post("/people/<int(max=9223372036854775807):person_id>/requesters")
    @needs("people.write")
    def requesters(person_id: int) -> Response | tuple[str, int]:
        """Bind a helpdesk's name for the person, or take one back (`remove`)."""
        connection, external, remove = request.form.get("connection", ""), request.form.get("external", ""), request.form.get("remove", "")

        def act(tx: Transaction, who: Person) -> None:
            if remove.isascii() and remove.isdigit() and len(remove) < 20:
                unbind(tx, viewer().tenant, who, int(remove), viewer().now, viewer().actor.name)
            else:
                bind(tx, viewer().tenant, who, connection, external, viewer().now, viewer().actor.name)

        done = gettext("Taken back.") if remove else gettext("Bound: the person sees the tickets asked for under that name.")
        return _change(runtime, person_id, act, done)

    @pages.post("/people/<int(max=9223372036854775807):person_id>/identities")
    @needs("people.write")
    def identities(person_id: int) -> Response | tuple[str, int]:
        """Unbind a person from an account of the sign-in service (`remove`)."""
        remove = request.form.get("remove", "")
        chosen = int(remove) if remove.isascii() and remove.isdigit() and len(remove) < 20 else 0

        def act(tx: Transaction, who: Person) -> None:
            unbind_identity(tx, viewer().tenant, who, chosen, viewer().now, viewer().actor.name)

        return _change(runtime, person_id, act, gettext("Unbound."))

    return pages


def _show_once(runtime: Runtime, secret: str) -> None:
    session["link_shown_once"] = runtime.outside.sealer.seal(welcome_url(runtime.outside, secret))


def _change(runtime: Runtime, person_id: int, act: Callable[[Transaction, Person], None], done: str | Callable[[], str]) -> Response | tuple[str, int]:
    try:
        with runtime.database.transaction(viewer().tenant) as tx:
            person = get_person(tx, viewer().tenant, person_id)
            if person is None:
                abort(404, gettext("There is no such person here."))
            act(tx, person)
    except InvalidDefinition as problem:
        return _one(runtime, person_id, {problem.field: sentence(problem.problem)}), 422
    flash(done if isinstance(done, str) else done())
    return redirect(url_for("people.show", person_id=person_id))


def _list(runtime: Runtime, errors: dict[str, str]) -> str:
    with runtime.database.reading(viewer().tenant) as tx:
        people = list_people(tx, viewer().tenant)
        unsent = {mail.person_id for mail in failed_mails(tx, viewer().tenant, len(people)) if mail.kind in LINKS}
    return render("people.html", people=people, unsent=unsent, roles=ROLES, errors=errors, form=request.form)


def _one(runtime: Runtime, person_id: int, errors: dict[str, str]) -> str:
    with runtime.database.reading(viewer().tenant) as tx:
        person = get_person(tx, viewer().tenant, person_id)
        if person is None:
            abort(404, gettext("There is no such person here."))
        sessions = open_sessions(tx, viewer().tenant, person_id, viewer().now)
        connections = list_connections(tx, viewer().tenant)
        identities = identities_of(tx, viewer().tenant, person_id)
        requesters = requesters_of(tx, viewer().tenant, person_id)
        mail, mails = last_mail(tx, viewer().tenant, person_id, LINKS), mail_check(tx, viewer().tenant) is not None
        reads = reads_of(tx, viewer().tenant, "person", str(person_id))
        erased_at = erased_as(tx, viewer().tenant, [person.name]).get(person.name)
    note_look("person", person_id)
    shown = runtime.outside.sealer.open(session.pop("link_shown_once", None))
    names = {connection.id: connection.name for connection in connections}
    why = explained(mail.problem, mail.status, mail.said, advise=mail.state == "failed") if mail is not None and mail.problem else ""
    return render(
        "person.html",
        person=person,
        sessions=sessions,
        names=names,
        identities=identities,
        requesters=requesters,
        roles=ROLES,
        shown_once=shown,
        errors=errors,
        form=request.form,
        mail=mail,
        mails=mails,
        why=why,
        reads=reads,
        erased_at=erased_at,
    )
