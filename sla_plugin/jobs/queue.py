"""The JobQueue on RQ: wakes leave from a background thread, so that no request and no transaction ever waits for Redis."""

import atexit
import logging
import os
import socket
import threading
import time
import weakref
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

from sla_plugin.jobs import tasks

log = logging.getLogger("sla_plugin.queue")

GAP = 0.02  # seconds between two wakes of one process
RETRY_FIRST, RETRY_LAST = 0.25, 2.0  # seconds until a wake that found no Redis is tried again: doubled from the first to the last
COMPLAIN_EVERY = 60.0  # seconds between two lines about a missing Redis
ANSWER_WITHIN = 1.0  # seconds Redis has to answer the background thread, and anybody's connecting
# a worker that waits for a wake says nothing: without these it would not notice for half a minute that the host it waits for has gone or started again
KEEPALIVE = {socket.TCP_KEEPIDLE: 3, socket.TCP_KEEPINTVL: 1, socket.TCP_KEEPCNT: 3}


def connect(redis_url: str, **options: Any) -> "Redis":
    """A Redis client that fails at once instead of retrying by itself; nothing is opened before the first command."""
    if not redis_url.startswith("unix:"):
        options = {"socket_connect_timeout": ANSWER_WITHIN, "socket_keepalive": True, "socket_keepalive_options": KEEPALIVE, **options}
    return Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0), **options)


def open_queue(name: str, redis: "Redis") -> Queue:
    """The RQ queue of that name, with JSON in place of RQ's default pickling."""
    return Queue(name, connection=redis, serializer=JSONSerializer)


_QUEUES: "weakref.WeakSet[RqQueue]" = weakref.WeakSet()


def _reset_queues() -> None:
    for queue in _QUEUES:
        queue.reset_after_fork()


def _flush_queues() -> None:
    """A short-lived command's last wake gets half a second, all queues together."""
    end = time.monotonic() + 0.5
    for queue in list(_QUEUES):
        queue.flush(max(0.0, end - time.monotonic()))


os.register_at_fork(after_in_child=_reset_queues)
atexit.register(_flush_queues)


class RqQueue:
    """Wakes workers: at most one wake per queue, 20 ms and process, none while one waits in Redis already.

    Never raises and never blocks. A wake that finds no Redis is kept and tried again; should the process end before, the timekeeper's look repeats it.
    Safe across a fork: the child starts its own thread and connection at its first wake.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self.reset_after_fork()
        _QUEUES.add(self)

    def reset_after_fork(self) -> None:
        """Forget the parent's thread, connection and wakes; every fork calls it by itself."""
        self._changed = threading.Condition()
        self._wanted: set[str] = set()
        self._sending = False
        self._thread: threading.Thread | None = None

    def wake_inbox(self) -> None:
        """There are deliveries to apply."""
        self._wake("inbox")

    def wake_outbox(self) -> None:
        """There are commands to send."""
        self._wake("outbox")

    def flush(self, seconds: float = 1.0) -> bool:
        """Wait until no wake is left to send, at most `seconds`; True if none is left. For commands that end right after a wake."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._wanted and not self._sending, seconds)

    def _wake(self, name: str) -> None:
        with self._changed:
            self._wanted.add(name)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="wakes", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _run(self) -> None:
        redis = connect(self._redis_url, socket_timeout=ANSWER_WITHIN, socket_connect_timeout=ANSWER_WITHIN)
        queues = {name: open_queue(name, redis) for name in tasks.DRAIN}
        complained: float | None = None
        pause = RETRY_FIRST
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._wanted))
                taken, self._wanted, self._sending = self._wanted, set(), True
            try:
                for name in sorted(taken):
                    self._send(queues[name])
                    taken = taken - {name}
            except (RedisError, OSError) as problem:
                if complained is None or time.monotonic() - complained > COMPLAIN_EVERY:
                    log.warning("Redis does not answer (%s): webhooks and verdicts go on, applying and writing back wait", problem)
                    complained = time.monotonic()
            else:
                if complained is not None:
                    log.warning("Redis answers again")
                complained = None
                pause = RETRY_FIRST
            with self._changed:
                self._wanted |= taken  # what was not sent
                self._sending = False
                self._changed.notify_all()
            time.sleep(pause if taken else GAP)
            if taken:
                pause = min(2 * pause, RETRY_LAST)

    @staticmethod
    def _send(queue: Queue) -> None:
        if queue.count == 0:  # one that waits already will see our work, too
            queue.enqueue(tasks.DRAIN[queue.name], result_ttl=0, failure_ttl=60, job_timeout=-1)
