"""What goes wrong where: by chance, or everything once."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from tests.faults.points import Moment, Point


class Plan(Protocol):
    """Decides what goes wrong where."""

    def choose(self, point: Point, choices: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
        """(side, fault) of the choices, or None: nothing."""
        ...


class RandomPlan:
    """Something goes wrong at one of `1 / rate` moments."""

    def __init__(self, chance: random.Random, rate: float) -> None:
        self._chance, self._rate = chance, rate

    def choose(self, point: Point, choices: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
        """By chance."""
        return self._chance.choice(choices) if self._chance.random() < self._rate else None


class SweepPlan:
    """Every fault at every side of every point once, as they come."""

    def __init__(self, chance: random.Random, rate: float) -> None:
        self._chance, self._rate = chance, rate
        self.done: Counter[Moment] = Counter()

    def choose(self, point: Point, choices: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
        """What was not tried here before."""
        left = [c for c in choices if not self.done[Moment(point, *c)]]
        often = self._rate if len(left) < len(choices) else 0.9  # a side that was never struck
        if not left or self._chance.random() > often:
            return None
        chosen = self._chance.choice(left)
        self.done[Moment(point, *chosen)] += 1
        return chosen
