"""Judge finished cycles: a record once, a correction where a late fact contradicts it, never a rewrite."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sla_plugin.engine.evaluate import Clock
from sla_plugin.services.verdict_rows import record_row
from sla_plugin.store.clocks import insert_corrections, insert_records, latest_corrections, read_records
from sla_plugin.store.db import Transaction
from sla_plugin.store.ids import new_id
from sla_plugin.store.tickets import Promise, Ticket

Finished = Sequence[tuple[Promise, Ticket, Clock]]


def judge_cycles(
    tx: Transaction,
    tenant: int,
    promises: Collection[int],
    finished: Finished,
    now: int,
    causes: Mapping[int, Collection[str]],
    frozen: Mapping[int, Mapping[str, int]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Write the records of finished cycles of `promises`, and corrections of records that are no longer true. Returns the rows of both.

    `frozen`: promise -> metric -> how many of its first cycles a checkpoint holds; they are not among `finished`, and their records are true.
    """
    if not promises:
        return [], []
    existing = {(r.promise_id, r.metric, r.cycle): r for r in read_records(tx, tenant, promises, frozen)}
    said = latest_corrections(tx, tenant, {r.promise_id for r in existing.values()}) if existing else {}
    records: list[dict[str, Any]] = []
    corrections: list[dict[str, Any]] = []
    true_now = {(p.id, c.metric, c.cycle): (p, t, c) for p, t, c in finished if p.id in promises}
    for key, (promise, ticket, clock) in true_now.items():
        if key not in existing:
            records.append(record_row(tenant, promise, ticket, clock, now))
    for key, record in existing.items():
        net = _net_of(true_now[key][2]) if key in true_now else None
        number, last = said.get(record.id, (0, _digest(_net_of(record))))
        if _digest(net) != last:
            corrections.append(
                {
                    "tenant_id": tenant,
                    "id": new_id(),
                    "record_id": record.id,
                    "promise_id": record.promise_id,
                    "metric": record.metric,
                    "cycle": record.cycle,
                    "number": number + 1,
                    "digest": _digest(net),
                    "was": _net_of(record),
                    "now": net,
                    "cause": {"events": list(causes.get(record.promise_id, ()))},
                    "made_at": now,
                }
            )
    insert_records(tx, tenant, records)
    insert_corrections(tx, tenant, corrections)
    return records, corrections


def _net_of(judged: Any) -> dict[str, Any]:
    """What a verdict, a clock or a record, comes down to; two that agree on this agree."""
    return {
        "started_at": judged.started_at,
        "stopped_at": judged.stopped_at,
        "target": judged.target,
        "elapsed": judged.elapsed,
        "met": judged.breached_at is None,
    }


def _digest(net: Mapping[str, Any] | None) -> str:
    return hashlib.sha256(json.dumps(net, sort_keys=True).encode()).hexdigest()
