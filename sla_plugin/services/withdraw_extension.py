"""Take an extension back, from now on: a deadline that this moves into the past is breached now, never back-dated."""

from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.extend_deadline import TICKING
from sla_plugin.services.outside import Outside
from sla_plugin.services.record_override import Hand, Override
from sla_plugin.store.db import Transaction
from sla_plugin.store.tickets import Ticket


def withdraw_extension(tx: Transaction, tenant: int, ticket: Ticket, extension: str, reason: str, now: int, actor: str, outside: Outside) -> Override:
    """Take back the extension that the event `extension` granted. Raises InvalidDefinition if no running clock has it; nothing has changed then."""
    hand = Hand.lay_on(tx, tenant, ticket, reason, actor, now, outside)
    if not hand.strict and not any(extension in clock.grants for clock in hand.verdict().clocks if clock.phase in TICKING):
        raise InvalidDefinition("extension", f"no running clock of the ticket has {extension!r}: taken back already, or its clock is over")
    return hand.record("extension.withdrawn", {"extension": extension})
