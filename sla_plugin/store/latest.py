"""Counting the newest of many rows: what a page of connections shows, whatever lies behind."""

from collections.abc import Collection

from sqlalchemy import func, select, union_all
from sqlalchemy.orm import InstrumentedAttribute

from sla_plugin.store.db import Transaction


def states_of_latest(
    tx: Transaction, tenant: int, at: InstrumentedAttribute[int] | InstrumentedAttribute[int | None], connections: Collection[int], since: int, most: int
) -> dict[int, dict[str, int]]:
    """Rows of some connections by state, of those whose `at` is not before `since`; the newest `most` of each connection are looked at."""
    row = at.class_
    found: dict[int, dict[str, int]] = {connection: {} for connection in connections}
    newest = [
        select(row.connection_id, row.state)
        .where(row.tenant_id == tenant, row.connection_id == connection, at >= since)
        .order_by(at.desc())
        .limit(most)
        .subquery()
        for connection in connections
    ]
    if newest:
        kinds = [(one.c.connection_id, one.c.state) for one in newest]
        for counted in tx.execute(union_all(*(select(*kind, func.count().label("number")).group_by(*kind) for kind in kinds))):
            found[counted.connection_id][counted.state] = counted.number
    return found
