"""The order in which policies are tried, as positions: as few of them are changed as will do."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

STEP: Final = 10  # between neighbours when all are numbered anew


def positions_for(order: Sequence[str], definitions: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """The positions that have to change so that `order` holds: name -> position. Names without a definition are passed over; so are the rest."""
    names = [name for name in order if name in definitions]
    now = {name: int(definitions[name].get("position", 100)) for name in names}
    kept = _longest_rise(names, now)
    placed: dict[str, int] = {name: now[name] for name in kept}
    for index, name in enumerate(names):
        if name in placed:
            continue
        below = next((placed[n] for n in reversed(names[:index]) if n in placed), None)
        above_index = next((i for i in range(index + 1, len(names)) if names[i] in placed), None)
        gap = 1 + sum(1 for n in names[index + 1 : above_index] if n not in placed)  # how many have to go between the two
        if below is None and above_index is None:
            placed[name] = 100
        elif above_index is None:
            assert below is not None
            placed[name] = below + STEP
        elif below is None:
            placed[name] = placed[names[above_index]] - STEP * gap
        else:
            room = placed[names[above_index]] - below
            if room <= gap:
                return {n: STEP * (i + 1) for i, n in enumerate(names) if now[n] != STEP * (i + 1)}
            placed[name] = below + room // (gap + 1)
    return {name: position for name, position in placed.items() if position != now[name]}


def move(order: Sequence[str], name: str, to: int) -> list[str]:
    """The order with `name` at place `to`, counted from one; beyond the ends is at the ends."""
    rest = [n for n in order if n != name]
    place = min(max(to, 1), len(rest) + 1) - 1
    return [*rest[:place], name, *rest[place:]]


def _longest_rise(names: Sequence[str], now: Mapping[str, int]) -> set[str]:
    """The largest set of names whose positions rise in the order already (equal positions are in order by name): these stay."""
    best: list[list[str]] = []
    longest: list[str] = []
    for name in names:
        before: list[str] = []
        for chain in best:
            if len(chain) > len(before) and (now[chain[-1]], chain[-1]) < (now[name], name):
                before = chain
        best.append([*before, name])
        longest = max(longest, best[-1], key=len)
    return set(longest)
