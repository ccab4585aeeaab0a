"""What an action may look at."""

from collections.abc import Sequence
from dataclasses import dataclass

from sla_plugin.engine.evaluate import Clock
from sla_plugin.ports import Words


@dataclass(frozen=True)
class ActionContext:
    """A breached clock and its ticket. `priority` is None while nobody has set one; `assignee` is who gets unassigned tickets, if anybody."""

    clock: Clock
    metric: str
    policy: str
    policy_version: int
    status: str
    status_word: str | None
    priority: str | None
    assigned_to: str | None
    assignee: str | None
    words: Words
    on_breach: Sequence[str]
