"""Policies: who is promised what? Each person edits a draft; its plan says what it would do, and applying it makes a new version."""

from typing import Any

import yaml
from flask import Blueprint, abort, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from sla_plugin.engine.durations import DAY
from sla_plugin.engine.policies import Policy, Target
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext
from sla_plugin.reports import queries
from sla_plugin.reports.policy_figures import met_by_policy, never_matching
from sla_plugin.services.apply_policy_file import PolicyFile, apply_policy_file, read_stored
from sla_plugin.services.delete_policy import delete_policy
from sla_plugin.services.describe_change import describe_change, metric_title
from sla_plugin.services.order_policies import move
from sla_plugin.services.policy_templates import TEMPLATES, free_name, from_template, last_position
from sla_plugin.services.save_draft import ORDER, current_order, discard_draft, save_draft
from sla_plugin.store.db import Transaction
from sla_plugin.store.drafts import DraftRow, drafts_of, find_draft
from sla_plugin.store.policies import get_policy, policy_versions
from sla_plugin.store.tenants import get_tenant
from sla_plugin.web.access import needs
from sla_plugin.web.admin import policy_form
from sla_plugin.web.admin.frame import number_arg, page_blueprint, render, viewer
from sla_plugin.web.admin.plans import Subject, start_plan
from sla_plugin.web.admin.policy_editor import author, desk_of, save, show_form
from sla_plugin.web.runtime import Runtime

ID = "int(max=9223372036854775807)"
MET_DAYS = 30


def blueprint(runtime: Runtime) -> Blueprint:
    """`/policies`: the list with its order, the editor, versions, templates."""
    pages = page_blueprint("policies", runtime)

    @pages.get("/policies")
    @needs("policies.read")
    def listing() -> str:
        """Policies in the order in which they are tried; a draft of another order shows that one."""
        return _listing(runtime)

    @pages.post("/policies/order")
    @needs("policies.write")
    def order() -> Response:
        """Move a policy: one place up or down, or to a place that is typed. Nothing is in force before its plan is applied."""
        return _move(runtime)

    @pages.get("/policies/new")
    @needs("policies.write")
    def new() -> str:
        """Eight templates, and a policy from nothing."""
        return render("policy_new.html", templates=_template_cards())

    @pages.post("/policies/templates/<template>")
    @needs("policies.write")
    def use_template(template: str) -> Response:
        """A draft from a template; its calendar is made if there is none of that name."""
        return _use_template(runtime, template)

    @pages.route("/policies/custom", methods=["GET", "POST"])
    @needs("policies.write")
    def custom() -> str | Response | tuple[str, int]:
        """A policy from nothing."""
        if request.method == "GET":
            with runtime.database.reading(viewer().tenant) as tx:
                position = last_position(read_stored(tx, viewer().tenant))
            definition = {"name": "", "position": position, "targets": {"first_response": "1h", "resolution": "8h"}}
            return show_form(runtime, None, policy_form.form_of(definition), {})
        return save(runtime, None)

    @pages.route(f"/policies/<{ID}:policy_id>", methods=["GET", "POST"])
    @needs("policies.read", "policies.write")
    def edit(policy_id: int) -> str | Response | tuple[str, int]:
        """The editor: the viewer's draft, if there is one, else what is in force."""
        if request.method == "POST":
            return save(runtime, policy_id)
        desk = desk_of(runtime, policy_id)
        definition = desk.draft.definition if desk.draft is not None else desk.newest.definition or {}
        return show_form(runtime, desk, policy_form.form_of(definition), {})

    @pages.get(f"/policies/<{ID}:policy_id>/versions")
    @needs("policies.read")
    def versions(policy_id: int) -> str:
        """Every version with what it changed, and the difference between any two."""
        return _versions(runtime, policy_id)

    @pages.post(f"/policies/<{ID}:policy_id>/restore")
    @needs("policies.write")
    def restore(policy_id: int) -> Response:
        """An earlier version as a draft."""
        return _restore(runtime, policy_id)

    @pages.post(f"/policies/<{ID}:policy_id>/duplicate")
    @needs("policies.write")
    def duplicate(policy_id: int) -> Response:
        """A draft of a new policy that says the same."""
        return _duplicate(runtime, policy_id)

    @pages.post(f"/policies/<{ID}:policy_id>/active")
    @needs("policies.write")
    def switch(policy_id: int) -> Response:
        """Switch a policy off or on again, by way of its plan."""
        return _switch(runtime, policy_id)

    @pages.post(f"/policies/<{ID}:policy_id>/delete")
    @needs("policies.write")
    def delete(policy_id: int) -> Response:
        """Delete a policy that was never in force; discard the draft of one that does not exist yet."""
        return _delete(runtime, policy_id)

    return pages


# --- the list --------------------------------------------------------------------------------------------------------
def _listing(runtime: Runtime) -> str:
    tenant, now = viewer().tenant, viewer().now
    with runtime.database.reading(tenant) as tx:
        newest = {v.policy_id: (name, v) for name, v in policy_versions(tx, tenant)}
        covered = queries.open_tickets_by_policy(tx, tenant)
        met = met_by_policy(tx, tenant, now - MET_DAYS * DAY)
        drafts = [d for d in drafts_of(tx, tenant, "policy") if viewer().may("policies.write")]
        draft = find_draft(tx, tenant, "order", ORDER, viewer().person.id)
        order, wanted = current_order(read_stored(tx, tenant)), _shown_order(tx)
    rows = [(v, Policy.from_definition(v.definition, name)) for name, v in newest.values()]
    places = {name: place for place, name in enumerate(wanted, start=1)}
    rows.sort(key=lambda r: (not r[1].active, r[1].default, places.get(r[1].name, 0), r[1].position, r[1].name))
    by_policy: dict[int, list[DraftRow]] = {}
    for one in drafts:
        by_policy.setdefault(one.object_id, []).append(one)
    return render(
        "policies.html",
        rows=rows,
        covered=covered,
        met=met,
        days=MET_DAYS,
        places=places,
        was={name: place for place, name in enumerate(order, start=1)},
        order_draft=draft if draft is not None and wanted != order else None,
        drafts=by_policy,
        unborn=[d for d in drafts if d.object_id not in newest],
        shadowed=never_matching([policy for _, policy in rows]),
        uncovered=bool(rows) and not any(p.active and p.applies_to.definition is None for _, p in rows),
        templates=_template_cards(),
        moved=number_arg("moved"),
        promise=_promise,
    )


def _promise(policy: Policy) -> list[str]:
    """The targets, a line each: `First response 15 m to 24 h`."""

    def line(metric: str, least: Target, most: Target) -> str:
        if least.amount == most.amount:
            return f"{metric_title(metric)} {least.text}"
        return gettext("%(metric)s %(least)s to %(most)s", metric=metric_title(metric), least=least.text, most=most.text)

    return [line(metric, *span) for metric, span in policy.spans().items()]


def _template_cards() -> list[tuple[Any, list[str]]]:
    return [(t, _promise(Policy.from_definition(t.definition, t.id))) for t in TEMPLATES.values()]


def _move(runtime: Runtime) -> Response:
    tenant, now = viewer().tenant, viewer().now
    moved = request.form.get("move") or _typed_place(runtime)
    with runtime.database.transaction(tenant) as tx:
        stored = read_stored(tx, tenant)
        names = {v.policy_id: name for name, v in policy_versions(tx, tenant)}
        order, wanted = current_order(stored), _shown_order(tx)
        draft = find_draft(tx, tenant, "order", ORDER, author().person)
        number, _, way = moved.partition(":")
        name = names.get(int(number)) if number.isascii() and number.isdigit() else None
        if name is None or name not in wanted:
            flash(gettext("This policy has no place in the order: it is the default, inactive, or gone."), "problem")
            return redirect(url_for("policies.listing"))
        typed = request.form.get(f"place-{number}", "").strip()
        place = {"up": wanted.index(name), "down": wanted.index(name) + 2}.get(way)
        if place is None:
            if not (typed.isascii() and typed.isdigit() and len(typed) < 10):
                said = gettext("%(typed)s is no position; write a number from 1 to %(last)d.", typed=typed or gettext("Nothing"), last=len(wanted))
                flash(said, "problem")
                return redirect(url_for("policies.listing", moved=number))
            place = int(typed)
        now_wanted = move(wanted, name, place)
        if now_wanted == order:
            if draft is not None:
                discard_draft(tx, tenant, draft)
        else:
            # the order that it stands on is the one of its beginning: who changed it meanwhile is told when it is planned
            was = draft.definition["was"] if draft is not None else order
            definition = {"order": now_wanted, "was": was}
            seen = draft.edition if draft is not None else 0
            save_draft(tx, tenant, "order", ORDER, "", definition, base=1, seen=seen, author=author(), now=now)
    return redirect(url_for("policies.listing", moved=number, way=way, _anchor=f"p-{number}"))


def _typed_place(runtime: Runtime) -> str:
    """Enter in a position: the policy whose position is another one than was shown."""
    with runtime.database.reading(viewer().tenant) as tx:
        shown = _shown_order(tx)
        ids = {name: v.policy_id for name, v in policy_versions(tx, viewer().tenant)}
    typed = ((ids[name], request.form.get(f"place-{ids[name]}", "").strip(), place) for place, name in enumerate(shown, start=1))
    return next((f"{number}:to" for number, text, place in typed if text and text != str(place)), "")


def _shown_order(tx: Transaction) -> list[str]:
    """The order that the list shows: that of the viewer's draft, if there is one."""
    order = current_order(read_stored(tx, viewer().tenant))
    draft = find_draft(tx, viewer().tenant, "order", ORDER, viewer().person.id)
    wanted = [n for n in draft.definition["order"] if n in order] if draft is not None else order
    return [*wanted, *(n for n in order if n not in wanted)]


# --- versions --------------------------------------------------------------------------------------------------------
def _versions(runtime: Runtime, policy_id: int) -> str:
    tenant = viewer().tenant
    with runtime.database.reading(tenant) as tx:
        row = get_policy(tx, tenant, policy_id)
        versions = queries.versions_of_policy(tx, tenant, policy_id)
    if row is None or not versions:
        abort(404, gettext("There is no such policy here."))
    by_number = {v.version: v for v in versions}
    told = [(v, describe_change("policy", by_number[v.version - 1].definition if v.version - 1 in by_number else None, v.definition)) for v in versions]
    one, other = number_arg("from"), number_arg("to")
    compared = None
    if one in by_number and other in by_number:
        compared = (one, other, describe_change("policy", by_number[one].definition, by_number[other].definition))
    texts = {v.version: yaml.safe_dump(v.definition, sort_keys=False, allow_unicode=True) for v in versions}
    return render("policy_versions.html", policy=row, versions=told, texts=texts, compared=compared, numbers=[v.version for v in versions])


def _restore(runtime: Runtime, policy_id: int) -> Response:
    tenant, wanted = viewer().tenant, request.form.get("version", "")
    with runtime.database.reading(tenant) as tx:
        row = get_policy(tx, tenant, policy_id)
        versions = {str(v.version): v for v in queries.versions_of_policy(tx, tenant, policy_id)}
    if row is None:
        abort(404, gettext("There is no such policy here."))
    if wanted not in versions:
        flash(gettext("There is no version %(number)s of it.", number=wanted or "–"), "problem")
        return redirect(url_for("policies.versions", policy_id=policy_id))
    _replace_draft(runtime, policy_id, row.name, versions[wanted].definition, max(v.version for v in versions.values()))
    flash(gettext("Version %(number)s is your draft now. Nothing is in force before you apply it.", number=wanted))
    return redirect(url_for("policies.edit", policy_id=policy_id))


def _replace_draft(runtime: Runtime, policy_id: int | None, name: str, definition: Any, base: int) -> DraftRow:
    tenant = viewer().tenant
    with runtime.database.transaction(tenant) as tx:
        mine = find_draft(tx, tenant, "policy", policy_id, author().person) if policy_id is not None else None
        seen = mine.edition if mine is not None else 0
        return save_draft(tx, tenant, "policy", policy_id, name, definition, base=base, seen=seen, author=author(), now=viewer().now)


# --- making and unmaking -----------------------------------------------------------------------------------------------
def _use_template(runtime: Runtime, template: str) -> Response:
    tenant = viewer().tenant
    if template not in TEMPLATES:
        abort(404, gettext("There is no such template."))
    with runtime.database.transaction(tenant) as tx:
        stored = read_stored(tx, tenant)
        taken = {**stored.policies, **{d.name: (0, {}) for d in drafts_of(tx, tenant, "policy")}}
        name = free_name(TEMPLATES[template].name, taken)
        file = from_template(template, stored, get_tenant(tx, tenant).time_zone, name)
        if file.calendars:
            apply_policy_file(tx, tenant, PolicyFile(file.calendars, {}), viewer().now, viewer().actor.name)
    draft = _replace_draft(runtime, None, name, file.policies[name], 0)
    said = gettext("Here is the draft. Read it, change what you like, then preview and apply it.")
    made = gettext("The calendar %(name)s was made, too.", name=", ".join(file.calendars)) if file.calendars else ""
    flash(f"{said} {made}".rstrip())
    return redirect(url_for("policies.edit", policy_id=draft.object_id))


def _duplicate(runtime: Runtime, policy_id: int) -> Response:
    desk = desk_of(runtime, policy_id)
    tenant = viewer().tenant
    with runtime.database.reading(tenant) as tx:
        stored = read_stored(tx, tenant)
        taken = {**stored.policies, **{d.name: (0, {}) for d in drafts_of(tx, tenant, "policy")}}
    definition = dict(desk.draft.definition if desk.draft is not None else desk.newest.definition or {})
    name = free_name(desk.name, taken)
    definition |= {"name": name, "default": False, "position": last_position(stored)}
    draft = _replace_draft(runtime, None, name, definition, 0)
    flash(gettext("This is a draft of a new policy that says the same as %(name)s.", name=desk.name))
    return redirect(url_for("policies.edit", policy_id=draft.object_id))


def _switch(runtime: Runtime, policy_id: int) -> Response:
    desk = desk_of(runtime, policy_id)
    if desk.row is None:
        abort(404, gettext("There is no such policy here."))
    definition = dict(desk.draft.definition if desk.draft is not None else desk.newest.definition or {})
    definition["active"] = not (desk.newest.definition or {}).get("active", True)
    draft = _replace_draft(runtime, policy_id, desk.name, definition, desk.draft.base if desk.draft is not None else desk.newest.number)
    try:
        return redirect(start_plan(runtime, Subject("policy", policy_id), draft))
    except InvalidDefinition as problem:
        flash(gettext("This cannot be applied: %(problem)s.", problem=problem.problem), "problem")
        return redirect(url_for("policies.edit", policy_id=policy_id))


def _delete(runtime: Runtime, policy_id: int) -> Response:
    desk = desk_of(runtime, policy_id)
    tenant = viewer().tenant
    try:
        with runtime.database.transaction(tenant) as tx:
            if desk.draft is not None:
                discard_draft(tx, tenant, desk.draft)
            if desk.row is not None:
                delete_policy(tx, tenant, policy_id, viewer().now, viewer().actor.name)
    except InvalidDefinition:
        with runtime.database.reading(tenant) as tx:
            covered = queries.open_tickets_by_policy(tx, tenant).get(policy_id, 0)
        said = gettext(
            "%(name)s stays: it was in force, %(count)d open tickets are under it, and records name it. Make it inactive instead.",
            name=desk.name,
            count=covered,
        )
        flash(said, "problem")
        return redirect(url_for("policies.edit", policy_id=policy_id))
    flash(gettext("%(name)s is deleted.", name=desk.name))
    return redirect(url_for("policies.listing"))
