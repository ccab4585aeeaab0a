"""Passwords: made to be typed once, kept as argon2id hashes."""

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # KiB; a sign-in must not cost a small server its memory
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # no letter that looks like another


def one_time_password() -> str:
    """A random password of 79 bits in four groups."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def hash_password(password: str) -> str:
    """The argon2id hash; takes some tens of milliseconds, so hash before the transaction."""
    return _HASHER.hash(password)


def password_fits(password_hash: str, password: str) -> bool:
    """True if the hash was made of this password; a damaged hash fits none."""
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
