"""Clocks as lists show them: the stored row beside how it stands now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sla_plugin.engine.metrics.definitions import METRICS, MetricOptions
from sla_plugin.language import gettext, marked
from sla_plugin.reports.standing import Standing, index_terms, standing, terms_of
from sla_plugin.services.read_books import read_books
from sla_plugin.services.request_escalation import METRIC
from sla_plugin.store.clocks import Clock
from sla_plugin.store.db import Transaction
from sla_plugin.web.formats import duration, time_left

METRIC_TITLES = {name: make(MetricOptions()).title for name, make in METRICS.items()}
ALERT_TITLES = {**METRIC_TITLES, METRIC: marked("Escalation")}


@dataclass(frozen=True)
class ClockCell:
    """One clock in a list. `text` says what the bar shows."""

    clock: Clock
    standing: Standing
    title: str
    text: str


def clock_cells(tx: Transaction, tenant: int, clocks: Mapping[int, Sequence[Clock]], now: int) -> dict[int, list[ClockCell]]:
    """The clocks of some tickets as cells, in their order."""
    terms = index_terms(read_books(tx, tenant))

    def cells(rows: Iterable[Clock]) -> list[ClockCell]:
        made = []
        for row in rows:
            stands = standing(row, terms_of(row, terms), now)
            made.append(ClockCell(row, stands, METRIC_TITLES.get(row.metric, row.metric), standing_text(row, stands)))
        return made

    return {ticket: cells(rows) for ticket, rows in clocks.items()}


def standing_text(clock: Clock, stands: Standing) -> str:
    """What is left, in words: `2 h 24 m left`, `on hold, 1 h 48 m left`, `over by 3 h 55 m`, `met, 29 m of 1 h`."""
    left = "" if stands.left is None else time_left(stands.left, business=stands.business)
    if stands.state == "met":
        return gettext("met, %(used)s of %(target)s", used=duration(stands.elapsed), target=duration(stands.target or 0))
    if stands.state == "cancelled":
        return gettext("cancelled")
    if clock.phase == "on_hold":
        return gettext("on hold, %(left)s", left=left)
    if clock.phase in ("finished", "stopped"):
        return gettext("done, %(left)s", left=left)
    return left
