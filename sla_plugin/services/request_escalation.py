"""Somebody asks to escalate a ticket: a fact of its history, an alert to the agents, an entry of the audit trail."""

from sqlalchemy import func, select

from sla_plugin.engine.events import Event
from sla_plugin.errors import InvalidDefinition
from sla_plugin.permissions import Actor
from sla_plugin.store.alerts import Alert, insert_alerts
from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction
from sla_plugin.store.events import event_row, insert_events
from sla_plugin.store.ids import new_id
from sla_plugin.store.tickets import Ticket, lock_promises

METRIC, LEVEL = "escalation", "requested"  # of the alert: it belongs to no clock
LONGEST = 2000  # characters of a reason


def request_escalation(tx: Transaction, tenant: int, ticket: Ticket, reason: str, now: int, actor: Actor) -> int:
    """Note the request and alert the agents; returns the alert's number among the ticket's requests.

    Raises InvalidDefinition (field `reason`) without a reason, or while an earlier request still waits for an agent.
    """
    reason = reason.strip()
    if not reason:
        raise InvalidDefinition("reason", "say why this cannot wait; the agents read it")
    if len(reason) > LONGEST:
        raise InvalidDefinition("reason", f"keep it under {LONGEST} characters")
    lock_promises(tx, tenant, [ticket.promise_id])  # two who ask at once are one after the other
    asked = (Alert.tenant_id == tenant, Alert.promise_id == ticket.promise_id, Alert.metric == METRIC)
    if tx.scalar(select(Alert.id).where(*asked, Alert.acknowledged_at.is_(None)).limit(1)) is not None:
        raise InvalidDefinition("reason", "it was asked for already, and waits for an agent")
    number = int(tx.scalar(select(func.coalesce(func.max(Alert.cycle), 0)).where(*asked)) or 0) + 1
    role = "customer" if actor.role == "customer" else "agent"
    event = Event(key=f"escalation:{new_id()}", kind="escalation.requested", ticket=ticket.external_id, at=now, actor_id=str(actor.person), actor_role=role)
    row = event_row(tenant, ticket.connection_id, None, now, event)
    row.update(ticket_id=ticket.id, promise_id=ticket.promise_id, data={"reason": reason})
    insert_events(tx, tenant, [row])
    alert = {
        "tenant_id": tenant,
        "id": new_id(),
        "promise_id": ticket.promise_id,
        "ticket_id": ticket.id,
        "connection_id": ticket.connection_id,
        "external_id": ticket.external_id,
        "metric": METRIC,
        "cycle": number,
        "level": LEVEL,
        "due_at": now,
        "raised_at": now,
    }
    insert_alerts(tx, tenant, [alert])
    append_audit(tx, tenant, now, actor.name, "escalation requested", {"ticket": ticket.external_id, "number": number, "letters": len(reason)})
    return number
