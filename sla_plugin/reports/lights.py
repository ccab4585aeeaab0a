"""The lights: what the figures of the machine mean for a person, the worst first. The same on Overview, Health and in `sla-plugin status`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sla_plugin.engine.durations import DAY, HOUR, MINUTE, SECOND, format_duration
from sla_plugin.reports.machine import ConnectionFigures, FeedFigures, Machine, TenantFigures, Waiting

LEVELS = ("bad", "watch", "idle", "good")
WATCH, BAD = 5 * SECOND, MINUTE  # how long something may wait before somebody should look, and before it is wrong


class PartHealth(Protocol):
    """The health of one process, as somebody outside it sees it."""

    @property
    def healthy(self) -> bool:
        """Does it work?"""
        ...

    @property
    def detail(self) -> str:
        """A few words."""
        ...


@dataclass(frozen=True)
class Light:
    """One line: `level` of LEVELS, the name of what it is about, a few words; `about` is part, queue, connection, deliveries or calendar."""

    level: str
    name: str
    text: str
    about: str
    connection: int | None = None  # its id, where it is about one
    calendar: int | None = None


def lights_of(machine: Machine, tenant: TenantFigures, parts: Mapping[str, PartHealth]) -> list[Light]:
    """Every light of a tenant's machine."""
    found = [Light("good" if part.healthy else "bad", name, part.detail, "part") for name, part in parts.items()]
    found += [_inbox(machine.now, tenant.inbox), _time(machine, tenant), _outbox(machine.now, tenant.connections)]
    found += [_connection(machine.now, one) for one in tenant.connections]
    found += [_feed(machine.now, one) for one in tenant.feeds]
    aside = sum(tenant.set_aside.values())
    if aside:
        text = ", ".join(f"{count} {state}" for state, count in tenant.set_aside.items() if count)
        found.append(Light("watch", "deliveries", f"{text}: kept, replay them after a fix", "deliveries"))
    return sorted(found, key=lambda light: LEVELS.index(light.level))


def _short(amount: int) -> str:
    return f"{amount / SECOND:.2f} s" if amount < 10 * SECOND else format_duration(amount)


def _level(waited: int) -> str:
    return "bad" if waited > BAD else "watch" if waited > WATCH else "good"


def _inbox(now: int, inbox: Mapping[str, Waiting]) -> Light:
    live, others = inbox["live"], []
    if inbox["history"].count:
        others.append(f"{inbox['history'].count} of history wait behind")
    if inbox["retrying"].count:
        others.append(f"{inbox['retrying'].count} that failed are tried again")
    age = 0 if live.oldest_at is None else now - live.oldest_at
    if age > WATCH:
        text = f"{live.count} deliveries wait to be applied, the oldest for {format_duration(age)}. Deadlines stay exact; warnings come late"
    else:
        text = "nothing waits" if not live.count else f"{live.count} just arrived"
    return Light(_level(age), "inbox", "; ".join([text, *others]), "queue")


def _time(machine: Machine, tenant: TenantFigures) -> Light:
    late = tenant.lateness
    if machine.overdue > WATCH:
        return Light(
            _level(machine.overdue), "time", f"a warning or breach has been due for {format_duration(machine.overdue)} and is not recorded yet", "queue"
        )
    if not late.count:
        return Light("good", "time", "nothing is overdue", "queue")
    text = f"{late.count} alerts in 5 minutes, 99 % of them within {_short(late.p99)}"
    return Light("watch" if late.p99 > WATCH else "good", "time", text, "queue")


def _outbox(now: int, connections: Sequence[ConnectionFigures]) -> Light:
    waiting = sum(c.commands["pending"] + c.commands["calling"] for c in connections)
    # a connection that is paused, or not live, waits on purpose
    waited = max((now - c.due_at for c in connections if c.due_at is not None and c.pause is None and c.mode == "live"), default=0)
    if waited > WATCH:
        return Light(_level(waited), "outbox", f"{waiting} commands wait to be written back, the first for {format_duration(waited)}", "queue")
    return Light("good", "outbox", "nothing waits" if not waiting else f"{waiting} commands on their way", "queue")


def _connection(now: int, one: ConnectionFigures) -> Light:
    failed = one.commands["failed"]
    if one.problem is not None:
        level, text = "bad" if one.mode == "live" else "watch", f"credentials refused: {one.problem}"
    elif one.paused_until is not None:
        level, text = "watch", f"writing waits {format_duration(max(one.paused_until - now, SECOND))} more: {one.paused_reason}"
    elif failed:
        level, text = "watch", f"{failed} {'write-back' if failed == 1 else 'write-backs'} failed"
    elif one.refused_at is not None and now - one.refused_at < HOUR:
        level, text = "watch", f"{one.refused} deliveries refused so far, the last {format_duration(now - one.refused_at)} ago: {one.refused_reason}"
    elif one.last_delivery_at is None:
        level, text = "idle", "nothing received yet"
    else:
        silent = now - one.last_delivery_at
        level, text = "good", f"last delivery {format_duration(silent)} ago" if silent < 7 * DAY else "no delivery for over a week"
    return Light(level, one.name, text, "connection", one.id)


def _feed(now: int, one: FeedFigures) -> Light:
    if one.failing_since is not None:
        text = f"the feed {one.title} fails for {format_duration(max(now - one.failing_since, SECOND))}; its last good dates count: {one.problem}"
    else:
        text = f"the feed {one.title} would change {one.waiting} dates, too many to be taken unseen: open the calendar and save, or untick them"
    return Light("watch", one.name, text, "calendar", calendar=one.calendar)
