"""What a wake runs: drain the inbox or the outbox of the runtime this worker process is bound to.

A wake has no content, may run twice or never, and never fails: what could not be done stays in SQL and is woken for again.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from sla_plugin.errors import ConfigurationError
from sla_plugin.jobs.ending import Ending

log = logging.getLogger("sla_plugin.worker")


class Drains(Protocol):
    """The part of the runtime that workers use; both drains end early once `ending` is set."""

    @property
    def ending(self) -> Ending:
        """Whether the process was asked to end."""
        ...

    def drain_inbox(self) -> int:
        """Apply waiting deliveries until none is left; how many were applied."""
        ...

    def drain_outbox(self) -> int:
        """Send what is due until nothing is left; how many calls were made."""
        ...


_bound: list[Drains] = []


def bind(runtime: Drains) -> None:
    """Give this process its runtime; once, before the worker listens."""
    _bound[:] = [runtime]


def drain_inbox() -> int:
    """Apply waiting deliveries; how many."""
    return _drain("inbox", lambda runtime: runtime.drain_inbox())


def drain_outbox() -> int:
    """Send what is due; how many calls."""
    return _drain("outbox", lambda runtime: runtime.drain_outbox())


# queue name -> the function its jobs name
DRAIN: dict[str, Callable[[], int]] = {"inbox": drain_inbox, "outbox": drain_outbox}


def _drain(queue: str, step: Callable[[Drains], int]) -> int:
    if not _bound:
        raise ConfigurationError("this worker has no runtime: start it with `sla-plugin worker`, not with `rq worker`")
    try:
        return step(_bound[0])
    except Exception:  # the worker outlives any failure; the timekeeper's look brings the work back
        log.exception("draining the %s failed; what waits there is tried again", queue)
        return 0
