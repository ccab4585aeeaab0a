"""Connections: is it wired, both ways?"""

from http import HTTPStatus
from typing import Any

import yaml
from flask import Blueprint, abort, flash, redirect, request, session, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from sla_plugin.engine.durations import DAY
from sla_plugin.errors import ConfigurationError, ConnectorError, InvalidDefinition, PermanentFailure, SlaPluginError, TemporaryFailure
from sla_plugin.language import gettext, marked
from sla_plugin.reports import queries
from sla_plugin.reports.command_list import count_commands, list_commands
from sla_plugin.reports.lists import MOST
from sla_plugin.services.change_connection import add_secret, record_check, retire_secret, set_mode, shown_secrets
from sla_plugin.services.connect_helpdesk import ConnectionForm, new_secret, prepare_connection, prove_connection, store_connection
from sla_plugin.services.send_test_delivery import send_test_delivery
from sla_plugin.store.connections import MODES, Connection, find_by_name, get_connection, get_state
from sla_plugin.store.deliveries import deliveries_since
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import page_blueprint, refuse, render, viewer
from sla_plugin.web.admin.machine import machine_lights
from sla_plugin.web.admin.policy_form import sentence
from sla_plugin.web.runtime import Runtime

MODE_WORDS = {
    "observe": marked("Clocks run and alerts appear here. Nothing is planned for the helpdesk."),
    "dry_run": marked("What would be written is kept in the outbox as a dry run. Nothing is sent."),
    "live": marked("What a breach asks for is written to the helpdesk."),
}


def blueprint(runtime: Runtime) -> Blueprint:
    """`/connections`, new ones, one with its health, secrets, mode and settings."""
    pages = page_blueprint("connections", runtime)

    @pages.get("/connections")
    @needs("connections.read")
    def listing() -> str:
        """Every connection with its health."""
        with runtime.database.reading(viewer().tenant) as tx:
            rows = queries.connections_with_state(tx, viewer().tenant)
            _, lights = machine_lights(runtime, tx, viewer().tenant, viewer().now)
        return render("connections.html", rows=rows, lights={light.connection: light for light in lights}, titles=_titles(runtime))

    @pages.get("/connections/new")
    @needs("connections.write")
    def catalogue() -> str:
        """The connectors there are."""
        return render("connection_catalogue.html", connectors=list(runtime.outside.connectors.values()))

    @pages.route("/connections/new/<kind>", methods=["GET", "POST"])
    @needs("connections.write")
    def new(kind: str) -> str | Response | tuple[str, int]:
        """The form of a new connection."""
        if kind not in runtime.outside.connectors:
            abort(404, gettext("There is no such connector."))
        connector = runtime.outside.connector(kind)
        if request.method == "GET":
            return render("connection_new.html", connector=connector, form=MultiDict({"name": gettext(connector.title)}), errors={})
        typed = ConnectionForm(
            name=request.form.get("name", ""),
            connector=kind,
            base_url=request.form.get("base_url", "").strip() or None,
            email=request.form.get("email", "").strip() or None,
            token=request.form.get("token", "").strip() or None,
            secret=request.form.get("secret", "").strip() or None,
            mode="observe" if request.form.get("mode") == "observe" else "dry_run",
            assignee=request.form.get("assignee", "").strip() or None,
        )
        try:
            made = _connect(runtime, typed, update=False)
        except SlaPluginError as problem:
            return refuse("connection_new.html", problem_fields(problem), connector=connector, form=request.form)
        if made.secret:
            session["shown_once"] = runtime.outside.sealer.seal(made.secret)
        with runtime.database.reading(viewer().tenant) as tx:
            connection = find_by_name(tx, viewer().tenant, made.name)
        flash(gettext("%(name)s is connected. It writes nothing yet.", name=made.name))
        return redirect(url_for("connections.show", connection_id=connection.id if connection else 0))

    @pages.get("/connections/<int(max=9223372036854775807):connection_id>")
    @needs("connections.read")
    def show(connection_id: int) -> str:
        """Health, webhook, mode, secrets, settings."""
        return _detail(runtime, connection_id, None, {})

    @pages.post("/connections/<int(max=9223372036854775807):connection_id>/settings")
    @needs("connections.write")
    def settings(connection_id: int) -> Response | tuple[str, int]:
        """Change address, credentials, assignee, words."""
        connection = _found(runtime, connection_id)
        form = request.form
        if form.get("version") != str(connection.version):
            said = gettext("Somebody else changed this connection after you opened the form. Your text is kept; look at the rest of the page and save again.")
            kept = form.copy()
            kept["version"] = str(connection.version)
            return _detail(runtime, connection_id, kept, {"": said}), 422
        try:
            mapping = yaml.safe_load(form.get("mapping", "") or "{}")
            if not isinstance(mapping, dict):
                raise InvalidDefinition("mapping", "write status, priority and unset_priority, one word per line")
            typed = ConnectionForm(
                name=connection.name,
                connector=connection.connector,
                base_url=form.get("base_url", "").strip(),
                email=form.get("email", "").strip() or None,
                token=form.get("token", "").strip() or None,
                assignee=form.get("assignee", "").strip(),
                mapping=mapping,
            )
            _connect(runtime, typed, update=True)
        except yaml.YAMLError as problem:
            return _detail(runtime, connection_id, form, {"mapping": gettext("This is no YAML: %(problem)s.", problem=str(problem).splitlines()[0])}), 422
        except SlaPluginError as problem:
            return _detail(runtime, connection_id, form, problem_fields(problem)), 422
        flash(gettext("Saved."))
        return redirect(url_for("connections.show", connection_id=connection_id))

    @pages.post("/connections/<int(max=9223372036854775807):connection_id>/mode")
    @needs("connections.write")
    def mode(connection_id: int) -> Response:
        """Switch between observing, dry run and live."""
        connection, wanted = _found(runtime, connection_id), request.form.get("mode", "")
        if wanted == "live" and "sure" not in request.form:
            return redirect(url_for("connections.go_live", connection_id=connection_id))
        _act(
            runtime,
            lambda tx: set_mode(tx, viewer().tenant, connection.name, wanted, viewer().now, viewer().actor.name, runtime.outside),
            gettext("The mode is changed."),
        )
        return redirect(url_for("connections.show", connection_id=connection_id))

    @pages.get("/connections/<int(max=9223372036854775807):connection_id>/live")
    @needs("connections.write")
    def go_live(connection_id: int) -> str:
        """What turning writing on means: the last would-be writes."""
        connection = _found(runtime, connection_id)
        with runtime.database.reading(viewer().tenant) as tx:
            planned = list_commands(tx, viewer().tenant, filters={"state": "dry_run", "connection": str(connection_id)}, limit=20)
            count = count_commands(tx, viewer().tenant, connection_id)["dry_run"].number
        return render("connection_live.html", connection=connection, planned=planned.rows, count=count)

    @pages.post("/connections/<int(max=9223372036854775807):connection_id>/secrets")
    @needs("connections.write")
    def secrets(connection_id: int) -> Response:
        """Add a webhook secret (typed, or made here and shown once), or retire one."""
        connection, tenant = _found(runtime, connection_id), viewer().tenant
        retire, typed = request.form.get("retire", ""), request.form.get("secret", "").strip()
        if retire:
            done = gettext("The secret is retired: deliveries signed with it are refused.")
            _act(runtime, lambda tx: retire_secret(tx, tenant, connection.name, retire, viewer().now, viewer().actor.name, runtime.outside), done)
        else:
            secret = typed or new_secret()
            done = gettext("Both secrets are valid now. Enter the new one at the sender, then retire the old one.")
            if (
                _act(runtime, lambda tx: add_secret(tx, tenant, connection.name, secret, viewer().now, viewer().actor.name, runtime.outside), done)
                and not typed
            ):
                session["shown_once"] = runtime.outside.sealer.seal(secret)
        return redirect(url_for("connections.show", connection_id=connection_id))

    @pages.post("/connections/<int(max=9223372036854775807):connection_id>/check")
    @needs("connections.write")
    def check(connection_id: int) -> Response:
        """Prove the credentials again."""
        connection = _found(runtime, connection_id)
        try:
            facts = runtime.outside.connector(connection.connector).check(runtime.outside.account(connection), runtime.outside.http)
        except (ConnectorError, ConfigurationError) as problem:
            flash(sentence(str(problem)), "problem")
        else:
            _act(runtime, lambda tx: record_check(tx, viewer().tenant, connection, facts, viewer().now, viewer().actor.name), gettext("Checked just now."))
        return redirect(url_for("connections.show", connection_id=connection_id))

    @pages.post("/connections/<int(max=9223372036854775807):connection_id>/test")
    @needs("connections.write")
    def test(connection_id: int) -> Response:
        """Sign and store a delivery of our own, as the sender would."""
        connection = _found(runtime, connection_id)
        try:
            with runtime.database.transaction(viewer().tenant) as tx:
                delivery = send_test_delivery(tx, connection, viewer().now, viewer().actor.name, runtime.outside)
        except SlaPluginError as problem:
            flash(sentence(str(problem)), "problem")
            return redirect(url_for("connections.show", connection_id=connection_id))
        flash(gettext("The signature was accepted and the delivery is stored. Below stands what it became; reload if it still waits."))
        return redirect(url_for("deliveries.show", delivery_id=delivery))

    return pages


def problem_fields(problem: SlaPluginError) -> dict[str, str]:
    """A refusal as form errors: beside its field where it names one, or where the helpdesk's answer leads to one."""
    if isinstance(problem, InvalidDefinition):
        found: dict[str, str] = {}
        for field, said in problem.problems.items():
            found.setdefault(field.split(".")[0], sentence(said))  # of several within a field the first
        return found
    if isinstance(problem, PermanentFailure) and problem.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return {"token": sentence(str(problem))}
    if isinstance(problem, PermanentFailure | TemporaryFailure):
        return {"base_url": sentence(str(problem))}  # nobody there, or nobody who is a helpdesk
    return {"": sentence(str(problem))}


def _connect(runtime: Runtime, typed: ConnectionForm, *, update: bool) -> Any:
    tenant, outside = viewer().tenant, runtime.outside
    with runtime.database.reading(viewer().tenant) as tx:
        draft = prepare_connection(tx, tenant, typed, outside, allow_private=runtime.settings.allow_private_urls, update=update)
    facts = prove_connection(draft, outside)
    with runtime.database.transaction(viewer().tenant) as tx:
        return store_connection(tx, tenant, draft, facts, runtime.clock(), viewer().actor.name, outside)


def _act(runtime: Runtime, change: Any, done: str) -> bool:
    """Make a change in a transaction and say so, or say why not."""
    try:
        with runtime.database.transaction(viewer().tenant) as tx:
            change(tx)
    except SlaPluginError as problem:
        flash(sentence(str(problem)), "problem")
        return False
    flash(done)
    return True


def _found(runtime: Runtime, connection_id: int) -> Connection:
    with runtime.database.reading(viewer().tenant) as tx:
        connection = get_connection(tx, viewer().tenant, connection_id)
    if connection is None:
        abort(404, gettext("There is no such connection here."))
    return connection


def _titles(runtime: Runtime) -> dict[str, str]:
    return {name: connector.title for name, connector in runtime.outside.connectors.items()}


def _detail(runtime: Runtime, connection_id: int, form: Any, errors: dict[str, str]) -> str:
    tenant, now, outside = viewer().tenant, viewer().now, runtime.outside
    with runtime.database.reading(viewer().tenant) as tx:
        connection = get_connection(tx, tenant, connection_id)
        if connection is None:
            abort(404, gettext("There is no such connection here."))
        state = get_state(tx, tenant, connection_id)
        deliveries = deliveries_since(tx, tenant, [connection_id], now - DAY, MOST)[connection_id]
        commands = {state: count.number for state, count in count_commands(tx, tenant, connection_id).items()}
    if form is None:
        form = MultiDict(
            {
                "base_url": connection.base_url,
                "email": connection.email,
                "assignee": connection.assignee or "",
                "mapping": yaml.safe_dump(connection.mapping, sort_keys=False, allow_unicode=True) if connection.mapping else "",
                "version": str(connection.version),
            }
        )
    connector = outside.connector(connection.connector)
    return render(
        "connection.html",
        connection=connection,
        state=state,
        connector=connector,
        words=outside.words(connection),
        secrets=list(zip(shown_secrets(connection, outside), connection.sealed_secrets, strict=True)),
        shown_once=outside.sealer.open(session.pop("shown_once", None)),
        url=f"{runtime.settings.public_url}/webhooks/{connection.public_id}",
        deliveries=deliveries,
        commands=commands,
        modes={m: MODE_WORDS[m] for m in MODES},
        form=form,
        errors=errors,
    )
