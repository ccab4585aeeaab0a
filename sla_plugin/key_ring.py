"""The keys that seal secrets: named by SLA_SECRET_KEYS, or in a file of the data folder that a rotation replaces while everything runs."""

import base64
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sla_plugin.errors import ConfigurationError
from sla_plugin.settings import Settings, Unfit, fernet_keys


def secret_keys(settings: Settings) -> tuple[str, ...]:
    """The keys that seal credentials: SLA_SECRET_KEYS, else the key file (mode 0600), which the first start makes."""
    if settings.secret_keys:
        return settings.secret_keys
    path = settings.data_dir / "secret.key"
    if not path.exists():
        _make_key_file(path)
    try:
        return fernet_keys(path.read_text().strip().replace("\n", ","))
    except Unfit as problem:
        raise ConfigurationError(f"{path} is damaged: expected {problem}; without it stored credentials cannot be read, restore it from a backup") from None


class KeyRing:
    """The keys in force, the first one seals: those of SLA_SECRET_KEYS, else those of the key file as it stands now, so that a rotation needs no restart."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError for a damaged key file."""
        self._settings = settings
        self._keys = secret_keys(settings)
        self._stamp = self._look()

    @property
    def path(self) -> Path | None:
        """The key file; None where SLA_SECRET_KEYS names the keys."""
        return None if self._settings.secret_keys else self._settings.data_dir / "secret.key"

    def keys(self) -> tuple[str, ...]:
        """The keys in force. A file that cannot be read now leaves those that we know."""
        stamp = self._look()
        # a file that is gone is not read again: that would make another one, whose key opens nothing of what is stored
        if stamp not in (self._stamp, None):
            try:
                self._keys, self._stamp = secret_keys(self._settings), stamp
            except (ConfigurationError, OSError):
                return self._keys
        return self._keys

    def _look(self) -> tuple[int, int, int] | None:
        if self.path is None:
            return None
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def write(self, keys: Sequence[str]) -> None:
        """Replace the key file, whole and durable or not at all. Raises ConfigurationError where SLA_SECRET_KEYS names the keys, or the folder refuses."""
        if self.path is None:
            raise ConfigurationError("SLA_SECRET_KEYS names the keys: change it where you keep your environment")
        try:
            handle, draft = tempfile.mkstemp(dir=self.path.parent, prefix=".secret")  # mode 0600
            with os.fdopen(handle, "wb") as file:
                file.write("".join(f"{key}\n" for key in keys).encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as problem:
            raise ConfigurationError(f"{self.path} cannot be written ({problem.strerror or problem})") from problem


def new_key() -> str:
    """A fresh Fernet key."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def _make_key_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".secret")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(f"{new_key()}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # appears whole, and only if no other process was first
    except FileExistsError:
        pass
    finally:
        os.unlink(draft)
