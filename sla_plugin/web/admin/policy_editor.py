"""The editor of a policy: what it works on, its form, and keeping what is typed as a draft."""

from typing import Any

from flask import abort, flash, redirect, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from sla_plugin.actions.registry import ACTIONS
from sla_plugin.engine.conditions import compile_condition
from sla_plugin.engine.facts import PRIORITIES
from sla_plugin.engine.policies import ALWAYS_OPEN, POLICY_FIELDS, Policy
from sla_plugin.errors import InvalidDefinition, Overtaken
from sla_plugin.language import gettext
from sla_plugin.reports import queries
from sla_plugin.reports.policy_figures import Reach, policy_reach
from sla_plugin.services.apply_policy_file import read_stored
from sla_plugin.services.delete_policy import was_in_force
from sla_plugin.services.describe_change import PRIORITY_WORDS, metric_title
from sla_plugin.services.save_draft import Author, Newest, discard_draft, newest_version, overtaken_by, save_draft
from sla_plugin.store.db import Transaction
from sla_plugin.store.drafts import DraftRow, drafts_of
from sla_plugin.store.policies import Policy as PolicyRow
from sla_plugin.store.policies import get_policy
from sla_plugin.web.admin import condition_form, policy_form, target_grid
from sla_plugin.web.admin.frame import refuse, render, viewer
from sla_plugin.web.admin.plans import Subject, start_plan
from sla_plugin.web.formats import instant
from sla_plugin.web.runtime import Runtime


def author() -> Author:
    """The viewer as the author of a draft."""
    return Author(viewer().person.id, viewer().actor.name)


class Desk:
    """What the editor of a policy works on: its row (None: not made yet), the newest version, the viewer's draft, the drafts of others."""

    def __init__(self, row: PolicyRow | None, newest: Newest, draft: DraftRow | None, others: list[DraftRow], newer: Newest | None, kept: bool) -> None:
        self.row = row
        self.newest = newest
        self.draft = draft
        self.others = others
        self.newer = newer  # what was saved since the draft was begun
        self.kept = kept  # it was in force once and cannot be deleted

    @property
    def number(self) -> int:
        """The policy's id, also while it is a draft only."""
        if self.row is not None:
            return self.row.id
        assert self.draft is not None
        return self.draft.object_id

    @property
    def name(self) -> str:
        """What it is called."""
        return self.row.name if self.row is not None else self.draft.name if self.draft is not None else ""


def desk_of(runtime: Runtime, policy_id: int) -> Desk:
    """Aborts with 404 where the tenant has neither such a policy nor the viewer a draft of it."""
    tenant = viewer().tenant
    with runtime.database.reading(tenant) as tx:
        row = get_policy(tx, tenant, policy_id)
        drafts = drafts_of(tx, tenant, "policy", policy_id) if viewer().may("policies.write") else []
        mine = next((d for d in drafts if d.person_id == viewer().person.id), None)
        if row is None and mine is None:
            abort(404, gettext("There is no such policy here."))
        newest = newest_version(tx, tenant, "policy", policy_id)
        newer = overtaken_by(tx, tenant, mine) if mine is not None else None
        kept = row is not None and was_in_force(tx, tenant, policy_id)
    return Desk(row, newest, mine, [d for d in drafts if d is not mine], newer, kept)


def save(runtime: Runtime, policy_id: int | None) -> str | Response | tuple[str, int]:
    """Give the form back changed (its own buttons), or keep it as a draft, and plan that (`preview`)."""
    tenant, form = viewer().tenant, request.form.copy()
    desk = desk_of(runtime, policy_id) if policy_id is not None else None
    if desk is not None and desk.row is not None:
        form["name"] = desk.row.name  # other policies and files call it so
    if policy_form.change_form(form):
        return show_form(runtime, desk, form, {})
    newest = desk.newest.definition if desk is not None else None
    draft = desk.draft if desk is not None else None
    known = newest or (draft.definition if draft is not None else {})
    definition, errors = policy_form.definition_of(form, known)
    with runtime.database.reading(tenant) as tx:
        stored = read_stored(tx, tenant)
    if (desk is None or desk.row is None) and definition["name"] in stored.policies:
        errors["name"] = gettext("There is a policy %(name)s already; choose another name or change that one.", name=definition["name"])
    for field, none in (("calendar", ALWAYS_OPEN), ("beside", "")):
        if form.get(field, none) not in (none, *stored.calendars):
            errors[field] = gettext("There is no calendar %(name)s.", name=form[field])
    if draft is not None and form.get("edition") != str(draft.edition):
        at = instant(draft.saved_at, viewer().now, viewer().zone)
        errors[""] = gettext("You saved this draft in another window at %(at)s. Your text is kept below; save again to put it on top.", at=at)
        form["edition"] = str(draft.edition)
    if errors:
        return show_form(runtime, desk, form, errors)
    if newest is not None and policy_form.form_of(definition) == policy_form.form_of(newest):
        if draft is not None:
            with runtime.database.transaction(tenant) as tx:
                discard_draft(tx, tenant, draft)
        flash(gettext("Nothing is different from what is in force, so no draft is kept."))
        return redirect(url_for("policies.edit", policy_id=policy_id))
    base = int(form["version"]) if form.get("version", "").isdigit() and len(form["version"]) < 10 else 0
    seen = draft.edition if draft is not None else 0
    try:
        with runtime.database.transaction(tenant) as tx:
            name = definition["name"]
            saved = save_draft(tx, tenant, "policy", policy_id, name, definition, base=base, seen=seen, author=author(), now=viewer().now)
    except Overtaken:
        return show_form(
            runtime, desk, form, {"": gettext("You saved this draft in another window just now. Your text is kept below; save again to put it on top.")}
        )
    if "save" in form:
        flash(gettext("The draft is saved. Nothing is in force before you apply it."))
        return redirect(url_for("policies.edit", policy_id=saved.object_id))
    try:
        return redirect(start_plan(runtime, Subject("policy", saved.object_id), saved))
    except InvalidDefinition as problem:
        form["edition"] = str(saved.edition)
        said = {policy_form.field_of(problem.field.replace("policies[0]", "policy")): condition_form.sentence(problem.problem)}
        return show_form(runtime, desk_of(runtime, saved.object_id), form, said)


def show_form(runtime: Runtime, desk: Desk | None, form: MultiDict[str, str], errors: dict[str, str]) -> str | tuple[str, int]:
    tenant = viewer().tenant
    with runtime.database.reading(tenant) as tx:
        stored = read_stored(tx, tenant)
        policies = [Policy.from_definition(definition, name) for name, (_, definition) in stored.policies.items()]
        reach = _reach(tx, form, policies)
        covered = queries.open_tickets_by_policy(tx, tenant).get(desk.number, 0) if desk is not None else 0
    definition = (desk.newest.definition or (desk.draft.definition if desk.draft is not None else {})) if desk is not None else {}
    context: dict[str, Any] = {
        "desk": desk,
        "form": form,
        "rows": condition_form.read_rows(form),
        "calendars": [ALWAYS_OPEN, *sorted(stored.calendars)],
        "priorities": [(p, gettext(PRIORITY_WORDS[p])) for p in PRIORITIES],
        "metrics": [(metric, metric_title(metric)) for metric in target_grid.shown_metrics(form)],
        "more_metrics": target_grid.missing_metrics(form),
        "echo": target_grid.echoes(form),
        "odd": target_grid.oddities(form),
        "actions": ACTIONS,
        "pauses": policy_form.PAUSES,
        "on_change": policy_form.ON_CHANGE,
        "groups": condition_form.GROUPS,
        "operators": condition_form.OPERATOR_WORDS,
        "deepest": condition_form.DEEPEST,
        "fields": sorted(POLICY_FIELDS),
        "hidden_text": policy_form.hidden_text(definition),
        "reach": reach,
        "earlier": {p.name for p in policies if (p.position, p.name) < _place(form)},
        "covered": covered,
    }
    if not viewer().may("policies.write"):
        return render("policy_read.html", policy=Policy.from_definition(definition, "policy"), **context)
    if errors:
        return refuse("policy.html", errors, **context)
    return render("policy.html", errors={}, **context)


def _place(form: MultiDict[str, str]) -> tuple[int, str]:
    typed = form.get("position", "").strip()
    return (int(typed) if typed.lstrip("-").isdigit() and len(typed) < 10 else 100, form.get("name", ""))


def _reach(tx: Transaction, form: MultiDict[str, str], policies: list[Policy]) -> Reach | None:
    """What the condition as it stands in the form takes; None where that cannot be said here."""
    errors: dict[str, str] = {}
    definition = condition_form.condition_from_form(form, errors)
    if errors:
        return None
    try:
        condition = compile_condition(definition, "applies_to", POLICY_FIELDS)
    except InvalidDefinition:
        return None
    if any(field.startswith("created_") for field in condition.fields):
        return None
    return policy_reach(tx, viewer().tenant, condition, [p for p in policies if p.name != form.get("name", "")])
