"""Mail by command line, against a real server."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sla_plugin.app import build
from sla_plugin.services.people import invite
from sla_plugin.services.tenant_settings import change_settings
from sla_plugin.settings import Settings
from sla_plugin.store.duties import Duty
from sla_plugin.store.tenants import the_tenant
from tests.mail_server import TestServer, certificate, mail_server, mail_settings_of

Run = Callable[..., Any]


def set_up(environment: dict[str, str], server: TestServer, **other: str) -> None:
    """What an admin does on the Settings page, and an invitation."""
    runtime = build(Settings.from_env(environment))
    with runtime.database.reading(Duty.TENANTS) as tx:
        tenant = the_tenant(tx)
    assert tenant is not None
    with runtime.database.transaction(tenant) as tx:
        change_settings(tx, tenant, mail_settings_of(server.settings(), **other), 1, "test", runtime.outside.sealer)
        if not other:
            invite(tx, tenant, "ivy@example.com", "Ivy", "agent", 1, "test", runtime.outside)
    runtime.database.engine.dispose()


def test_a_test_mail_is_sent_and_told(run: Run, ask: Run, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No mail server is set up" in run("mail", "test", "kim@example.com", code=1).stderr
    authority = tmp_path / "authority.pem"
    with mail_server("tls") as server:
        (made,) = certificate("localhost")[1].get_ca_certs(binary_form=True)
        authority.write_text(ssl.DER_cert_to_PEM_cert(made))
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))  # how an operator names an authority of their own
        set_up(environment, server)
        said = run("mail", "test", "kim@example.com").stdout
        assert said.splitlines()[0].startswith("The server was reached at 127.0.0.1:")
        assert said.splitlines()[-1] == "The server took the mail: 250 queued as 1"
        assert [str(message["To"]) for message in server.took] == ["kim@example.com"]
        assert "no mail address" in run("mail", "test", "kim", code=1).stderr
        set_up(environment, server, mail_password="wrong")
        refused = run("mail", "test", "kim@example.com", code=1)
        assert "refused user or password. It says: 535" in refused.stderr
        assert "The line is safe" in refused.stdout
    (row,) = ask("mail", "list")
    assert (row["kind"], row["to"], row["state"], row["problem"]) == ("invitation", "ivy@example.com", "pending", None)
    assert "welcome" not in str(row)
    assert ask("mail", "list", "--state", "failed") == []
