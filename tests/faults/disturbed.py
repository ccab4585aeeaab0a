"""The same script in processes of its own, in which things go wrong at fault points, by seed."""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import text

from sla_plugin.store.duties import Duty
from tests.faults.findings import Findings, Remains, broken_chain, compare, remains_of
from tests.faults.parts import Part, start
from tests.faults.plans import Plan
from tests.faults.points import TURN, Moment, Point
from tests.faults.schedules import PATIENCE, House, Play, dumps
from tests.faults.scripts import START, Script
from tests.journeys.foreign_desk import ANNA, Webhook
from tests.owner import as_owner
from tests.plant import MINUTE, SECOND

STOPPED = 95 * SECOND  # longer than any lease
GRACE = 0.01  # wall seconds without a word from parts that do not compute: they wait for a lock of another
HANGS = 30.0  # wall seconds
PAUSES = (0, 0, SECOND // 5, SECOND, 2 * SECOND, 6 * SECOND, 31 * SECOND, 95 * SECOND)
SKEWS = (-90 * SECOND, -3 * SECOND, 3 * SECOND, 100 * SECOND)


class Hang(Exception):
    """A part does not come back."""


class Disturbed(Play):
    """The same in processes that are killed, stopped and cut off at fault points, as `plan` says; `chance` does the rest."""

    def __init__(self, house: House, script: Script, chance: random.Random, plan: Plan) -> None:
        super().__init__(house, script)
        house.wire.desk = self.desk
        self.chance, self.plan = chance, plan
        self.faults_on = False
        self.hits: Counter[Moment] = Counter()
        self.seen: Counter[tuple[Point, str]] = Counter()
        self.trace: list[str] = []
        self.findings = Findings()
        self._parts: dict[tuple[str, int], Part] = {}
        self._stopped: list[Part] = []
        self._limit = 0  # chaos lets no more time pass than this
        self._taken: list[Webhook] = []
        self._forks = 0

    # --- the whole of it ------------------------------------------------------------------------------------------
    def play(self, wanted: Remains) -> Findings:
        """Play to the end and compare."""
        try:
            self._play()
            if not self.findings.stuck:
                odd = self.findings.odd
                self.findings = compare(remains_of(self.stage), wanted)
                self.findings.odd = odd + broken_chain(self.stage)
        except Hang as hang:
            self.findings.stuck.append(str(hang))
        finally:
            for part in list(self._parts.values()) + self._stopped:
                self._bury(part)
            self.house.wire.hang_up()
        return self.findings

    def _play(self) -> None:
        for number, act in enumerate([*self.script.acts, None]):
            at, quiet = (act.at, act.quiet) if act is not None else (self.script.end, True)
            if number:
                self._pass(at, quiet)
            if self.findings.stuck or act is None:
                return
            self._note(f"act {number}: {act.deeds}")
            for deed in act.deeds:
                self.stage.do(deed)
            self._limit = self.plant.now  # what happened is received before time goes on
            for _ in range(3):
                self._disturb(self._deliver, self._deliver, self._inbox, self._inbox, self._together)
            self._undisturbed()
            self.send_webhooks()
            self._limit = self.plant.now + 20 * MINUTE
            for _ in range(self.chance.randint(2, 5)):
                self._disturb()
            self._calm(self.plant.now + PATIENCE, outbox=self.chance.random() < 0.5, why=f"after act {number}")

    def _pass(self, at: int, quiet: bool) -> None:
        """Time passes until an act; nothing new happens but deadlines."""
        self._limit = at - PATIENCE if quiet else at - SECOND
        while not self.findings.stuck and (coming := self.plant.next_transition()) is not None and coming <= at:
            late = self.chance.choice([0, 0, SECOND // 3, 20 * SECOND, 9 * MINUTE])
            self.plant.now = max(self.plant.now, coming, min(coming + late, self._limit))
            self._note(f"{self._clock_text()} a transition is due")
            for _ in range(self.chance.randint(1, 3) if self.plant.now <= self._limit else 0):
                self._disturb()
            self._calm(at, outbox=False, why="time passes")
        if quiet and not self.findings.stuck:
            for _ in range(3 if self.plant.now <= self._limit else 0):
                self._disturb()
            self._calm(at, outbox=True, why="before a quiet act")
        self.plant.now = max(self.plant.now, at)

    def _calm(self, until: int, *, outbox: bool, why: str) -> None:
        """The faults stop: everything must come to rest by itself."""
        self._undisturbed()
        if left := self.settle(until, outbox=outbox):
            self.findings.stuck += [f"{why}: {one}" for one in left]

    def _undisturbed(self) -> None:
        self.faults_on = False
        self.plant.skew(0)
        for part in self._stopped[:]:
            self._go_on(part)

    @property
    def _anything(self) -> Sequence[Callable[[], None]]:
        often = (self._deliver, self._inbox, self._outbox, self._outbox, self._time)
        return (*often, *often, self._together, self._wait, self._wait, self._meddle, self._step_clock, self._wake)

    # --- what may happen --------------------------------------------------------------------------------------------
    def _disturb(self, *what: Callable[[], None]) -> None:
        """One thing happens, with faults."""
        self.faults_on = True
        self.chance.choice(what or self._anything)()
        self.faults_on = False

    def _deliver(self) -> None:
        if self._taken and self.chance.random() < 0.1:
            self.send_webhook(self.chance.choice(self._taken))
        for _ in range(min(3, len(self.desk.webhooks))):
            webhook = self.chance.choice(list(self.desk.webhooks))
            if self.send_webhook(webhook):
                self.desk.webhooks.remove(webhook)
                self._taken.append(webhook)

    def _inbox(self) -> None:
        self._order(("inbox", 0))

    def _outbox(self) -> None:
        self._order(("outbox", self.chance.randint(0, 1)))

    def _time(self) -> None:
        self._order(("timekeeper", self.chance.randint(0, 1)))

    def _together(self) -> None:
        """Up to four workers and two timekeepers at once, and the door beside them."""
        everybody = [(role, number) for role in ("inbox", "outbox", "timekeeper") for number in (0, 1)]
        orders: list[tuple[tuple[str, int], dict[str, Any]]] = [(key, {}) for key in self.chance.sample(everybody, self.chance.choice([2, 2, 2, 3, 3, 6]))]
        webhook = self.chance.choice(list(self.desk.webhooks)) if self.desk.webhooks and self.chance.random() < 0.5 else None
        if webhook is not None:
            orders.append((("door", 0), {"path": "/webhooks/desk", "headers": self.desk.signed(webhook), "body": webhook.body.decode()}))
        results = self._run(orders)
        if webhook is not None and results[-1] in (200, 202):
            self.desk.webhooks.remove(webhook)
            self._taken.append(webhook)

    def _wait(self) -> None:
        self._let_pass(self.chance.choice(PAUSES))

    def _meddle(self) -> None:
        """Somebody writes a note while we are between reading and writing; what is late lands."""
        self.desk.land_late()
        if self.script.audits:
            self.desk.between = lambda number: self.desk.change(number, by=ANNA, comment={"body": "Me, too", "public": False})

    def _step_clock(self) -> None:
        """Our clock is stepped, where nothing happens that it could date wrongly: no webhook waits, no transition lies within the step."""
        coming = self.plant.next_transition()
        if self.desk.webhooks or (coming is not None and self.plant.now < coming <= self.plant.now + 5 * MINUTE):
            return
        by = self.chance.choice(SKEWS)
        self._note(f"clock stepped by {by / SECOND:+.0f} s")
        self.plant.skew(by)

    def _wake(self) -> None:
        if self._stopped:
            self._go_on(self.chance.choice(self._stopped))

    def _let_pass(self, pause: int) -> None:
        if pause > 20 * SECOND:
            self.desk.land_late()  # what gets no answer arrives within half a minute, or never
        self.plant.now = max(self.plant.now, min(self.plant.now + pause, self._limit))

    # --- parts --------------------------------------------------------------------------------------------------------
    def step(self, role: str, **order: Any) -> Any:
        return self._run([((role, 0), order)])[0]

    def _order(self, key: tuple[str, int]) -> None:
        self._run([(key, {})])

    def _part(self, key: tuple[str, int]) -> Part:
        part = self._parts.get(key)
        if part is None or part.state in ("dead", "stopped"):  # a stopped one is replaced, as by another host
            house = self.house
            self._forks += 1
            close = house.wire.close_listener
            part = self._parts[key] = start(key[0], house.database, self.plant.outside, house.clock, seed=self._forks, close=close)
            house.board.add(part, self._hear)
        return part

    def _run(self, orders: Sequence[tuple[tuple[str, int], Mapping[str, Any]]]) -> list[Any]:
        """Give orders, and see to it that parts go on one after the other until all are done, dead or stopped; their results."""
        parts = []
        for key, order in orders:
            part = self._part(key)
            part.state, part.result = "busy", {}
            part.tell(dumps(order))
            parts.append(part)
        self._until_idle(parts)
        return [part.result.get("done") if part.state == "idle" else None for part in parts]

    def _until_idle(self, parts: Sequence[Part]) -> None:
        silent_since = time.monotonic()
        while True:
            waiting = [p for p in parts if p.state == "waiting"]
            busy = [p for p in parts if p.state == "busy"]
            if not waiting and not busy:
                return
            if busy and (self.house.board.wait(GRACE if waiting else 1.0) or (waiting and any(p.computes() for p in busy))):
                silent_since = time.monotonic()
                continue
            if waiting:
                self._release(self.chance.choice([p for p in waiting if self._may_go(p)] or waiting))
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > HANGS:
                raise Hang(f"{[p.role for p in busy]} say nothing for {HANGS:.0f} s")

    def _hear(self, part: Part) -> None:
        line = part.file.readline()
        if not line:
            self.findings.odd.append(f"{part.role} died by itself")
            self._bury(part)
            return
        said = json.loads(line)
        if "at" in said:
            part.said, part.state = said, "waiting"
            return
        part.result, part.state = said, "idle"
        self._note(f"{part.name}: {said}")
        if said.get("odd"):
            self.findings.odd.append(f"{part.role}: {said['failed']}")

    def _may_go(self, part: Part) -> bool:
        """False for one that waits for the write turn of another."""
        turn = self.house.database.turn
        if part.said["at"][1] != TURN or turn is None:
            return True
        holder = (turn.holder() or {}).get("pid")
        return holder == part.pid or holder not in [p.pid for p in self._parts.values() if p.state in ("busy", "waiting")]

    def _release(self, part: Part) -> None:
        """A part that waits at a point goes on, or something happens to it."""
        if part.said["at"][1] == TURN:
            part.state = "busy"
            part.tell(dumps({"fault": None}))
            return
        point = Point(*part.said["at"])
        choices = [(side, fault) for side, fault in part.said["choices"]]
        self.seen[point, choices[0][0]] += 1
        chosen = self.plan.choose(point, choices) if self.faults_on else None
        if chosen is not None:
            self.hits[Moment(point, *chosen)] += 1
            self._note(f"{self._clock_text()} {part.name}: {chosen[1]} {chosen[0]} {point.kind} {point.what} at {point.where}")
        match chosen:
            case (_, "kill"):
                self._bury(part)
            case (_, "stop"):
                self._stop(part)
            case _:
                part.state = "busy"
                part.tell(dumps({"fault": chosen}))

    def _stop(self, part: Part) -> None:
        os.kill(part.pid, signal.SIGSTOP)
        os.waitpid(part.pid, os.WUNTRACED)
        part.state = "stopped"
        turn = self.house.database.turn
        if turn is not None and (turn.holder() or {}).get("pid") == part.pid:
            self._bury(part)  # the supervisor does so after 2 s
            return
        self._stopped.append(part)
        self.house.board.drop(part)
        self._free(part.said["backends"], "state LIKE 'idle in transaction%'")  # Postgres does so after 8 s
        self._let_pass(STOPPED)

    def _go_on(self, part: Part) -> None:
        """SIGCONT; it goes on where it was stopped."""
        self._stopped.remove(part)
        self._note(f"{part.name} goes on")
        self.house.board.add(part, self._hear)
        os.kill(part.pid, signal.SIGCONT)
        part.state = "busy"
        part.tell(dumps({"fault": None}))
        self._until_idle([part])
        if part not in self._parts.values():
            self._bury(part)

    def _bury(self, part: Part) -> None:
        if part.state == "dead":
            return
        self.house.board.drop(part)
        part.kill()
        if part in self._stopped:
            self._stopped.remove(part)
        self._free(part.said.get("backends", []), "false")

    def _free(self, backends: Sequence[int], end: str) -> None:
        """Wait until Postgres has noticed that a process is gone, or has ended its connections that are in a state."""
        if not backends or self.house.database.turn is not None:
            return
        where = f"pid = ANY(:pids) AND {end}"
        pids = {"pids": list(backends)}
        if end != "false":
            with as_owner(self.house.database.engine) as connection:
                connection.execute(text(f"SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE {where}"), pids)
            return
        for _ in range(200):
            with self.house.database.reading(Duty.CHECKING) as tx:
                if not tx.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(:pids)"), pids):
                    return
            time.sleep(0.001)

    # --- what is told -----------------------------------------------------------------------------------------------
    def _note(self, line: str) -> None:
        self.trace.append(line)

    def _clock_text(self) -> str:
        seconds = (self.plant.now - START) / SECOND
        return f"{int(seconds // 3600)}:{int(seconds // 60 % 60):02}:{seconds % 60:04.1f}"
