"""The actions a policy may ask for, by the stable name that stands in its definition."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sla_plugin.actions import assign_unassigned, comment_breach, raise_priority, set_in_progress
from sla_plugin.actions.context import ActionContext
from sla_plugin.ports import AddComment, Assign, Command, SetPriority, SetStatus


@dataclass(frozen=True)
class Action:
    """An action: one line for pages, the pure plan, the kind of command it needs, whether it acts once per ticket and policy instead of once per cycle."""

    summary: str
    plan: Callable[[ActionContext], list[Command]]
    command: str
    once_per_policy: bool


ACTIONS: Mapping[str, Action] = {
    "raise_priority": Action(raise_priority.SUMMARY, raise_priority.plan, SetPriority.kind, raise_priority.ONCE_PER_POLICY),
    "assign_unassigned": Action(assign_unassigned.SUMMARY, assign_unassigned.plan, Assign.kind, assign_unassigned.ONCE_PER_POLICY),
    "set_in_progress": Action(set_in_progress.SUMMARY, set_in_progress.plan, SetStatus.kind, set_in_progress.ONCE_PER_POLICY),
    "comment_breach": Action(comment_breach.SUMMARY, comment_breach.plan, AddComment.kind, comment_breach.ONCE_PER_POLICY),
}
DEFAULT_ON_BREACH = tuple(ACTIONS)
