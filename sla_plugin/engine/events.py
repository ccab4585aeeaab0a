"""The normalised fact: what any helpdesk, channel or person told us about a ticket.

Connectors make `Event`s from deliveries; words and values stay verbatim (Zendesk's "OPEN" stays "OPEN"). The mapping of words to ours happens when
history is folded, so that a corrected mapping needs no new delivery. Instants are integer microseconds since 1970-01-01 UTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as made_by  # an event has a `field` of its own
from typing import Any

KINDS = frozenset(
    {
        "ticket.created",
        "ticket.updated",  # several fields at once (generic)
        "ticket.observed",  # a re-read: values as they stood at `at`
        "ticket.merged",
        "ticket.deleted",
        "ticket.restored",
        "reply.public",
        "note.internal",
        "status.changed",
        "priority.changed",
        "type.changed",
        "assignee.changed",
        "group.changed",
        "tags.changed",
        "subject.changed",
        "requester.changed",
        "organization.changed",
        "field.changed",  # any other field; `field` names it
        "rating.given",
        "customer.changed",
        "contract.changed",
        "history.ended",
        "deadline.extended",  # by hand: values hold `metric` (none: every clock), `by` (microseconds) and `reason`
        "extension.withdrawn",  # by hand: values hold `extension` (the key of the event that granted it) and `reason`
        "policy.chosen",  # by hand: values hold `policy` (none: back to the conditions) and `reason`
        "override.refused",  # by hand, in strict mode: values hold what was `asked` (a kind), and what it said; moves nothing
        "escalation.requested",  # somebody asks a person to look: moves no clock
        "own.write",  # what we wrote ourselves: updates the mirror, never moves a clock
    }
)
ROLES = frozenset({"customer", "agent", "system", "unknown"})
# The ticket fields every connector maps to; anything else is `custom.<vendor id>`.
FIELDS = ("status", "priority", "type", "category", "channel", "assignee", "group", "tags", "requester", "organization", "subject", "link", "created_at")


@dataclass(frozen=True, slots=True)
class Event:
    """One fact about a ticket (or a customer), as a connector read it from a delivery.

    key         unique per connection; the event-level key of the vendor (event id, comment id ...), never the delivery's
    kind        one of KINDS
    ticket      external id in the helpdesk; None for facts about a customer
    at          when it happened, microseconds UTC; None = the vendor did not say (the receipt counts, marked)
    sequence    the vendor's order number, where it gives one
    public      None where it has no meaning
    field, before, after   a single change, verbatim
    values      fields told by ticket.created / updated / observed, verbatim; a missing key is "not told", never "cleared"
    seen        the ticket as the delivery showed it after the event: heals changes whose own delivery was lost
    seen_at     the instant of `seen` (None = `at`)
    opening     the message that opened the ticket: never a reply
    history     imported past: nothing of it alerts or is written back
    """

    key: str
    kind: str
    ticket: str | None
    at: int | None
    actor_id: str | None = None
    actor_role: str = "unknown"
    public: bool | None = None
    sequence: int | None = None
    field: str | None = None
    before: Any = None
    after: Any = None
    values: Mapping[str, Any] = made_by(default_factory=dict)
    seen: Mapping[str, Any] = made_by(default_factory=dict)
    seen_at: int | None = None
    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    comment_id: str | None = None
    customer: str | None = None
    opening: bool = False
    history: bool = False
    history_end: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown event kind {self.kind!r}")
        if self.actor_role not in ROLES:
            raise ValueError(f"unknown actor role {self.actor_role!r}")
