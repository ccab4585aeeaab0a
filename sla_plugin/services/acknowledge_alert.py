"""Acknowledge an alert: somebody has seen it; the clock keeps running."""

from sqlalchemy import update

from sla_plugin.store.alerts import Alert
from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction


def acknowledge_alert(tx: Transaction, tenant: int, alert: int, note: str, now: int, actor: str) -> bool:
    """Take every unacknowledged alert of the same clock and cycle; False if there is none (somebody was quicker, or it does not exist)."""
    one = tx.get(Alert, (tenant, alert))
    if one is None or one.acknowledged_at is not None:
        return False
    done = tx.execute(
        update(Alert)
        .where(
            Alert.tenant_id == tenant,
            Alert.promise_id == one.promise_id,
            Alert.metric == one.metric,
            Alert.cycle == one.cycle,
            Alert.acknowledged_at.is_(None),
        )
        .values(acknowledged_at=now, acknowledged_by=actor[:200], note=note[:1000] or None)
    )
    if not done.rowcount:  # type: ignore[attr-defined]
        return False
    told = {"ticket": one.external_id, "metric": one.metric, "cycle": one.cycle, "note": bool(note)}
    append_audit(tx, tenant, now, actor, "alert acknowledged", {**told, "before": {"acknowledged": False}, "after": {"acknowledged": True}})
    return True
