"""Signatures against vectors made by others."""

import pytest

from connectors.signatures import sign_standard, sign_zendesk, verify_standard, verify_zendesk, zendesk_signature
from sla_plugin.errors import ConfigurationError, DeliveryRejected
from sla_plugin.ports import InboundRequest

NOW = 1_795_000_000_000_000


def test_zendesk_signs_timestamp_then_body_with_the_secret_verbatim() -> None:
    # the documented sample signs body then timestamp (an old page); the same parts in today's order must give another value
    secret, body, stamp = "HRkRd4BeOAoUkfZr-mhauJT64rvBASlJRoIyPsd3zeA=", b'{"say": "hello"}', "2021-07-25T10:00:00Z"
    assert zendesk_signature(secret, body.decode(), stamp.encode()) == "tRDSF7URY8BLCDlaBcQ7FHu051Zk+aAB0NKMP53teMw="
    assert zendesk_signature(secret, stamp, body) != "tRDSF7URY8BLCDlaBcQ7FHu051Zk+aAB0NKMP53teMw="


@pytest.mark.parametrize("at", [NOW, NOW + 299_000_000], ids=["now", "almost old"])
def test_what_we_sign_as_zendesk_verifies(at: int) -> None:
    headers = {name.lower(): value for name, value in sign_zendesk("s", b"{}", NOW).items()}
    verify_zendesk(InboundRequest(headers, b"{}", at), ["s"])


@pytest.mark.parametrize(
    ("stamp", "received", "good"),
    [
        ("1234", 1_234_000_000, True),
        ("1234000", 1_234_000_000, False),
        ("1795000000000", NOW, True),
        ("2026-11-18T07:06:40", NOW, False),
        ("soon", NOW, False),
        ("²", NOW, False),
    ],
    ids=["epoch seconds", "seconds far off", "epoch milliseconds", "naive", "words", "odd digit"],
)
def test_zendesk_timestamps(stamp: str, received: int, good: bool) -> None:
    headers = {"x-zendesk-webhook-signature-timestamp": stamp, "x-zendesk-webhook-signature": zendesk_signature("s", stamp, b"")}
    request = InboundRequest(headers, b"", received)
    if good:
        verify_zendesk(request, ["s"])
    else:
        with pytest.raises(DeliveryRejected):
            verify_zendesk(request, ["s"])


def test_standard_webhooks_vector() -> None:
    # the example of the Standard Webhooks specification
    body = b'{"test": 2432232314}'
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1a,xyz v1,bm9ldHUjKzFob2VudXRob2VodWUzMjRvdWVvdW9ldQo= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    verify_standard(InboundRequest(headers, body, 1_614_265_330_000_000), ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])


def test_standard_webhooks_sign_with_every_secret() -> None:
    headers = sign_standard(["whsec_b2xk", "new"], "msg_1", b"{}", NOW)
    assert headers["webhook-signature"].count("v1,") == 2
    for secret in ("whsec_b2xk", "new", "old"):  # whsec_b2xk is "old" in base64
        verify_standard(InboundRequest(headers, b"{}", NOW), [secret])


@pytest.mark.parametrize("secret", ["whsec_", "whsec_!!!"], ids=["empty", "not base64"])
def test_a_broken_secret_signs_nothing_and_accepts_nothing(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="not base64"):
        sign_standard([secret], "msg_1", b"{}", NOW)
    with pytest.raises(DeliveryRejected, match="not base64"):
        verify_standard(InboundRequest(sign_standard(["x"], "msg_1", b"{}", NOW), b"{}", NOW), [secret])


def test_without_a_secret_nothing_is_signed() -> None:
    with pytest.raises(ConfigurationError, match="no secret"):
        sign_standard(["", ""], "msg_1", b"{}", NOW)
