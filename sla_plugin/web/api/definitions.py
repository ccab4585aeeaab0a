"""What policies and calendars have in common here: definitions with versions, refused field by field as the body has them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from marshmallow import fields

from sla_plugin.errors import InvalidDefinition
from sla_plugin.web.api.problems import invalid
from sla_plugin.web.api.shapes import Instant, Shape


class VersionSchema(Shape):
    """What a policy or calendar says from an instant on. A version never changes."""

    version = fields.Integer(required=True)
    effective_at = Instant(required=True)
    made_by = fields.String(required=True)
    definition = fields.Dict(required=True, metadata={"description": "As in a policy file."})


class VersionedSchema(Shape):
    """What an answer says of every policy and calendar beside its definition: that of its newest version."""

    version = fields.Integer(required=True, dump_only=True, metadata={"description": "The newest one, which is in force."})
    effective_at = Instant(required=True, dump_only=True, metadata={"description": "Since when."})
    made_by = fields.String(required=True, dump_only=True)


@contextmanager
def read_as_body(place: str) -> Iterator[None]:
    """What is wrong at `place` of a policy file is told by the field of the body. Raises Problem instead of InvalidDefinition."""
    try:
        yield
    except InvalidDefinition as problem:
        field = problem.field.removeprefix(place).lstrip(".")
        raise invalid({field or "body": problem.problem}) from problem


def without_nulls(told: Mapping[str, Any]) -> dict[str, Any]:
    """A definition without what is null: null and not said are the same."""
    return {name: value for name, value in told.items() if value is not None}


def version_data(version: Any) -> dict[str, Any]:
    """A row of a version as it is answered beside a definition."""
    return {"version": version.version, "effective_at": version.effective_at, "made_by": version.made_by}
