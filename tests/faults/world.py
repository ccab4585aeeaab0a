"""The product with time given, and a helpdesk of strangers that misbehaves on demand; what arrived is counted at its side."""

from typing import Any

import pytest

from connectors.http import Http
from sla_plugin.ports import Http as WayOut
from sla_plugin.services.change_connection import set_mode
from sla_plugin.settings import Settings
from tests.journeys.foreign_desk import ROBOT, ForeignDesk
from tests.plant import SECOND, Plant, instant

ONCE = {"raises": 1, "comments": 1, "assigns": 1}
NOTHING = {"raises": 0, "comments": 0, "assigns": 0}
AUDITS = pytest.mark.parametrize("audits", [True, False], ids=["audits", "no audits"])
DUE = instant("2026-11-16T10:00")


class World:
    """The product with time given, a ticket whose first response is due at 10:00, and the helpdesk it lives in."""

    def __init__(self, settings: Settings, *, audits: bool = True, http: WayOut | None = None) -> None:
        self.plant = Plant(settings, http=http or Http(allow_private=True))
        self.desk = ForeignDesk(audits=audits, clock=lambda: self.plant.now / 1e6)
        self.desk.__enter__()
        self.zendesk = self.plant.connect(
            "desk", "zendesk", base_url=self.desk.url, email=self.desk.email, facts={"user_id": str(ROBOT)}, assignee=str(ROBOT),
            sealed_token=self.plant.outside.sealer.seal(self.desk.token),
        )  # fmt: skip

    def close(self) -> None:
        self.desk.__exit__()
        self.plant.close()

    def breach(self, **ticket: Any) -> int:
        """A ticket that is breached, its commands waiting; a moment after 10:00."""
        self.plant.policy(targets={"first_response": "1h"})
        number = self.desk.open_ticket(**ticket)
        self.hear()
        self.plant.pass_time(DUE + SECOND // 5)
        return number

    def hear(self, *, again: bool = False, backwards: bool = False) -> None:
        """Take in the webhooks the desk has for us."""
        waiting = [*self.desk.webhooks]
        self.desk.webhooks.clear()
        for round_ in range(2 if again else 1):
            for webhook in reversed(waiting) if backwards else waiting:
                self.plant.deliver(body=webhook.body, connection=self.zendesk, key=f"{webhook.invocation}-{round_}")
        self.plant.apply()

    def send(self, after: float = 0.0) -> None:
        """Drain the outbox, `after` seconds later."""
        self.plant.now += round(after * SECOND)
        self.plant.send()

    def switch(self, mode: str) -> None:
        """As the operator does it: live, dry_run, observe."""
        with self.plant.database.transaction(self.plant.tenant) as tx:
            set_mode(tx, self.plant.tenant, "desk", mode, self.plant.now, "test", self.plant.outside)

    def call(self, number: int = -1) -> dict[str, Any]:
        return self.plant.rows("call")[number]

    def states(self, table: str) -> list[str]:
        return [row["state"] for row in self.plant.rows(table)]

    def clocks(self) -> list[dict[str, Any]]:
        """What no write of ours may move."""
        moved_by_nobody = ("metric", "cycle", "phase", "target", "started_at", "stopped_at", "deadline_at", "breached_at", "warning_at", "critical_at")
        return [{name: row[name] for name in moved_by_nobody} for row in self.plant.rows("clock")]
