"""SQLite has one writer at a time: a process that stops while it is the writer stops everybody. This finds it."""

import fcntl
import json
from pathlib import Path

LIMIT = 2.0  # seconds; a writing transaction takes milliseconds


class TurnWatch:
    """Looks at the write turn's file now and then; time is ours, so that a wrong clock kills nobody."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = b""
        self._since = 0.0

    def stuck(self, now: float) -> int | None:
        """The pid that has held one and the same turn for over LIMIT seconds of monotonic `now`; None while all is well."""
        try:
            content = self._path.read_bytes()
        except OSError:
            return None
        if content != self._content:
            self._content, self._since = content, now
            return None
        if not content.strip() or now - self._since <= LIMIT or not self._is_held():
            return None
        try:
            return int(json.loads(content)["pid"])
        except (ValueError, KeyError, TypeError):
            return None

    def _is_held(self) -> bool:
        """The lock decides, not the note in the file: a note may be left behind."""
        with self._path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False
