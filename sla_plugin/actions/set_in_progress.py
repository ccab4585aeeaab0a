"""set_in_progress: a ticket that waits or lies open is being worked on from now on."""

from sla_plugin.actions.context import ActionContext
from sla_plugin.language import marked
from sla_plugin.ports import Command, SetStatus

SUMMARY = marked("Set the status to the helpdesk's word for in progress if the ticket is open or waiting")
ONCE_PER_POLICY = False
_FROM = ("open", "assigned", "waiting_customer", "waiting_internal")


def plan(context: ActionContext) -> list[Command]:
    """The status change; none if the helpdesk's word would stay the same or the ticket is past that."""
    word = context.words.status_out.get("in_progress")
    if context.status not in _FROM or word is None or (context.status_word or "").lower() == word.lower():
        return []
    return [SetStatus(to="in_progress", expected=_FROM)]
