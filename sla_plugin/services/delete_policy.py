"""Take a policy away that nobody was ever under. One that was in force stays: tickets were judged by it, and their records name it."""

from sla_plugin.engine.policies import Policy
from sla_plugin.errors import InvalidDefinition
from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction
from sla_plugin.store.policies import delete_policy as delete_rows
from sla_plugin.store.policies import get_policy, policy_versions


def was_in_force(tx: Transaction, tenant: int, policy: int) -> bool:
    """Whether any version of a policy was active."""
    return any(Policy.from_definition(v.definition, name).active for name, v in policy_versions(tx, tenant) if v.policy_id == policy)


def delete_policy(tx: Transaction, tenant: int, policy: int, now: int, actor: str) -> str:
    """Delete a policy with its versions; returns its name. Raises InvalidDefinition for one that was in force or does not exist; then nothing changed."""
    row = get_policy(tx, tenant, policy)
    if row is None:
        raise InvalidDefinition("policy", "there is no such policy")
    if was_in_force(tx, tenant, policy):
        raise InvalidDefinition("policy", f"{row.name!r} was in force, and tickets were judged by it: make it inactive instead")
    last = [v.definition for _, v in policy_versions(tx, tenant) if v.policy_id == policy][-1]
    delete_rows(tx, tenant, policy)
    append_audit(tx, tenant, now, actor, "policy deleted", {"policy": policy, "before": last, "after": None})
    return row.name
