"""Put a planned change in force: a new revision of the books, which the timekeeper then brings open tickets up to."""

from dataclasses import dataclass

from sla_plugin.errors import Overtaken, PlanOutdated
from sla_plugin.services.apply_policy_file import Change, PolicyFile, apply_policy_file
from sla_plugin.services.make_plan import is_fresh
from sla_plugin.services.save_draft import overtaken_by
from sla_plugin.store.db import Transaction
from sla_plugin.store.drafts import DraftRow, delete_draft
from sla_plugin.store.plans import PlanRow, update_plan
from sla_plugin.store.tenants import lock_books
from sla_plugin.store.tickets import count_open_promises


@dataclass(frozen=True, slots=True)
class Progress:
    """How far open tickets have followed an applied change."""

    followed: int
    total: int

    @property
    def done(self) -> bool:
        """All of them have."""
        return self.followed >= self.total


def apply_plan(tx: Transaction, tenant: int, draft: DraftRow, plan: PlanRow, now: int, actor: str, *, quiet: bool = False) -> Change:
    """Apply a draft as its plan says; the draft is gone then, the plan stays as what was done.

    Raises Overtaken if a newer version was saved since the draft was begun, PlanOutdated if the plan is not ready, too old, or of other books than those in
    force; then nothing changed. `quiet`: what the change itself makes past is recorded and not announced.
    """
    lock_books(tx, tenant)  # who applies something at the same time is done now, or waits for us
    newer = overtaken_by(tx, tenant, draft)
    if newer is not None:
        raise Overtaken(f"version {newer.number}", newer.made_by, newer.at)
    if plan.state != "ready" or not is_fresh(tx, tenant, plan, draft, now):
        raise PlanOutdated("the plan is no longer up to date")
    file = PolicyFile(plan.file["calendars"], plan.file["policies"])
    made_as = {} if draft.kind == "order" else {draft.name: draft.object_id}
    change = apply_policy_file(tx, tenant, file, now, actor, quiet=quiet, made_as=made_as)
    update_plan(tx, tenant, plan.id, state="applied", applied_revision=change.revision, applied_at=now, applied_by=actor, quiet=quiet)
    delete_draft(tx, tenant, draft.id)
    return change


def progress_of(tx: Transaction, tenant: int, plan: PlanRow) -> Progress:
    """How far open tickets have followed an applied plan."""
    if plan.applied_revision is None:
        return Progress(0, 0)
    total = max(plan.total, 1)
    behind = min(count_open_promises(tx, tenant, plan.applied_revision), total)
    return Progress(total - behind, total)
