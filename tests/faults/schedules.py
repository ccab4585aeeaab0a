"""A script and where it is played: the house of a database, what every play has in common, and the undisturbed play."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import text

from sla_plugin.ports import HttpAnswer
from sla_plugin.settings import Settings
from sla_plugin.store.db import Database, open_database
from sla_plugin.store.schema import METADATA
from tests.faults.findings import Remains, remains_of, unfinished
from tests.faults.parts import GivenClock, Switchboard, Work
from tests.faults.scripts import START, TARGETS, Script, Stage, script_of
from tests.faults.wire import Wire
from tests.journeys.foreign_desk import ROBOT, ForeignDesk, Webhook
from tests.owner import as_owner
from tests.plant import MINUTE, SECOND, Plant

PATIENCE = 6 * MINUTE  # of given time: after that much without a fault nothing may wait any more


class GivenPlant(Plant):
    """A plant on a database that is open already; its `now` is every process's clock, but for `skew` (microseconds) by which theirs is wrong."""

    def __init__(self, settings: Settings, database: Database, clock: GivenClock, **options: Any) -> None:
        self.clock, self._now, self._skew = clock, 0, 0
        super().__init__(settings, database=database, **options)

    @property
    def now(self) -> int:
        """The true time."""
        return self._now

    @now.setter
    def now(self, now: int) -> None:
        self._now = now
        self.clock.set(now + self._skew)

    def skew(self, by: int) -> None:
        """Step the clock of the product."""
        self._skew = by
        self.clock.set(self._now + by)


class House:
    """A database that is used again and again, and all that outlives a schedule."""

    def __init__(self, settings: Settings, template: Path | None = None) -> None:
        """`template`: a migrated SQLite file."""
        self.settings, self.template = settings, template
        self.database = open_database(settings.database_url, settings.data_dir)
        self.clock = GivenClock()
        self.board = Switchboard()
        self.wire = Wire(self.board.selector)
        self._references: dict[int, tuple[Script, Remains]] = {}

    def empty(self) -> None:
        """A database without a row."""
        engine = self.database.engine
        if self.template is not None:
            engine.dispose()
            path = Path(engine.url.database or "")
            for end in ("-wal", "-shm"):
                path.with_name(path.name + end).unlink(missing_ok=True)
            shutil.copyfile(self.template, path)
            return
        tables = ", ".join(f'"{table.name}"' for table in METADATA.sorted_tables)
        with as_owner(engine) as connection:
            connection.execute(text(f"TRUNCATE {tables}"))

    def reference(self, number: int) -> tuple[Script, Remains]:
        """The first script from `number * 1000` on that is fit to be compared, and how it ends undisturbed."""
        if number not in self._references:
            for seed in range(number * 1000, number * 1000 + 1000):
                script = script_of(seed)
                if (remains := Undisturbed(self, script).play()) is not None:
                    self._references = {number: (script, remains)}
                    break
        return self._references[number]

    def close(self) -> None:
        """Let go of everything."""
        self.database.engine.dispose()
        self.wire.close_listener()


class DirectHttp:
    """The way to a desk in this very process."""

    def __init__(self, desk: ForeignDesk) -> None:
        self.desk = desk

    def request(self, method: str, url: str, *, auth: tuple[str, str], json: Any = None, **_: Any) -> HttpAnswer:
        parts = urlsplit(url)
        credential = base64.b64encode(":".join(auth).encode()).decode()
        headers = {"Authorization": f"Basic {credential}", "Content-Type": "application/json"}
        answer = self.desk.serve(method, parts.path + (f"?{parts.query}" if parts.query else ""), headers, dumps(json))
        return HttpAnswer(200, {}, dumps(answer))


def dumps(value: Any) -> bytes:
    """As it goes over the wire."""
    return json.dumps(value).encode()


class Play:
    """A script on a fresh database. What is told to a part is done by `step`."""

    def __init__(self, house: House, script: Script) -> None:
        self.house, self.script = house, script
        self.desk = ForeignDesk(audits=script.audits, clock=lambda: self.plant.now / 1e6)
        self.desk._server.server_close()  # the wire serves it
        house.empty()
        self.plant = GivenPlant(house.settings, house.database, house.clock, http=DirectHttp(self.desk))
        self.plant.now = START
        sealed = self.plant.outside.sealer.seal
        self.plant.connect(
            "desk", "zendesk", base_url=house.wire.url, email=self.desk.email, facts={"user_id": str(ROBOT)}, assignee=str(ROBOT),
            sealed_token=sealed(self.desk.token), sealed_secrets=[{"sealed": sealed(self.desk.secret), "added_at": START}],
            checked_at=START,
        )  # fmt: skip
        self.plant.policy(targets=TARGETS)
        self.stage = Stage(self.plant, self.desk)

    def step(self, role: str, **order: Any) -> Any:
        """Have a part of `role` do one step; what came of it, None if it came to nothing."""
        raise NotImplementedError

    def send_webhook(self, webhook: Webhook) -> bool:
        """One try of the helpdesk; False without a 2xx."""
        status = self.step("door", path="/webhooks/desk", headers=self.desk.signed(webhook), body=webhook.body.decode())
        return status in (200, 202)

    def send_webhooks(self) -> None:
        """Every waiting webhook once."""
        for _ in range(len(self.desk.webhooks)):
            webhook = self.desk.webhooks.popleft()
            if not self.send_webhook(webhook):
                self.desk.webhooks.append(webhook)

    def _take_in(self) -> None:
        """Every webhook that waits, received and applied."""
        self.send_webhooks()
        self.step("inbox")

    def settle(self, until: int, *, outbox: bool) -> list[str]:
        """Let everything be done, undisturbed, letting time pass at most `until`; what is left."""
        for wait in [0, 1, 2, 2, 5, 5, 10, 10, 20, 30, *[30] * 20]:
            self.plant.now = max(self.plant.now, min(self.plant.now + wait * SECOND, until))
            self.desk.land_late()
            self._take_in()
            self.step("timekeeper")
            if outbox:
                self.step("outbox")
                self._take_in()
            left = unfinished(self.stage, outbox=outbox)
            if not left or self.plant.now >= until:
                break
        return left


class Undisturbed(Play):
    """Everything at its time, in this process."""

    def __init__(self, house: House, script: Script) -> None:
        super().__init__(house, script)
        self._work = Work(house.database, self.plant.outside, house.clock)

    def step(self, role: str, **order: Any) -> Any:
        done = getattr(self._work, role)(**order)
        if role == "door":
            self._work.close()  # no thread may run when processes are forked
        return done

    def play(self) -> Remains | None:
        """How it ends; None for a script in which something depends on how fast we are."""
        for act in self.script.acts:
            self._pass(act.at)
            for deed in act.deeds:
                self.stage.do(deed)
            left = self.settle(self.plant.now + 5 * SECOND, outbox=True)
            assert not left, f"undisturbed script {self.script.seed}: {left}"
        self._pass(self.script.end)
        due = [(a["due_at"], a["level"]) for a in self.plant.rows("alert")]
        acts = [(act.at, act.quiet) for act in self.script.acts] + [(self.script.end, True)]
        if any(-10 * SECOND < at - passed < (PATIENCE + MINUTE if quiet and level == "breach" else 10 * SECOND) for at, quiet in acts for passed, level in due):
            return None
        if any(c["state"] != "sent" for c in self.plant.rows("command")):
            return None
        return remains_of(self.stage)

    def _pass(self, until: int) -> None:
        while (coming := self.plant.next_transition()) is not None and coming <= until:
            self.plant.now = max(self.plant.now, coming)
            left = self.settle(until, outbox=True)
            assert not left, f"undisturbed script {self.script.seed}: {left}"
        self.plant.now = max(self.plant.now, until)
