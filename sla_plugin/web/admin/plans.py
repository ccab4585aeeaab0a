"""What a change would do, before it is made: the plan of a draft, applying it, and how far open tickets have followed. For policies, their order, calendars."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from flask import Blueprint, Response, abort, flash, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from sla_plugin.engine.durations import SECOND
from sla_plugin.errors import InvalidDefinition, Overtaken, PlanOutdated
from sla_plugin.language import gettext
from sla_plugin.reports import queries
from sla_plugin.reports.cells import plain_cell
from sla_plugin.services.apply_plan import apply_plan, progress_of
from sla_plugin.services.describe_change import describe_change, describe_file, metric_title
from sla_plugin.services.make_plan import begin, is_fresh, is_small, move_of, store_plan, stored_moves, work_out
from sla_plugin.services.plan_change import Move
from sla_plugin.services.save_draft import ORDER, Newest, discard_draft, overtaken_by, rebase_draft
from sla_plugin.store.drafts import DraftRow, find_draft, get_draft
from sla_plugin.store.plans import PlanRow, get_plan, last_applied, plan_of_draft
from sla_plugin.store.policies import get_calendar, get_policy, policy_versions
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import number_arg, page_blueprint, render, viewer
from sla_plugin.web.formats import iso
from sla_plugin.web.runtime import Runtime

POLL = 2  # seconds between two looks at a plan that is being worked out, or at tickets that follow
COLUMNS = (
    *("ticket", "connection", "clock", "cycle", "outcome", "due_now", "due_then", "moves_seconds"),
    *("state_now", "state_then", "policy_now", "policy_then", "announces"),
)


@dataclass(frozen=True)
class Subject:
    """What a plan is about, and where its pages are. `number` is its id; 0 for the order of policies."""

    kind: str
    number: int

    @property
    def noun(self) -> str:
        """The noun of its permissions and its list."""
        return "calendars" if self.kind == "calendar" else "policies"

    @property
    def writable(self) -> bool:
        """May the viewer change it?"""
        return viewer().may(f"{self.noun}.write")

    def plan(self, **query: Any) -> str:
        """The address of its plan."""
        return self._url("", **query)

    def csv(self, **query: Any) -> str:
        """The address of all moves."""
        return self._url("_csv", **query)

    def editor(self) -> str:
        """Where it is edited."""
        if self.kind == "order":
            return url_for("policies.listing")
        return url_for(f"{self.noun}.edit", **self._ids)

    def _url(self, suffix: str, **query: Any) -> str:
        return url_for(f"plans.{self.kind}{suffix}", **self._ids, **query)

    @property
    def _ids(self) -> dict[str, Any]:
        return {} if self.kind == "order" else {f"{self.kind}_id": self.number}


def blueprint(runtime: Runtime) -> Blueprint:
    """`/policies/<id>/plan`, `/policies/order/plan`, `/calendars/<id>/plan`, each with `.csv`."""
    pages = page_blueprint("plans", runtime)

    @pages.route("/policies/<int(max=9223372036854775807):policy_id>/plan", methods=["GET", "POST"])
    @needs("policies.read", "policies.write")
    def policy(policy_id: int) -> str | AnyResponse:
        """What a policy's draft would do."""
        return _answer(runtime, Subject("policy", policy_id))

    @pages.route("/policies/order/plan", methods=["GET", "POST"])
    @needs("policies.read", "policies.write")
    def order() -> str | AnyResponse:
        """What another order of policies would do."""
        return _answer(runtime, Subject("order", ORDER))

    @pages.route("/calendars/<int(max=9223372036854775807):calendar_id>/plan", methods=["GET", "POST"])
    @needs("calendars.read", "calendars.write")
    def calendar(calendar_id: int) -> str | AnyResponse:
        """What a calendar's draft would do."""
        return _answer(runtime, Subject("calendar", calendar_id))

    @pages.get("/policies/<int(max=9223372036854775807):policy_id>/plan.csv")
    @needs("policies.read")
    def policy_csv(policy_id: int) -> AnyResponse:
        """Every clock that a policy's draft would move."""
        return _table(runtime, Subject("policy", policy_id))

    @pages.get("/policies/order/plan.csv")
    @needs("policies.read")
    def order_csv() -> AnyResponse:
        """Every clock that another order would move."""
        return _table(runtime, Subject("order", ORDER))

    @pages.get("/calendars/<int(max=9223372036854775807):calendar_id>/plan.csv")
    @needs("calendars.read")
    def calendar_csv(calendar_id: int) -> AnyResponse:
        """Every clock that a calendar's draft would move."""
        return _table(runtime, Subject("calendar", calendar_id))

    return pages


def start_plan(runtime: Runtime, subject: Subject, draft: DraftRow) -> str:
    """Work a draft's plan out, or begin to, and return the address of its page. Raises InvalidDefinition if the draft cannot be applied."""
    tenant, now = viewer().tenant, viewer().now
    with runtime.database.reading(tenant) as tx:
        if overtaken_by(tx, tenant, draft) is None:
            worked = work_out(tx, tenant, draft, now, runtime.outside) if is_small(tx, tenant) else begin(tx, tenant, draft, now)
        else:
            return subject.plan(draft=draft.id)  # the page shows both texts
    with runtime.database.transaction(tenant) as tx:
        store_plan(tx, tenant, draft, worked)
    return subject.plan(draft=draft.id)


# --- the page --------------------------------------------------------------------------------------------------------
def _answer(runtime: Runtime, subject: Subject) -> str | AnyResponse:
    if request.method == "POST":
        return _act(runtime, subject)
    applied = number_arg("applied")
    if applied is not None:
        return _show_applied(runtime, subject, applied)
    tenant = viewer().tenant
    draft = _draft(runtime, subject)
    if draft is None:
        with runtime.database.reading(tenant) as tx:
            last = last_applied(tx, tenant, subject.kind, subject.number)
        if last is None:
            if not _exists(runtime, subject):
                abort(404)
            flash(gettext("There is no draft to plan. Change something first."), "warning")
            return redirect(subject.editor())
        return redirect(subject.plan(applied=last.id))
    with runtime.database.reading(tenant) as tx:
        newer = overtaken_by(tx, tenant, draft)
        plan = plan_of_draft(tx, tenant, draft.id)
        fresh = is_fresh(tx, tenant, plan, draft, viewer().now)
    if newer is not None:
        return _show_both(runtime, subject, draft, newer)
    renewed = False
    if not fresh and subject.writable and (plan is None or plan.state != "failed" or plan.edition != draft.edition):
        renewed = plan is not None and plan.edition == draft.edition
        try:
            start_plan(runtime, subject, draft)
        except InvalidDefinition as problem:
            flash(_sentence(problem), "problem")
            return redirect(subject.editor())
    with runtime.database.reading(tenant) as tx:
        plan = plan_of_draft(tx, tenant, draft.id)
    if plan is None:
        abort(404, gettext("This draft has no plan yet; whoever wrote it has to look at it first."))
    return _show(runtime, subject, plan, draft, renewed=renewed)


def _act(runtime: Runtime, subject: Subject) -> AnyResponse:
    tenant, now, action = viewer().tenant, viewer().now, request.form.get("action", "")
    draft = _draft(runtime, subject)
    if draft is None:
        if not _exists(runtime, subject):
            abort(404, gettext("This draft is gone: it was applied or discarded meanwhile."))
        flash(gettext("This draft is gone: it was applied or discarded meanwhile."), "warning")
        return redirect(subject.editor())
    if action == "discard":
        _demand_own(draft)
        with runtime.database.transaction(tenant) as tx:
            discard_draft(tx, tenant, draft)
        flash(gettext("The draft is discarded."))
        return redirect(subject.editor() if _exists(runtime, subject) else url_for(f"{subject.noun}.listing"))
    if action == "on_top":
        _demand_own(draft)
        with runtime.database.transaction(tenant) as tx:
            rebase_draft(tx, tenant, draft, now)
        return redirect(subject.plan(draft=draft.id))
    if action == "apply":
        return _apply(runtime, subject, draft)
    try:
        return redirect(start_plan(runtime, subject, draft))
    except InvalidDefinition as problem:
        flash(_sentence(problem), "problem")
        return redirect(subject.editor())


def _apply(runtime: Runtime, subject: Subject, draft: DraftRow) -> AnyResponse:
    """Apply what was looked at. A small plan is worked out once more before: where tickets changed since, they are shown first."""
    tenant, now = viewer().tenant, viewer().now
    again = redirect(subject.plan(draft=draft.id))
    with runtime.database.reading(tenant) as tx:
        plan = plan_of_draft(tx, tenant, draft.id)
        if plan is None or str(plan.id) != request.form.get("plan") or not is_fresh(tx, tenant, plan, draft, now):
            flash(gettext("The plan was no longer up to date, so nothing was applied. This is how it stands now."), "warning")
            return again
        worked = None
        if plan.state == "ready" and is_small(tx, tenant) and overtaken_by(tx, tenant, draft) is None:
            try:
                worked = work_out(tx, tenant, draft, now, runtime.outside)
            except InvalidDefinition as problem:
                flash(_sentence(problem), "problem")
                return redirect(subject.editor())
    if worked is not None and worked.values["differs"]:
        with runtime.database.transaction(tenant) as tx:
            store_plan(tx, tenant, draft, worked)
        return again
    try:
        with runtime.database.transaction(tenant) as tx:
            apply_plan(tx, tenant, draft, plan, now, viewer().actor.name, quiet=request.form.get("announce") == "record")
    except Overtaken:
        return again  # which shows both texts
    except PlanOutdated:
        flash(gettext("The plan was no longer up to date, so nothing was applied. This is how it stands now."), "warning")
        return again
    except InvalidDefinition as problem:
        flash(_sentence(problem), "problem")
        return redirect(subject.editor())
    return redirect(subject.plan(applied=plan.id))


def _draft(runtime: Runtime, subject: Subject) -> DraftRow | None:
    """The draft that the address names, or the viewer's own."""
    wanted = number_arg("draft")
    with runtime.database.reading(viewer().tenant) as tx:
        if wanted is None:
            return find_draft(tx, viewer().tenant, subject.kind, subject.number, viewer().person.id)
        found = get_draft(tx, viewer().tenant, wanted)
    return found if found is not None and (found.kind, found.object_id) == (subject.kind, subject.number) else None


def _exists(runtime: Runtime, subject: Subject) -> bool:
    if subject.kind == "order":
        return True
    with runtime.database.reading(viewer().tenant) as tx:
        return (get_policy if subject.kind == "policy" else get_calendar)(tx, viewer().tenant, subject.number) is not None


def _demand_own(draft: DraftRow) -> None:
    if draft.person_id != viewer().person.id:
        abort(403, gettext("This draft is somebody else's."))


def _show(runtime: Runtime, subject: Subject, plan: PlanRow, draft: DraftRow | None, *, renewed: bool = False) -> str:
    moves = [move_of(data) for data in plan.worst]
    with runtime.database.reading(viewer().tenant) as tx:
        tickets = queries.tickets_of_promises(tx, viewer().tenant, [m.promise for m in moves])
        progress = progress_of(tx, viewer().tenant, plan) if plan.state == "applied" else None
        numbers = {name: v.version for name, v in policy_versions(tx, viewer().tenant)} if subject.kind != "calendar" else {}
    working = plan.state == "computing" or (progress is not None and not progress.done)
    return render(
        "plan.html",
        subject=subject,
        plan=plan,
        draft=draft,
        changes=describe_file(plan.was, plan.file),
        rows=[(move, tickets.get(move.promise), _why(move)) for move in moves],
        progress=progress,
        numbers=numbers,
        renewed=renewed,
        poll=POLL if working else None,
        moved=plan.clocks - int(plan.counts.get("stays", 0)),
        metric_title=metric_title,
    )


def _show_applied(runtime: Runtime, subject: Subject, number: int) -> str:
    with runtime.database.reading(viewer().tenant) as tx:
        plan = get_plan(tx, viewer().tenant, number)
    if plan is None or plan.state != "applied" or (plan.kind, plan.object_id) != (subject.kind, subject.number):
        abort(404)
    return _show(runtime, subject, plan, None)


def _show_both(runtime: Runtime, subject: Subject, draft: DraftRow, newer: Newest) -> str:
    """Two people at once: what each of them changed, side by side; nothing is overwritten before somebody decides."""
    with runtime.database.reading(viewer().tenant) as tx:
        base = queries.definition_of_version(tx, viewer().tenant, draft.kind, draft.object_id, draft.base)
    theirs = dict(newer.definition or {})
    if draft.kind == "order":
        said = ([", ".join(theirs["order"])], [", ".join(draft.definition["order"])])
        texts = ("", "")
    else:
        said = (describe_change(draft.kind, base, theirs), describe_change(draft.kind, base, draft.definition))
        texts = (_text(theirs), _text(draft.definition))
    return render("conflict.html", subject=subject, draft=draft, newer=newer, said=said, texts=texts, own=draft.person_id == viewer().person.id)


def _text(definition: Any) -> str:
    return yaml.safe_dump(definition, sort_keys=True, allow_unicode=True)


def _why(move: Move) -> str:
    """Why a clock moves, in a word."""
    if move.now is None:
        return gettext("promised by %(policy)s", policy=move.then.policy if move.then else "–")
    if move.then is None:
        return gettext("no policy promises it")
    if move.now.policy != move.then.policy:
        return gettext("policy %(before)s → %(after)s", before=move.now.policy or "–", after=move.then.policy or "–")
    return gettext("new terms of %(policy)s", policy=move.then.policy)


def _sentence(problem: InvalidDefinition) -> str:
    return gettext("This draft cannot be applied: %(problem)s.", problem=problem.problem)


# --- all of it -------------------------------------------------------------------------------------------------------
def _table(runtime: Runtime, subject: Subject) -> AnyResponse:
    """Every move as CSV, read part by part; of the viewer's own draft unless the address names a plan."""
    tenant, number = viewer().tenant, number_arg("plan")
    draft = _draft(runtime, subject)
    with runtime.database.reading(tenant) as tx:
        plan = get_plan(tx, tenant, number) if number is not None else plan_of_draft(tx, tenant, draft.id) if draft is not None else None
    if plan is None and number is None and _exists(runtime, subject):
        return redirect(subject.plan())
    if plan is None or (plan.kind, plan.object_id) != (subject.kind, subject.number):
        abort(404)

    def lines() -> Iterator[str]:
        yield ",".join(COLUMNS) + "\r\n"
        with runtime.database.reading(tenant) as tx:
            for move in stored_moves(tx, tenant, plan):
                line = io.StringIO()
                csv.writer(line).writerow([plain_cell(value) for value in _cells(move)])
                yield line.getvalue()

    name = f"plan-{plan.id}.csv"
    return Response(lines(), content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _cells(move: Move) -> tuple[object, ...]:
    now, then = move.now, move.then
    return (
        *(move.ticket, move.connection, move.metric, move.cycle, move.outcome),
        *(iso(s.due_at) if s is not None and s.due_at is not None else "" for s in (now, then)),
        None if move.by is None else abs(move.by) // SECOND * (1 if move.by > 0 else -1),
        *(s.state if s is not None else "" for s in (now, then)),
        *(s.policy if s is not None else "" for s in (now, then)),
        " ".join(move.passes),
    )
