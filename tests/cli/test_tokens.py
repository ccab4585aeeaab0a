"""API tokens by command line."""

from collections.abc import Callable
from typing import Any

Run = Callable[..., Any]


def test_a_token_is_made_listed_and_revoked(run: Run, ask: Run) -> None:
    secret = run("tokens", "make", "report", "--scope", "tickets.read", "--scope", "alerts.read", "--days", "30").stdout.strip()
    assert secret.startswith("sla_")
    (token,) = ask("tokens", "list")
    assert (token["name"], token["scopes"], token["revoked_at"]) == ("report", ["alerts.read", "tickets.read"], None)
    assert secret not in str(token)
    run("tokens", "revoke", token["id"])
    (token,) = ask("tokens", "list")
    assert token["revoked_at"] is not None
    assert "there is no token 7" in run("tokens", "revoke", "7", code=1).stderr
    assert "no such permission" in run("tokens", "make", "x", "--scope", "all", code=1).stderr
    assert "nobody signs in as x@y" in run("tokens", "make", "x", "--scope", "tickets.read", "--email", "x@y", code=1).stderr
