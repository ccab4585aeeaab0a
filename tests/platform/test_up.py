"""`sla-plugin up` as a real process: it starts, survives the death of any part, and leaves nothing behind."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.platform

PARTS = {"supervisor", "web", "inbox-worker", "outbox-worker", "timekeeper", "redis", "database"}
QUEUES = {"inbox", "time", "outbox"}  # what waits in SQL, whoever works on it


def words(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sla_plugin.cli", *arguments]


class Plugin:
    """A running `up`, or what is left of it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.environment = {**os.environ, "SLA_DATA_DIR": str(folder), "SLA_PORT": str(port)}
        for name in ("DATABASE_URL", "REDIS_URL"):
            self.environment.pop(name, None)
        self.tree: dict[int, psutil.Process] = {}
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(words("up"), env=self.environment, text=True, stdout=subprocess.PIPE)

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(words(*arguments), env=self.environment, text=True, capture_output=True, timeout=60, check=False)

    def status(self) -> dict[str, dict[str, object]]:
        """`status --json`; the pids seen are remembered."""
        answer = self.command("status", "--json")
        assert answer.stdout, answer.stderr
        parts: dict[str, dict[str, object]] = json.loads(answer.stdout)
        for part in parts.values():
            if isinstance(part["pid"], int) and psutil.pid_exists(part["pid"]):
                self.tree.setdefault(part["pid"], psutil.Process(part["pid"]))
        assert answer.returncode == (0 if all(part["healthy"] for part in parts.values()) else 1)
        return parts

    def healthy(self) -> bool:
        assert self.process.poll() is None, "it ended by itself"
        return all(part["healthy"] for part in self.status().values())

    def pid(self, name: str) -> int:
        pid = self.status()[name]["pid"]
        assert isinstance(pid, int)
        return pid

    def left(self) -> list[psutil.Process]:
        return [process for process in self.tree.values() if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def eventually(what: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def plugin(tmp_path: Path, free_port: int) -> Iterator[Plugin]:
    running = Plugin(tmp_path / "data", free_port)
    try:
        eventually(running.healthy)
        yield running
    finally:
        running.process.kill()
        running.process.communicate()
        eventually(lambda: not running.left())


def test_a_working_day(plugin: Plugin, tmp_path: Path) -> None:
    """One start, every part killed once, a second start refused, Ctrl-C: one long test, because a start costs seconds."""
    parts = plugin.status()
    assert set(parts) == PARTS | QUEUES
    apart = "sqlite; tenants kept apart by the database: off (SQLite has no row-level security: tenants are kept apart by the code alone)"
    assert parts["database"] == {"pid": None, "healthy": True, "since": None, "detail": apart}
    assert all(parts[name]["since"] for name in PARTS - {"database"})

    for name in ("web", "inbox-worker", "outbox-worker", "timekeeper", "redis"):
        before = plugin.pid(name)
        os.kill(before, signal.SIGKILL)
        eventually(lambda name=name, before=before: plugin.healthy() and plugin.pid(name) != before, 20)

    stuck = plugin.pid("inbox-worker")
    with (tmp_path / "data" / "write.turn").open("wb") as turn:  # as if it had stopped in the middle of a transaction
        fcntl.flock(turn, fcntl.LOCK_EX)
        turn.write(json.dumps({"pid": stuck, "since": 1.0}).encode().ljust(64))
        turn.flush()
        eventually(lambda: plugin.pid("inbox-worker") != stuck, 20)
        turn.truncate(0)

    second = plugin.command("up")
    assert second.returncode == 3
    assert f"pid {plugin.process.pid} at http://127.0.0.1:" in second.stderr

    plugin.process.send_signal(signal.SIGINT)
    output, _ = plugin.process.communicate(timeout=10)
    assert plugin.process.returncode == 0
    assert output.count("http://") == 1
    assert plugin.left() == []
    assert not list((tmp_path / "data" / "parts").iterdir())


def test_nothing_is_orphaned_when_the_supervisor_is_killed(plugin: Plugin) -> None:
    plugin.status()
    assert len(plugin.tree) == 6
    plugin.process.kill()
    plugin.process.communicate()
    eventually(lambda: not plugin.left(), 5)

    plugin.start()  # and the same data can be used at once
    eventually(plugin.healthy)


def test_a_taken_port_is_said(tmp_path: Path, free_port: int) -> None:
    environment = {**os.environ, "SLA_DATA_DIR": str(tmp_path), "SLA_PORT": str(free_port)}
    with socket.create_server(("127.0.0.1", free_port)):
        answer = subprocess.run(words("up"), env=environment, text=True, capture_output=True, timeout=60, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"error: cannot listen on 127.0.0.1 port {free_port} (Address already in use)")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["status"], 1, "error: SLA_PORT is 'many': expected a whole number from 0 to 65535\n"),
        (["up", "--help"], 0, ""),
    ],
    ids=["a wrong setting is said", "help works nevertheless"],
)
def test_wrong_settings(arguments: list[str], code: int, said: str) -> None:
    answer = subprocess.run(words(*arguments), env={**os.environ, "SLA_PORT": "many"}, text=True, capture_output=True, timeout=60, check=False)
    assert (answer.returncode, answer.stderr) == (code, said)
