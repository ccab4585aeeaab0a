"""The explain sentence of a clock in the reader's language, from the same data as the engine's own (`ledger.sentence`); in English both are the same."""

from collections.abc import Sequence

from sla_plugin.engine.durations import format_duration
from sla_plugin.engine.evaluate import Clock
from sla_plugin.engine.ledger import Segment, sums
from sla_plugin.language import gettext, units


def clock_sentence(clock: Clock, title: str, rows: Sequence[Segment]) -> str:
    """What the clock says; `title` in the reader's language, `rows` its ledger."""
    said = [_head(clock, title)]
    if clock.granted:
        said.append(gettext("Of the target %(time)s were granted by hand.", time=_time(clock.granted)))
    not_counted = _not_counted(rows)
    if not_counted:
        said.append(gettext("Not counted: %(what)s.", what=", ".join(not_counted)))
    return " ".join(said)


def _time(amount: int) -> str:
    return units(format_duration(amount))


def _head(clock: Clock, title: str) -> str:
    target = clock.target or 0
    names = {
        "title": title,
        "used": _time(clock.elapsed),
        "target": _time(target),
        "kind": gettext("business time") if clock.business else gettext("calendar time"),
        "left": _time(max(target - clock.elapsed, 0)),
        "over": _time(clock.elapsed - target),
    }
    if clock.phase == "cancelled":
        return gettext("%(title)s was cancelled after %(used)s of %(kind)s; nothing is owed.", **names)
    if clock.breached_at is not None and clock.elapsed <= target:
        return gettext("%(title)s breached under an earlier promise: %(used)s of what is now %(target)s of %(kind)s used.", **names)
    if clock.breached_at is not None:
        return gettext("%(title)s breached: promised %(target)s of %(kind)s, %(used)s used, over by %(over)s.", **names)
    if clock.phase in ("finished", "stopped"):
        return gettext("%(title)s met: %(used)s of %(target)s of %(kind)s used.", **names)
    if clock.phase == "on_hold":
        return gettext("%(title)s is on hold: %(used)s of %(target)s of %(kind)s used, %(left)s left.", **names)
    return gettext("%(title)s is running: %(used)s of %(target)s of %(kind)s used, %(left)s left.", **names)


def _not_counted(rows: Sequence[Segment]) -> list[str]:
    found = []
    if held := sums(rows, ("on_hold",)):
        found.append(gettext("%(time)s on hold", time=_time(held)))
    if closed := sums(rows, ("outside_hours",)):
        found.append(gettext("%(time)s outside hours", time=_time(closed)))
    if holidays := sums(rows, ("holiday",)):
        names = list(dict.fromkeys(r.name for r in rows if r.state == "holiday" and r.name))
        found.append(gettext("%(time)s of holidays", time=_time(holidays)) + (f" ({', '.join(names)})" if names else ""))
    return found
