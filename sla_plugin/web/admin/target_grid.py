"""The grid of targets: metrics by priorities, each cell a text as people write times. What is odd is said beside its cell and blocks nothing."""

from collections.abc import Mapping
from typing import Any, Final

from werkzeug.datastructures import MultiDict

from sla_plugin.engine.durations import format_duration, parse_duration
from sla_plugin.engine.facts import PRIORITIES
from sla_plugin.engine.metrics.definitions import METRICS
from sla_plugin.engine.policies import priority_word
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext
from sla_plugin.services.describe_change import PRIORITY_WORDS, metric_title
from sla_plugin.web.admin.condition_form import sentence

USUAL: Final = ("first_response", "next_response", "resolution")  # shown even where nothing is promised
EVERY: Final = "*"


def cell_name(metric: str, priority: str) -> str:
    """The name of a cell's field."""
    return f"target-{metric}-{priority}"


def shown_metrics(form: MultiDict[str, str]) -> list[str]:
    """The metrics that have a row, in our order."""
    wanted = {*USUAL, *form.getlist("metric"), *(m for m in METRICS if any(form.get(cell_name(m, p)) for p in PRIORITIES))}
    return [metric for metric in METRICS if metric in wanted]


def targets_to_form(targets: Mapping[str, Any], form: MultiDict[str, str]) -> None:
    """Put targets into a form."""
    for metric in METRICS:
        promised = targets.get(metric)
        if promised is None:
            form[f"counts-{metric}"] = "business"
            continue
        by_priority = promised if isinstance(promised, Mapping) and "target" not in promised else {EVERY: promised}
        cells = {(EVERY if p == EVERY else priority_word(str(p))): _typed(value) for p, value in by_priority.items()}
        filled = {p: cells[p] if p in cells else cells.get(EVERY, ("", True)) for p in PRIORITIES}
        row_business = any(business for text, business in filled.values() if text)
        form[f"counts-{metric}"] = "business" if row_business else "calendar"
        for priority, (text, business) in filled.items():
            form[cell_name(metric, priority)] = f"{text} cal" if text and row_business and not business else text


def targets_from_form(form: MultiDict[str, str], errors: dict[str, str], *, some: bool) -> dict[str, Any]:
    """The targets that a form says; `some`: others are promised anyhow."""
    targets: dict[str, Any] = {}
    for metric in METRICS:
        row: dict[str, Any] = {}
        for priority in PRIORITIES:
            text, calendar = _read(form, metric, priority)
            if not text:
                continue
            try:
                parse_duration(text, "", allow_days=calendar)
            except InvalidDefinition as problem:
                where = gettext("%(metric)s, %(priority)s", metric=metric_title(metric), priority=gettext(PRIORITY_WORDS[priority]))
                errors[cell_name(metric, priority)] = f"{where}: {sentence(problem.problem)}"
            row[priority] = {"target": text, "counts": "calendar"} if calendar else text
        if row:
            cells = list(row.values())
            targets[metric] = cells[0] if len(cells) == len(PRIORITIES) and all(c == cells[0] for c in cells) else row
    if not targets and not errors and not some:
        errors["targets"] = gettext("Promise at least one metric: write a time such as 8h into a cell.")
    return targets


def change_grid(form: MultiDict[str, str]) -> None:
    """Do what the buttons ask: `copy` the column `copy_from` to `copy_to` (`*`: all others), `fill` a row from its first cell, `add_metric` a row."""
    copying, filled, added = form.pop("copy", ""), form.pop("fill", ""), form.pop("add_metric", "")
    if copying and form.get("copy_from") in PRIORITIES:
        to = [p for p in PRIORITIES if form.get("copy_to") in (p, EVERY) and p != form["copy_from"]]
        for metric in METRICS:
            for priority in to:
                form[cell_name(metric, priority)] = form.get(cell_name(metric, form["copy_from"]), "")
    if filled in METRICS:
        first = next((text for p in PRIORITIES if (text := form.get(cell_name(filled, p), "").strip())), "")
        for priority in PRIORITIES:
            if not form.get(cell_name(filled, priority), "").strip():
                form[cell_name(filled, priority)] = first
    if added and form.get("new_metric") in METRICS:
        form.add("metric", form["new_metric"])


def echoes(form: MultiDict[str, str]) -> dict[str, str]:
    """What each cell is understood as."""
    return {
        name: gettext("%(time)s calendar", time=format_duration(amount, days=True)) if calendar else format_duration(amount)
        for name, (amount, calendar) in _amounts(form).items()
    }


def oddities(form: MultiDict[str, str]) -> dict[str, str]:
    """What is odd about a cell, in a sentence: a resolution before the first response, a lower priority served faster than a higher one."""
    amounts, found = _amounts(form), {}
    for metric in METRICS:
        for number, priority in enumerate(PRIORITIES):
            mine = amounts.get(cell_name(metric, priority))
            if mine is None:
                continue
            first = amounts.get(cell_name("first_response", priority))
            if metric == "resolution" and first is not None and first[1] == mine[1] and mine[0] < first[0]:
                found[cell_name(metric, priority)] = gettext("Shorter than the first response.")
                continue
            for higher in PRIORITIES[:number]:
                theirs = amounts.get(cell_name(metric, higher))
                if theirs is not None and theirs[1] == mine[1] and mine[0] < theirs[0]:
                    found[cell_name(metric, priority)] = gettext("Tighter than %(priority)s.", priority=gettext(PRIORITY_WORDS[higher]))
                    break
    return found


def missing_metrics(form: MultiDict[str, str]) -> list[tuple[str, str]]:
    """Metrics that have no row yet, with their titles."""
    shown = shown_metrics(form)
    return [(metric, metric_title(metric)) for metric in METRICS if metric not in shown]


def _amounts(form: MultiDict[str, str]) -> dict[str, tuple[int, bool]]:
    """Microseconds of each cell that can be read, and whether it counts calendar time."""
    amounts = {}
    for metric in METRICS:
        for priority in PRIORITIES:
            text, calendar = _read(form, metric, priority)
            try:
                amounts[cell_name(metric, priority)] = (parse_duration(text, "", allow_days=calendar), calendar)
            except InvalidDefinition:
                continue
    return amounts


def _read(form: MultiDict[str, str], metric: str, priority: str) -> tuple[str, bool]:
    """A cell's time without what says how it counts, and whether that is calendar time."""
    typed = form.get(cell_name(metric, priority), "").strip()
    text = typed[:-3].strip() if typed.lower().endswith("cal") else typed
    return text, text != typed or form.get(f"counts-{metric}") == "calendar"


def _typed(value: Any) -> tuple[str, bool]:
    if isinstance(value, Mapping):
        return str(value.get("target") or ""), value.get("counts", "business") == "business"
    return ("" if value is None else str(value)), True
