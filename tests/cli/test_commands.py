"""The surface for scripts: JSON answers, exit codes, one line of error; no secret in any of it."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from connectors.zendesk.simulator import ZendeskSimulator
from sla_plugin.cli import main
from sla_plugin.reports.exports import EXPORTS

POLICY = "policies: [{name: Gold, targets: {resolution: 8h}}]"


def all_commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += all_commands(command, (*path, name))
    return found


@pytest.mark.parametrize("path", all_commands(main), ids=" ".join)
def test_every_command_helps_without_a_database(path: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["sla-plugin", *path, "--help"])
    result = CliRunner(env={"SLA_DATA_DIR": str(tmp_path / "none")}).invoke(main, [*path, "--help"])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) >= 4
    assert not (tmp_path / "none").exists()


def test_before_the_first_start_it_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner(env={"SLA_DATA_DIR": str(tmp_path)}).invoke(main, ["connections", "list"])
    assert result.exit_code == 1
    assert "run `sla-plugin migrate`" in result.stderr


def test_connect_generic(ask: Callable[..., Any], run: Callable[..., Any]) -> None:
    made = ask("connect", "generic", "--name", "CRM", "--map", "priority.sev1=P0", "--map", "unset_priority=P3", "--option", "x=1")
    assert made["webhook_url"].startswith("https://sla.example.com/webhooks/")
    assert (made["connection"], made["connector"], made["mode"], made["secret"][:6]) == ("CRM", "generic", "dry_run", "whsec_")
    (row,) = ask("connections", "list")
    assert (row["mapping"], row["options"], row["secrets"]) == ({"priority": {"sev1": "P0"}, "unset_priority": "P3"}, {"x": 1}, 1)
    assert made["secret"] not in json.dumps(row)
    refused = run("connect", "generic", "--name", "CRM", code=1)
    assert "error: there is a connection 'CRM' already" in refused.stderr
    assert refused.stdout == ""


def test_connect_zendesk_proves_the_token(ask: Callable[..., Any], run: Callable[..., Any], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("right-token\n")
    with ZendeskSimulator(email="robot@example.com", token="right-token") as zendesk:
        given = ("connect", "zendesk", "--name", "Z", "--base-url", zendesk.url, "--email", "robot@example.com")
        wrong = run(*given, "--token", "wrong-token", code=1)
        assert "refused the token (401)" in wrong.stderr
        assert "wrong-token" not in wrong.output
        made = ask(*given, "--token-file", str(token), "--live", "--secret", "-", input="from-stdin\n")
        assert (made["mode"], "secret" in made, len(made["proved"])) == ("live", False, 1)
        assert made["assignee"].isdigit()
        assert ask("connections", "check", "Z")["problems"] == []
    assert "refused the connection" in run("connections", "check", "Z", code=1).stderr


def test_a_zendesk_without_a_secret_says_what_is_next(ask: Callable[..., Any]) -> None:
    made = ask("connect", "zendesk", "--name", "Z", "--base-url", "https://acme.zendesk.com", "--email", "a@b.c", "--token", "t0ken-1", "--skip-check")
    assert "sla-plugin connections secret 'Z' --add SECRET" in made["next"]
    ask("connections", "secret", "Z", "--add", "signing")
    assert len(ask("connections", "secret", "Z")["secrets"]) == 1


def test_rotating_in_one_go(ask: Callable[..., Any]) -> None:
    ask("connect", "generic", "--name", "G", "--secret", "one")
    before = ask("connections", "secret", "G")["secrets"]
    after = ask("connections", "secret", "G", "--add", "two", "--retire", "old")["secrets"]
    assert (len(before), len(after)) == (1, 1)
    assert before != after


def test_modes(ask: Callable[..., Any], run: Callable[..., Any]) -> None:
    ask("connect", "generic", "--name", "G", "--base-url", "https://crm.example.com/hook", "--skip-check")
    live = ask("connections", "live", "G")
    assert (live["mode"], live["was"]) == ("live", "dry_run")
    assert "never proved" in live["warning"]
    assert ask("connections", "observe", "G")["was"] == "live"
    assert ask("connections", "dry-run", "G")["mode"] == "dry_run"
    assert "there is no connection 'X'; there are G" in run("connections", "live", "X", code=1).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("connect", "generic"),
        ("connect", "generic", "--name", "G", "--map", "priority=P0"),
        ("connect", "generic", "--name", "G", "--option", "x"),
        ("connect", "generic", "--name", "G", "--secret", "s", "--secret-file", __file__),
        ("export", "everything"),
        ("replay",),
        ("replay", "x", "--unreadable"),
        ("import-log", "/nowhere.csv", "--connection", "G"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(run: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    assert run(*arguments, code=2).stdout == ""


def test_policies(ask: Callable[..., Any], run: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    assert ask("policy", "lint", str(file))["would_change"]["policies"] == [{"name": "Gold", "version": 1}]
    assert ask("policy", "lint", "--offline", "-", input=POLICY)["warnings"] == []
    applied = ask("policy", "apply", str(file))
    assert (applied["revision"], applied["changed"]["policies"]) == (2, [{"name": "Gold", "version": 1}])
    assert applied["warnings"] == ["policy 'Default' never applies: 'Gold' is tried before it and takes every ticket"]
    assert ask("policy", "apply", "-", input=POLICY)["revision"] is None
    assert [row["policy"] for row in ask("policy", "list")] == ["Gold", "Default"]
    shown = run("policy", "show", "Gold").stdout
    assert ask("policy", "apply", "-", input=shown)["unchanged"] == ["policy Gold"]
    assert "no policy 'Silver'" in run("policy", "show", "Silver", code=1).stderr
    broken = run("policy", "apply", "-", input=POLICY.replace("8h", "8"), code=1)
    assert broken.stderr.startswith("error: policies[0].targets.resolution: 8 has no unit")


@pytest.mark.parametrize("kind", list(EXPORTS))
def test_an_empty_export_is_still_one(run: Callable[..., Any], kind: str) -> None:
    assert json.loads(run("export", kind, "--json").stdout) == []
    assert run("export", kind, "--jsonl").stdout == ""
    (header,) = csv.reader(io.StringIO(run("export", kind, "--csv").stdout))
    assert header[0] in ("ticket", "connection", "kind")


def test_what_is_not_there(run: Callable[..., Any]) -> None:
    assert "there is no ticket '4812'" in run("explain", "4812", code=1).stderr
    assert "there is no delivery 'x'" in run("replay", "x", code=1).stderr
    assert json.loads(run("replay", "--unreadable").stdout) == {"replayed": 0, "deliveries": []}
    assert json.loads(run("retry").stdout) == {"retried": 0, "commands": []}


def test_a_new_admin_password(run: Callable[..., Any]) -> None:
    first, second = (run("admin", "reset-password").stdout.split()[-1] for _ in range(2))
    assert first != second
    assert "nobody signs in as x@y" in run("admin", "reset-password", "--email", "x@y", code=1).stderr
