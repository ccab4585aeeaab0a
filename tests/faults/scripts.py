"""What happens in a helpdesk in a few hours, by seed: the same whether or not something goes wrong on our side.

Instants are chosen so that nothing depends on how fast we are: things happen on multiples of five minutes, targets are no such multiple, and what could
overtake a write of ours happens only when the outbox is empty. What remains is that every run of a script must end alike, whatever went wrong meanwhile.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from tests.journeys.foreign_desk import ANNA, CARLA, ForeignDesk
from tests.plant import MINUTE, Plant, instant

START = instant("2026-11-16T09:00")
TARGETS = {"first_response": "62m", "next_response": "93m", "resolution": "151m"}
TIGHTER = {"first_response": "44m", "next_response": "78m", "resolution": "136m"}
GAP = (45, 80)  # minutes between two acts


@dataclass
class Act:
    """What happens at an instant. `quiet`: nothing of ours may be under way, for it could be overtaken."""

    at: int
    quiet: bool
    deeds: list[tuple[Any, ...]] = field(default_factory=list)


@dataclass
class Script:
    """A desk with or without audits, and what happens in it."""

    seed: int
    audits: bool
    acts: list[Act]
    end: int


def script_of(seed: int) -> Script:
    """The script of a seed."""
    chance = random.Random(f"script {seed}")
    audits = chance.random() < 0.7
    acts: list[Act] = []
    at = START
    names: list[str] = []
    closed: set[str] = set()
    for number in range(chance.randint(2, 4)):
        # without audits nobody can tell our comment from another's, if its answer is lost and somebody else writes before we look
        act = Act(at, quiet=number > 0 and (not audits or chance.random() < 0.5))
        for _ in range(chance.randint(1, 2) if number == 0 else chance.randint(0, 1)):
            names.append(f"T{len(names) + 1}")
            act.deeds.append(("open", names[-1], chance.choice(["low", "normal", "high", "urgent", None]), chance.choice([None, None, ANNA])))
        for name in names:
            if name in closed or chance.random() < 0.4 or ("open", name) == act.deeds[-1][:2] if act.deeds else name in closed:
                continue
            deed = chance.choice(["answer", "ask", "note", "pending", "reopen", "priority", "solve", "close"] if act.quiet else ["answer", "ask", "note"])
            if deed == "close":
                closed.add(name)
            act.deeds.append((deed, name, chance.choice(["low", "high", "urgent"])))
        if number and chance.random() < 0.25:
            act.deeds.append(("policy",))
        acts.append(act)
        at += chance.randint(*GAP) // 5 * 5 * MINUTE
    return Script(seed, audits, acts, at)


class Stage:
    """A script's tickets by name, and its deeds done."""

    def __init__(self, plant: Plant, desk: ForeignDesk) -> None:
        self.plant, self.desk = plant, desk
        self.numbers: dict[str, int] = {}

    @property
    def names(self) -> dict[str, str]:
        """Name by the helpdesk's number (as text)."""
        return {str(number): name for name, number in self.numbers.items()}

    def do(self, deed: tuple[Any, ...]) -> None:
        """One deed, now."""
        match deed:
            case ("open", name, priority, assignee):
                self.numbers[name] = self.desk.open_ticket(priority, assignee=assignee)
            case ("answer", name, _):
                self._change(name, ANNA, comment={"body": "We are looking into it.", "public": True})
            case ("ask", name, _):
                self._change(name, CARLA, comment={"body": "Any news?", "public": True})
            case ("note", name, _):
                self._change(name, ANNA, comment={"body": "Paper tray?", "public": False})
            case ("pending", name, _):
                self._change(name, ANNA, status="pending")
            case ("reopen", name, _):
                self._change(name, CARLA, status="open")
            case ("solve", name, _):
                self._change(name, ANNA, status="solved")
            case ("close", name, _):
                self._change(name, ANNA, status="closed")
            case ("priority", name, priority):
                self._change(name, ANNA, priority=priority)
            case ("policy",):
                self.plant.policy(targets=TIGHTER)

    def _change(self, name: str, by: int, **members: Any) -> None:
        if self.desk.tickets[self.numbers[name]]["status"] != "closed":
            self.desk.change(self.numbers[name], by=by, **members)
