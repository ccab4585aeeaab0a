"""The process as pages and metrics see it."""

from collections.abc import Callable, Mapping
from typing import Protocol

from sla_plugin.reports.lights import PartHealth
from sla_plugin.services.outside import Outside
from sla_plugin.settings import Settings
from sla_plugin.store.db import Database


class Runtime(Protocol):
    """What pages and metrics need of the process they run in; `parts` says how the other processes are, where somebody knows."""

    settings: Settings
    database: Database
    outside: Outside
    parts: Callable[[], Mapping[str, PartHealth]] | None

    @staticmethod
    def clock() -> int:
        """Now, microseconds UTC."""
        ...
