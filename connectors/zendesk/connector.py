"""The Zendesk connector as the registry lists it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors import signatures
from connectors.instants import written
from connectors.zendesk import inbound, outbound
from sla_plugin.language import marked
from sla_plugin.ports import Account, AccountFacts, Answer, Command, Http, InboundRequest, Limits, Parsed, TicketSnapshot, Words


class ZendeskConnector:
    """`sla_plugin.ports.Connector` for Zendesk Support: event webhooks in, one `PUT ticket` with safe_update out."""

    name = "zendesk"
    title = "Zendesk Support"
    summary = marked("Signed event webhooks in; priority, status, assignee and comments out in one safe ticket update.")
    capabilities = outbound.CAPABILITIES
    sequenced = False  # Zendesk says itself that meta.sequence.position is no order
    body_limit = 1_048_576  # bytes
    refusal_status = 401
    needs: Sequence[str] = ("base_url", "email", "token", "secret")
    words = Words(
        status={
            "new": "open",
            "open": "open",
            "pending": "waiting_customer",
            "hold": "waiting_internal",
            "solved": "resolved",
            "closed": "closed",
            "deleted": "cancelled",
        },
        priority={"urgent": "P0", "high": "P1", "normal": "P2", "low": "P3"},
        status_out={
            "open": "open",
            "in_progress": "open",
            "waiting_customer": "pending",
            "waiting_internal": "hold",
            "resolved": "solved",
            "closed": "closed",
        },
        priority_out={"P0": "urgent", "P1": "high", "P2": "normal", "P3": "low"},
    )
    limits = Limits(per_minute=100, per_ticket_ten_minutes=30)
    body_schema: Path | None = None

    def verify(self, request: InboundRequest, secrets: Sequence[str]) -> None:
        """See `Connector.verify`."""
        signatures.verify_zendesk(request, secrets)

    def delivery_key(self, request: InboundRequest) -> str:
        """See `Connector.delivery_key`: the invocation id."""
        return inbound.delivery_key(request)

    def parse(self, request: InboundRequest, options: Mapping[str, Any]) -> Parsed:
        """See `Connector.parse`."""
        return inbound.parse(request, options)

    def sample(self, secrets: Sequence[str], at: int) -> InboundRequest:
        """See `Connector.sample`: an event about nothing."""
        body = json.dumps({"id": f"test-{at}", "type": "zen:event-type:sla_plugin.test", "time": written(at), "detail": {}, "event": {}}).encode()
        signed = signatures.sign_zendesk(secrets[0], body, at)
        headers = {"Content-Type": "application/json", "X-Zendesk-Webhook-Invocation-Id": f"test-{at}", **signed}
        return InboundRequest(headers={name.lower(): value for name, value in headers.items()}, body=body, received_at=at)

    def check(self, account: Account, http: Http) -> AccountFacts:
        """See `Connector.check`: GET users/me."""
        return outbound.check(account, http)

    def read(self, ticket: str, account: Account, http: Http) -> TicketSnapshot | None:
        """See `Connector.read`."""
        return outbound.read(ticket, account, http)

    def prepare(self, ticket: str, commands: Sequence[Command], snapshot: TicketSnapshot | None, marker: str, account: Account) -> dict[str, Any]:
        """See `Connector.prepare`."""
        return outbound.prepare(ticket, commands, snapshot, marker, account)

    def send(self, frozen: Mapping[str, Any], account: Account, http: Http) -> Answer:
        """See `Connector.send`."""
        return outbound.send(frozen, account, http)

    def find(self, frozen: Mapping[str, Any], marker: str, account: Account, http: Http) -> Answer | None:
        """See `Connector.find`."""
        return outbound.find(frozen, marker, account, http)
