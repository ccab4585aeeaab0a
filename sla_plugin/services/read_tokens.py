"""Signed tokens (JWT): whether the signature is that of a key which the issuer publishes, by an algorithm that was agreed on beforehand."""

import base64
import binascii
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key
from joserfc.jws import JWSRegistry
from joserfc.registry import Header

from sla_plugin.errors import SignInRefused
from sla_plugin.language import marked
from sla_plugin.ports import Http
from sla_plugin.services.kept_documents import KeptDocuments, Unanswered

# algorithm -> kind of key; nothing symmetric is in it, so that a public key can never be taken for a secret
ALGORITHMS: Mapping[str, str] = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
LONGEST = 16_384  # characters of a token
SHORTEST_RSA = 342  # letters of a modulus: 2048 bits
FORGED = marked("The token was not signed as agreed, so it is not trusted.")


class _Registry(JWSRegistry):
    """Tolerant of headers that vendors add (not of critical ones), strict about algorithms."""

    max_header_length = 8192

    def get_alg(self, name: str) -> Any:
        """The algorithm, if it was agreed on."""
        if not isinstance(name, str) or name not in (self.allowed or ()):
            raise JoseError(f"algorithm {name!r} was not agreed on")
        return self.algorithms[name]


def unproved(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims of a token before anything is proved: to find out which keys to ask. Raises SignInRefused for what is no signed token."""
    parts = token.split(".")
    try:
        if len(parts) != 3 or len(token) > LONGEST:
            raise ValueError("not three parts, or too long")
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2])
        if not isinstance(header, dict) or not isinstance(claims, dict):
            raise ValueError("no objects")
        said = json.dumps([header, claims], ensure_ascii=False)
        if "\\u0000" in said or not said.encode():  # what no database takes as text, NUL or half a character, is looked up in none
            raise ValueError("no text")
    except (ValueError, binascii.Error, RecursionError):
        raise SignInRefused(marked("What came is no token that we can read."), reason="unreadable") from None
    return header, claims


def read_token(token: str, kept: KeptDocuments, http: Http, keys_url: str, algorithms: Collection[str], now: int) -> tuple[Header, dict[str, Any]]:
    """Header and claims of a token whose signature is right. An unknown key makes us look for new ones, once a minute at most.

    Raises SignInRefused: unreadable, algorithm, unknown_key, signature; `keys_down` (later) where the keys cannot be had.
    """
    header, _ = unproved(token)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms or algorithm not in ALGORITHMS:
        raise SignInRefused(FORGED, reason="algorithm", operator=f"a token is signed with {str(algorithm)[:20]!r}; agreed are {', '.join(sorted(algorithms))}")
    kid = header.get("kid")
    try:
        key = _chosen(kept.read(http, keys_url, now), kid, algorithm) or _chosen(kept.read(http, keys_url, now, newer=True), kid, algorithm)
    except Unanswered as problem:
        raise SignInRefused(
            marked("The keys that prove this token cannot be had just now; try again in a minute."), reason="keys_down", operator=str(problem), later=True
        ) from None
    if key is None:
        raise SignInRefused(FORGED, reason="unknown_key", operator="a token is signed with a key that the issuer does not publish")
    try:
        proved = jwt.decode(token, key, registry=_Registry(algorithms=[algorithm], strict_check_header=False))
    except (JoseError, ValueError, TypeError):
        raise SignInRefused(FORGED, reason="signature", operator="a token's signature is not that of the issuer's key") from None
    return proved.header, proved.claims


def usable_keys(document: Mapping[str, Any], algorithms: Collection[str]) -> list[Key]:
    """The keys of a JWKS that may prove a token by one of the algorithms; what else is in it is passed over."""
    return [key for entry in _entries(document, algorithms) if (key := _imported(entry)) is not None]


def _chosen(document: Mapping[str, Any], kid: object, algorithm: str) -> Key | None:
    """The key that a token names; where it names none, the only one there is."""
    entries = _entries(document, [algorithm])
    named = [entry for entry in entries if entry.get("kid") == kid] if kid is not None else entries if len(entries) == 1 else []
    return _imported(named[0]) if named else None


def _entries(document: Mapping[str, Any], algorithms: Collection[str]) -> list[dict[str, Any]]:
    entries, kinds = document.get("keys"), {ALGORITHMS[name] for name in algorithms}
    return [
        entry
        for entry in (entries[:100] if isinstance(entries, list) else [])
        if isinstance(entry, dict)
        and entry.get("use") in (None, "sig")
        and entry.get("kty") in kinds
        and (entry.get("alg") is None or entry.get("alg") in algorithms)
        and (entry.get("kty") != "RSA" or len(str(entry.get("n"))) >= SHORTEST_RSA)
    ]


def _imported(entry: dict[str, Any]) -> Key | None:
    try:
        return JWKRegistry.import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def audiences(claims: Mapping[str, Any]) -> Sequence[str]:
    """Whom a token is for."""
    told = claims.get("aud")
    return [told] if isinstance(told, str) else [one for one in told if isinstance(one, str)] if isinstance(told, list) else []
