"""The loop of an erasure: look, write, and so on until every table is done; a transaction each, so that it may be ended anywhere and goes on from there."""

from collections.abc import Callable

from sla_plugin.services.erase_person import Step, finish, look, write
from sla_plugin.services.outside import Outside
from sla_plugin.store.db import Database

PROMISES, ROWS = 20, 100  # of a transaction; a fifth on SQLite


def _always() -> bool:
    return True


def erase_step(database: Database, tenant: int, erasure: int, outside: Outside, clock: Callable[[], int], go_on: Callable[[], bool] = _always) -> bool:
    """One look and what it found; False when the erasure is finished. `go_on` is asked between two transactions; another call goes on where it ends one."""
    with database.reading(tenant) as tx:
        step = look(tx, tenant, erasure, outside.sealer)
    if step is None:
        with database.transaction(tenant) as tx:
            finish(tx, tenant, erasure, clock())
        return False
    parts = _parts(step, 1 if database.turn is None else 5)
    for number, part in enumerate(parts, 1):
        if number > 1 and not go_on():
            return True
        with database.transaction(tenant) as tx:
            if not write(tx, tenant, erasure, part, outside, last=number == len(parts)):
                return False
    return True


def _parts(step: Step, smaller: int) -> list[Step]:
    """A step in pieces that hold nobody up."""
    promises, rows = PROMISES // smaller, ROWS // smaller
    parts = [Step(step.table, [], step.promises[n : n + promises], step.after) for n in range(0, len(step.promises), promises)]
    parts += [Step(step.table, step.keys[n : n + rows], [], step.after) for n in range(0, len(step.keys), rows)]
    return parts or [step]
