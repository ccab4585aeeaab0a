"""The command line on a fresh SQLite installation that has been started once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sla_plugin.cli import main

Run = Callable[..., Result]


@pytest.fixture
def environment(sqlite_url: str, tmp_path: Path) -> dict[str, str]:
    """The settings of the installation."""
    return {"DATABASE_URL": sqlite_url, "SLA_DATA_DIR": str(tmp_path), "SLA_PUBLIC_URL": "https://sla.example.com", "SLA_ALLOW_PRIVATE_URLS": "yes"}


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Run a command; `code` is the exit code it must have."""

    def run_it(*arguments: str, code: int = 0, input: str | None = None) -> Result:
        result = CliRunner(env=environment).invoke(main, arguments, input=input)
        assert result.exit_code == code, result.output
        return result

    run_it("migrate")
    return run_it


@pytest.fixture
def ask(run: Run) -> Callable[..., Any]:
    """Run a command and read its JSON answer."""

    def ask_it(*arguments: str, input: str | None = None) -> Any:
        return json.loads(run(*arguments, input=input).stdout)

    return ask_it
