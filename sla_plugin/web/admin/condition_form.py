"""A condition as rows of a form and back: leaves and groups in the order of the page, each with its depth. Groups are drawn two deep; deeper is text.

The form holds the rows as parallel lists: `node` (`leaf:1`, `group:1`), then for each leaf `field`, `operator`, `value` and `by`, for each group `join`; the
outermost group is `group`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml
from werkzeug.datastructures import MultiDict

from sla_plugin.engine.conditions import compile_condition
from sla_plugin.engine.creation_time import TIME_FIELDS, values_of
from sla_plugin.engine.operators import OPERATORS
from sla_plugin.engine.policies import POLICY_FIELDS
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext, marked

GROUPS: Final = {"all": marked("All of these hold"), "any": marked("Any of these holds"), "none": marked("None of these holds")}
OPERATOR_WORDS: Final = {o: o.replace("_", " ") for o in OPERATORS}
DEEPEST: Final = 2  # groups inside the outermost one
_LISTS: Final = ("node", "field", "operator", "value", "by", "join")


@dataclass(frozen=True, slots=True)
class Row:
    """A leaf (`join` is empty) or the head of a group, `depth` groups deep; `by` is the calendar that a question about the creation's time names."""

    depth: int
    join: str = ""
    field: str = ""
    operator: str = "is"
    value: str = ""
    by: str = ""

    @property
    def asks_time(self) -> bool:
        """Whether it asks when the ticket was created."""
        return self.field in TIME_FIELDS


def condition_to_form(definition: Any, form: MultiDict[str, str]) -> None:
    """Put a condition into a form, as rows where they can show it, else as text."""
    found = _rows_of(definition)
    if found is None:
        form["conditions"], form["applies_to"] = "text", yaml.safe_dump(definition, sort_keys=False, default_flow_style=False)
        return
    form["conditions"], form["group"] = "rows", found[0]
    write_rows(form, found[1])


def read_rows(form: MultiDict[str, str]) -> list[Row]:
    """The rows that a form holds; what does not fit together is passed over."""
    leaves = iter(zip(*(form.getlist(name) for name in ("field", "operator", "value")), strict=False))
    joins, calendars = iter(form.getlist("join")), iter(form.getlist("by"))
    rows: list[Row] = []
    nodes = form.getlist("node") or ["leaf:1"] * len(form.getlist("field"))
    for node in nodes:
        kind, _, depth = node.partition(":")
        level = min(int(depth), DEEPEST + 1) if depth.isascii() and depth.isdigit() else 1
        level = max(1, min(level, _deepest_after(rows)))
        if kind == "group":
            join = next(joins, "all")
            rows.append(Row(level, join if join in GROUPS else "all"))
        elif (leaf := next(leaves, None)) is not None:
            rows.append(Row(level, "", leaf[0].strip(), leaf[1] if leaf[1] in OPERATORS else "is", leaf[2], next(calendars, "")))
    return rows


def write_rows(form: MultiDict[str, str], rows: Sequence[Row]) -> None:
    """Put rows into a form in place of those it holds."""
    for name in _LISTS:
        form.setlist(name, [])
    for row in rows:
        form.add("node", f"{'group' if row.join else 'leaf'}:{row.depth}")
        if row.join:
            form.add("join", row.join)
            continue
        for name in ("field", "operator", "value", "by"):
            form.add(name, getattr(row, name))


def change_rows(form: MultiDict[str, str]) -> None:
    """Do what the buttons `add`, `add_group` (a group's number, or `root`) and `remove` (a row's number) ask."""
    rows = read_rows(form)
    removed, into, group = form.pop("remove", ""), form.pop("add", ""), form.pop("add_group", "")
    if removed.isdigit() and int(removed) < len(rows):
        number = int(removed)
        rows = [*rows[:number], *rows[_end(rows, number) :]]
    for place, made in ((into, Row(1)), (group, Row(1, "any"))):
        if place == "root":
            rows += [made, Row(2)] if made.join else [made]
        elif place.isdigit() and int(place) < len(rows) and rows[int(place)].join:
            number, depth = int(place), rows[int(place)].depth + 1
            new = [replace(made, depth=depth), Row(depth + 1)] if made.join else [replace(made, depth=depth)]
            if not made.join or depth <= DEEPEST:
                rows[_end(rows, number) : _end(rows, number)] = new
    write_rows(form, rows)


def condition_from_form(form: MultiDict[str, str], errors: dict[str, str]) -> Any:
    """The condition that a form says, None for always; what is wrong goes into `errors` (`condition-3`, `applies_to`)."""
    if form.get("conditions") == "text":
        return _from_text(form.get("applies_to", ""), errors)
    rows = read_rows(form)
    parts = _parts(rows, 0, len(rows), 1, errors)
    group = form.get("group", "all")
    return _joined(group if group in GROUPS else "all", parts)


def _from_text(text: str, errors: dict[str, str]) -> Any:
    try:
        read = yaml.safe_load(text or "null")
        compile_condition(read, "applies_to", POLICY_FIELDS)
    except yaml.YAMLError as problem:
        errors["applies_to"] = gettext("This is no YAML: %(problem)s.", problem=str(problem).splitlines()[0])
        return None
    except InvalidDefinition as problem:
        errors["applies_to"] = sentence(f"{problem.field}: {problem.problem}")
        return None
    return read


def _parts(rows: Sequence[Row], first: int, end: int, depth: int, errors: dict[str, str]) -> list[Any]:
    parts: list[Any] = []
    number = first
    while number < end:
        row = rows[number]
        if row.join:
            inner = _joined(row.join, _parts(rows, number + 1, _end(rows, number), depth + 1, errors))
            if inner is not None:
                parts.append(inner)
            number = _end(rows, number)
            continue
        if row.field or row.value.strip():
            parts.append(_leaf(row, number, errors))
        number += 1
    return parts


def _leaf(row: Row, number: int, errors: dict[str, str]) -> dict[str, Any]:
    leaf = {"field": row.field, row.operator: _value(row.field, row.operator, row.value)}
    if row.by and row.asks_time:
        leaf["calendar"] = row.by
    try:
        if not row.field:
            raise InvalidDefinition("field", gettext("choose a field for %(value)s, or remove the condition", value=row.value))
        if row.operator != "is_set" and not row.value.strip():
            raise InvalidDefinition("value", gettext("write what to compare %(field)s with", field=row.field))
        compile_condition(leaf, "condition", POLICY_FIELDS)
    except InvalidDefinition as problem:
        errors[f"condition-{number}"] = sentence(problem.problem)
    return leaf


def _joined(join: str, parts: Sequence[Any]) -> Any:
    """None for nothing; a single condition stands alone, as people write it."""
    if not parts:
        return None
    return parts[0] if len(parts) == 1 and join != "none" else {join: list(parts)}


def _rows_of(definition: Any) -> tuple[str, list[Row]] | None:
    if not definition:
        return "all", []
    if isinstance(definition, Mapping) and "field" in definition:
        leaf = _leaf_row(definition, 1)
        return ("all", [leaf]) if leaf is not None else None
    if not _is_group(definition):
        return None
    ((join, parts),) = definition.items()
    rows = _inner_rows(parts, 1)
    return (join, rows) if rows is not None else None


def _inner_rows(parts: Sequence[Any], depth: int) -> list[Row] | None:
    rows: list[Row] = []
    for part in parts:
        if isinstance(part, Mapping) and "field" in part:
            leaf = _leaf_row(part, depth)
            if leaf is None:
                return None
            rows.append(leaf)
            continue
        if not _is_group(part) or depth > DEEPEST:
            return None
        ((join, inside),) = part.items()
        inner = _inner_rows(inside, depth + 1)
        if not inner:
            return None
        rows += [Row(depth, join), *inner]
    return rows


def _is_group(definition: Any) -> bool:
    return isinstance(definition, Mapping) and len(definition) == 1 and next(iter(definition)) in GROUPS and isinstance(next(iter(definition.values())), list)


def _leaf_row(leaf: Mapping[str, Any], depth: int) -> Row | None:
    operator = next((o for o in OPERATORS if o in leaf), None)
    if operator is None or set(leaf) - {"field", operator, "calendar"}:
        return None
    return Row(depth, "", str(leaf["field"]), operator, _shown(leaf[operator]), str(leaf.get("calendar") or ""))


def _end(rows: Sequence[Row], number: int) -> int:
    """The number after the last row of what begins at `number`: itself, and of a group all that is in it."""
    after = number + 1
    while rows[number].join and after < len(rows) and rows[after].depth > rows[number].depth:
        after += 1
    return after


def _deepest_after(rows: Sequence[Row]) -> int:
    """How deep the next row may be."""
    return 1 if not rows else rows[-1].depth + (1 if rows[-1].join else 0)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _value(field: str, operator: str, typed: str) -> Any:
    typed = typed.strip()
    if field in TIME_FIELDS:
        words = {"true": True, "false": False} | {_shown(value): value for value in values_of(field)}
        parts = [words.get(part.strip().lower(), part.strip()) for part in typed.split(",")]
        return parts if operator in ("in", "not_in") else words.get(typed.lower(), typed)
    if operator == "is_set":
        return typed.lower() not in ("no", "false")
    if operator in ("in", "not_in"):
        return [part.strip() for part in typed.split(",") if part.strip()]
    if operator in ("at_least", "at_most") and typed.replace(".", "", 1).lstrip("-").isdigit():
        return float(typed) if "." in typed else int(typed)
    return typed


def sentence(problem: str) -> str:
    """A problem as a sentence: a capital at the start, a full stop at the end."""
    return problem[:1].upper() + problem[1:] + ("" if problem.endswith((".", "?")) else ".")
