"""Compliance: of the cycles that finished in a period, how many were met; records count as their last correction says, what never was does not count."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, func, select

from sla_plugin.store.clocks import Correction, Record
from sla_plugin.store.db import Transaction


@dataclass(frozen=True, slots=True)
class Attained:
    """Cycles that finished: how many were met, how many breached, and how many of both only a correction says."""

    met: int = 0
    breached: int = 0
    corrected: int = 0

    @property
    def finished(self) -> int:
        """The denominator."""
        return self.met + self.breached

    @property
    def rate(self) -> float | None:
        """Percent of the finished ones that were met, to a hundredth; None where none finished."""
        return round(100 * self.met / self.finished, 2) if self.finished else None

    def __add__(self, other: "Attained") -> "Attained":
        return Attained(self.met + other.met, self.breached + other.breached, self.corrected + other.corrected)


def attained_by_metric(tx: Transaction, tenant: int, since: int, until: int) -> dict[str, Attained]:
    """Metric -> its cycles that finished from `since` on and before `until`. The index of records by their end is walked, once."""
    in_period = (Record.tenant_id == tenant, Record.finished_at >= since, Record.finished_at < until)
    corrections = (Correction.tenant_id == Record.tenant_id, Correction.record_id == Record.id)
    plain = (
        select(Record.metric, func.count().label("finished"), func.sum(case((Record.met, 1), else_=0)).label("met"))
        .where(*in_period, ~select(Correction.id).where(*corrections).correlate(Record).exists())
        .group_by(Record.metric)
    )
    found = {row.metric: Attained(int(row.met), int(row.finished) - int(row.met)) for row in tx.execute(plain)}
    last = select(func.max(Correction.number)).where(*corrections).correlate(Record).scalar_subquery()
    for row in tx.execute(select(Record.metric, Correction.now).join(Correction, and_(*corrections, Correction.number == last)).where(*in_period)):
        told: Any = row.now
        if told is not None:
            one = Attained(1, 0, 1) if told["met"] else Attained(0, 1, 1)
            found[row.metric] = found.get(row.metric, Attained()) + one
    return dict(sorted(found.items()))


def records_of(tx: Transaction, tenant: int, promise: int) -> list[Record]:
    """The records of a promise, in the order in which their cycles finished."""
    query = select(Record).where(Record.tenant_id == tenant, Record.promise_id == promise)
    return list(tx.scalars(query.order_by(Record.finished_at, Record.metric, Record.cycle)))
