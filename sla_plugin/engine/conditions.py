"""Conditions as data: groups of leaves over named facts, compiled once into closures that test, explain and describe themselves.

A leaf is `{"field": "priority", "is": "P1"}` with exactly one operator of OPERATORS; a group is `{"all": [...]}`, `{"any": [...]}`, `{"none": [...]}` or
`{"not": {...}}`, nested at most DEEPEST deep; nothing (None or {}) always holds. Values compare as text, without regard to case; of a list (tags), `is`
and `in` ask for any entry. A fact that is missing, None, "" or an empty list is not set: it is nothing, contains nothing, and is no number.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sla_plugin.engine.operators import Facts, Node, Reason, Test, compile_leaf, did_you_mean
from sla_plugin.errors import InvalidDefinition

DEEPEST: Final = 5
GROUPS: Final = ("all", "any", "none", "not")


@dataclass(frozen=True)
class Condition:
    """A compiled condition; conditions of equal definitions are equal.

    definition   the data it was made of (None = always)
    test         test(facts) -> bool
    fields       the names it reads
    """

    definition: Any = field(hash=False)
    test: Test = field(compare=False, repr=False)
    fields: frozenset[str] = field(compare=False, repr=False)
    _reason: Reason = field(compare=False, repr=False)
    _sentence: str = field(compare=False, repr=False)

    def explain(self, facts: Facts) -> str:
        """Why it holds (`priority is P1`) or does not (`not: plan is Silver, not Gold`)."""
        holds, reason = self._reason(facts)
        return reason if holds else f"not: {reason}"

    def sentence(self) -> str:
        """The condition in words, for pages: `priority is P1 and (plan is Gold or tags contains vip)`."""
        return self._sentence


def compile_condition(definition: Any, where: str, fields: Collection[str] | None) -> Condition:
    """Compile `definition`; `where` names it in messages, e.g. `policies[0].applies_to`.

    `fields` are the names it may read, besides `custom.<id>`; None allows any. Raises InvalidDefinition naming the path, e.g. `applies_to.all[1].field`.
    """
    node = _ALWAYS if definition is None or definition == {} else _node(definition, where, fields, 1)
    return Condition(definition or None, node.test, node.fields, node.reason, node.sentence)


# --- groups ----------------------------------------------------------------------------------------------------------
def _node(definition: Any, where: str, fields: Collection[str] | None, depth: int) -> Node:
    if not isinstance(definition, Mapping):
        raise InvalidDefinition(where, f'{definition!r} is no condition; write one such as {{"field": "priority", "is": "P1"}}')
    if "field" in definition:
        return compile_leaf(definition, where, fields)
    if len(definition) != 1:
        raise InvalidDefinition(where, f"has {', '.join(map(str, definition)) or 'nothing'}; write a field, or exactly one of {', '.join(GROUPS)}")
    ((group, content),) = definition.items()
    if group not in GROUPS:
        raise InvalidDefinition(f"{where}.{group}", did_you_mean(str(group), (*GROUPS, "field")))
    if depth > DEEPEST:
        raise InvalidDefinition(f"{where}.{group}", f"groups are nested more than {DEEPEST} deep; say it with fewer")
    place = f"{where}.{group}"
    if group == "not":
        return _negated(_node(content, place, fields, depth + 1))
    if not isinstance(content, list | tuple):
        raise InvalidDefinition(place, "needs a list of conditions")
    parts = [_node(part, f"{place}[{index}]", fields, depth + 1) for index, part in enumerate(content)]
    if not parts and group == "any":
        raise InvalidDefinition(place, "is empty, so it never holds; name at least one condition")
    if group == "none":
        return _negated(_any(parts)) if parts else _ALWAYS
    if len(parts) < 2:
        return parts[0] if parts else _ALWAYS
    return _all(parts) if group == "all" else _any(parts)


def _always_reason(facts: Facts) -> tuple[bool, str]:
    return True, "always"


_ALWAYS: Final = Node(lambda facts: True, _always_reason, "always", frozenset())


def _all(parts: Sequence[Node]) -> Node:
    def reason(facts: Facts) -> tuple[bool, str]:
        reasons = [part.reason(facts) for part in parts]
        failing = [text for holds, text in reasons if not holds]
        return not failing, _listed(failing, "; ") if failing else _listed([text for _, text in reasons], " and ")

    return Node(_every([part.test for part in parts]), reason, " and ".join(part.inner for part in parts), _fields(parts), joined=True)


def _any(parts: Sequence[Node]) -> Node:
    def reason(facts: Facts) -> tuple[bool, str]:
        reasons = [part.reason(facts) for part in parts]
        holding = [text for holds, text in reasons if holds]
        return bool(holding), _listed(holding, " and ") if holding else _listed([text for _, text in reasons], "; ")

    return Node(_some([part.test for part in parts]), reason, " or ".join(part.inner for part in parts), _fields(parts), joined=len(parts) > 1)


def _every(tests: Sequence[Test]) -> Test:
    """All of `tests`, written out up to four, else halved: a call of a closure costs a third of all() over a generator."""
    match tests:
        case [only]:
            return only
        case [first, second]:
            return lambda facts: first(facts) and second(facts)
        case [first, second, third]:
            return lambda facts: first(facts) and second(facts) and third(facts)
        case [first, second, third, fourth]:
            return lambda facts: first(facts) and second(facts) and third(facts) and fourth(facts)
    middle = len(tests) // 2
    return _every([_every(tests[:middle]), _every(tests[middle:])])


def _some(tests: Sequence[Test]) -> Test:
    """Any of `tests`, as `_every`."""
    match tests:
        case [only]:
            return only
        case [first, second]:
            return lambda facts: first(facts) or second(facts)
        case [first, second, third]:
            return lambda facts: first(facts) or second(facts) or third(facts)
    middle = len(tests) // 2
    return _some([_some(tests[:middle]), _some(tests[middle:])])


def _negated(part: Node) -> Node:
    inner, inner_reason = part.test, part.reason

    def test(facts: Facts) -> bool:
        return not inner(facts)

    def reason(facts: Facts) -> tuple[bool, str]:
        holds, text = inner_reason(facts)  # the facts are the same whether they speak for or against
        return not holds, text

    return Node(test, reason, f"not ({part.sentence})", part.fields)


def _fields(parts: Sequence[Node]) -> frozenset[str]:
    return frozenset[str]().union(*(part.fields for part in parts))


def _listed(texts: Sequence[str], joint: str) -> str:
    return joint.join(dict.fromkeys(texts))
