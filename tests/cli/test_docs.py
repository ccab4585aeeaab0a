"""docs/cli.md: every command stands in it, and its policy files are ones that `policy apply` takes."""

import re
from pathlib import Path

import pytest

from sla_plugin.cli import main
from sla_plugin.services.apply_policy_file import read_policy_file

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text()
FILES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(
    "name", ["connect", "connections", "policy", "export", "explain", "replay", "retry", "import-log", "admin", "migrate", "settings", "person", "keys"]
)
def test_the_command_is_documented(name: str) -> None:
    assert name in main.commands
    assert re.search(rf"`(sla-plugin )?{name}\b", TEXT)


@pytest.mark.parametrize("file", FILES, ids=range(len(FILES)))
def test_its_policy_files_work(file: str) -> None:
    assert read_policy_file(file).policies


def test_there_are_policy_files() -> None:
    assert len(FILES) == 2
