"""assign_unassigned: give the ticket to the connection's assignee if nobody has it."""

from sla_plugin.actions.context import ActionContext
from sla_plugin.language import marked
from sla_plugin.ports import Assign, Command

SUMMARY = marked("Assign the ticket to the connection's assignee if nobody has it")
ONCE_PER_POLICY = False


def plan(context: ActionContext) -> list[Command]:
    """The assignment; none if somebody has the ticket or the connection names nobody."""
    if context.assigned_to or not context.assignee:
        return []
    return [Assign(assignee=context.assignee)]
