"""The documentation against the code: links resolve, examples work, nothing that a user can say is missing, nothing is named that does not exist."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from connectors.registry import CONNECTORS, connector
from sla_plugin import __version__
from sla_plugin.actions.registry import ACTIONS, DEFAULT_ON_BREACH
from sla_plugin.cli import main
from sla_plugin.engine.calendars import Calendar
from sla_plugin.engine.durations import SECOND
from sla_plugin.engine.facts import PRIORITIES, STATUSES
from sla_plugin.engine.metrics.definitions import METRICS
from sla_plugin.engine.operators import OPERATORS
from sla_plugin.engine.policies import POLICY_FIELDS, Policy
from sla_plugin.errors import InvalidDefinition
from sla_plugin.ports import InboundRequest
from sla_plugin.reports.exports import EXPORTS
from sla_plugin.services.apply_policy_file import read_policy_file
from sla_plugin.store.deliveries import STATES
from sla_plugin.supervisor.parts import INBOX, OUTBOX, REDIS, SUPERVISOR, TIMEKEEPER, WEB
from sla_plugin.web.metric_table import METRICS as METRIC_TABLE

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "connectors").glob("*/README.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in PAGES}
SECRET = "whsec_" + "0123456789abcdef" * 2


def found(pattern: str, pages: Mapping[str, str] = TEXTS) -> list[tuple[str, str]]:
    """(page, match) of a pattern with one group in all pages."""
    return [(page, match) for page, text in pages.items() for match in re.findall(pattern, text, re.DOTALL)]


# --- links -----------------------------------------------------------------------------------------------------------
def slug(heading: str) -> str:
    """A heading's anchor as hosts of Markdown make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize(("page", "link"), sorted({one for one in found(r"\]\(([^)\s]+)\)") if "://" not in one[1]}))
def test_links_lead_somewhere(page: str, link: str) -> None:
    place, _, anchor = link.partition("#")
    target = (ROOT / page).parent / place if place else ROOT / page
    assert target.exists(), f"{page} links to {link}"
    if anchor:
        assert anchor in {slug(heading) for heading in re.findall(r"(?m)^#+ (.*)$", target.read_text())}


def test_the_docs_are_reached_from_the_readme() -> None:
    assert [page for page in TEXTS if page.startswith("docs/") and f"]({page}" not in TEXTS["README.md"]] == []


# --- policy files ----------------------------------------------------------------------------------------------------
EXAMPLES = found(r"```yaml\n(.*?)```")


@pytest.mark.parametrize(("page", "text"), EXAMPLES, ids=[f"{page}-{number}" for number, (page, _) in enumerate(EXAMPLES)])
def test_policy_files_work(page: str, text: str) -> None:
    indent = re.match(r" *", text)
    assert indent is not None
    told = read_policy_file("\n".join(line.removeprefix(indent[0]) for line in text.splitlines()))
    assert told.policies


def refused(definition: Mapping[str, Any]) -> str:
    with pytest.raises(InvalidDefinition) as problem:
        Policy.from_definition({"name": "x", "targets": {"resolution": "1h"}, **definition}, "policy")
    return str(problem.value)


def words_after(text: str, start: str) -> list[str]:
    return text.partition(start)[2].rstrip(".").split(", ")


def calendar_fields() -> list[str]:
    with pytest.raises(InvalidDefinition) as problem:
        Calendar.from_definition({"qqqq": 1}, "calendar")
    return words_after(str(problem.value), "known are ")


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("A policy", words_after(refused({"qqqq": 1}), "a policy has ")),
        ("Metrics", list(METRICS)),
        ("Metrics", words_after(refused({"metrics": {"resolution": {"qqqq": 1}}}), "options of a metric are ")),
        ("Metrics", words_after(refused({"metrics": {"mine": {"qqqq": 1}}, "targets": {"mine": "1h"}}), "metric of your own has ")),
        ("Actions at a breach", list(ACTIONS)),
        ("Conditions", list(OPERATORS)),
        ("Conditions", sorted(POLICY_FIELDS)),
        ("Words of ours", [*STATUSES, *PRIORITIES]),
        ("A calendar", calendar_fields()),
    ],
    ids=["policy", "metrics", "options of metrics", "own metrics", "actions", "operators", "fields", "words", "calendar"],
)
def test_everything_a_policy_file_may_say_is_documented(section: str, words: list[str]) -> None:
    text = TEXTS["docs/policies.md"].partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    assert len(words) > 3
    assert [word for word in words if f"`{word}`" not in text] == []


def test_the_defaults_of_a_policy_are_as_documented() -> None:
    told = dict(re.findall(r"(?m)^\| `(\w+)` \| `([^`]+)` \|", TEXTS["docs/policies.md"].partition("\n## A policy\n")[2].partition("\n## ")[0]))
    policy = Policy.from_definition({"name": "x", "targets": {"resolution": "1h"}}, "policy")
    for name in ("active", "default", "position", "calendar", "warning", "critical", "on_change"):
        assert told.pop(name) == str(getattr(policy, name)).lower()
    assert told.keys() == {"pause_in", "resolution"}
    in_full = {"pause_in": ["waiting_customer"], "resolution": {"starts": "creation", "stops": "resolved"}}
    spelled = Policy.from_definition({"name": "x", "targets": {"resolution": "1h"}, **in_full}, "policy")
    assert (told["pause_in"], told["resolution"]) == ("[waiting_customer]", "{starts: creation, stops: resolved}")
    assert spelled.metrics == policy.metrics
    assert set(DEFAULT_ON_BREACH) == set(ACTIONS)


# --- connectors, commands, parts -------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [one.name for one in CONNECTORS])
def test_every_connector_is_documented(name: str) -> None:
    assert f"(connectors/{name}/README.md)" in TEXTS["README.md"]
    capabilities = TEXTS[f"connectors/{name}/README.md"].partition("\n## Capabilities\n")[2].partition("\n## ")[0]
    assert [one for one in connector(name).capabilities if f"`{one}`" not in capabilities] == []


def commands(group: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(group, click.Group):
        for name, command in group.commands.items():
            yield from commands(command, (*words, name))
    else:
        yield words


@pytest.mark.parametrize("words", list(commands(main)), ids=" ".join)
def test_every_command_is_documented(words: tuple[str, ...]) -> None:
    assert re.search(rf"(?m)(`|^ *)(sla-plugin )?{' '.join(words)}\b", TEXTS["docs/cli.md"])


def test_no_command_is_named_that_does_not_exist() -> None:
    known = {words[: n + 1] for words in commands(main) for n in range(len(words))}
    groups = {words[0] for words in commands(main) if len(words) > 1}
    named = found(r"(?:`|bin/|\n {0,3}|yes )sla-plugin ([a-z][a-z-]*(?: [a-z][a-z-]*)?)")
    assert len(named) > 30
    for page, said in named:
        first, *rest = said.split()
        assert (first,) in known, f"{page}: sla-plugin {said}"
        if rest and first in groups:
            assert (first, *rest) in known, f"{page}: sla-plugin {said}"


def test_every_export_is_documented() -> None:
    assert "|".join(EXPORTS) in TEXTS["docs/cli.md"]
    assert ", ".join(EXPORTS) in TEXTS["README.md"]


def test_every_part_is_documented() -> None:
    for part in (SUPERVISOR, WEB, INBOX, OUTBOX, TIMEKEEPER, REDIS):
        assert f"| {part} |" in TEXTS["docs/operations.md"]


# --- bad days --------------------------------------------------------------------------------------------------------
BAD_DAYS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXTS["docs/operations.md"].partition("\n## Bad days\n")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ")
][1:]
CODE = "\n".join(path.read_text() for folder in ("sla_plugin", "connectors") for path in sorted((ROOT / folder).rglob("*.py")))
KNOWN_METRICS = {row.name for row in METRIC_TABLE} | {
    f"{row.name}{end}" for row in METRIC_TABLE if row.kind == "histogram" for end in ("_bucket", "_sum", "_count")
}


@pytest.mark.parametrize("row", BAD_DAYS, ids=[row[0] for row in BAD_DAYS])
def test_what_a_bad_day_shows_is_what_the_code_says(row: list[str]) -> None:
    """Lines of the log and names of metrics, as they really are."""
    _, _, log, metrics, do = row
    assert do
    for line in re.findall(r"`([^`]+)`", log):
        stem = line.removeprefix("delivery ")  # one line is made of the outcome's name
        assert line in CODE or (stem in STATES), f"no line of the log says {line!r}"
        assert re.search(rf"log(ger)?\.\w+\(.*{re.escape(line)}", CODE) or f'"{line}"' in CODE or stem in STATES
    assert [name for name in re.findall(r"`(sla_\w+)`", metrics) if name not in KNOWN_METRICS] == []


def test_bad_days_are_all_there() -> None:
    assert len(BAD_DAYS) >= 19
    assert sum(bool(re.findall(r"`sla_", row[3])) for row in BAD_DAYS) >= 16


def test_the_alarms_name_metrics_that_exist() -> None:
    rules = [rule for group in yaml.safe_load((ROOT / "docs/alerts.yaml").read_text())["groups"] for rule in group["rules"]]
    named = {name for rule in rules for name in re.findall(r"\bsla_\w+", rule["expr"])}
    assert named <= KNOWN_METRICS
    assert {
        "sla_inbox_age_seconds",
        "sla_lateness_seconds",
        "sla_part_up",
        "sla_outbox_commands",
        "sla_connection_paused_seconds",
        "sla_credentials_refused",
    } <= named
    for rule in rules:  # a label a rule picks or speaks of is one the metric has
        labels = {label for row in METRIC_TABLE if re.search(rf"\b{row.name}\b", rule["expr"]) for label in row.labels}
        assert set(re.findall(r"\{(\w+)=", rule["expr"])) <= labels
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels | {"instance"}


def test_the_version_is_said_once() -> None:
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()


# --- the webhooks of the README --------------------------------------------------------------------------------------
def test_the_zendesk_webhook_of_the_readme_is_read() -> None:
    ((_, body),) = found(r"```json\n(.*?)```", {"README.md": TEXTS["README.md"]})
    (event,) = connector("zendesk").parse(InboundRequest({}, body.encode(), 0), {}).events
    assert (event.kind, event.ticket, event.values["priority"]) == ("ticket.created", "35437", "HIGH")


def test_the_signed_webhook_of_the_readme_is_accepted(tmp_path: Path) -> None:
    """The snippet as it stands, run by bash, with curl replaced by a note of what it was told."""
    ((_, snippet),) = found(r"```bash\n(.*?)```", {"README.md": TEXTS["README.md"]})
    curl = tmp_path / "curl"
    curl.write_text('#!/usr/bin/env bash\nprintf "%s\\0" "$@" > "$(dirname "$0")/told"\n')
    curl.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "URL": "http://127.0.0.1:1/webhooks/x", "SECRET": SECRET}
    subprocess.run(["bash", "-euc", snippet], env=environment, check=True, timeout=30)

    told = (tmp_path / "told").read_text().split("\0")
    assert "http://127.0.0.1:1/webhooks/x" in told
    headers = dict(told[at + 1].split(": ", 1) for at, word in enumerate(told) if word == "-H")
    body = told[told.index("-d") + 1].encode()
    request = InboundRequest(headers, body, int(headers["webhook-timestamp"]) * SECOND)
    generic = connector("generic")
    generic.verify(request, [SECRET])
    (event,) = generic.parse(request, {}).events
    assert (event.kind, event.ticket, event.values["priority"]) == ("ticket.created", "4711", "high")
