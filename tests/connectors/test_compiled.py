"""A compiled schema says what marshmallow says: the same data, or the same words about what is wrong."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies
from marshmallow import RAISE, Schema, ValidationError, fields, validate

from connectors.compiled import Compiled
from connectors.generic.schemas import EventBody, check_whole
from connectors.zendesk import schemas

words = strategies.sampled_from(["OPEN", "", "x" * 300, "2026-11-16T08:30:00Z", "2026-11-16", "ticket.created", "agent", "7"])
anything = strategies.recursive(
    strategies.one_of(strategies.none(), strategies.booleans(), strategies.integers(-(2**70), 2**70), strategies.floats(allow_nan=False), words),
    lambda inner: strategies.one_of(strategies.lists(inner, max_size=3), strategies.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)
SCHEMAS: list[tuple[Schema, Any, dict[str, Any]]] = [
    (schemas.Envelope(), None, {"type": "t", "id": "1", "time": "2026-11-16T08:30:00Z", "detail": {}}),
    (schemas.Detail(), None, {"id": 7, "tags": ["a"], "via": {"channel": "web"}, "created_at": "2026-11-16T08:30:00Z", "is_public": True}),
    (schemas.CommentAdded(), None, {"comment": {"id": "1", "is_public": True, "author": {"id": 5, "is_staff": False}}}),
    (schemas.TagsChanged(), None, {"tags_added": ["a"], "tags_removed": None}),
    (schemas.CustomFieldChanged(), None, {"custom_field": {"id": 4, "title": "plan"}, "current": {"value": 1}}),
    (EventBody(), check_whole, {"type": "ticket.created", "id": "e", "ticket": 7, "occurred_at": "2026-11-16T08:30:00Z", "actor": {"id": 1}, "values": {}}),
]


def told(load: Any, data: Any) -> tuple[str, Any]:
    try:
        return "read", load(data)
    except ValidationError as problem:
        return "refused", problem.messages


@settings(max_examples=600, deadline=None)
@given(choice=strategies.sampled_from(SCHEMAS), data=strategies.data())
def test_it_says_what_the_schema_says(choice: tuple[Schema, Any, dict[str, Any]], data: Any) -> None:
    schema, check, good = choice
    names = [*schema.load_fields, "unknown"]
    changed = {**good, **data.draw(strategies.dictionaries(strategies.sampled_from(names), anything, max_size=3))}
    for name in data.draw(strategies.sets(strategies.sampled_from(names), max_size=2)):
        changed.pop(name, None)
    before = json.dumps(changed)
    assert told(Compiled(schema, check).load, changed) == told(schema.load, changed)
    assert json.dumps(changed) == before


@pytest.mark.parametrize("good", SCHEMAS, ids=lambda one: type(one[0]).__name__)
def test_what_is_right_never_reaches_the_schema(good: tuple[Schema, Any, dict[str, Any]]) -> None:
    schema, _, data = good
    assert Compiled(schema).read(data, None, None) == schema.load(data)


@pytest.mark.parametrize(
    ("field", "unknown"),
    [
        (fields.Integer(), "exclude"),
        (schemas.Word(validate=validate.Length(max=3)), "exclude"),
        (schemas.Word(data_key="other"), "exclude"),
        (schemas.Word(), RAISE),
    ],
    ids=["a field of marshmallow's", "a validator", "another key", "unknown members refused"],
)
def test_what_it_does_not_know_is_refused_when_compiled(field: Any, unknown: Any) -> None:
    with pytest.raises(TypeError, match="cannot be compiled"):
        Compiled(Schema.from_dict({"one": field})(unknown=unknown))


def test_a_default_that_is_made_is_made_anew() -> None:
    compiled = Compiled(schemas.TagsChanged())
    assert compiled.load({})["tags_added"] is not compiled.load({})["tags_added"]
