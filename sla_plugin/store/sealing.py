"""Secrets at rest: sealed with the first key, opened with any (rotation)."""

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from sla_plugin.errors import ConfigurationError


class Sealer:
    """Encrypts and decrypts short secrets."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys`: Fernet keys; raises ConfigurationError for one that is none."""
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise ConfigurationError(f"SLA_SECRET_KEYS: not a Fernet key: {error}") from None

    def seal(self, clear: str) -> str:
        """The sealed form of a secret."""
        return self._fernet.encrypt(clear.encode()).decode()

    def open(self, sealed: str | None) -> str:
        """The secret; "" for none. Raises ConfigurationError when no key fits."""
        if not sealed:
            return ""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise ConfigurationError("a stored secret does not open with SLA_SECRET_KEYS: restore the key it was sealed with") from None
