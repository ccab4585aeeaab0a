"""The leaves of conditions: what one operator asks of one fact, and how it says so."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from sla_plugin.engine.creation_time import TIME_FIELDS, read_time_leaf
from sla_plugin.errors import InvalidDefinition

Facts = Mapping[str, Any]
Test = Callable[[Facts], bool]
Reason = Callable[[Facts], tuple[bool, str]]  # whether it holds, and why in words

CUSTOM: Final = "custom."  # fields of the helpdesk's own making: custom.<vendor id>
_MANY: Final[frozenset[type]] = frozenset((list, tuple, set, frozenset))  # facts that are several values, such as tags
_FLAGS: Final = {"true": True, "false": False}
OPERATORS: Final = ("is", "is_not", "in", "not_in", "contains", "not_contains", "is_set", "at_least", "at_most")


@dataclass(frozen=True, slots=True)
class Node:
    """One compiled part; `sentence` of a group of several (`joined`) needs brackets inside another."""

    test: Test
    reason: Reason
    sentence: str
    fields: frozenset[str]
    joined: bool = False

    @property
    def inner(self) -> str:
        return f"({self.sentence})" if self.joined else self.sentence


def compile_leaf(definition: Mapping[str, Any], where: str, fields: Collection[str] | None) -> Node:
    """One leaf; `where` and `fields` as compile_condition has them. Raises InvalidDefinition."""
    name = definition["field"]
    if not isinstance(name, str) or not name or name == CUSTOM:
        raise InvalidDefinition(f"{where}.field", f"{name!r} is no field name")
    if fields is not None and name not in fields and not name.startswith(CUSTOM):
        raise InvalidDefinition(f"{where}.field", f"no field {name!r}; {did_you_mean(name, sorted(fields))}")
    if name in TIME_FIELDS:
        definition = read_time_leaf(definition, where)
        name = definition["field"]
    operators = [key for key in definition if key != "field"]
    for key in operators:
        if key not in OPERATORS:
            raise InvalidDefinition(f"{where}.{key}", did_you_mean(str(key), OPERATORS))
    if len(operators) != 1:
        raise InvalidDefinition(where, f"needs exactly one of {', '.join(OPERATORS)}, has {len(operators)}")
    (operator,) = operators
    wanted = definition[operator]
    place = f"{where}.{operator}"
    if operator == "is_set":
        return _setcompile_leaf(name, wanted, place)
    if operator in ("at_least", "at_most"):
        return _numbercompile_leaf(name, operator, wanted, place)
    if operator in ("in", "not_in"):
        return _textcompile_leaf(name, operator, _texts(wanted, place))
    return _textcompile_leaf(name, operator, [_scalar(wanted, place)])


def _textcompile_leaf(name: str, operator: str, wanted: list[Any]) -> Node:
    """is, in, contains and their opposites: the same question, whether any wanted text is found."""
    words = frozenset(map(_text, wanted))
    negative = operator in ("is_not", "not_in", "not_contains")
    found: Test = _contains(name, words) if operator.endswith("contains") else _equals(name, words)
    shown = " or ".join(map(_shown, wanted))
    verb = operator.replace("_", " ") if operator.endswith("contains") else "is not" if negative else "is"

    def negative_test(facts: Facts) -> bool:
        return not found(facts)

    def reason(facts: Facts) -> tuple[bool, str]:
        hit, fact = found(facts), _shown(facts.get(name))
        if operator.endswith("contains"):
            return hit is not negative, f"{name} contains {shown}" if hit else f"{name} is {fact}, without {shown}"
        return hit is not negative, f"{name} is {fact}" if hit else f"{name} is {fact}, not {shown}"

    return Node(negative_test if negative else found, reason, f"{name} {verb} {shown}", frozenset((name,)))


def _equals(name: str, words: frozenset[str]) -> Test:
    if len(words) == 1:
        (word,) = words
        if word in _FLAGS:
            return _flagged(name, word)

        def test_one(facts: Facts) -> bool:
            fact = facts.get(name)
            if fact.__class__ is str:
                text: str = fact
                return text == word or text.casefold() == word
            if fact is None:
                return False
            return word in _all_texts(fact) if fact.__class__ in _MANY else _text(fact) == word

        return test_one

    def test(facts: Facts) -> bool:
        fact = facts.get(name)
        if fact.__class__ is str:
            return fact in words or fact.casefold() in words
        if fact is None:
            return False
        return not words.isdisjoint(_all_texts(fact)) if fact.__class__ in _MANY else _text(fact) in words

    return test


def _flagged(name: str, word: str) -> Test:
    """Equal to true or false: nearly always asked of a fact that is one of them."""
    wanted = _FLAGS[word]

    def test(facts: Facts) -> bool:
        fact = facts.get(name)
        if fact is True or fact is False:
            return fact is wanted
        if fact is None:
            return False
        return word in _all_texts(fact) if fact.__class__ in _MANY else _text(fact) == word

    return test


def _contains(name: str, words: frozenset[str]) -> Test:
    (word,) = words

    def test(facts: Facts) -> bool:
        fact = facts.get(name)
        if fact is None:
            return False
        return word in (_all_texts(fact) if fact.__class__ in _MANY else _text(fact))

    return test


def _setcompile_leaf(name: str, wanted: Any, place: str) -> Node:
    if not isinstance(wanted, bool):
        raise InvalidDefinition(place, "write true or false")

    def test(facts: Facts) -> bool:
        return _is_set(facts.get(name)) is wanted

    def reason(facts: Facts) -> tuple[bool, str]:
        return test(facts), f"{name} is {_shown(facts.get(name))}"

    return Node(test, reason, f"{name} is set" if wanted else f"{name} is not set", frozenset((name,)))


def _numbercompile_leaf(name: str, operator: str, wanted: Any, place: str) -> Node:
    bound = _number(wanted)
    if bound is None or isinstance(wanted, str):
        raise InvalidDefinition(place, f"{wanted!r} is no number")
    least = operator == "at_least"

    def test(facts: Facts) -> bool:
        number = _number(facts.get(name))
        return number is not None and (number >= bound if least else number <= bound)

    def reason(facts: Facts) -> tuple[bool, str]:
        holds, fact = test(facts), _shown(facts.get(name))
        return holds, f"{name} is {fact}, {'' if holds else 'not '}{words} {_shown(wanted)}"

    words = operator.replace("_", " ")
    return Node(test, reason, f"{name} is {words} {_shown(wanted)}", frozenset((name,)))


# --- values ----------------------------------------------------------------------------------------------------------
def _text(value: Any) -> str:
    """How a value compares: text in one case, true and false as words, 3.0 as 3."""
    if value.__class__ is str:
        return value.casefold()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).casefold()


def _all_texts(fact: Any) -> Iterable[str]:
    return map(_text, fact)


def _is_set(fact: Any) -> bool:
    return fact is not None and fact != "" and not (isinstance(fact, list | tuple | set | frozenset) and not fact)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if number != number else number  # NaN is no number


def _shown(value: Any) -> str:
    """A value as people read it."""
    if not _is_set(value):
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(str, sorted(value, key=str) if isinstance(value, set | frozenset) else value))
    return str(value)


def _scalar(value: Any, place: str) -> Any:
    if isinstance(value, bool | int | float) or (isinstance(value, str) and value):
        return value
    raise InvalidDefinition(place, f"{value!r} is no single value; write text or a number, or ask is_set: false for an empty field")


def _texts(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list | tuple) or not value:
        raise InvalidDefinition(place, f'{value!r} is no list of values; write one such as ["P1", "P2"]')
    return [_scalar(entry, f"{place}[{index}]") for index, entry in enumerate(value)]


def did_you_mean(word: str, known: Collection[str]) -> str:
    """What to say of a word that is not among the known ones."""
    near = get_close_matches(word.lower(), list(known), n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
