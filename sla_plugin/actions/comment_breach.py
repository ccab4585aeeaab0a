"""comment_breach: an internal comment that says what was promised, when it broke, by how much, and which pauses counted."""

from datetime import UTC, datetime, timedelta

from sla_plugin.actions.context import ActionContext
from sla_plugin.engine.durations import format_duration
from sla_plugin.engine.ledger import ledger, sums
from sla_plugin.language import marked
from sla_plugin.ports import AddComment, Command

SUMMARY = marked("Add an internal comment: what was promised, when it broke, by how much, which pauses counted")
ONCE_PER_POLICY = False
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plan(context: ActionContext) -> list[Command]:
    """The comment; always one."""
    return [AddComment(body=breach_text(context))]


def instant_text(at: int) -> str:
    """A UTC instant for a comment: 2026-11-21 10:37:00 UTC."""
    return (_EPOCH + timedelta(microseconds=at)).strftime("%Y-%m-%d %H:%M:%S UTC")


def breach_text(context: ActionContext) -> str:
    """The comment's text; what is done with it is added when it is sent."""
    clock = context.clock
    target = clock.target or 0
    time = "business time" if clock.business else "calendar time"
    lines = [
        f'SLA breached: {context.metric}, promised within {format_duration(target)} of {time} (policy "{context.policy}", version {context.policy_version}).'
    ]
    if clock.deadline_at is not None:
        lines.append(f"Started {instant_text(clock.started_at)}, due {instant_text(clock.deadline_at)}.")
    over = max(clock.elapsed - target, 0)
    used = format_duration(clock.elapsed)
    lines.append(f"{used} used when this was written" + (f", over by {format_duration(over)}." if over >= 1_000_000 else "."))
    rows = ledger(clock)
    pauses = [
        f"{format_duration(total)} {name}"
        for name, total in (("on hold", sums(rows, ("on_hold",))), ("outside hours", sums(rows, ("outside_hours", "holiday"))))
        if total
    ]
    lines.append(f"Not counted: {', '.join(pauses)}." if pauses else "No pause: all of the time counted.")
    # helpdesks search and copy plain spaces better
    return "\n".join(lines).replace("\u00a0", " ")
