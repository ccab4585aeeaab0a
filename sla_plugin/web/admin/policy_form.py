"""A policy's definition as a form and back. Fields are plain texts; what is typed is never lost, whatever is wrong with it."""

from collections.abc import Mapping
from typing import Any, Final

import yaml
from werkzeug.datastructures import MultiDict

from sla_plugin.actions.registry import ACTIONS, DEFAULT_ON_BREACH
from sla_plugin.engine.facts import STATUSES
from sla_plugin.engine.metrics.definitions import METRICS
from sla_plugin.engine.policies import ALWAYS_OPEN, Policy, priority_word
from sla_plugin.engine.policy_definitions import read_calendars
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext, marked
from sla_plugin.web.admin.condition_form import change_rows, condition_from_form, condition_to_form, sentence
from sla_plugin.web.admin.target_grid import change_grid, targets_from_form, targets_to_form

__all__ = ["BUTTONS", "ON_CHANGE", "PAUSES", "change_form", "definition_of", "field_of", "form_of", "hidden_text", "sentence"]

PAUSES: Final = tuple(s for s in STATUSES if s not in ("resolved", "closed", "cancelled"))
ON_CHANGE: Final = {
    "keep": (marked("Keep elapsed"), marked("What has run counts; the new target is measured from where the clock began.")),
    "restart": (marked("Restart"), marked("What has run is forgotten; the new target begins at the change.")),
    "from_now": (marked("From now on"), marked("What has run stays, and the new target is added from the change on.")),
}
BUTTONS: Final = ("add", "add_group", "remove", "copy", "fill", "add_metric")  # they give the same form back
_LEFT_OUT_WHEN_EMPTY: Final = frozenset({"description", "applies_to"})
_HIDDEN: Final = ("metrics", "tiers")  # parts of a definition that have no field


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
    form["on_change"] = definition.get("on_change") or "keep"
    on_breach = definition.get("on_breach")
    form.setlist("on_breach", list(DEFAULT_ON_BREACH if on_breach is None else on_breach))
    targets_to_form(definition.get("targets") or {}, form)
    condition_to_form(definition.get("applies_to"), form)
    return form


def change_form(form: MultiDict[str, str]) -> bool:
    """Do what a button inside the form asks for; False if none was pressed."""
    if not any(name in form for name in BUTTONS):
        return False
    if any(name in form for name in ("add", "add_group", "remove")):
        change_rows(form)
    else:
        change_grid(form)
    return True


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
            errors[name] = gettext("%(typed)s is no whole number; write one such as %(default)d.", typed=typed or gettext("Nothing"), default=default)
    calendar, beside = form.get("calendar", ALWAYS_OPEN), form.get("beside", "")
    definition["calendar"] = {"cover": [calendar, beside]} if beside else calendar
    kept = {metric: promised for metric, promised in (known.get("targets") or {}).items() if metric not in METRICS}
    definition["targets"] = {**targets_from_form(form, errors, some=bool(kept)), **kept}
    definition["pause_in"] = form.getlist("pause_in")
    definition["resolution"] = {**(known.get("resolution") or {}), "starts": form.get("starts", "creation"), "stops": form.get("stops", "resolved")}
    if form.get("on_change", "keep") != "keep" or "on_change" in known:
        definition["on_change"] = form.get("on_change", "keep")
    definition["on_breach"] = [a for a in form.getlist("on_breach") if a in ACTIONS]
    applies_to = condition_from_form(form, errors)
    if applies_to:
        definition["applies_to"] = applies_to
    if not errors:
        try:
            Policy.from_definition(definition, "policy")
        except InvalidDefinition as problem:
            errors[field_of(problem.field)] = sentence(problem.problem)
    return definition, errors


def hidden_text(definition: Mapping[str, Any]) -> str:
    """The parts of a definition that the form keeps but cannot show, as YAML; empty if there are none."""
    own = {metric: promised for metric, promised in (definition.get("targets") or {}).items() if metric not in METRICS}
    parts = {**({"targets": own} if own else {}), **{key: definition[key] for key in _HIDDEN if definition.get(key)}}
    return yaml.safe_dump(parts, sort_keys=False, allow_unicode=True) if parts else ""


def field_of(place: str) -> str:
    """The form's field behind a place in a definition: `policy.targets.resolution.P1` is `target-resolution-P1`."""
    parts = place.split(".")[1:]
    if parts[:1] == ["targets"]:
        return "targets" if len(parts) < 3 else f"target-{parts[1]}-{priority_word(parts[2])}"
    if parts[:1] == ["resolution"]:
        return parts[1] if len(parts) > 1 else "stops"
    return parts[0].split("[")[0] if parts else ""
