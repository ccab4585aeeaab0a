"""Plan what a breach asks of the helpdesk: commands with unique keys, written in the transaction of the verdict."""

from collections.abc import Collection
from dataclasses import fields
from typing import Any

from sla_plugin.actions.context import ActionContext
from sla_plugin.actions.registry import ACTIONS, DEFAULT_ON_BREACH
from sla_plugin.engine.evaluate import Clock, Verdict
from sla_plugin.ports import Words
from sla_plugin.store.connections import Connection
from sla_plugin.store.ids import new_id
from sla_plugin.store.tickets import Ticket


def plan_breach(
    tenant: int, connection: Connection, words: Words, capabilities: Collection[str], ticket: Ticket, verdict: Verdict, clock: Clock, now: int
) -> list[dict[str, Any]]:
    """Command rows for a fresh breach; none for a connection that only observes."""
    if connection.mode == "observe" or clock.terms is None:
        return []
    policy = clock.terms.policy
    names = policy.on_breach if policy.on_breach is not None else DEFAULT_ON_BREACH
    mirror = verdict.mirror
    context = ActionContext(
        clock=clock,
        metric=clock.title,
        policy=policy.name,
        policy_version=clock.terms.policy_version,
        status=mirror["status"],
        status_word=mirror.get("status_word"),
        priority=mirror["priority"] if mirror.get("priority_word") is not None else None,
        assigned_to=mirror.get("assignee"),
        assignee=connection.assignee,
        words=words,
        on_breach=names,
    )
    rows = []
    for name in names:
        action = ACTIONS.get(name)
        if action is None or action.command not in capabilities:
            continue  # refused when the policy was entered; an old definition never stops a verdict
        scope = f"policy:{clock.terms.policy_id}" if action.once_per_policy else f"{clock.metric}:{clock.cycle}:breach"
        for number, command in enumerate(action.plan(context)):
            rows.append(
                {
                    "tenant_id": tenant,
                    "id": new_id(),
                    "key": f"{ticket.promise_id}:{scope}:{name}:{number}",
                    "connection_id": connection.id,
                    "promise_id": ticket.promise_id,
                    "ticket_id": ticket.id,
                    "external_id": ticket.external_id,
                    "kind": command.kind,
                    "payload": {f.name: getattr(command, f.name) for f in fields(command)},
                    "cause": {
                        "metric": clock.metric,
                        "cycle": clock.cycle,
                        "level": "breach",
                        "action": name,
                        "policy": policy.name,
                        "policy_version": clock.terms.policy_version,
                    },
                    "state": "pending" if connection.mode == "live" else "dry_run",
                    "reason": None,
                    "call_id": None,
                    "created_at": now,
                    "due_at": clock.passed["breach"],
                    "settled_at": None,
                }
            )
    return rows
