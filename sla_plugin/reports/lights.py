"""The lights: what the figures of the machine mean for a person, the worst first. The same on Overview, Health and in `sla-plugin status`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sla_plugin.engine.durations import DAY, HOUR, MINUTE, SECOND, format_duration
from sla_plugin.language import gettext, ngettext, units
from sla_plugin.reports.machine import ConnectionFigures, FeedFigures, Machine, MailFigures, SignInFigures, TenantFigures, Waiting
from sla_plugin.reports.mail_words import explained

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
    """One line: `level` of LEVELS, the name of what it is about, a few words.

    `about` is part, queue, connection (its id is `connection`), deliveries, calendar, sign_in, mail (its settings) or mails (those that failed).
    """

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
    if tenant.sign_in is not None:
        found.append(_sign_in(machine.now, tenant.sign_in))
    found += _mail(machine.now, tenant.mail)
    found += [_feed(machine.now, one) for one in tenant.feeds]
    aside = sum(tenant.set_aside.values())
    if aside:
        text = ", ".join(f"{count} {gettext(state)}" for state, count in tenant.set_aside.items() if count)
        found.append(Light("watch", "deliveries", gettext("%(what)s: kept, replay them after a fix", what=text), "deliveries"))
    return sorted(found, key=lambda light: LEVELS.index(light.level))


def _sign_in(now: int, one: SignInFigures) -> Light:
    asked = units(format_duration(max(now - one.checked_at, SECOND)))
    if one.problem is None:
        return Light("good", "sign-in service", gettext("well, asked %(time)s ago", time=asked), "sign_in")
    return Light("watch", "sign-in service", gettext("%(problem)s (asked %(time)s ago)", problem=one.problem, time=asked), "sign_in")


def _short(amount: int) -> str:
    return units(f"{amount / SECOND:.2f}\u00a0s" if amount < 10 * SECOND else format_duration(amount))


def _level(waited: int) -> str:
    return "bad" if waited > BAD else "watch" if waited > WATCH else "good"


def _inbox(now: int, inbox: Mapping[str, Waiting]) -> Light:
    live, others = inbox["live"], []
    if inbox["history"].count:
        others.append(gettext("%(count)d of history wait behind", count=inbox["history"].count))
    if inbox["retrying"].count:
        others.append(gettext("%(count)d that failed are tried again", count=inbox["retrying"].count))
    age = 0 if live.oldest_at is None else now - live.oldest_at
    if age > WATCH:
        text = ngettext(
            "%(num)d delivery waits to be applied, for %(time)s. Deadlines stay exact; warnings come late",
            "%(num)d deliveries wait to be applied, the oldest for %(time)s. Deadlines stay exact; warnings come late",
            live.count,
            time=units(format_duration(age)),
        )
    else:
        text = gettext("nothing waits") if not live.count else gettext("%(count)d just arrived", count=live.count)
    return Light(_level(age), "inbox", "; ".join([text, *others]), "queue")


def _time(machine: Machine, tenant: TenantFigures) -> Light:
    late = tenant.lateness
    if machine.overdue > WATCH:
        text = gettext("a warning or breach has been due for %(time)s and is not recorded yet", time=units(format_duration(machine.overdue)))
        return Light(_level(machine.overdue), "time", text, "queue")
    if not late.count:
        return Light("good", "time", gettext("nothing is overdue"), "queue")
    text = ngettext(
        "%(num)d alert in 5 minutes, within %(time)s", "%(num)d alerts in 5 minutes, 99 %% of them within %(time)s", late.count, time=_short(late.p99)
    )
    return Light("watch" if late.p99 > WATCH else "good", "time", text, "queue")


def _outbox(now: int, connections: Sequence[ConnectionFigures]) -> Light:
    waiting = sum(c.commands["pending"] + c.commands["calling"] for c in connections)
    # a connection that is paused, or not live, waits on purpose
    waited = max((now - c.due_at for c in connections if c.due_at is not None and c.pause is None and c.mode == "live"), default=0)
    if waited > WATCH:
        text = ngettext(
            "%(num)d command waits to be written back, for %(time)s",
            "%(num)d commands wait to be written back, the first for %(time)s",
            waiting,
            time=units(format_duration(waited)),
        )
        return Light(_level(waited), "outbox", text, "queue")
    text = ngettext("%(num)d command on its way", "%(num)d commands on their way", waiting) if waiting else gettext("nothing waits")
    return Light("good", "outbox", text, "queue")


def _mail(now: int, mail: MailFigures) -> list[Light]:
    """Nothing where mail was never used."""
    waited = 0 if mail.waiting.oldest_at is None else now - mail.waiting.oldest_at
    if mail.check is not None and mail.check.problem is not None:
        return [Light("bad", gettext("mail"), explained(mail.check.problem, mail.check.status, mail.check.said), "mail")]
    if mail.failed:
        return [Light("watch", gettext("mail"), ngettext("%(num)d mail could not be sent", "%(num)d mails could not be sent", mail.failed), "mails")]
    if waited > WATCH:
        told = gettext("%(number)d wait to be sent, the first for %(time)s", number=mail.waiting.count, time=units(format_duration(waited)))
        return [Light(_level(waited), gettext("mail"), told, "mail")]
    if mail.check is None:
        return []
    if not mail.check.checked_at:
        return [Light("idle", gettext("mail"), gettext("the settings are being tried"), "mail")]
    return [
        Light(
            "good",
            gettext("mail"),
            gettext("the server was reached %(time)s ago", time=units(format_duration(max(now - mail.check.checked_at, SECOND)))),
            "mail",
        )
    ]


def _connection(now: int, one: ConnectionFigures) -> Light:
    failed = one.commands["failed"]
    if one.problem is not None:
        level, text = "bad" if one.mode == "live" else "watch", gettext("credentials refused: %(problem)s", problem=one.problem)
    elif one.paused_until is not None:
        level, text = (
            "watch",
            gettext("writing waits %(time)s more: %(reason)s", time=units(format_duration(max(one.paused_until - now, SECOND))), reason=one.paused_reason),
        )
    elif failed:
        level, text = "watch", ngettext("%(num)d write-back failed", "%(num)d write-backs failed", failed)
    elif one.refused_at is not None and now - one.refused_at < HOUR:
        level = "watch"
        text = ngettext(
            "%(num)d delivery refused so far, %(time)s ago: %(reason)s",
            "%(num)d deliveries refused so far, the last %(time)s ago: %(reason)s",
            one.refused,
            time=units(format_duration(now - one.refused_at)),
            reason=one.refused_reason,
        )
    elif one.last_delivery_at is None:
        level, text = "idle", gettext("nothing received yet")
    else:
        silent = now - one.last_delivery_at
        level = "good"
        week = silent >= 7 * DAY
        text = gettext("no delivery for over a week") if week else gettext("last delivery %(time)s ago", time=units(format_duration(silent)))
    return Light(level, one.name, text, "connection", one.id)


def _feed(now: int, one: FeedFigures) -> Light:
    if one.failing_since is not None:
        failing = units(format_duration(max(now - one.failing_since, SECOND)))
        text = gettext("the feed %(title)s fails for %(time)s; its last good dates count: %(problem)s", title=one.title, time=failing, problem=one.problem)
    else:
        text = gettext(
            "the feed %(title)s would change %(number)d dates, too many to be taken unseen: open the calendar and save, or untick them",
            title=one.title,
            number=one.waiting,
        )
    return Light("watch", one.name, text, "calendar", calendar=one.calendar)
