"""Figures of policies: which open tickets a condition takes now (as the helpdesk shows them), who else would take them, and how promises were kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import case, func, select

from sla_plugin.engine.conditions import Condition
from sla_plugin.engine.policies import Policy
from sla_plugin.store.clocks import Correction, Record
from sla_plugin.store.db import Transaction
from sla_plugin.store.tickets import PromiseRow, Ticket

LOOKED_AT: Final = 2000  # the latest open tickets
EXAMPLES: Final = 3


@dataclass(frozen=True)
class Reach:
    """What a condition takes.

    looked, more   how many open tickets were looked at, and whether there are more than these
    matched        how many of them it takes; `examples` are (id, external id) of some
    also           names of other active policies that would take some of them, with how many, the most first
    """

    looked: int
    more: bool
    matched: int
    examples: Sequence[tuple[int, str]]
    also: Sequence[tuple[str, int]]


def policy_reach(tx: Transaction, tenant: int, condition: Condition, others: Sequence[Policy]) -> Reach:
    """Try a condition on the latest open tickets. What asks when a ticket was created is not answered here: such policies among `others` are passed over."""
    columns = (Ticket.id, Ticket.external_id, *(getattr(Ticket, column) for column in _FACTS), Ticket.tags, Ticket.fields)
    query = select(*columns).join(PromiseRow, (PromiseRow.tenant_id == Ticket.tenant_id) & (PromiseRow.id == Ticket.promise_id))
    query = query.where(Ticket.tenant_id == tenant, PromiseRow.tenant_id == tenant, PromiseRow.open.is_(True))
    rows = tx.execute(query.order_by(PromiseRow.id.desc()).limit(LOOKED_AT + 1)).all()
    asked = [policy for policy in others if policy.active and not policy.default and not policy.times]
    matched, also = 0, Counter[str]()
    examples: list[tuple[int, str]] = []
    for row in rows[:LOOKED_AT]:
        facts = _facts(row)
        if not condition.test(facts):
            continue
        matched += 1
        if len(examples) < EXAMPLES:
            examples.append((row.id, row.external_id))
        also.update(policy.name for policy in asked if policy.applies_to.test(facts))
    return Reach(min(len(rows), LOOKED_AT), len(rows) > LOOKED_AT, matched, examples, also.most_common())


def never_matching(policies: Sequence[Policy]) -> dict[str, str]:
    """Active policies that cannot get a ticket since one before them takes all of theirs: name -> that one's name."""
    order = sorted((p for p in policies if p.active), key=lambda p: (p.default, p.position, p.name))
    found = {}
    for number, policy in enumerate(order):
        taker = next((p for p in order[:number] if all(part in _parts(policy) for part in _parts(p))), None)
        if taker is not None:
            found[policy.name] = taker.name
    return found


def _parts(policy: Policy) -> list[Any]:
    """What has to hold at once for a policy to apply: whoever asks for less of the same takes at least the same tickets."""
    definition = policy.applies_to.definition
    if definition is None:
        return []
    return list(definition["all"]) if isinstance(definition, Mapping) and isinstance(definition.get("all"), list) else [definition]


def met_by_policy(tx: Transaction, tenant: int, since: int) -> dict[int, tuple[int, int]]:
    """(met, finished) by policy among the records finished since an instant; a corrected record counts as its last correction says."""
    plain = select(Record.policy_id, func.sum(case((Record.met, 1), else_=0)), func.count()).where(
        Record.tenant_id == tenant,
        Record.finished_at >= since,
        Record.policy_id.is_not(None),
        ~select(Correction.id).where(Correction.tenant_id == tenant, Correction.record_id == Record.id).exists(),
    )
    found = {policy: (int(met or 0), int(total)) for policy, met, total in tx.execute(plain.group_by(Record.policy_id)) if policy is not None}
    latest = select(func.max(Correction.number)).where(Correction.tenant_id == tenant, Correction.record_id == Record.id).correlate(Record).scalar_subquery()
    corrected = select(Record.policy_id, Correction.now).where(Record.tenant_id == tenant, Record.finished_at >= since)
    last = (Correction.tenant_id == tenant) & (Correction.record_id == Record.id) & (Correction.number == latest)
    for policy, now in tx.execute(corrected.join(Correction, last)):
        if policy is not None and now is not None:
            met, total = found.get(policy, (0, 0))
            found[policy] = (met + bool(now["met"]), total + 1)
    return found


_FACTS: Final = ("status", "priority", "type", "category", "channel", "assignee", "team", "requester", "organization", "subject")


def _facts(row: Any) -> Mapping[str, Any]:
    facts = {column: getattr(row, column) for column in _FACTS}
    return {**row.fields, **facts, "group": row.team, "tags": row.tags}
