"""Turn strict mode on or off: while it is on, nobody overrides a policy or a deadline by hand. What was granted before stays granted."""

from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction
from sla_plugin.store.tenants import is_strict, set_strict


def set_strict_mode(tx: Transaction, tenant: int, strict: bool, now: int, actor: str) -> bool:
    """Returns whether that changed anything."""
    if is_strict(tx, tenant) is strict:
        return False
    set_strict(tx, tenant, strict)
    append_audit(tx, tenant, now, actor, f"strict mode {'on' if strict else 'off'}", {"before": {"strict": not strict}, "after": {"strict": strict}})
    return True
