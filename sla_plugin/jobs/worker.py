"""The worker process: an RQ SimpleWorker on one queue that survives Redis, exceptions and restarts."""

import logging
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from sla_plugin.jobs import tasks
from sla_plugin.jobs.ending import ended_by_signals
from sla_plugin.jobs.queue import connect

log = logging.getLogger("sla_plugin.worker")

LEASE = 30  # seconds RQ believes a silent worker alive; it listens in turns of half of that
WITHOUT_REDIS = 1.0  # seconds between two looks into SQL while Redis is gone


class RedisLost(StopRequested):
    """Redis is gone for more than a moment."""


class DrainWorker(SimpleWorker):
    """RQ's worker without what we do not use: no remote commands (a thread less), no signal handlers of its own."""

    def __init__(self, queue: str, redis: "Redis") -> None:
        super().__init__([queue], connection=redis, serializer=JSONSerializer, worker_ttl=LEASE, log_job_description=False)

    def _install_signal_handlers(self) -> None:
        """`work` owns the signals."""

    def subscribe(self) -> None:
        """No remote commands."""

    def unsubscribe(self) -> None:
        """No remote commands."""

    def heartbeat(self, *arguments: Any, **options: Any) -> None:
        """RQ would wait for Redis here and do nothing else; we go back to `work`, which looks into SQL meanwhile. Raises RedisLost."""
        try:
            super().heartbeat(*arguments, **options)
        except RedisConnectionError as problem:
            raise RedisLost from problem

    def end(self) -> None:
        """End after the current job; called from a signal handler, hence without a word to Redis. Raises StopRequested while waiting."""
        if self.get_state() == WorkerStatus.BUSY:
            self._stop_requested = True
        else:
            raise StopRequested


def work(queue: str, redis_url: str, runtime: tasks.Drains) -> None:
    """Work on `queue` until SIGTERM or SIGINT; the transaction or the calls under way are finished first, what is left lies in SQL.

    Whatever a wake would have said is looked up in SQL at the start and, while Redis is gone, every second; else the timekeeper's look repeats it.
    """
    tasks.bind(runtime)
    ending = runtime.ending
    listening: list[DrainWorker] = []

    def end() -> None:
        for worker in listening:
            worker.end()

    with ended_by_signals(ending, end):
        while not ending.is_set():
            tasks.DRAIN[queue]()
            if ending.is_set():
                break
            try:
                listening.append(DrainWorker(queue, connect(redis_url)))
                if not ending.is_set():
                    listening[0].work(logging_level="CRITICAL")
            except (RedisLost, RedisError, OSError) as problem:
                log.warning("Redis does not answer (%s); looking for work without it", problem)
            except StopRequested:
                break
            finally:
                listening.clear()
            ending.wait(WITHOUT_REDIS)
