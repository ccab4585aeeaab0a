"""Extend a deadline: grant a running clock more of what it counts, from now on. Levels that have passed stay passed."""

from sla_plugin.engine.durations import LONGEST, parse_duration
from sla_plugin.engine.evaluate import Clock
from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.outside import Outside
from sla_plugin.services.record_override import Hand, Override
from sla_plugin.store.db import Transaction
from sla_plugin.store.tickets import Ticket

TICKING = ("running", "on_hold")


def extend_deadline(
    tx: Transaction, tenant: int, ticket: Ticket, metric: str, by: str, reason: str, now: int, actor: str, outside: Outside, once: str = ""
) -> Override:
    """Extend the open clock of `metric` by a duration such as `2h` (business time where its target counts that); the same word `once` extends once.

    Several extensions add up; each can be taken back. Raises InvalidDefinition naming `metric`, `by`, `reason` or `ticket`; nothing has changed then.
    """
    hand = Hand.lay_on(tx, tenant, ticket, reason, actor, now, outside, once)
    if hand.strict:
        return hand.record("deadline.extended", {"metric": metric, "by": by})
    clock = _open_clock(hand.verdict().clocks, metric)
    amount = parse_duration(by, "by", allow_days=not clock.business)
    if (clock.target or 0) + amount > LONGEST:
        raise InvalidDefinition("by", "with what is promised already that is longer than ten years; write a shorter one")
    return hand.record("deadline.extended", {"metric": metric, "by": amount})


def _open_clock(clocks: tuple[Clock, ...], metric: str) -> Clock:
    running = [clock for clock in clocks if clock.phase in TICKING]
    for clock in running:
        if clock.metric == metric:
            return clock
    others = f"running are {', '.join(sorted({clock.metric for clock in running}))}" if running else "no clock of the ticket runs"
    last = next((clock for clock in reversed(clocks) if clock.metric == metric), None)
    if last is None:
        raise InvalidDefinition("metric", f"the ticket has no clock {metric!r}; {others}")
    raise InvalidDefinition("metric", f"its {metric} clock is {last.phase}, and what is over is not extended; {others}")
