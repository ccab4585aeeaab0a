"""Raw delivery bodies to plain data, refusing what no database of ours could keep."""

import json
import math
from typing import Any

from marshmallow import ValidationError

from sla_plugin.errors import DeliveryUnreadable

_UNKEEPABLE = str.maketrans({0: "�", **dict.fromkeys(range(0xD800, 0xE000), "�")})  # NUL and lone surrogates: Postgres refuses both


def read_object(body: bytes, connector: str) -> dict[str, Any]:
    """The body as a JSON object. Raises DeliveryUnreadable that says what it is instead."""
    if not body.strip():
        raise unreadable(connector, "the body is empty")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise unreadable(connector, f"the body is not UTF-8 (byte {problem.start})") from None
    try:
        data = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise unreadable(connector, "the body is nested too deeply") from None
    except ValueError as problem:
        raise unreadable(connector, f"the body is not JSON: {problem}") from None
    if not isinstance(data, dict):
        raise unreadable(connector, f"the body is not a JSON object but {_kind(data)}")
    if "\x00" in text or "\\u" in text:  # only an escape (or a raw NUL) can smuggle one in
        data = _keepable(data)
    return dict(data)


def unreadable(connector: str, message: str) -> DeliveryUnreadable:
    """The error, with its context filled in."""
    return DeliveryUnreadable(message, connector=connector, operation="parse")


def explain(problem: ValidationError, data: Any, place: str = "") -> str:
    """A marshmallow error as one sentence that names the first wrong field and the value found there."""
    messages: Any = problem.messages if isinstance(problem.messages, dict) else {}
    while isinstance(messages, dict) and messages:
        key, messages = next(iter(messages.items()))
        if key == "_schema":
            continue
        if isinstance(key, int):
            place += f"[{key}]"
            data = data[key] if isinstance(data, list) and key < len(data) else None
        elif key not in ("key", "value"):  # marshmallow's own level inside a Dict field
            place = f"{place}.{key}" if place else str(key)
            if isinstance(data, dict) and key not in data:
                return f"{place} is missing"
            data = data.get(key) if isinstance(data, dict) else None
    said = messages[0] if isinstance(messages, list) and messages else str(messages)
    return f"{place or 'the body'} {said} (found {shown(data)})"


def shown(value: Any) -> str:
    """A value for an error message: at most 60 characters, containers only by kind."""
    if isinstance(value, dict | list):
        return _kind(value)
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(data: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(data), "a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is beyond any number we can keep")
    return number


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON value")


def _keepable(data: Any) -> Any:
    if isinstance(data, str):
        return data.translate(_UNKEEPABLE)
    if isinstance(data, list):
        return [_keepable(item) for item in data]
    if isinstance(data, dict):
        return {_keepable(key): _keepable(value) for key, value in data.items()}
    return data
