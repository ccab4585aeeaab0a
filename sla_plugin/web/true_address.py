"""Who asks, where a proxy stands before us: what it says counts only if it is one that the operator trusts (SLA_TRUSTED_PROXIES)."""

import ipaddress
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Networks = Sequence[IPv4Network | IPv6Network]


class TrueAddress:
    """WSGI: `inner`, with REMOTE_ADDR as trusted proxies say it."""

    def __init__(self, inner: "WSGIApplication", trusted: Networks) -> None:
        self._inner, self._trusted = inner, trusted

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """One request."""
        environ["REMOTE_ADDR"] = true_address(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR", ""), self._trusted)
        return self._inner(environ, start_response)


def true_address(peer: str, forwarded: str, trusted: Networks) -> str:
    """The nearest address that is not a trusted proxy's, from `peer` backwards along X-Forwarded-For.

    Each proxy appends who came to it, so that only what trusted ones appended is believed; anybody may write what stands left of that.
    """
    found = peer
    for told in reversed(forwarded.split(",")):
        known, next_one = _address(found), _address(told)
        if known is None or next_one is None or not any(known in network for network in trusted):
            break
        found = str(next_one)
    return found


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, also with a port (`192.0.2.7:4711`, `[2001:db8::7]:4711`); None for what is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if found.version == 6 else found
