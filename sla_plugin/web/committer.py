"""Commits deliveries for requests: the one place that commits for others, so that many may share a commit later."""

from collections.abc import Callable
from typing import Any

from sla_plugin.store.connections import note_state
from sla_plugin.store.db import Database
from sla_plugin.store.deliveries import count_duplicate, insert_deliveries


class Committer:
    """Stores verified deliveries durably; `stored` runs after the commit (a wake)."""

    def __init__(self, database: Database, stored: Callable[[], None]) -> None:
        self._database = database
        self._stored = stored

    def store(self, row: dict[str, Any]) -> bool:
        """Commit one delivery; False if it was stored before. Raises what the database raises: then nothing was kept."""
        with self._database.transaction() as tx:
            fresh = bool(insert_deliveries(tx, [row]))
            if fresh:
                note_state(tx, row["tenant_id"], row["connection_id"], last_delivery_at=row["received_at"])
            else:
                count_duplicate(tx, row["tenant_id"], row["connection_id"], row["delivery_key"])
        self._stored()
        return fresh
