"""The generic connector as the registry lists it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors import signatures
from connectors.generic import inbound, outbound
from sla_plugin.language import marked
from sla_plugin.ports import Account, AccountFacts, Answer, Command, Http, InboundRequest, Limits, Parsed, TicketSnapshot, Words

_OURS = ("open", "in_progress", "waiting_customer", "waiting_internal", "resolved", "closed", "cancelled")
_PRIORITIES = ("P0", "P1", "P2", "P3")


class GenericConnector:
    """`sla_plugin.ports.Connector` for anything that can send and take a signed webhook in our format.

    `clock` gives seconds since 1970 and dates outgoing signatures.
    """

    name = "generic"
    title = marked("Generic webhook")
    summary = marked("Any system that sends Standard Webhooks in our format; commands go back as a signed webhook.")
    capabilities = outbound.CAPABILITIES
    sequenced = False  # `sequence` is optional
    body_limit = 2_097_152  # bytes; 500 events
    refusal_status = 401
    needs: Sequence[str] = ("secret",)
    words = Words(
        status={word: word for word in _OURS}
        | dict.fromkeys(("new", "active"), "open")
        | dict.fromkeys(("assigned", "in progress", "work in progress"), "in_progress")
        | dict.fromkeys(("pending", "awaiting user info", "waiting", "waiting for customer"), "waiting_customer")
        | dict.fromkeys(("on hold", "awaiting vendor", "awaiting problem", "awaiting evidence"), "waiting_internal")
        | dict.fromkeys(("solved", "done"), "resolved"),
        priority={word.lower(): word for word in _PRIORITIES}
        | dict.fromkeys(("critical", "urgent", "1 - critical"), "P0")
        | dict.fromkeys(("high", "2 - high"), "P1")
        | dict.fromkeys(("normal", "medium", "moderate", "3 - moderate"), "P2")
        | dict.fromkeys(("low", "4 - low"), "P3"),
        status_out={word: word for word in _OURS},
        priority_out={word: word for word in _PRIORITIES},
    )
    limits = Limits()
    body_schema: Path | None = Path(__file__).parent / "schema.json"

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    def verify(self, request: InboundRequest, secrets: Sequence[str]) -> None:
        """See `Connector.verify`."""
        signatures.verify_standard(request, secrets)

    def delivery_key(self, request: InboundRequest) -> str:
        """See `Connector.delivery_key`: the webhook-id."""
        return inbound.delivery_key(request)

    def parse(self, request: InboundRequest, options: Mapping[str, Any]) -> Parsed:
        """See `Connector.parse`."""
        return inbound.parse(request, options)

    def sample(self, secrets: Sequence[str], at: int) -> InboundRequest:
        """See `Connector.sample`: no events."""
        body = b'{"events": []}'
        signed = signatures.sign_standard(secrets, f"test-{at}", body, at)
        return InboundRequest(headers={"content-type": "application/json", **signed}, body=body, received_at=at)

    def check(self, account: Account, http: Http) -> AccountFacts:
        """See `Connector.check`: nothing is called."""
        return outbound.check(account)

    def read(self, ticket: str, account: Account, http: Http) -> TicketSnapshot | None:
        """None: there is nothing to read from; the receiver deduplicates."""
        return None

    def prepare(self, ticket: str, commands: Sequence[Command], snapshot: TicketSnapshot | None, marker: str, account: Account) -> dict[str, Any]:
        """See `Connector.prepare`."""
        return outbound.prepare(ticket, commands, marker, account)

    def send(self, frozen: Mapping[str, Any], account: Account, http: Http) -> Answer:
        """See `Connector.send`."""
        return outbound.send(frozen, account, http, self._clock)

    def find(self, frozen: Mapping[str, Any], marker: str, account: Account, http: Http) -> Answer | None:
        """None: a repeat carries the same webhook-id, so it is harmless."""
        return None
