"""Acknowledge alerts: somebody has seen them; the clocks keep running. And giving one back."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import select, update

from sla_plugin.engine.durations import MINUTE
from sla_plugin.errors import InvalidDefinition
from sla_plugin.store.alerts import ALERTS
from sla_plugin.store.audit import append_audit
from sla_plugin.store.bulk import among
from sla_plugin.store.db import Transaction
from sla_plugin.store.tickets import lock_promises

UNDO = 5 * MINUTE  # until then taking an alert is undone as a slip, afterwards it is given back
LONGEST = 1000  # letters of a note


def acknowledge_alert(tx: Transaction, tenant: int, alert: int, note: str, now: int, actor: str) -> bool:
    """Take every unacknowledged alert of the same clock and cycle; False if there is none (somebody was quicker, or it does not exist)."""
    taken = _take(tx, tenant, [alert], note, now, actor)
    if taken:
        one = taken[0]
        append_audit(tx, tenant, now, actor, "alert acknowledged", _told(one, note, taken=True))
    return bool(taken)


def acknowledge_alerts(tx: Transaction, tenant: int, alerts: Collection[int], note: str, now: int, actor: str) -> int:
    """Take several at once, with a note; returns how many clocks' alerts they were (those that somebody has taken already are none).

    Raises InvalidDefinition (field `note`) without a note: who takes many says why.
    """
    note = note.strip()
    if not note:
        raise InvalidDefinition("note", "say why; it stands beside each of them")
    if len(note) > LONGEST:
        raise InvalidDefinition("note", f"keep it under {LONGEST} characters")
    taken = _take(tx, tenant, alerts, note, now, actor)
    clocks = {(a.promise_id, a.metric, a.cycle) for a in taken}
    if taken:
        tickets = sorted({a.external_id for a in taken})[:100]
        append_audit(
            tx,
            tenant,
            now,
            actor,
            "alerts acknowledged",
            {"alerts": len(clocks), "tickets": tickets, "note": True, "before": {"acknowledged": False}, "after": {"acknowledged": True}},
        )
    return len(clocks)


def give_back_alert(tx: Transaction, tenant: int, alert: int, now: int, actor: str) -> bool:
    """Nobody has it any more: what was taken with it stands open again. False if nobody had it, or it is over."""
    one = _read(tx, tenant, [alert])
    if not one or one[0].acknowledged_at is None or one[0].resolved_at is not None:
        return False
    lock_promises(tx, tenant, [one[0].promise_id])
    taken_at, by = one[0].acknowledged_at, one[0].acknowledged_by
    of_clock = (ALERTS.c.promise_id == one[0].promise_id, ALERTS.c.metric == one[0].metric, ALERTS.c.cycle == one[0].cycle)
    done = tx.change(
        update(ALERTS)
        .where(ALERTS.c.tenant_id == tenant, *of_clock, ALERTS.c.acknowledged_at == taken_at)
        .values(acknowledged_at=None, acknowledged_by=None, note=None)
    )
    if not done:
        return False
    what = "acknowledgement undone" if now - taken_at < UNDO else "alert given back"
    append_audit(tx, tenant, now, actor, what, {**_told(one[0], "", taken=False), "was": by})
    return True


def _told(alert: Any, note: str, *, taken: bool) -> dict[str, Any]:
    sides = {"before": {"acknowledged": not taken}, "after": {"acknowledged": taken}}
    return {"ticket": alert.external_id, "metric": alert.metric, "cycle": alert.cycle, **({"note": bool(note)} if taken else {}), **sides}


def _read(tx: Transaction, tenant: int, alerts: Collection[int]) -> list[Any]:
    return list(tx.execute(select(ALERTS).where(ALERTS.c.tenant_id == tenant, among(tx, ALERTS.c.id, alerts))))


def _take(tx: Transaction, tenant: int, alerts: Collection[int], note: str, now: int, actor: str) -> list[Any]:
    """The alerts that were taken, of the clocks of those that are named and free."""
    named = [a for a in _read(tx, tenant, alerts) if a.acknowledged_at is None]
    if not named:
        return []
    promises = sorted({a.promise_id for a in named})
    lock_promises(tx, tenant, promises)  # evaluations change alerts, too
    clocks = {(a.promise_id, a.metric, a.cycle) for a in named}
    free = select(ALERTS).where(ALERTS.c.tenant_id == tenant, among(tx, ALERTS.c.promise_id, promises), ALERTS.c.acknowledged_at.is_(None))
    taken = [a for a in tx.execute(free) if (a.promise_id, a.metric, a.cycle) in clocks]
    if taken:
        tx.execute(
            update(ALERTS)
            .where(ALERTS.c.tenant_id == tenant, among(tx, ALERTS.c.id, [a.id for a in taken]), ALERTS.c.acknowledged_at.is_(None))
            .values(acknowledged_at=now, acknowledged_by=actor[:200], note=note[:LONGEST] or None)
        )
    return taken
