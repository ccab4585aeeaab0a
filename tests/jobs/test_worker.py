"""Workers drain at the start, at each wake, and outlive failures."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sla_plugin.errors import ConfigurationError
from sla_plugin.jobs import tasks
from sla_plugin.jobs.ending import Ending
from sla_plugin.jobs.queue import RqQueue
from sla_plugin.jobs.worker import work
from sla_plugin.supervisor.redis_server import find_server


class Drained:
    """A runtime that counts its drains and does `then` after the drain of that number."""

    def __init__(self, then: dict[int, Callable[[], None]]) -> None:
        self.count = 0
        self.ending = Ending()
        self.then = then

    def drain_inbox(self) -> int:
        self.count += 1
        self.then.get(self.count, lambda: None)()
        return 0

    def drain_outbox(self) -> int:
        raise AssertionError("not this queue")


def end_this_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def fail() -> None:
    raise RuntimeError("disk on fire")


def test_drains_at_start_and_per_wake_then_ends_on_sigterm(redis_url: str) -> None:
    queue = RqQueue(redis_url)
    runtime = Drained({1: queue.wake_inbox, 2: end_this_process})
    work("inbox", redis_url, runtime)
    assert runtime.count == 2


def test_a_failing_drain_is_logged_and_the_next_wake_works(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    queue = RqQueue(redis_url)

    def wake_and_fail() -> None:
        queue.wake_inbox()
        fail()

    runtime = Drained({1: wake_and_fail, 2: wake_and_fail, 3: end_this_process})
    work("inbox", redis_url, runtime)
    assert runtime.count == 3
    assert "disk on fire" in caplog.text


def test_sigterm_while_idle_ends_the_worker(redis_url: str) -> None:
    runtime = Drained({1: lambda: threading.Timer(0.3, end_this_process).start()})
    work("inbox", redis_url, runtime)
    assert runtime.count == 1


def test_waits_for_a_redis_that_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "r"
    servers: list[subprocess.Popen[bytes]] = []

    def start_redis() -> None:
        words = [str(find_server()), "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(tmp_path)]
        servers.append(subprocess.Popen(words, stdout=subprocess.DEVNULL))

    queue = RqQueue(f"unix://{path}")
    runtime = Drained({1: queue.wake_inbox, 2: start_redis, 3: end_this_process})
    try:
        work("inbox", f"unix://{path}", runtime)
    finally:
        servers[0].kill()
        servers[0].wait()
    assert runtime.count == 3


def test_a_task_without_a_runtime_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_bound", [])
    with pytest.raises(ConfigurationError, match="sla-plugin worker"):
        tasks.drain_inbox()
