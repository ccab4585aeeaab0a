"""Policies: who is promised what? Every save is a new version."""

from typing import Any

import yaml
from flask import Blueprint, abort, flash, redirect, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from sla_plugin.actions.registry import ACTIONS
from sla_plugin.engine.facts import PRIORITIES
from sla_plugin.engine.policies import ALWAYS_OPEN, POLICY_FIELDS, Policy
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext
from sla_plugin.reports import queries
from sla_plugin.services.apply_policy_file import PolicyFile, apply_policy_file, read_stored, warnings_of
from sla_plugin.store.policies import Policy as PolicyRow
from sla_plugin.store.policies import policy_versions
from sla_plugin.web.access import needs
from sla_plugin.web.admin import policy_form
from sla_plugin.web.admin.clock_rows import METRIC_TITLES
from sla_plugin.web.admin.frame import page_blueprint, refuse, render, viewer
from sla_plugin.web.formats import instant
from sla_plugin.web.runtime import Runtime

NEW = {"name": "", "targets": {"first_response": "1h", "resolution": "8h"}, "active": True}


def blueprint(runtime: Runtime) -> Blueprint:
    """`/policies`, the form of one."""
    pages = page_blueprint("policies", runtime)

    @pages.get("/policies")
    @needs("policies.read")
    def listing() -> str:
        """Policies in the order in which they are tried."""
        tenant = viewer().tenant
        with runtime.database.reading(viewer().tenant) as tx:
            newest = {v.policy_id: (name, v) for name, v in policy_versions(tx, tenant)}
            covered = queries.open_tickets_by_policy(tx, tenant)
        rows = [(v, Policy.from_definition(v.definition, name)) for name, v in newest.values()]
        rows.sort(key=lambda r: (not r[1].active, r[1].default, r[1].position, r[1].name))
        return render("policies.html", rows=rows, covered=covered, warnings=warnings_of([p for _, p in rows]) if rows else [])

    @pages.route("/policies/new", methods=["GET", "POST"])
    @needs("policies.write")
    def new() -> str | Response | tuple[str, int]:
        """A new policy."""
        if request.method == "GET":
            return _form(runtime, policy_form.form_of(NEW), None, [], {})
        return _save(runtime, None)

    @pages.route("/policies/<int(max=9223372036854775807):policy_id>", methods=["GET", "POST"])
    @needs("policies.read", "policies.write")
    def edit(policy_id: int) -> str | Response | tuple[str, int]:
        """The policy's form and its versions."""
        if request.method == "POST":
            return _save(runtime, policy_id)
        with runtime.database.reading(viewer().tenant) as tx:
            row = tx.get(PolicyRow, (viewer().tenant, policy_id))
            versions = queries.versions_of_policy(tx, viewer().tenant, policy_id)
        if row is None or not versions:
            abort(404, gettext("There is no such policy here."))
        return _form(runtime, policy_form.form_of(versions[0].definition), row, versions, {})

    return pages


def _save(runtime: Runtime, policy_id: int | None) -> str | Response | tuple[str, int]:
    tenant, form = viewer().tenant, request.form.copy()
    with runtime.database.reading(viewer().tenant) as tx:
        row = tx.get(PolicyRow, (tenant, policy_id)) if policy_id is not None else None
        versions = queries.versions_of_policy(tx, tenant, policy_id) if policy_id is not None else []
        stored = read_stored(tx, tenant)
    if policy_id is not None and row is None:
        abort(404, gettext("There is no such policy here."))
    if row is not None:
        form["name"] = row.name  # other policies and files call it so
    if "add" in form or "remove" in form:
        _move_rows(form)
        return _form(runtime, form, row, versions, {})
    definition, errors = policy_form.definition_of(form, versions[0].definition if versions else {})
    if row is None and not errors and definition["name"] in stored.policies:
        errors["name"] = gettext("There is a policy %(name)s already; choose another name or change that one.", name=definition["name"])
    for field, none in (("calendar", ALWAYS_OPEN), ("beside", "")):
        if form.get(field, none) not in (none, *stored.calendars):
            errors[field] = gettext("There is no calendar %(name)s.", name=form[field])
    if row is not None and versions and form.get("version") != str(versions[0].version):
        errors[""] = _overtaken(versions[0])
        form["version"] = str(versions[0].version)
    if errors:
        return _form(runtime, form, row, versions, errors)
    if versions and policy_form.form_of(definition) == policy_form.form_of(versions[0].definition):
        flash(gettext("Nothing was different; no new version."))
        return redirect(url_for("policies.listing"))
    try:
        with runtime.database.transaction(viewer().tenant) as tx:
            change = apply_policy_file(tx, tenant, PolicyFile({}, {definition["name"]: definition}), viewer().now, viewer().actor.name)
    except InvalidDefinition as problem:
        return _form(runtime, form, row, versions, {policy_form.field_of(problem.field): policy_form.sentence(problem.problem)})
    number = change.policies.get(definition["name"])
    if number:
        flash(gettext("Saved as version %(number)d. Open tickets follow within seconds.", number=number))
    else:
        flash(gettext("Nothing was different; no new version."))
    for warning in change.warnings:
        flash(policy_form.sentence(warning), "warning")
    return redirect(url_for("policies.listing"))


def _overtaken(newest: Any) -> str:
    at = instant(newest.effective_at, viewer().now, viewer().zone)
    return gettext(
        "%(who)s saved version %(number)d at %(when)s, after you opened this form. Your text is kept below; "
        "compare it with the latest version at the foot of the page and save again to put yours on top.",
        who=newest.made_by,
        number=newest.version,
        when=at,
    )


def _move_rows(form: MultiDict[str, str]) -> None:
    """Add or remove a condition without JavaScript: the same form again."""
    gone = form.pop("remove", "")
    fields, operators, values = form.getlist("field"), form.getlist("operator"), form.getlist("value")
    rows = [r for n, r in enumerate(zip(fields, operators, values, strict=False)) if str(n) != gone]
    if "add" in form:
        form.pop("add")
        rows.append(("", "is", ""))
    for name, column in (("field", 0), ("operator", 1), ("value", 2)):
        form.setlist(name, [r[column] for r in rows])


def _form(runtime: Runtime, form: MultiDict[str, str], row: Any, versions: Any, errors: dict[str, str]) -> str | tuple[str, int]:
    with runtime.database.reading(viewer().tenant) as tx:
        stored = read_stored(tx, viewer().tenant)
        covered = queries.open_tickets_by_policy(tx, viewer().tenant)
    context: dict[str, Any] = {
        "form": form,
        "policy": row,
        "versions": [(v, yaml.safe_dump(v.definition, sort_keys=False, allow_unicode=True)) for v in versions],
        "calendars": [ALWAYS_OPEN, *sorted(stored.calendars)],
        "priorities": PRIORITIES,
        "metrics": METRIC_TITLES,
        "actions": ACTIONS,
        "pauses": policy_form.PAUSES,
        "groups": policy_form.GROUPS,
        "operators": policy_form.OPERATOR_WORDS,
        "fields": sorted(POLICY_FIELDS),
        "covered": covered.get(row.id, 0) if row is not None else 0,
    }
    if errors:
        return refuse("policy.html", errors, **context)
    return render("policy.html", errors={}, **context)
