"""How often: counted in Redis for all web processes, in this process while Redis is gone."""

import math
import threading
import time
from dataclasses import dataclass
from typing import Any

import structlog
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

log = structlog.get_logger()
PATIENCE = 0.2  # seconds Redis has to answer: counting must not hold up what is counted
APART = 5.0  # seconds between two tries of a Redis that is gone


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody stands with a rate: `limit` a minute, how many are left, and in how many seconds it is as if nothing had been."""

    allowed: bool
    limit: int
    left: int
    reset: int

    def headers(self) -> dict[str, str]:
        """As an answer says it."""
        told = {"RateLimit-Limit": str(self.limit), "RateLimit-Remaining": str(self.left), "RateLimit-Reset": str(self.reset)}
        return told if self.allowed else {**told, "Retry-After": str(max(self.reset, 1))}


class Rates:
    """Counts by name. Opened at the first use, so that a fork comes before its connections and threads."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._opening = threading.Lock()
        self._opened: tuple[SlidingWindowCounterRateLimiter, SlidingWindowCounterRateLimiter] | None = None
        self._gone_until = 0.0

    def hit(self, per_minute: int, kind: str, name: str) -> Standing:
        """Count one; whether that was within `per_minute`."""
        in_redis, here = self._limiters()
        if time.monotonic() >= self._gone_until:
            try:
                return _count(in_redis, per_minute, kind, name)
            except (RedisError, OSError) as problem:
                self._gone_until = time.monotonic() + APART
                log.warning("rates are counted in this process: Redis does not answer", error=type(problem).__name__)
        return _count(here, per_minute, kind, name)

    def _limiters(self) -> tuple[SlidingWindowCounterRateLimiter, SlidingWindowCounterRateLimiter]:
        with self._opening:
            if self._opened is None:
                options: dict[str, Any] = {"socket_timeout": PATIENCE, "retry": Retry(NoBackoff(), 0)}
                redis = RedisStorage(self._redis_url, key_prefix="sla-api", **options)  # options are handed on to redis as they are
                self._opened = SlidingWindowCounterRateLimiter(redis), SlidingWindowCounterRateLimiter(MemoryStorage())
            return self._opened


def _count(limiter: SlidingWindowCounterRateLimiter, per_minute: int, kind: str, name: str) -> Standing:
    item = RateLimitItemPerMinute(per_minute)
    allowed = limiter.hit(item, kind, name)
    stats = limiter.get_window_stats(item, kind, name)
    return Standing(allowed, per_minute, stats.remaining, max(math.ceil(stats.reset_time - time.time()), 0))
