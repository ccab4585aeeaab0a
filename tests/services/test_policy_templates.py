"""Templates: eight policies to begin with, under ids that never change, as docs/policies.md prints them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sla_plugin.engine.facts import PRIORITIES
from sla_plugin.engine.policies import Policy
from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.apply_policy_file import Stored
from sla_plugin.services.policy_templates import TEMPLATES, from_template, make_policy
from sla_plugin.settings import Settings
from tests.plant import OFFICE, Plant

EMPTY = Stored({}, {})


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    made = Plant(settings)
    yield made
    made.close()


def targets(policy: Policy, metric: str) -> str:
    return ", ".join("–" if (target := policy.target(metric, p)) is None else target.text.replace("\u00a0", " ") for p in PRIORITIES)


def test_the_docs_print_them() -> None:
    section = Path("docs/policies.md").read_text().partition("\n## Templates\n")[2].partition("\n## ")[0]
    printed = {row[0]: row[1:] for row in re.findall(r"(?m)^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", section)}
    said = {}
    for template in TEMPLATES.values():
        policy = Policy.from_definition(template.definition, template.id)
        applies = policy.applies_to.sentence() if policy.applies_to.definition else "every ticket"
        said[template.id] = (template.name, applies, template.calendar, targets(policy, "first_response"), targets(policy, "resolution"))
    assert printed == said


@pytest.mark.parametrize(
    ("template", "stored", "calendars", "name", "position"),
    [
        ("gold", EMPTY, {}, "Premium / Gold", 100),
        ("bronze", EMPTY, {"Office hours"}, "Basic / Bronze", 100),
        ("bronze", Stored({"Office hours": (1, OFFICE)}, {}), set(), "Basic / Bronze", 100),
        ("silver", Stored({"Office hours": (1, OFFICE)}, {}), {"Extended hours"}, "Standard / Silver", 100),
        ("gold", Stored({}, {"Premium / Gold": (1, {"position": 20}), "Premium / Gold 2": (3, {})}), {}, "Premium / Gold 3", 110),
        ("gold", Stored({}, {"Default": (1, {"default": True, "position": 900})}), {}, "Premium / Gold", 100),
    ],
    ids=["no calendar needed", "calendar made", "calendar there", "another one there", "name taken", "the default stays last"],
)
def test_what_is_missing_is_made(template: str, stored: Stored, calendars: Any, name: str, position: int) -> None:
    file = from_template(template, stored, "Europe/Berlin")
    assert set(file.calendars) == set(calendars)
    assert {c["time_zone"] for c in file.calendars.values()} <= {"Europe/Berlin"}
    assert {n: d["position"] for n, d in file.policies.items()} == {name: position}


@pytest.mark.parametrize(
    ("template", "name", "field"),
    [("platinum", None, "template"), ("gold", "Taken", "name"), ("gold", "  ", "policies[0].name"), ("gold", "x" * 201, "policies[0].name")],
)
def test_refused(template: str, name: str | None, field: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        from_template(template, Stored({}, {"Taken": (1, {})}), "UTC", name)
    assert refused.value.field == field


@pytest.mark.parametrize("template", TEMPLATES)
def test_made_it_is_a_policy_that_promises_nothing_yet(plant: Plant, template: str) -> None:
    with plant.database.transaction(plant.tenant) as tx:
        made = make_policy(tx, plant.tenant, template, plant.now, "test")
    (version,) = plant.rows("policy_version")
    assert (version["policy_id"], version["definition"]["active"]) == (made, False)
    again = Policy.from_definition(version["definition"], "policy")
    assert again.name == TEMPLATES[template].name
    assert [c["name"] for c in plant.rows("calendar")] == [c for c in (TEMPLATES[template].calendar,) if c != "24x7"]
