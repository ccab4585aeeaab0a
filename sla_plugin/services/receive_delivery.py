"""The door's one decision: is this request from who it says, and what row does it become? Parsing comes later, so a vendor's change loses nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sla_plugin.errors import DeliveryRejected
from sla_plugin.ports import Connector, InboundRequest
from sla_plugin.store.deliveries import delivery_row

# nothing else is kept: a header may carry a credential
_KEPT = ("content-type", "user-agent", "webhook-id", "webhook-timestamp")
_KEPT_PREFIXES = ("x-zendesk-", "x-atlassian-webhook-", "x-hub-")
_NEVER = ("signature", "authorization", "cookie")


@dataclass(frozen=True)
class Door:
    """A connection as the door knows it: enough to verify without another query."""

    tenant: int
    connection: int
    name: str
    connector: Connector
    secrets: tuple[str, ...]


def receive_delivery(door: Door, request: InboundRequest) -> dict[str, Any]:
    """The delivery row of a verified request. Raises DeliveryRejected for a forged or stale one."""
    if not door.secrets:
        raise DeliveryRejected(
            "this connection has no webhook secret: add one on its page", connector=door.connector.name, connection=door.name, operation="receive"
        )
    door.connector.verify(request, door.secrets)
    return delivery_row(door.tenant, door.connection, door.connector.delivery_key(request), request.received_at, kept_headers(request.headers), request.body)


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers worth keeping, without signatures and credentials."""
    return {name: value[:500] for name, value in headers.items() if _is_kept(name)}


@lru_cache(512)  # senders name the same few again and again
def _is_kept(name: str) -> bool:
    return (name in _KEPT or name.startswith(_KEPT_PREFIXES)) and not any(word in name for word in _NEVER)
