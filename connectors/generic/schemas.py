"""The published format (schema.json, the authority) as marshmallow schemas: they agree by test, read faster and name the wrong value."""

from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validates_schema

from connectors.instants import parse_instant

MOST_EVENTS = 500  # in one delivery
_LONGEST = 255  # characters of an id; an index key must hold it
_INT64 = 2**63
TICKET_TYPES = frozenset(
    {"ticket.created", "ticket.updated", "reply.public", "note.internal", "ticket.merged", "ticket.deleted", "ticket.restored", "rating.given"}
)
CUSTOMER_TYPES = frozenset({"contract.created", "contract.updated", "contract.ended", "customer.updated", "plan.changed"})
TYPES = TICKET_TYPES | CUSTOMER_TYPES | {"history.ended"}


class Id(fields.Field[str]):
    """A text of 1 to 255 characters, or a whole number of at most 64 bits."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, float) and value.is_integer():  # JSON Schema calls 7.0 an integer
            value = int(value)
        number = isinstance(value, int) and not isinstance(value, bool) and -_INT64 <= value < _INT64
        if not number and not (isinstance(value, str) and 1 <= len(value) <= _LONGEST):
            raise ValidationError(f"must be a text of 1 to {_LONGEST} characters or a whole number of at most 64 bits")
        return str(value)


class Instant(fields.Field[int]):
    """ISO 8601 with offset to microseconds UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not isinstance(value, str):
            raise ValidationError("must be an instant such as 2026-11-16T08:12:40Z")
        try:
            return parse_instant(value)
        except ValueError as problem:
            raise ValidationError(str(problem)) from None


class Flag(fields.Field[bool]):
    """JSON true or false."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value


class Sequence(fields.Field[int]):
    """A whole number of at most 64 bits."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
            raise ValidationError("must be a whole number of at most 64 bits")
        return value


class Choice(fields.Field[str]):
    """One of some words."""

    def __init__(self, words: frozenset[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._words = words

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or value not in self._words:
            raise ValidationError(f"must be one of {', '.join(sorted(self._words))}")
        return value


class Values(fields.Field[dict[str, Any]]):
    """Field to value, verbatim; status, priority and tags must have the right kind."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("must be an object")
        _check_kinds(value, "")
        return value


class Changes(fields.Field[dict[str, Any]]):
    """Field to {from, to}, verbatim."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("must be an object")
        for field, change in value.items():
            if not isinstance(change, dict) or "to" not in change:
                raise ValidationError({field: ["must be an object with `to` (and `from`)"]})
            for side in ("from", "to"):
                if side in change:
                    _check_kinds({field: change[side]}, side)
        return value


def _check_kinds(values: dict[str, Any], side: str) -> None:
    for field in ("status", "priority"):
        if not isinstance(values.get(field), str | None):
            raise _wrong(field, side, "must be a text or null")
    tags = values.get("tags")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        raise _wrong("tags", side, "must be a list of texts or null")


def _wrong(field: str, side: str, message: str) -> ValidationError:
    return ValidationError({field: {side: [message]} if side else [message]})


class Actor(Schema):
    """Who did it."""

    class Meta:
        unknown = EXCLUDE

    id = Id(allow_none=True, load_default=None)
    role = Choice(frozenset({"customer", "agent", "system", "unknown"}), load_default="unknown")


class EventBody(Schema):
    """One event as it is sent; members that are not listed are ignored."""

    class Meta:
        unknown = EXCLUDE

    type = Choice(TYPES, required=True)
    id = Id(required=True)
    ticket = Id(load_default=None)
    customer = Id(load_default=None)
    occurred_at = Instant(required=True)
    sequence = Sequence(load_default=None)
    actor = fields.Nested(Actor, allow_none=True, load_default=None)
    values = Values()
    changes = Changes()
    comment_id = Id(load_default=None)
    history = Flag(load_default=False)
    history_end = Flag(load_default=False)

    @validates_schema
    def _whole(self, data: dict[str, Any], **kwargs: Any) -> None:
        check_whole(data)


def check_whole(data: dict[str, Any]) -> None:
    """What the type of an event demands of its other members. Raises ValidationError."""
    kind = data["type"]
    if kind in TICKET_TYPES and data["ticket"] is None:
        raise ValidationError("is missing", "ticket")
    if kind in CUSTOMER_TYPES and data["customer"] is None:
        raise ValidationError("is missing", "customer")
    if kind == "ticket.updated" and "values" not in data and "changes" not in data:
        raise ValidationError("is missing (ticket.updated needs values or changes)", "values")
    if kind == "rating.given" and "rating" not in data.get("values", {}):
        raise ValidationError({"values": {"rating": ["is missing"]}})
    if kind == "plan.changed" and "plan" not in data.get("values", {}) and "plan" not in data.get("changes", {}):
        raise ValidationError({"values": {"plan": ["is missing"]}})
