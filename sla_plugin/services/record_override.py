"""Record what somebody decided by hand about a ticket's clocks, or that strict mode refused it: an event with reason and actor, evaluated at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sla_plugin.engine.durations import format_duration
from sla_plugin.engine.evaluate import Verdict
from sla_plugin.engine.events import Event
from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.evaluate_promises import GRACE, complete_until, evaluate_promises, verdict_of
from sla_plugin.services.outside import Outside
from sla_plugin.services.read_books import read_books
from sla_plugin.store.audit import append_audit
from sla_plugin.store.connections import get_connection
from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import watermarks
from sla_plugin.store.events import event_row, insert_events, read_histories
from sla_plugin.store.ids import new_id
from sla_plugin.store.notices import notify_transition
from sla_plugin.store.tenants import is_strict
from sla_plugin.store.tickets import Promise, Ticket, lock_promises

LONGEST_REASON = 500  # characters
KINDS = ("deadline.extended", "extension.withdrawn", "policy.chosen", "override.refused")


@dataclass(frozen=True)
class Override:
    """What became of it: the key of the event, and whether strict mode refused (then everything stays as it was, but the attempt is on record)."""

    event: str
    refused: bool


@dataclass(frozen=True)
class Hand:
    """Somebody at work on a ticket: its promise is locked, so that what they see is what they change. `now`: microseconds UTC."""

    tx: Transaction
    tenant: int
    ticket: Ticket
    promise: Promise
    reason: str
    actor: str
    now: int
    outside: Outside
    key: str

    @classmethod
    def lay_on(cls, tx: Transaction, tenant: int, ticket: Ticket, reason: str, actor: str, now: int, outside: Outside, once: str = "") -> "Hand":
        """Lock the ticket's promise; a form that is sent twice with the same word `once` is one decision.

        Raises InvalidDefinition without a reason, or while the ticket's past is being imported.
        """
        reason = reason.strip()
        if not reason or len(reason) > LONGEST_REASON:
            raise InvalidDefinition("reason", f"say why, in at most {LONGEST_REASON} characters: it stays with the ticket")
        (promise,) = lock_promises(tx, tenant, [ticket.promise_id])
        if promise.history:
            raise InvalidDefinition("ticket", "its past is being imported; change its clocks when that is over")
        return cls(tx, tenant, ticket, promise, reason, actor, now, outside, f"hand:{once or new_id()}")

    @property
    def strict(self) -> bool:
        """Whether strict mode refuses whatever is asked."""
        return is_strict(self.tx, self.tenant)

    def verdict(self) -> Verdict:
        """How the ticket's clocks stand now."""
        tx, promise = self.tx, self.promise
        rows = read_histories(tx, self.tenant, [promise.id]).get(promise.id, [])
        connection = get_connection(tx, self.tenant, promise.connection_id)
        if connection is None:
            raise InvalidDefinition("ticket", "its connection is gone, and with it the words of its helpdesk")
        as_of = complete_until(promise, rows, self.now, watermarks(tx, self.now - GRACE))
        return verdict_of(promise, rows, read_books(tx, self.tenant), self.outside.words(connection), connection, as_of, self.outside.settle)

    def record(self, kind: str, values: Mapping[str, Any]) -> Override:
        """Write the event and evaluate the promise; in strict mode write the refusal instead and move nothing."""
        refused = self.strict
        told = {**values, "reason": self.reason, **({"asked": kind} if refused else {})}
        stored = "override.refused" if refused else kind
        event = Event(self.key, stored, self.ticket.external_id, self.now, actor_id=self.actor[:200], values=told)
        row = event_row(self.tenant, self.promise.connection_id, None, self.now, event)
        row["promise_id"], row["ticket_id"] = self.promise.id, self.ticket.id
        if not insert_events(self.tx, self.tenant, [row]):
            return Override(event.key, refused)
        changes: dict[str, Any] = {"ticket": self.ticket.external_id, "event": event.key, **told}
        if not refused:
            written = evaluate_promises(self.tx, self.tenant, [self.promise], self.now, self.outside, {self.promise.id: {event.key: self.now}})
            notify_transition(self.tx, written.earliest, self.now)
            changes |= written.changes()
        append_audit(self.tx, self.tenant, self.now, self.actor, stored.replace(".", " "), changes)
        return Override(event.key, refused)


def override_text(kind: str, values: Mapping[str, Any]) -> str:
    """What somebody decided, in a few words: `resolution extended by 2 h`."""
    if kind == "override.refused":
        return f"refused by strict mode: {override_text(str(values.get('asked')), values)}"
    if kind == "deadline.extended":
        by = values.get("by")
        return f"{values.get('metric') or 'every clock'} extended by {format_duration(by) if isinstance(by, int) else by}"
    if kind == "extension.withdrawn":
        return "extension taken back"
    return f"policy {values['policy']} chosen" if values.get("policy") else "policy left to the conditions again"
