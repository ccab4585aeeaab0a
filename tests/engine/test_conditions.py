"""Conditions as data: what they match, what they say, what they refuse."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sla_plugin.engine.conditions import DEEPEST, Condition, compile_condition
from sla_plugin.errors import InvalidDefinition

FACTS = {
    "priority": "P1",
    "plan": "Silver",
    "tags": ["VIP", "export"],
    "age": 3,
    "score": "4.5",
    "opening": False,
    "subject": "Export fails",
    "group": "",
    "custom.7": "x",
}


def leaf(field: str, operator: str, value: Any) -> dict[str, Any]:
    return {"field": field, operator: value}


def compiled(definition: Any) -> Condition:
    return compile_condition(definition, "applies_to", None)


@pytest.mark.parametrize(
    ("field", "operator", "value", "holds"),
    [
        ("priority", "is", "P1", True),
        ("priority", "is", "p1", True),
        ("priority", "is", "P2", False),
        ("missing", "is", "P1", False),
        ("tags", "is", "vip", True),
        ("tags", "is", "vi", False),
        ("age", "is", 3, True),
        ("age", "is", "3", True),
        ("age", "is", 3.0, True),
        ("age", "is", True, False),
        ("opening", "is", False, True),
        ("opening", "is", True, False),
        ("missing", "is", False, False),
        ("priority", "is_not", "P1", False),
        ("priority", "is_not", "P2", True),
        ("missing", "is_not", "P2", True),
        ("priority", "in", ["P0", "p1"], True),
        ("priority", "in", ["P0", "P2"], False),
        ("missing", "in", ["P0"], False),
        ("tags", "in", ["gold", "vip"], True),
        ("age", "in", [2, 3], True),
        ("priority", "not_in", ["P0", "P1"], False),
        ("missing", "not_in", ["P0", "P1"], True),
        ("tags", "contains", "EXPORT", True),
        ("tags", "contains", "exp", False),
        ("subject", "contains", "export", True),
        ("subject", "contains", "import", False),
        ("missing", "contains", "x", False),
        ("subject", "not_contains", "import", True),
        ("missing", "not_contains", "x", True),
        ("subject", "is_set", True, True),
        ("group", "is_set", True, False),
        ("group", "is_set", False, True),
        ("missing", "is_set", False, True),
        ("opening", "is_set", True, True),
        ("age", "at_least", 3, True),
        ("age", "at_least", 4, False),
        ("score", "at_most", 4.5, True),
        ("score", "at_most", 4, False),
        ("priority", "at_least", 0, False),
        ("missing", "at_most", 9, False),
        ("opening", "at_least", 0, False),
        ("custom.7", "is", "x", True),
    ],
    ids=repr,
)
def test_leaves(field: str, operator: str, value: Any, holds: bool) -> None:
    condition = compiled(leaf(field, operator, value))
    assert condition.test(FACTS) is holds
    assert condition.explain(FACTS).startswith("not: ") is not holds
    assert condition.fields == {field}


@pytest.mark.parametrize("tags", [["a"], ("a",), {"a"}, frozenset({"a"})])
def test_any_kind_of_list_is_several_values(tags: Any) -> None:
    for definition in (leaf("tags", "is", "A"), leaf("tags", "in", ["b", "A"]), leaf("tags", "contains", "A"), leaf("tags", "is_set", True)):
        assert compiled(definition).test({"tags": tags}) is True
        assert compiled(definition).test({"tags": type(tags)()}) is False


YES, NO = leaf("priority", "is", "P1"), leaf("plan", "is", "Gold")


@pytest.mark.parametrize(
    ("definition", "holds"),
    [
        (None, True),
        ({}, True),
        ({"all": []}, True),
        ({"none": []}, True),
        ({"all": [YES]}, True),
        ({"all": [YES, NO]}, False),
        ({"all": [YES, YES, YES, NO]}, False),
        ({"all": [YES, YES, YES, YES, YES]}, True),
        ({"any": [NO, YES]}, True),
        ({"any": [NO, NO, NO]}, False),
        ({"any": [NO, NO, YES]}, True),
        ({"none": [NO, NO]}, True),
        ({"none": [NO, YES]}, False),
        ({"not": NO}, True),
        ({"not": {"not": NO}}, False),
        ({"all": [{"any": [NO, YES]}, {"none": [NO]}]}, True),
    ],
)
def test_groups(definition: Any, holds: bool) -> None:
    assert compiled(definition).test(FACTS) is holds
    assert compiled(definition).explain(FACTS).startswith("not: ") is not holds


@pytest.mark.parametrize(
    ("definition", "explained", "sentence"),
    [
        (None, "always", "always"),
        (YES, "priority is P1", "priority is P1"),
        (NO, "not: plan is Silver, not Gold", "plan is Gold"),
        (leaf("missing", "is", "x"), "not: missing is not set, not x", "missing is x"),
        (leaf("plan", "is_not", "Gold"), "plan is Silver, not Gold", "plan is not Gold"),
        (leaf("plan", "is_not", "Silver"), "not: plan is Silver", "plan is not Silver"),
        (leaf("plan", "in", ["Gold", "Silver"]), "plan is Silver", "plan is Gold or Silver"),
        (leaf("plan", "not_in", ["Gold", "Basic"]), "plan is Silver, not Gold or Basic", "plan is not Gold or Basic"),
        (leaf("tags", "contains", "vip"), "tags contains vip", "tags contains vip"),
        (leaf("tags", "not_contains", "beta"), "tags is VIP, export, without beta", "tags not contains beta"),
        (leaf("group", "is_set", True), "not: group is not set", "group is set"),
        (leaf("group", "is_set", False), "group is not set", "group is not set"),
        (leaf("age", "at_least", 5), "not: age is 3, not at least 5", "age is at least 5"),
        (leaf("age", "at_most", 5), "age is 3, at most 5", "age is at most 5"),
        ({"all": [YES, NO, leaf("age", "is", 9)]}, "not: plan is Silver, not Gold; age is 3, not 9", "priority is P1 and plan is Gold and age is 9"),
        ({"any": [YES, NO]}, "priority is P1", "priority is P1 or plan is Gold"),
        ({"any": [NO, leaf("age", "is", 9)]}, "not: plan is Silver, not Gold; age is 3, not 9", "plan is Gold or age is 9"),
        ({"none": [NO, YES]}, "not: priority is P1", "not (plan is Gold or priority is P1)"),
        ({"not": NO}, "plan is Silver, not Gold", "not (plan is Gold)"),
        (
            {"all": [YES, {"any": [NO, leaf("tags", "is", "vip")]}]},
            "priority is P1 and tags is VIP, export",
            "priority is P1 and (plan is Gold or tags is vip)",
        ),
    ],
)
def test_explains_itself(definition: Any, explained: str, sentence: str) -> None:
    condition = compiled(definition)
    assert (condition.explain(FACTS), condition.sentence()) == (explained, sentence)


@pytest.mark.parametrize(
    ("definition", "field", "says"),
    [
        ("P1", "applies_to", "no condition"),
        ([], "applies_to", "no condition"),
        ({"all": [YES], "any": [YES]}, "applies_to", "exactly one of"),
        ({"every": [YES]}, "applies_to.every", "known are"),
        ({"nott": YES}, "applies_to.nott", "did you mean not?"),
        ({"all": YES}, "applies_to.all", "list"),
        ({"any": []}, "applies_to.any", "never holds"),
        ({"all": [YES, leaf("prioritty", "is", "P1")]}, "applies_to.all[1].field", "did you mean priority?"),
        ({"all": [YES, {}]}, "applies_to.all[1]", "nothing"),
        (leaf("zzz", "is", "P1"), "applies_to.field", "known are plan, priority"),
        (leaf("custom.", "is", "P1"), "applies_to.field", "no field name"),
        (leaf(3, "is", "P1"), "applies_to.field", "no field name"),  # type: ignore[arg-type]
        ({"field": "priority"}, "applies_to", "exactly one of"),
        ({"field": "priority", "is": "P1", "in": ["P1"]}, "applies_to", "has 2"),
        (leaf("priority", "equals", "P1"), "applies_to.equals", "known are"),
        (leaf("priority", "is", None), "applies_to.is", "is_set: false"),
        (leaf("priority", "is", ["P1"]), "applies_to.is", "no single value"),
        (leaf("priority", "is", ""), "applies_to.is", "no single value"),
        (leaf("priority", "in", "P1"), "applies_to.in", "no list"),
        (leaf("priority", "in", []), "applies_to.in", "no list"),
        (leaf("priority", "in", ["P1", None]), "applies_to.in[1]", "no single value"),
        (leaf("priority", "is_set", "yes"), "applies_to.is_set", "true or false"),
        (leaf("priority", "at_least", "3"), "applies_to.at_least", "no number"),
        (leaf("priority", "at_most", True), "applies_to.at_most", "no number"),
        (leaf("priority", "at_most", float("nan")), "applies_to.at_most", "no number"),
    ],
)
def test_refuses_naming_the_path(definition: Any, field: str, says: str) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        compile_condition(definition, "applies_to", {"priority", "plan"})
    assert caught.value.field == field
    assert says in caught.value.problem


def test_custom_fields_are_always_known() -> None:
    assert compile_condition(leaf("custom.360001", "is", "x"), "w", {"priority"}).fields == {"custom.360001"}


def test_depth_is_limited() -> None:
    definition: dict[str, Any] = YES
    for _ in range(DEEPEST):
        definition = {"not": definition}
    assert compiled(definition).test(FACTS) is (DEEPEST % 2 == 0)
    with pytest.raises(InvalidDefinition, match="deep"):
        compiled({"not": definition})


def test_a_very_long_group_is_no_deeper_than_a_short_one() -> None:
    many = [leaf("priority", "is", f"P{n}") for n in range(20_000)]
    assert compiled({"any": many}).test({"priority": "P19999"}) is True
    assert compiled({"all": many}).test({"priority": "P1"}) is False


def test_equal_definitions_are_equal_conditions() -> None:
    assert compiled({"all": [YES, NO]}) == compiled({"all": [dict(YES), dict(NO)]})
    assert compiled(YES) != compiled(NO)
    assert len({compiled(YES), compiled(dict(YES))}) == 1


values = st.sampled_from(["P1", "p1", "gold", 3, True, "x y"])
leaves = st.builds(leaf, st.sampled_from(["a", "b"]), st.sampled_from(["is", "is_not", "contains", "not_contains"]), values)
definitions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"not": inner}),
        st.builds(lambda g, parts: {g: parts}, st.sampled_from(["all", "any", "none"]), st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=6,
)
facts = st.dictionaries(st.sampled_from(["a", "b"]), st.one_of(values, st.lists(values, max_size=3), st.none()))


def plain(definition: dict[str, Any], known: dict[str, Any]) -> bool:
    """The meaning, written as plainly as can be."""
    if "field" in definition:
        ((operator, wanted),) = ((k, v) for k, v in definition.items() if k != "field")
        fact = known.get(definition["field"])
        word = str(wanted).lower()
        if isinstance(fact, list):
            hit = word in [str(f).lower() for f in fact]
        else:
            hit = fact is not None and (word in str(fact).lower() if "contains" in operator else word == str(fact).lower())
        return hit is not ("not" in operator)
    ((group, content),) = definition.items()
    if group == "not":
        return not plain(content, known)
    answers = [plain(part, known) for part in content]
    return {"all": all(answers), "any": any(answers), "none": not any(answers)}[group]


@given(definitions, facts)
def test_means_what_a_plain_reading_means(definition: dict[str, Any], known: dict[str, Any]) -> None:
    condition = compiled(definition)
    assert condition.test(known) is plain(definition, known)
    assert condition.explain(known).startswith("not: ") is not condition.test(known)
