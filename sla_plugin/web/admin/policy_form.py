"""A policy's definition as a form and back. Fields are plain texts; what is typed is never lost, whatever is wrong with it."""

from collections.abc import Mapping
from typing import Any

import yaml
from werkzeug.datastructures import MultiDict

from sla_plugin.actions.registry import ACTIONS, DEFAULT_ON_BREACH
from sla_plugin.engine.conditions import compile_condition
from sla_plugin.engine.creation_time import TIME_FIELDS, values_of
from sla_plugin.engine.durations import parse_duration
from sla_plugin.engine.facts import PRIORITIES, STATUSES
from sla_plugin.engine.metrics.definitions import METRICS
from sla_plugin.engine.operators import OPERATORS
from sla_plugin.engine.policies import ALWAYS_OPEN, POLICY_FIELDS, Policy, priority_word
from sla_plugin.engine.policy_definitions import read_calendars
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext, marked

GROUPS = {"all": marked("All of these hold"), "any": marked("Any of these holds"), "none": marked("None of these holds")}
OPERATOR_WORDS = {o: o.replace("_", " ") for o in OPERATORS}
_LEFT_OUT_WHEN_EMPTY = frozenset({"description", "applies_to"})
PAUSES = tuple(s for s in STATUSES if s not in ("resolved", "closed", "cancelled"))


def form_of(definition: Mapping[str, Any]) -> MultiDict[str, str]:
    """The form that shows a definition."""
    form: MultiDict[str, str] = MultiDict()
    form["name"], form["description"] = str(definition.get("name") or ""), str(definition.get("description") or "")
    form["position"] = str(definition.get("position", 100))
    for flag, default in (("active", True), ("default", False)):
        if definition.get(flag, default):
            form[flag] = "yes"
    form["calendar"], beside = read_calendars(definition.get("calendar"), "calendar")
    form["beside"] = beside or ""
    form["warning"], form["critical"] = str(definition.get("warning", 80)), str(definition.get("critical", 95))
    form.setlist("pause_in", list(definition.get("pause_in", ["waiting_customer"])))
    resolution = definition.get("resolution") or {}
    form["starts"], form["stops"] = resolution.get("starts", "creation"), resolution.get("stops", "resolved")
    on_breach = definition.get("on_breach")
    form.setlist("on_breach", list(DEFAULT_ON_BREACH if on_breach is None else on_breach))
    _targets_to_form(definition.get("targets") or {}, form)
    _conditions_to_form(definition.get("applies_to"), form)
    return form


def _targets_to_form(targets: Mapping[str, Any], form: MultiDict[str, str]) -> None:
    for metric in METRICS:
        promised = targets.get(metric)
        if promised is None:
            form[f"counts-{metric}"] = "business"
            continue
        by_priority = promised if isinstance(promised, Mapping) and "target" not in promised else {"*": promised}
        cells = {("*" if p == "*" else priority_word(str(p))): _cell(value) for p, value in by_priority.items()}
        filled = {p: cells.get(p) or cells.get("*") or ("", True) for p in PRIORITIES}
        row_business = any(business for text, business in filled.values() if text)
        form[f"counts-{metric}"] = "business" if row_business else "calendar"
        for priority, (text, business) in filled.items():
            form[f"target-{metric}-{priority}"] = f"{text} cal" if text and row_business and not business else text


def _cell(value: Any) -> tuple[str, bool]:
    if isinstance(value, Mapping):
        return str(value.get("target") or ""), value.get("counts", "business") == "business"
    return ("" if value is None else str(value)), True


def _conditions_to_form(definition: Any, form: MultiDict[str, str]) -> None:
    group, leaves = "all", [definition] if definition else []
    if isinstance(definition, Mapping) and len(definition) == 1 and next(iter(definition)) in GROUPS:
        ((group, leaves),) = definition.items()
    if isinstance(leaves, list) and all(isinstance(leaf, Mapping) and "field" in leaf and "calendar" not in leaf for leaf in leaves):
        form["conditions"], form["group"] = "rows", group
        for leaf in leaves:
            operator = next((o for o in OPERATORS if o in leaf), "is")
            value = leaf.get(operator)
            form.add("field", str(leaf["field"]))
            form.add("operator", operator)
            form.add("value", _shown(value))
        return
    form["conditions"] = "text"
    form["applies_to"] = yaml.safe_dump(definition, sort_keys=False, default_flow_style=False)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def definition_of(form: MultiDict[str, str], known: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The definition a form says, and what is wrong with it: field of the form -> sentence. Parts of `known` that have no field here stay."""
    errors: dict[str, str] = {}
    definition: dict[str, Any] = {**{k: v for k, v in known.items() if k not in _LEFT_OUT_WHEN_EMPTY}, "name": form.get("name", "").strip()}
    if form.get("description", "").strip():
        definition["description"] = form["description"].strip()
    definition["active"], definition["default"] = "active" in form, "default" in form
    for name, default in (("position", 100), ("warning", 80), ("critical", 95)):
        typed = form.get(name, "").strip().rstrip("%").strip()
        if typed.isascii() and typed.lstrip("-").isdigit() and len(typed) < 10:
            definition[name] = int(typed)
        else:
            errors[name] = gettext("%(typed)s is no whole number; write one such as %(default)d.", typed=typed or "–", default=default)
    calendar, beside = form.get("calendar", ALWAYS_OPEN), form.get("beside", "")
    definition["calendar"] = {"cover": [calendar, beside]} if beside else calendar
    kept = {metric: promised for metric, promised in (known.get("targets") or {}).items() if metric not in METRICS}
    definition["targets"] = {**_targets_from_form(form, errors, some=bool(kept)), **kept}
    definition["pause_in"] = form.getlist("pause_in")
    definition["resolution"] = {**(known.get("resolution") or {}), "starts": form.get("starts", "creation"), "stops": form.get("stops", "resolved")}
    definition["on_breach"] = [a for a in form.getlist("on_breach") if a in ACTIONS]
    applies_to = _conditions_from_form(form, errors)
    if applies_to:
        definition["applies_to"] = applies_to
    if not errors:
        try:
            Policy.from_definition(definition, "policy")
        except InvalidDefinition as problem:
            errors[field_of(problem.field)] = sentence(problem.problem)
    return definition, errors


def _targets_from_form(form: MultiDict[str, str], errors: dict[str, str], *, some: bool) -> dict[str, Any]:
    targets: dict[str, Any] = {}
    for metric in METRICS:
        row_calendar = form.get(f"counts-{metric}") == "calendar"
        row: dict[str, Any] = {}
        for priority in PRIORITIES:
            name = f"target-{metric}-{priority}"
            typed = form.get(name, "").strip()
            if not typed:
                continue
            text = typed[:-3].strip() if typed.lower().endswith("cal") else typed
            calendar = row_calendar or text != typed
            try:
                parse_duration(text, name, allow_days=calendar)
            except InvalidDefinition as problem:
                errors[name] = sentence(problem.problem)
            row[priority] = {"target": text, "counts": "calendar"} if calendar else text
        if row:
            cells = list(row.values())
            targets[metric] = cells[0] if len(cells) == len(PRIORITIES) and all(c == cells[0] for c in cells) else row
    if not targets and not errors and not some:
        errors["targets"] = gettext("Promise at least one metric: write a time such as 8h into a cell.")
    return targets


def _conditions_from_form(form: MultiDict[str, str], errors: dict[str, str]) -> Any:
    if form.get("conditions") == "text":
        try:
            read = yaml.safe_load(form.get("applies_to", "") or "null")
            compile_condition(read, "applies_to", POLICY_FIELDS)
        except yaml.YAMLError as problem:
            errors["applies_to"] = gettext("This is no YAML: %(problem)s.", problem=str(problem).splitlines()[0])
            return None
        except InvalidDefinition as problem:
            errors["applies_to"] = sentence(f"{problem.field}: {problem.problem}")
            return None
        return read
    leaves = []
    for number, (field, operator, value) in enumerate(zip(form.getlist("field"), form.getlist("operator"), form.getlist("value"), strict=False)):
        if not field.strip():
            continue
        leaf = {"field": field.strip(), operator: _value(field.strip(), operator, value)}
        try:
            if operator != "is_set" and not value.strip():
                raise InvalidDefinition("value", "write what to compare with")
            compile_condition(leaf, "condition", POLICY_FIELDS)
        except InvalidDefinition as problem:
            errors[f"condition-{number}"] = sentence(problem.problem)
        leaves.append(leaf)
    group = form.get("group", "all")
    return {group if group in GROUPS else "all": leaves} if leaves else None


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


def field_of(place: str) -> str:
    """The form's field behind a place in a definition: `policy.targets.resolution.P1` is `target-resolution-P1`."""
    parts = place.split(".")[1:]
    if parts[:1] == ["targets"]:
        return "targets" if len(parts) < 3 else f"target-{parts[1]}-{priority_word(parts[2])}"
    if parts[:1] == ["resolution"]:
        return parts[1] if len(parts) > 1 else "stops"
    return parts[0].split("[")[0] if parts else ""


def sentence(problem: str) -> str:
    """A problem as a sentence: a capital at the start, a full stop at the end."""
    return problem[:1].upper() + problem[1:] + ("" if problem.endswith((".", "?")) else ".")
