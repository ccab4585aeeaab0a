"""Wakes on a real Redis."""

import json
import os
import subprocess
import threading
import zlib
from pathlib import Path

import pytest
from redis import Redis

from sla_plugin.jobs.queue import RqQueue, connect, open_queue
from sla_plugin.supervisor.redis_server import find_server


def waiting(redis_url: str, name: str) -> int:
    with Redis.from_url(redis_url) as redis:
        return open_queue(name, redis).count


@pytest.mark.parametrize(("wake", "name"), [("wake_inbox", "inbox"), ("wake_outbox", "outbox")])
def test_a_wake_is_one_job_without_content(redis_url: str, wake: str, name: str) -> None:
    queue = RqQueue(redis_url)
    getattr(queue, wake)()
    assert queue.flush(5)
    with Redis.from_url(redis_url) as redis:
        [job] = open_queue(name, redis).jobs
        assert job.func_name == f"sla_plugin.jobs.tasks.drain_{name}"
        assert (list(job.args), job.kwargs, job.timeout, job.result_ttl) == ([], {}, -1, 0)
        assert json.loads(zlib.decompress(redis.hget(job.key, "data"))) == [job.func_name, None, [], {}]  # JSON, never pickle


def test_many_wakes_are_one_while_none_is_taken(redis_url: str) -> None:
    queue = RqQueue(redis_url)
    for _ in range(500):
        queue.wake_inbox()
    queue.wake_outbox()
    assert queue.flush(5)
    assert (waiting(redis_url, "inbox"), waiting(redis_url, "outbox")) == (1, 1)


def test_a_second_process_adds_none(redis_url: str) -> None:
    for _ in range(2):
        queue = RqQueue(redis_url)
        queue.wake_inbox()
        assert queue.flush(5)
    assert waiting(redis_url, "inbox") == 1


def test_without_redis_nothing_is_raised_and_the_wake_is_kept(tmp_path: Path) -> None:
    queue = RqQueue(f"unix://{tmp_path}/nobody.sock")
    queue.wake_inbox()
    assert not queue.flush(0.05)


def test_a_child_process_wakes_by_its_own_thread(redis_url: str) -> None:
    queue = RqQueue(redis_url)
    queue.wake_inbox()
    assert queue.flush(5)
    pid = os.fork()
    if pid == 0:
        queue.wake_outbox()
        os._exit(0 if queue.flush(5) and threading.active_count() == 2 else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert waiting(redis_url, "outbox") == 1


def test_wakes_over_tcp(free_port: int) -> None:
    """What keeps a connection over TCP honest is understood by the client and by the system."""
    with (
        subprocess.Popen([find_server(), "--port", str(free_port), "--save", ""], stdout=subprocess.DEVNULL) as server,
        connect(f"redis://127.0.0.1:{free_port}") as redis,
    ):
        try:
            queue = RqQueue(f"redis://127.0.0.1:{free_port}")
            queue.wake_inbox()
            assert queue.flush(5)
            assert open_queue("inbox", redis).count == 1
        finally:
            server.terminate()
