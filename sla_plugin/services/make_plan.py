"""The plan of a draft as rows: small ones are worked out at once, large ones chunk by chunk by the timekeeper, so that pages may be closed meanwhile.

A chunk may be computed twice or by two processes: it counts once. A change of policies or calendars in between begins the plan anew.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.apply_policy_file import PolicyFile, read_stored
from sla_plugin.services.outside import Outside
from sla_plugin.services.plan_change import COUNTED, OUTCOMES, Move, Plan, Proposal, Standing, badness, compare_chunk, plan_change, propose
from sla_plugin.services.save_draft import proposed_file
from sla_plugin.store.clocks import count_open_clocks
from sla_plugin.store.db import Transaction
from sla_plugin.store.drafts import DraftRow, get_draft
from sla_plugin.store.ids import new_id
from sla_plugin.store.plans import PlanPart, PlanRow, advance_plan, delete_parts, forget_plans, get_plan, insert_plan, plan_moves, plan_of_draft, update_plan
from sla_plugin.store.tenants import book_revision
from sla_plugin.store.tickets import count_open_promises

SMALL: Final = 5_000  # open clocks up to which a plan is worked out while one waits
FRESH: Final = 600_000_000  # how long a plan is good (microseconds)
KEPT: Final = 30 * 86_400_000_000  # how long the plan of an applied change is kept
WORST: Final = 20  # moves that the page shows


@dataclass(frozen=True, slots=True)
class Worked:
    """A plan as worked out in memory, ready to be stored: the columns of its row, and its moves as data."""

    values: Mapping[str, Any]
    moves: list[dict[str, Any]]


def is_small(tx: Transaction, tenant: int) -> bool:
    """Whether a plan can be worked out while one waits."""
    return count_open_clocks(tx, tenant, SMALL + 1) <= SMALL


def is_fresh(tx: Transaction, tenant: int, plan: PlanRow | None, draft: DraftRow, now: int) -> bool:
    """Whether a plan is still of this edition of the draft, of the books in force, and not too old."""
    if plan is None or plan.edition != draft.edition or plan.revision != book_revision(tx, tenant):
        return False
    return plan.state == "computing" or (plan.state == "ready" and now - plan.as_of <= FRESH)


def work_out(tx: Transaction, tenant: int, draft: DraftRow, now: int, outside: Outside) -> Worked:
    """Work a small plan out. Raises InvalidDefinition if the draft cannot be applied."""
    file = proposed_file(tx, tenant, draft)
    plan = plan_change(tx, tenant, file, now, outside)
    before = plan_of_draft(tx, tenant, draft.id)
    moves = [move_data(move) for move in plan.moves]
    values = {**_begun(tx, tenant, draft, file, now), **_counted(plan), "worst": moves[:WORST], "state": "ready"}
    if before is not None and before.edition == draft.edition and before.state == "ready":
        values["differs"] = len({promise for promise, *_ in _said(moves) ^ _said(plan_moves(tx, tenant, before.id))})
    return Worked(values, moves)


def begin(tx: Transaction, tenant: int, draft: DraftRow, now: int) -> Worked:
    """A large plan before its first chunk. Raises InvalidDefinition if the draft cannot be applied."""
    file = proposed_file(tx, tenant, draft)
    proposal = propose(tx, tenant, file, now)
    return Worked({**_begun(tx, tenant, draft, file, now), "state": "ready" if proposal.empty else "computing"}, [])


def store_plan(tx: Transaction, tenant: int, draft: DraftRow, worked: Worked) -> int:
    """Store a plan in place of the draft's earlier ones; returns its id."""
    forget_plans(tx, tenant, draft=draft.id)
    forget_plans(tx, tenant, before=worked.values["as_of"] - KEPT)
    plan = insert_plan(tx, tenant, **worked.values)
    for first in range(0, len(worked.moves), 1000):
        tx.add(PlanPart(tenant_id=tenant, id=new_id(), plan_id=plan, moves=worked.moves[first : first + 1000]))
    tx.flush()
    return plan


@dataclass(frozen=True, slots=True)
class Step:
    """One chunk of a large plan, worked out but not written down; `restart`: the books changed, it begins anew with these values."""

    plan: int
    cursor: int
    as_of: int
    values: Mapping[str, Any]
    moves: list[dict[str, Any]]
    restart: bool = False


def next_step(tx: Transaction, tenant: int, plan: int, now: int, outside: Outside, limit: int) -> Step | None:
    """Work out the next `limit` promises of a large plan; None if nothing is left to do. Reads only."""
    row = get_plan(tx, tenant, plan)
    if row is None or row.state != "computing":
        return None
    if row.revision != book_revision(tx, tenant):
        draft = get_draft(tx, tenant, row.draft_id)
        try:
            if draft is None:
                raise InvalidDefinition("draft", "the draft is gone")
            return Step(plan, row.cursor, row.as_of, {**begin(tx, tenant, draft, now).values}, [], restart=True)
        except InvalidDefinition as problem:
            return Step(plan, row.cursor, row.as_of, {"state": "failed", "trouble": problem.problem[:1000]}, [])
    proposal = _proposal_of(tx, tenant, row)
    chunk = compare_chunk(tx, tenant, proposal, outside, row.cursor, limit)
    if chunk is None:
        return Step(plan, row.cursor, row.as_of, {"state": "ready"}, [])
    moves = sorted(chunk.moves, key=badness)
    worst = sorted((*map(move_of, row.worst), *moves[:WORST]), key=badness)[:WORST]
    counts = {name: int(row.counts.get(name, 0)) + chunk.counts.get(name, 0) for name in COUNTED}
    values = {
        "cursor": chunk.last,
        "promises": row.promises + chunk.promises,
        "clocks": sum(counts[outcome] for outcome in OUTCOMES),
        "counts": counts,
        "worst": [move_data(move) for move in worst],
    }
    return Step(plan, row.cursor, row.as_of, values, [move_data(move) for move in moves])


def write_step(tx: Transaction, tenant: int, step: Step) -> bool:
    """Write a chunk down; False if another process did, or the plan was begun anew or discarded meanwhile."""
    if step.restart:
        delete_parts(tx, tenant, step.plan)
    return advance_plan(tx, tenant, step.plan, step.cursor, step.as_of, step.values, step.moves)


def fail_plan(tx: Transaction, tenant: int, plan: int, trouble: str) -> None:
    """A plan that cannot be worked out says so, instead of being tried for ever."""
    update_plan(tx, tenant, plan, state="failed", trouble=trouble[:1000])


def stored_moves(tx: Transaction, tenant: int, plan: PlanRow) -> Iterator[Move]:
    """Every move of a plan: of a small one the worst first, of a large one chunk by chunk in the order of the tickets."""
    return map(move_of, plan_moves(tx, tenant, plan.id))


def move_data(move: Move) -> dict[str, Any]:
    """A move as JSON data."""
    return {**move._asdict(), "now": move.now and list(move.now), "then": move.then and list(move.then), "passes": list(move.passes)}


def move_of(data: Mapping[str, Any]) -> Move:
    """The move that such data says."""
    now, then = (Standing(*data[key]) if data[key] is not None else None for key in ("now", "then"))
    return Move(**{**data, "now": now, "then": then, "passes": tuple(data["passes"])})


def _begun(tx: Transaction, tenant: int, draft: DraftRow, file: PolicyFile, now: int) -> dict[str, Any]:
    stored = read_stored(tx, tenant)
    was = {
        "calendars": {name: stored.calendars[name][1] if name in stored.calendars else None for name in file.calendars},
        "policies": {name: stored.policies[name][1] if name in stored.policies else None for name in file.policies},
    }
    return {
        "draft_id": draft.id,
        "kind": draft.kind,
        "object_id": draft.object_id,
        "name": draft.name,
        "edition": draft.edition,
        "trouble": None,
        "file": {"calendars": dict(file.calendars), "policies": dict(file.policies)},
        "was": was,
        "revision": book_revision(tx, tenant),
        "as_of": now,
        "cursor": 0,
        "promises": 0,
        "total": count_open_promises(tx, tenant),
        "clocks": 0,
        "counts": dict.fromkeys(COUNTED, 0),
        "worst": [],
        "differs": None,
        "made_by": draft.made_by,
        "applied_revision": None,
        "applied_at": None,
        "applied_by": None,
        "quiet": False,
    }


def _counted(plan: Plan) -> dict[str, Any]:
    return {"promises": plan.promises, "total": plan.promises, "clocks": plan.clocks, "counts": dict(plan.counts)}


def _proposal_of(tx: Transaction, tenant: int, row: PlanRow) -> Proposal:
    return propose(tx, tenant, PolicyFile(row.file["calendars"], row.file["policies"]), row.as_of)


def _said(moves: Iterable[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
    """What of moves is compared between two plans: not when a clock would be due then, which an hour later may be an hour later."""
    said = set()
    for data in moves:
        move = move_of(data)
        said.add((move.promise, move.metric, move.cycle, move.outcome, move.breaches, move.now and (move.now.due_at, move.now.state)))
    return said
