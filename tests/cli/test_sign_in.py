"""The sign-in service by command line: what an operator does when nobody can sign in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sla_plugin.app import build
from sla_plugin.services.tenant_settings import change_settings
from sla_plugin.settings import Settings
from sla_plugin.store.duties import Duty
from sla_plugin.store.identities import add_identity
from sla_plugin.store.people import list_people
from sla_plugin.store.tenants import only_tenant
from tests.web.oidc_provider import Provider, serving

Run = Callable[..., Any]


def set_up(environment: dict[str, str], issuer: str) -> int:
    """A tenant whose people sign in through a service, the admin among them, and by nothing else; the tenant."""
    runtime = build(Settings.from_env(environment))
    with runtime.database.reading(Duty.TENANTS) as tx:
        tenant = only_tenant(tx)
    assert tenant is not None
    with runtime.database.transaction(tenant) as tx:
        add_identity(tx, tenant, list_people(tx, tenant)[0].id, issuer, "s-1", None, 0)
        told = {"sign_in_on": "yes", "sign_in_issuer": issuer, "sign_in_client": "c", "sign_in_secret": "very secret", "sign_in_passwords": "no"}
        change_settings(tx, tenant, told, 1, "test", runtime.outside.sealer)
    runtime.database.engine.dispose()
    return tenant


def test_a_service_is_shown_asked_and_turned_off(run: Run, ask: Run, environment: dict[str, str], tmp_path: Path) -> None:
    assert "no sign-in service is in use" in run("sign-in", "check", code=1).stderr
    with serving(Provider()) as provider:
        tenant = set_up(environment, provider.issuer)
        assert "is well" in run("sign-in", "check").stdout
        shown = ask("sign-in", "show")
        assert (shown["sign_in_issuer"], shown["sign_in_secret"], shown["check"]["problem"]) == (provider.issuer, "set", None)
        assert shown["redirect_uri"] == f"https://sla.example.com/login/{tenant}/back"
        (admin,) = shown["bound"]
        provider.spoil["/jwks"] = 500
        assert "500" in run("sign-in", "check", code=1).stderr
        assert "500" in ask("sign-in", "show")["check"]["problem"]
    assert "passwords let people in" in run("sign-in", "off").stdout
    assert "off already" in run("sign-in", "off").stdout
    shown = ask("sign-in", "show")
    assert (shown["sign_in_on"], shown["sign_in_client"], shown["check"]) == ("no", "c", None)
    assert "very secret" not in str(shown)
    assert "bound to nothing any more" in run("sign-in", "unbind", admin).stdout
    assert "was bound to nothing" in run("sign-in", "unbind", admin).stdout
    assert "nobody signs in as x@y" in run("sign-in", "unbind", "x@y", code=1).stderr
    run("audit", "verify")
