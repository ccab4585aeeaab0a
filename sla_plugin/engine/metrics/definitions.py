"""Metrics as data: which events start, hold, stop and reopen a clock. One row per metric; a policy's options fill the gaps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sla_plugin.engine.conditions import Condition, compile_condition


@dataclass(frozen=True)
class MetricOptions:
    """What a policy may choose about its metrics."""

    pause_in: tuple[str, ...] = ("waiting_customer",)
    resolution_starts: str = "creation"
    resolution_stops: str = "resolved"


@dataclass(frozen=True)
class Metric:
    """One metric under one policy's options.

    start    opens a cycle (tested at each fact while none is open)
    stop     ends the run (tested at each fact while a cycle is open)
    hold     while true the clock does not count
    cancel   ends the cycle without a verdict
    finish   true: a stop is final at once; else the cycle stays provisional until `close` or the settle time
    again    a finished metric may open another cycle
    """

    name: str
    title: str
    start: Condition
    stop: Condition
    hold: Condition | None
    cancel: Condition
    close: Condition
    reopens: Literal["never", "continue", "new_cycle"]


def _condition(definition: Any) -> Condition:
    return compile_condition(definition, "metric", None)


_CREATED = {"field": "event", "is": "ticket.created"}
_CLOSED = _condition({"field": "status", "is": "closed"})
_CANCELLED = {"field": "status", "is": "cancelled"}
_AGENT_REPLY = {
    "all": [
        {"field": "event", "is": "reply.public"},
        {"field": "actor_role", "is": "agent"},
        {"field": "actor_is_requester", "is": False},
        {"field": "opening", "is": False},
    ]
}


def first_response(options: MetricOptions) -> Metric:
    """From creation (not by an agent) to the first public reply of an agent who is not the requester; never on hold while the ticket is open."""
    return Metric(
        name="first_response",
        title="First response",
        start=_condition({"all": [_CREATED, {"none": [{"field": "actor_role", "is": "agent"}]}]}),
        stop=_condition(_AGENT_REPLY),
        # nobody answers a resolved ticket: wait whether it comes back
        hold=_condition({"field": "status", "is": "resolved"}),
        cancel=_condition({"field": "status", "in": ["closed", "cancelled"]}),
        close=_CLOSED,
        reopens="never",
    )


def resolution(options: MetricOptions) -> Metric:
    """From creation (or first assignment) to resolved (or closed); on hold in the policy's statuses; goes on when reopened before the close."""
    start: dict[str, Any] = _CREATED
    if options.resolution_starts == "assignment":
        start = {"field": "assignee", "is_set": True}
    stops = ["resolved", "closed"] if options.resolution_stops == "resolved" else ["closed"]
    return Metric(
        name="resolution",
        title="Resolution",
        start=_condition({"any": [start, {"field": "reopened", "is": True}]}),
        stop=_condition({"field": "status", "in": stops}),
        hold=_condition({"field": "status", "in": list(options.pause_in)}) if options.pause_in else None,
        cancel=_condition(_CANCELLED),
        close=_CLOSED,
        reopens="continue",
    )


METRICS: Mapping[str, Callable[[MetricOptions], Metric]] = {"first_response": first_response, "resolution": resolution}
