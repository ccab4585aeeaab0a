"""Whether a condition can ever hold: tried on every combination of the values that its leaves tell apart."""

from collections.abc import Mapping
from itertools import combinations, product
from math import prod
from typing import Any, Final

from sla_plugin.engine.conditions import compile_condition
from sla_plugin.engine.creation_time import TIME_FIELDS, fact_of, leaves_of, values_of
from sla_plugin.engine.events import KINDS, ROLES
from sla_plugin.engine.facts import PRIORITIES, STATUSES
from sla_plugin.engine.operators import CUSTOM

# Facts that take no other values than these; every other field may hold anything.
_VALUES: Final[Mapping[str, tuple[Any, ...]]] = {
    "event": (None, *sorted(KINDS)),
    "actor_role": (None, *sorted(ROLES)),
    "actor_is_requester": (False, True),
    "opening": (False, True),
    "public": (None, False, True),
    "reopened": (False, True),
    "status": STATUSES,
    "priority": PRIORITIES,
}
_MOST: Final = 20_000  # combinations; above it the condition is taken as possible
_MOST_TOGETHER: Final = 10  # words that one value may hold together


def can_hold(definition: Any) -> bool:
    """False only if no ticket and no event can meet the condition (of a valid definition)."""
    if not definition:
        return True
    condition = compile_condition(definition, "condition", None)
    asked: dict[str, list[Mapping[str, Any]]] = {}
    for leaf in leaves_of(definition):
        asked.setdefault(fact_of(leaf).name if leaf["field"] in TIME_FIELDS else leaf["field"], []).append(leaf)
    domains = [_domain(name, leaves) for name, leaves in asked.items()]
    if prod(len(domain) for domain in domains) > _MOST:
        return True
    return any(condition.test(dict(zip(asked, values, strict=True))) for values in product(*domains))


def _domain(name: str, leaves: list[Mapping[str, Any]]) -> tuple[Any, ...]:
    field = leaves[0]["field"]
    if field in TIME_FIELDS:
        return (None, *values_of(field))
    return _VALUES[name] if name in _VALUES else _told_apart(name, leaves)


def _told_apart(name: str, leaves: list[Mapping[str, Any]]) -> tuple[Any, ...]:
    """Values of a free field, one for each way in which its leaves may answer."""
    named = [value for leaf in leaves for key, value in leaf.items() if key not in ("field", "is_set")]
    words = [word for value in named for word in (value if isinstance(value, list | tuple) else [value])]
    numbers = [word for word in words if isinstance(word, int | float) and not isinstance(word, bool)]
    near = [number + step for number in numbers for step in (-1, 1)]
    many = name == "tags" or name.startswith(CUSTOM)
    together = [word for leaf in leaves for key, word in leaf.items() if key.endswith("contains")] if not many else words
    if len(together) > _MOST_TOGETHER:
        return (None,) * (_MOST + 1)  # too many to try
    several = [some for size in range(2, len(together) + 1) for some in combinations(together, size)]
    return (None, "something else", *words, *near, *(" ".join(map(str, some)) for some in several), *(several if many else ()))
