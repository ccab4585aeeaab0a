"""Metrics as data: which facts start, hold, stop and reopen a clock. One row of METRICS per metric; a policy's options fill the gaps.

Conditions read the ticket as others set it and what is true of the fact at hand only:

event                one of KINDS
actor_role           customer, agent, system (bots and auto-replies) or unknown
actor_is_requester   whether the actor is the ticket's requester
opening, public      of a message
reopened             the status left resolved, closed or cancelled
moved                the fields that changed
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sla_plugin.engine.conditions import Condition, compile_condition
from sla_plugin.engine.metrics.waking import Waking, waking

Reopens = Literal["never", "continue", "new_cycle"]


@dataclass(frozen=True)
class MetricOptions:
    """What a policy may choose about a metric; None is the metric's own default.

    pause_in         our statuses in which the clock is on hold
    starts, stops    of resolution, requester wait and agent work: creation or assignment; resolved or closed
    reopens          whether a stopped clock may go on, or open another cycle
    internal_notes   an agent's internal note counts as a reply
    bots             a reply by a bot or an auto-reply counts
    agent_created    a ticket that an agent opened is promised a first response too
    """

    pause_in: tuple[str, ...] | None = None
    starts: str = "creation"
    stops: str = "resolved"
    reopens: Reopens | None = None
    internal_notes: bool = False
    bots: bool = False
    agent_created: bool = False


@dataclass(frozen=True)
class Metric:
    """One metric under one policy's options.

    start     opens a cycle (while none is open)
    stop      ends the run
    hold      while it holds the clock does not count
    cancel    ends the cycle without a verdict
    close     finishes a stopped cycle at once; else it stays provisional for the settle time
    reopen    a stopped cycle goes on (only where `reopens` is continue)
    reopens   never: one cycle; continue: a stop is provisional; new_cycle: a stop is final, another cycle may start
    restarts  the fact that stops a cycle may start the next
    owner     the field whose value a cycle belongs to
    """

    name: str
    title: str
    start: Condition
    stop: Condition
    hold: Condition | None
    cancel: Condition
    close: Condition
    reopen: Condition
    reopens: Reopens
    restarts: bool = False
    owner: str | None = None
    starts_on: Waking = field(init=False, compare=False, repr=False)  # what to look at while no cycle is open
    moves_on: Waking = field(init=False, compare=False, repr=False)  # and while one is

    def __post_init__(self) -> None:
        moving = waking([part.definition for part in (self.stop, self.reopen)])
        # whether it is held or cancelled is asked where the ticket moved; a condition there that reads the event is asked always
        standing = waking([part.definition for part in (self.hold, self.cancel, self.close) if part is not None])
        always = moving.always or standing.always or bool(standing.kinds)
        object.__setattr__(self, "starts_on", waking([self.start.definition]))
        object.__setattr__(self, "moves_on", Waking(moving.kinds, moving.fields | standing.fields, always))


def metric_of(
    name: str,
    title: str,
    *,
    start: Any,
    stop: Any,
    hold: Any = None,
    cancel: Any = None,
    reopen: Any = None,
    reopens: Reopens = "never",
    restarts: bool = False,
    owner: str | None = None,
    where: str = "metric",
) -> Metric:
    """A metric from condition data. Defaults: cancelled with the ticket, closed with the ticket, reopened when the stop no longer holds."""
    return Metric(
        name=name,
        title=title,
        start=compile_condition(start, f"{where}.start", None),
        stop=compile_condition(stop, f"{where}.stop", None),
        hold=compile_condition(hold, f"{where}.pause", None) if hold is not None else None,
        cancel=compile_condition(cancel or _CANCELLED, f"{where}.cancel", None),
        close=_CLOSED,
        reopen=compile_condition(reopen or {"not": stop}, f"{where}.reopen", None),
        reopens=reopens,
        restarts=restarts,
        owner=owner,
    )


_CLOSED = compile_condition({"field": "status", "is": "closed"}, "metric.close", None)
_CREATED = {"field": "event", "is": "ticket.created"}
_REOPENED = {"field": "reopened", "is": True}
_CANCELLED = {"field": "status", "is": "cancelled"}
_SOLVED = {"field": "status", "in": ["resolved", "closed"]}
_OVER = {"field": "status", "in": ["closed", "cancelled"]}
_UNFINISHED = {"field": "status", "not_in": ["resolved", "closed", "cancelled"]}
_BY_AGENT = {"all": [{"field": "actor_role", "is": "agent"}, {"field": "actor_is_requester", "is": False}]}


def _in(statuses: tuple[str, ...]) -> dict[str, Any] | None:
    return {"field": "status", "in": list(statuses)} if statuses else None


def _reply(options: MetricOptions) -> dict[str, Any]:
    """An answer: public, by an agent who is not the requester, not the message that opened the ticket."""
    return {
        "all": [
            {"field": "event", "in": ["reply.public", "note.internal"] if options.internal_notes else ["reply.public"]},
            {"field": "actor_role", "in": ["agent", "system"] if options.bots else ["agent"]},
            {"field": "actor_is_requester", "is": False},
            {"field": "opening", "is": False},
        ]
    }


def first_response(options: MetricOptions) -> Metric:
    """From creation (not by an agent) to the first answer; on hold while resolved: nobody answers a resolved ticket, wait whether it comes back."""
    by_others = {"none": [{"field": "actor_role", "is": "agent"}]}
    return metric_of(
        "first_response",
        "First response",
        start=_CREATED if options.agent_created else {"all": [_CREATED, by_others]},
        stop=_reply(options),
        hold=_in(("resolved", *(options.pause_in or ()))),
        cancel=_OVER,
        reopens=options.reopens or "never",
    )


def next_response(options: MetricOptions) -> Metric:
    """From the oldest unanswered message of the requester (after the opening one) to the next answer; later messages join the cycle."""
    requester = {"any": [{"field": "actor_role", "is": "customer"}, {"field": "actor_is_requester", "is": True}]}
    return metric_of(
        "next_response",
        "Next response",
        start={"all": [{"field": "event", "is": "reply.public"}, {"field": "opening", "is": False}, requester]},
        stop=_reply(options),
        hold=_in(("resolved", *(options.pause_in or ()))),
        cancel=_OVER,
        reopens=options.reopens or "new_cycle",
    )


def _update(name: str, title: str, options: MetricOptions, pause_in: tuple[str, ...]) -> Metric:
    """From each answer to the next, or to the end of the ticket's work."""
    answer = _reply(options)
    return metric_of(
        name,
        title,
        start={"all": [*answer["all"], _UNFINISHED]},
        stop={"any": [answer, _SOLVED]},
        hold=_in(pause_in if options.pause_in is None else options.pause_in),
        reopens=options.reopens or "new_cycle",
        restarts=True,
    )


def periodic_update(options: MetricOptions) -> Metric:
    """From each answer to the next; never on hold unless the policy says so."""
    return _update("periodic_update", "Periodic update", options, ())


def pausable_update(options: MetricOptions) -> Metric:
    """From each answer to the next; on hold while the customer has the ball."""
    return _update("pausable_update", "Pausable update", options, ("waiting_customer",))


def _work(name: str, title: str, options: MetricOptions, pause_in: tuple[str, ...]) -> Metric:
    """From creation (or first assignment) to resolved (or closed); goes on when reopened before the close."""
    start = {"field": "assignee", "is_set": True} if options.starts == "assignment" else _CREATED
    return metric_of(
        name,
        title,
        start={"any": [start, _REOPENED]},
        stop=_SOLVED if options.stops == "resolved" else {"field": "status", "is": "closed"},
        hold=_in(pause_in if options.pause_in is None else options.pause_in),
        reopens=options.reopens or "continue",
    )


def resolution(options: MetricOptions) -> Metric:
    """On hold while waiting for the customer."""
    return _work("resolution", "Resolution", options, ("waiting_customer",))


def requester_wait(options: MetricOptions) -> Metric:
    """How long the requester waits for others: everything but waiting for the requester."""
    return _work("requester_wait", "Requester wait", options, ("waiting_customer",))


def agent_work(options: MetricOptions) -> Metric:
    """How long the ticket is with the agents: neither waiting for the customer nor for others inside."""
    return _work("agent_work", "Agent work", options, ("waiting_customer", "waiting_internal"))


def group_ownership(options: MetricOptions) -> Metric:
    """How long a group holds the ticket: a cycle per group and stay, to the hand-over or to resolved; a reopen or a return is a new one."""
    return metric_of(
        "group_ownership",
        "Group ownership",
        start={"all": [{"field": "group", "is_set": True}, _UNFINISHED]},
        stop={"any": [{"field": "moved", "is": "group"}, _SOLVED]},
        hold=_in(options.pause_in or ()),
        reopens=options.reopens or "new_cycle",
        restarts=True,
        owner="group",
    )


def time_to_assign(options: MetricOptions) -> Metric:
    """From creation until somebody is assigned; nothing is promised for a ticket that comes with an assignee."""
    return metric_of(
        "time_to_assign",
        "Time to assign",
        start=_CREATED,
        stop={"field": "assignee", "is_set": True},
        hold=_in(("resolved", *(options.pause_in or ()))),
        cancel=_OVER,
    )


def acknowledgement(options: MetricOptions) -> Metric:
    """From creation (not by an agent) to the first sign that somebody has it: an agent writes, is assigned or takes it in progress."""
    return metric_of(
        "acknowledgement",
        "Acknowledgement",
        start={"all": [_CREATED, {"none": [{"field": "actor_role", "is": "agent"}]}]},
        stop={
            "any": [
                {"all": [{"field": "event", "in": ["reply.public", "note.internal"]}, _BY_AGENT]},
                {"field": "assignee", "is_set": True},
                {"field": "status", "in": ["assigned", "in_progress"]},
            ]
        },
        hold=_in(("resolved", *(options.pause_in or ()))),
        cancel=_OVER,
    )


METRICS: Mapping[str, Callable[[MetricOptions], Metric]] = {
    made.__name__: made
    for made in (
        first_response,
        next_response,
        periodic_update,
        pausable_update,
        resolution,
        requester_wait,
        agent_work,
        group_ownership,
        time_to_assign,
        acknowledgement,
    )
}
