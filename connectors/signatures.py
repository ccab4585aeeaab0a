"""Webhook signatures: checked in constant time, and made (for simulators, the importer and outgoing webhooks).

Secrets come as a list, because two are valid while one is being rotated; empty ones never count. Ages are measured against the instant of receipt,
so that a delivery verified late is not refused for our own slowness.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from connectors.instants import SECOND, parse_instant, written
from sla_plugin.errors import ConfigurationError, DeliveryRejected
from sla_plugin.ports import InboundRequest

REPLAY_WINDOW = 300 * SECOND  # microseconds, on both sides of the receipt
ZENDESK_SIGNATURE = "x-zendesk-webhook-signature"
ZENDESK_TIMESTAMP = "x-zendesk-webhook-signature-timestamp"
_MILLISECONDS_FROM = 100_000_000_000  # a bare number this large cannot be seconds before the year 5138


# --- Zendesk -------------------------------------------------------------------------------------------------------
def zendesk_signature(secret: str, timestamp: str, body: bytes) -> str:
    """base64(HMAC-SHA256(secret verbatim, timestamp header + raw body))."""
    return _mac(secret.encode(), timestamp.encode(errors="replace") + body)


def sign_zendesk(secret: str, body: bytes, at: int) -> dict[str, str]:
    """The two headers Zendesk sends with `body` at the instant `at` (microseconds UTC)."""
    timestamp = written(at - at % SECOND)
    return {"X-Zendesk-Webhook-Signature": zendesk_signature(secret, timestamp, body), "X-Zendesk-Webhook-Signature-Timestamp": timestamp}


def verify_zendesk(request: InboundRequest, secrets: Sequence[str]) -> None:
    """Raises DeliveryRejected unless one of `secrets` signed the request within the replay window."""
    timestamp = _header(request.headers, ZENDESK_TIMESTAMP, "zendesk")
    given = _header(request.headers, ZENDESK_SIGNATURE, "zendesk")
    keys = _given(secrets, "zendesk")
    if not any(_same(zendesk_signature(secret, timestamp, request.body), given) for secret in keys):
        raise _rejected("zendesk", f"the signature in {ZENDESK_SIGNATURE} was not made with the signing secret of this connection")
    _check_age(timestamp, request.received_at, ZENDESK_TIMESTAMP, "zendesk")


# --- Standard Webhooks ---------------------------------------------------------------------------------------------
def standard_signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """`v1,` + base64(HMAC-SHA256(key, id.timestamp.body)). Raises ConfigurationError for a `whsec_` secret that is not base64."""
    return "v1," + _mac(_standard_key(secret), f"{message_id}.{timestamp}.".encode(errors="replace") + body)


def sign_standard(secrets: Sequence[str], message_id: str, body: bytes, at: int) -> dict[str, str]:
    """The three headers, signed with every secret, so that the receiver may rotate. `at` in microseconds UTC.

    Raises ConfigurationError without a usable secret.
    """
    usable = [secret for secret in secrets if secret]
    if not usable:
        raise ConfigurationError("this connection has no secret to sign outgoing webhooks with: enter one")
    timestamp = str(at // SECOND)
    signatures = " ".join(standard_signature(secret, message_id, timestamp, body) for secret in usable)
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signatures}


def verify_standard(request: InboundRequest, secrets: Sequence[str], connector: str = "generic") -> None:
    """Raises DeliveryRejected unless one of `secrets` made one of the v1 signatures within the replay window."""
    message_id = _header(request.headers, "webhook-id", connector)
    timestamp = _header(request.headers, "webhook-timestamp", connector)
    given = [one for one in _header(request.headers, "webhook-signature", connector).split() if one.startswith("v1,")]
    if not given:
        raise _rejected(connector, "webhook-signature holds no v1 signature (expected `v1,` and base64)")
    try:
        expected = [standard_signature(secret, message_id, timestamp, request.body) for secret in _given(secrets, connector)]
    except ConfigurationError as problem:
        raise _rejected(connector, str(problem)) from None
    if not any(_same(ours, theirs) for ours in expected for theirs in given):
        raise _rejected(connector, "no signature in webhook-signature was made with the secret of this connection over webhook-id.webhook-timestamp.body")
    _check_age(timestamp, request.received_at, "webhook-timestamp", connector)


def _standard_key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        return secret.encode()
    encoded = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:  # an empty key would accept a signature anybody can make
        raise ConfigurationError("the secret starts with whsec_ but the rest is not base64: copy the whole secret again")
    return key


# --- both ----------------------------------------------------------------------------------------------------------
def _mac(key: bytes, message: bytes) -> str:
    return base64.b64encode(hmac.digest(key, message, hashlib.sha256)).decode()


def _same(ours: str, theirs: str) -> bool:
    return hmac.compare_digest(ours.encode(), theirs.encode(errors="replace"))


def _header(headers: Mapping[str, str], name: str, connector: str) -> str:
    value = headers.get(name, "").strip()
    if not value:
        raise _rejected(connector, f"the header {name} is missing: the delivery is not signed")
    return value


def _given(secrets: Sequence[str], connector: str) -> list[str]:
    usable = [secret for secret in secrets if secret]
    if not usable:
        raise _rejected(connector, "this connection has no signing secret yet: enter it on the connection's page")
    return usable


def _check_age(timestamp: str, received_at: int, header: str, connector: str) -> None:
    try:
        made_at = _timestamp(timestamp)
    except ValueError as problem:
        raise _rejected(connector, f"{header} {problem}") from None
    age = received_at - made_at
    if abs(age) > REPLAY_WINDOW:
        side = "old" if age > 0 else "ahead of our clock"
        said = f"the delivery is {abs(age) // SECOND} s {side} by {header}; at most {REPLAY_WINDOW // SECOND} s are accepted (check both clocks)"
        raise _rejected(connector, said)


def _timestamp(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 15:
        number = int(text)
        return number * 1000 if number >= _MILLISECONDS_FROM else number * SECOND
    return parse_instant(text)


def _rejected(connector: str, message: str) -> DeliveryRejected:
    return DeliveryRejected(message, connector=connector, operation="verify")
