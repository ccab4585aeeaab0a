"""raise_priority: one step up; the top stays; an unset priority becomes high."""

from sla_plugin.actions.context import ActionContext
from sla_plugin.engine.facts import PRIORITIES
from sla_plugin.language import marked
from sla_plugin.ports import Command, SetPriority

SUMMARY = marked("Raise the priority one step (an unset one becomes high), at most once per ticket and policy")
ONCE_PER_POLICY = True


def plan(context: ActionContext) -> list[Command]:
    """The command that raises the priority; none at the top."""
    if context.priority is None:
        return [SetPriority(to="P1", expected=None)]
    if context.priority not in PRIORITIES or context.priority == PRIORITIES[0]:
        return []
    return [SetPriority(to=PRIORITIES[PRIORITIES.index(context.priority) - 1], expected=context.priority)]
