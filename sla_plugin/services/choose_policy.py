"""Choose a ticket's policy by hand, whatever the conditions say; a later choice takes the place of an earlier one."""

from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.outside import Outside
from sla_plugin.services.read_books import read_books
from sla_plugin.services.record_override import Hand, Override
from sla_plugin.store.db import Transaction
from sla_plugin.store.tickets import Ticket


def choose_policy(tx: Transaction, tenant: int, ticket: Ticket, policy: str | None, reason: str, now: int, actor: str, outside: Outside) -> Override:
    """Put the ticket under the active policy of that name; None leaves it to the conditions again. Running clocks follow as that policy's `on_change` says.

    Raises InvalidDefinition naming `policy`, `reason` or `ticket`; nothing has changed then.
    """
    hand = Hand.lay_on(tx, tenant, ticket, reason, actor, now, outside)
    if hand.strict:
        return hand.record("policy.chosen", {"policy": policy})
    books = read_books(tx, tenant)
    names = sorted(terms.policy.name for terms in books[-1].terms) if books else []
    if policy is not None and policy not in names:
        raise InvalidDefinition("policy", f"no active policy is called {policy!r}; known are {', '.join(names) or 'none'}")
    verdict = hand.verdict()
    over = verdict.gone or (verdict.state["status"] if verdict.state["status"] in ("closed", "cancelled") else "")
    if over:
        raise InvalidDefinition("ticket", f"it is {over}: its clocks are over, and finished clocks never change")
    if verdict.state.get("policy") == policy:
        raise InvalidDefinition("policy", f"{policy!r} is chosen already" if policy else "none is chosen by hand")
    return hand.record("policy.chosen", {"policy": policy})
