"""The product as a visitor gets it: `sla-plugin up` as a process of its own, and its commands, all with a data folder that is thrown away."""

import fcntl
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sla_plugin.errors import ConfigurationError

_START = 25.0  # seconds `up` may take until it tells its address
_END = 15.0  # seconds it may take to end
_OURS = ("DATABASE_URL", "REDIS_URL")  # an installation that the visitor has must not be touched


class Product:
    """A running `up`. Use as a context manager; `url` is the address of its pages, `greeting` the lines it printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "demo.log"
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.greeting: list[str] = []
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SLA_") and name not in _OURS}
        port = self.url.rpartition(":")[2]
        self._environment = {**kept, "SLA_DATA_DIR": str(self.folder), "SLA_PORT": port, "SLA_ALLOW_PRIVATE_URLS": "yes"}

    def __enter__(self) -> "Product":
        """Start with an empty folder and wait for the address. Raises ConfigurationError where that does not happen."""
        empty(self.folder)
        with self.log.open("w") as log:
            words = [*_command("up"), "--end-with-parent"]
            # a session of its own: Ctrl-C reaches the demo alone, which then ends the product in order
            self._up = subprocess.Popen(words, env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
        try:
            self._wait_for_address()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._up.send_signal(signal.SIGTERM)
        try:
            self._up.wait(_END)
        except subprocess.TimeoutExpired:
            self._up.kill()
            self._up.wait()

    def command(self, *words: str) -> Any:
        """What `sla-plugin WORDS` answers, from JSON. Raises ConfigurationError with what it said when it failed."""
        done = subprocess.run(_command(*words), env=self._environment, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise ConfigurationError(f"sla-plugin {words[0]}: {done.stderr.strip().rpartition(chr(10))[2] or done.returncode}")
        return json.loads(done.stdout)

    def connect(self, base_url: str, email: str, token: str, mode: str) -> Mapping[str, Any]:
        """Connect the Zendesk stand-in at `base_url` as README.md says; the answer holds webhook_url and secret. `mode` is live, dry-run or observe."""
        given = {"--name": "Zendesk simulator", "--base-url": base_url, "--email": email, "--token": token}
        told: Mapping[str, Any] = self.command("connect", "zendesk", *(word for pair in given.items() for word in pair), "--generate-secret", f"--{mode}")
        return told

    def ended(self) -> bool:
        """True if `up` has ended by itself."""
        return self._up.poll() is not None

    def left(self) -> list[int]:
        """Pids of its processes that are alive."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()  # state, parent, group, session
            except OSError:
                continue
            if int(fields[3]) == self._up.pid and fields[0] not in "ZX":
                found.append(int(stat.parent.name))
        return found

    def _wait_for_address(self) -> None:
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()
        end = time.monotonic() + _START
        while not any(self.url in line for line in self.greeting):
            try:
                line = lines.get(timeout=max(end - time.monotonic(), 0.01))
            except queue.Empty:
                line = None
            if line is None:
                raise ConfigurationError(f"the product did not start: {self.log.read_text().strip() or f'no address within {_START:.0f} s'}")
            self.greeting.append(line)

    def _read(self, lines: "queue.SimpleQueue[str | None]") -> None:
        """Take what `up` prints, to its end, so that it never waits for a reader."""
        assert self._up.stdout is not None
        for line in self._up.stdout:
            lines.put(line.strip())
        lines.put(None)


def empty(folder: Path) -> None:
    """Make `folder` a fresh one. Raises ConfigurationError for one that is in use, or that no demo has made."""
    lock = folder / "up.lock"
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "demo.log").exists():
            raise ConfigurationError(f"{folder} holds something that no demo has put there: remove it, or name another with --folder")
        if lock.exists():
            with lock.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise ConfigurationError(f"a demo runs already in {folder}: end it with Ctrl-C, or name another folder with --folder") from None
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "sla_plugin.cli", *words]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
