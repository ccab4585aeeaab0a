"""Zendesk's event envelope as far as we use it: strict there, blind to everything else (vendors add members)."""

from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from connectors.instants import parse_instant

_LONGEST = 255  # characters of an id or word; an index key must hold it


class Word(fields.Field[str]):
    """A text such as `OPEN`, verbatim."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError("must be a text")
        return value


class Id(fields.Field[str | None]):
    """An id: a text, or a whole number (some events have numbers where others have texts); an empty text is none."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str | None:
        if value == "" and self.allow_none:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise ValidationError("must be an id")
        text = str(value)
        if len(text) > _LONGEST:
            raise ValidationError(f"is longer than {_LONGEST} characters")
        return text


class Instant(fields.Field[int]):
    """ISO 8601 with offset to microseconds UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not isinstance(value, str):
            raise ValidationError("must be an instant")
        try:
            return parse_instant(value)
        except ValueError as problem:
            raise ValidationError(str(problem)) from None


class Flag(fields.Field[bool]):
    """JSON true or false, nothing that merely looks like it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value


class Tolerant(Schema):
    """Unknown members are dropped."""

    class Meta:
        unknown = EXCLUDE


class Envelope(Tolerant):
    """What every event has."""

    type = Word(required=True)
    id = Id(required=True)
    time = Instant(load_default=None, allow_none=True)
    detail = fields.Dict(required=True)
    event = fields.Dict(load_default=dict, allow_none=True)


class Via(Tolerant):
    """How the ticket (not the change) came in."""

    channel = Word(allow_none=True)


class Detail(Tolerant):
    """The ticket as the delivery shows it. A missing key is "not told"; ids are texts here."""

    id = Id(required=True)
    actor_id = Id(allow_none=True)
    submitter_id = Id(allow_none=True)
    status = Word(allow_none=True)
    priority = Word(allow_none=True)
    type = Word(allow_none=True)
    subject = Word(allow_none=True)
    tags = fields.List(Word(), allow_none=True)
    assignee_id = Id(allow_none=True)
    group_id = Id(allow_none=True)
    requester_id = Id(allow_none=True)
    organization_id = Id(allow_none=True)
    custom_status = Id(allow_none=True)
    brand_id = Id(allow_none=True)
    created_at = Instant(allow_none=True)
    updated_at = Instant(allow_none=True)
    is_public = Flag(allow_none=True)
    via = fields.Nested(Via, allow_none=True)


class Author(Tolerant):
    """Who wrote a comment."""

    id = Id(load_default=None, allow_none=True)
    is_staff = Flag(load_default=None, allow_none=True)


class Comment(Tolerant):
    """A comment without its text (personal data: the fact is kept, not the words)."""

    id = Id(required=True)
    is_public = Flag(required=True)
    author = fields.Nested(Author, load_default=dict, allow_none=True)


class CommentAdded(Tolerant):
    """`event` of comment_added."""

    comment = fields.Nested(Comment, required=True)


class WordChanged(Tolerant):
    """`event` of a change from one word to another."""

    current = Word(required=True, allow_none=True)
    previous = Word(load_default=None, allow_none=True)


class StatusChanged(WordChanged):
    """A ticket always has a status."""

    current = Word(required=True)


class IdChanged(Tolerant):
    """`event` of a change from one id to another; numbers in some events."""

    current = Id(required=True, allow_none=True)
    previous = Id(load_default=None, allow_none=True)


class TagsChanged(Tolerant):
    """`event` of tags_changed."""

    tags_added = fields.List(Word(), load_default=list, allow_none=True)
    tags_removed = fields.List(Word(), load_default=list, allow_none=True)


class Merged(Tolerant):
    """`event` of merged; the target is documented by third parties only."""

    target_ticket_id = Id(load_default=None, allow_none=True)


class CustomField(Tolerant):
    """Which custom field changed."""

    id = Id(required=True)
    title = Word(load_default="", allow_none=True)


class CustomFieldChanged(Tolerant):
    """`event` of custom_field_changed; `current` and `previous` are values or `{"value": value}`."""

    custom_field = fields.Nested(CustomField, required=True)
    current = fields.Raw(required=True, allow_none=True)
    previous = fields.Raw(load_default=None, allow_none=True)


class Rated(Tolerant):
    """`event` of csat_received; its shape is not documented, so nothing is required."""

    current = fields.Raw(load_default=None, allow_none=True)
    score = fields.Raw(load_default=None, allow_none=True)
    rating = fields.Raw(load_default=None, allow_none=True)
