"""Several tenants on one installation, by command line."""

from collections.abc import Callable
from typing import Any

Run = Callable[..., Any]


def test_a_tenant_is_added_and_commands_name_it(run: Run, ask: Run) -> None:
    said = run("tenants", "add", "Nordwind", "--admin", "Ida@Nordwind.example", "--zone", "Europe/Berlin").stdout
    assert "Sign in as ida@nordwind.example with the one-time password" in said
    assert [row["name"] for row in ask("tenants", "list")] == ["Default", "Nordwind"]
    assert "which tenant?" in run("connections", "list", code=1).stderr
    assert "there is no tenant 'Nobody'; there are Default, Nordwind" in run("--tenant", "Nobody", "connections", "list", code=1).stderr
    run("--tenant", "Nordwind", "policy", "apply", "-", input="policies: [{name: North, targets: {resolution: 8h}}]")
    assert "North" in run("--tenant", "Nordwind", "policy", "list").stdout
    assert "North" not in run("--tenant", "Default", "policy", "list").stdout


def test_what_cannot_be_a_tenant_is_refused(run: Run) -> None:
    assert "already" in run("tenants", "add", "Default", "--admin", "a@b.example", code=1).stderr
    assert "no time zone" in run("tenants", "add", "X", "--admin", "a@b.example", "--zone", "Europe/Berlyn", code=1).stderr
    assert "no mail address" in run("tenants", "add", "X", "--admin", "nobody", code=1).stderr


def test_brands_and_which_connection_serves_them(run: Run, ask: Run) -> None:
    run("connect", "generic", "--name", "CRM")
    run("entities", "add", "Acme")
    assert "already" in run("entities", "add", "Acme", code=1).stderr
    run("entities", "assign", "CRM", "Acme")
    run("entities", "assign", "CRM", "Acme")
    assert ask("entities", "list") == [{"name": "Acme", "connections": ["CRM"]}]
    assert "there are Acme" in run("entities", "assign", "CRM", "Zeta", code=1).stderr
    run("entities", "assign", "CRM", "--none")
    assert ask("entities", "list") == [{"name": "Acme", "connections": []}]
