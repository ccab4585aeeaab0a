"""A marshmallow schema compiled: what is plainly right is read at a fraction of the cost; whatever is not goes to the schema, which accepts it or says why not.

Each of our own fields reads its values with its own `_deserialize`, so that there is one rule for a value; what is saved is marshmallow's way there.
"""

from collections.abc import Callable
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, missing

_Read = Callable[[Any, Any, Any], Any]  # value, name and data as `Field._deserialize` takes them


class Compiled:
    """`load` as of a schema that drops unknown members. `check` is what the schema validates as a whole: it raises ValidationError.

    Raises TypeError for a schema that does more than that when it is compiled.
    """

    def __init__(self, schema: Schema, check: Callable[[dict[str, Any]], None] | None = None) -> None:
        if schema.unknown != EXCLUDE:
            raise TypeError(f"{schema!r} keeps or refuses unknown members: it cannot be compiled")
        self._schema, self._check = schema, check
        # name, how its value is read, whether None will do, what stands for a missing one, whether that is made anew, whether it must be there
        self._plan = [
            (name, _reader(field), bool(field.allow_none), field.load_default, callable(field.load_default), bool(field.required))
            for name, field in schema.load_fields.items()
        ]

    def load(self, data: Any) -> dict[str, Any]:
        """As `Schema.load`; raises its ValidationError."""
        try:
            found = self.read(data, None, None)
            if self._check is not None:
                self._check(found)
        except ValidationError:
            loaded: dict[str, Any] = self._schema.load(data)
            return loaded
        return found

    def read(self, data: Any, _name: Any, _data: Any) -> dict[str, Any]:
        """The data, if it is plain. Raises ValidationError, which says nothing, if it is not."""
        if data.__class__ is not dict:
            raise _NotPlain
        found: dict[str, Any] = {}
        for name, read, none_will_do, default, made, required in self._plan:
            value = data.get(name, missing)
            if value is missing:
                if required:
                    raise _NotPlain
                if default is not missing:
                    found[name] = default() if made else default
            elif value is None:
                if not none_will_do:
                    raise _NotPlain
                found[name] = None
            else:
                found[name] = read(value, name, data)
        return found


class _NotPlain(ValidationError):
    """Never seen outside: the schema is asked."""

    def __init__(self) -> None:
        super().__init__("is for the schema to judge")


def _reader(field: Any) -> _Read:
    if field.validators or field.data_key is not None or field.attribute is not None:
        raise TypeError(f"{field!r} does more than its class says: it cannot be compiled")
    if type(field) is fields.Nested and not field.many:
        return Compiled(field.schema).read
    if type(field) is fields.List:
        return _list(_reader(field.inner))
    if type(field) is fields.Dict and field.key_field is None and field.value_field is None:
        return _dict
    if type(field) is fields.Raw or not type(field).__module__.startswith("marshmallow."):
        read: _Read = field._deserialize
        return read
    raise TypeError(f"{field!r} is not known: it cannot be compiled")


def _dict(value: Any, _name: Any, _data: Any) -> dict[str, Any]:
    if value.__class__ is not dict:
        raise _NotPlain
    return dict(value)


def _list(read: _Read) -> _Read:
    def read_all(value: Any, name: Any, data: Any) -> list[Any]:
        if value.__class__ is not list or None in value:
            raise _NotPlain
        return [read(item, name, data) for item in value]

    return read_all
