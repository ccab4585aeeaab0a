"""Whoever changes a row leaves an entry of the audit trail: every POST route there is, with forms that do something."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import select

from sla_plugin.logs import set_up_logging
from sla_plugin.store.duties import Duty
from sla_plugin.store.isolation import guarded_tables, owner_column
from sla_plugin.store.schema import METADATA
from sla_plugin.store.tenants import tenant_name
from tests.web.conftest import app_of, browser_of
from tests.web.routes import Route, first_id, routes
from tests.web.test_settings_page import GOOD
from tests.web.world import PASSWORD, SECRET, World

# what changes with every look, what is itself the record of a change or of a look, and somebody's own draft with its plan: applying it is an entry
PASSING = {"audit_entry", "audit_head", "personal_read", "connection_state", "retention_run", "draft", "plan", "plan_part"}
# endpoint -> a form with which it changes something in the world of these tests; routes that are not named are sent an empty one
Form = Callable[[World], Mapping[str, str]]
FORMS: Mapping[str, Form] = {
    "alerts.acknowledge": lambda w: {"note": "on it"},
    "connections.mode": lambda w: {"mode": "observe"},
    "deliveries.replay": lambda w: {},
    "me.password": lambda w: {"current": PASSWORD, "password": "another horse entirely", "again": "another horse entirely"},
    "people.invite": lambda w: {"email": "new@example.com", "name": "New One", "role": "agent"},
    "people.role": lambda w: {"role": "customer"},
    "people.disable": lambda w: {},
    "people.link": lambda w: {},
    "people.requesters": lambda w: {"connection": "CRM EU", "external": "u-99"},
    "privacy.erase": lambda w: {"address": "carl@example.com", "confirm": "carl@example.com"},
    "privacy.export": lambda w: {"address": "carl@example.com"},
    "settings.save": lambda w: GOOD,
    "settings.strict": lambda w: {"strict": "on", "confirm": name_of(w)},
    "tickets.escalate": lambda w: {"reason": "it cannot wait"},
    "tickets.extend": lambda w: {"metric": "resolution", "by": "1h", "reason": "asked for", "once": "1"},
    "tickets.choose": lambda w: {"policy": "Everyone", "reason": "asked for"},
    "tokens.make": lambda w: {"name": "t", "scopes": "tickets.read", "days": "30"},
    "tokens.revoke": lambda w: {},
}
MUST_CHANGE = set(FORMS) - {"privacy.export", "tickets.choose"}


def name_of(world: World) -> str:
    with world.runtime.database.reading(world.tenant) as tx:
        return tenant_name(tx, world.tenant)


def state(world: World) -> dict[str, list[str]]:
    """Every row of the tenant but what passes."""
    found = {}
    with world.runtime.database.reading(Duty.CHECKING) as tx:
        for name in guarded_tables():
            if name not in PASSING:
                table = METADATA.tables[name]
                columns = [c for c in table.columns if c.name not in ("seen_at", "used_at")]
                rows = tx.execute(select(*columns).where(table.c[owner_column(name)] == world.tenant))
                found[name] = sorted(repr(tuple(row)) for row in rows)
    return found


def post(world: World, route: Route, form: Mapping[str, Any]) -> tuple[set[str], list[dict[str, Any]]]:
    """Send a form as the admin: the tables that changed, and the entries that are new."""
    browser = browser_of(world)
    browser.get("/me")
    before, entries = state(world), len(world.rows("audit_entry"))
    answer = browser.client.open(route.path, method=route.method, data={"csrf_token": browser.token, **form})
    assert answer.status_code < 500, (route, answer.text[:500])
    assert answer.get_data() is not None  # a streamed answer is read to its end
    after = state(world)
    return {name for name in after if after[name] != before[name]}, world.rows("audit_entry")[entries:]


# what was typed, and what the world is full of: none of it may be said to a log
PLANTED = (PASSWORD, SECRET, "example.com", "Carl Customer", "Kim Lee", "Invoice export", "Login loop", "it cannot wait", "asked for", "New One", "sla_")


@pytest.mark.usefixtures("logging_kept")
def test_every_change_by_page_has_its_entry_and_no_log_tells_of_it(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("DEBUG", "json")
    wrong, changed_by = [], {}
    for route in routes(app_of(world), world):
        path = route.path
        if route.method == "GET":
            continue
        if route.endpoint.startswith("people.") and route.argued:  # nobody changes themselves
            agent = next(p["id"] for p in world.rows("person") if p["role"] in ("agent", "auditor") and p["disabled_at"] is None)
            path = path.replace(str(first_id(world, "person")), str(agent))
        if route.endpoint == "alerts.acknowledge":
            path = path.replace(str(first_id(world, "alert")), str(next(a["id"] for a in world.rows("alert") if a["acknowledged_at"] is None)))
        if route.endpoint == "me.password":
            continue  # last: it ends the password of everybody who follows
        changed, entries = post(world, Route(route.endpoint, route.method, path, route.argued), FORMS.get(route.endpoint, lambda w: {})(world))
        if changed:
            changed_by[route.endpoint] = changed
        if changed and not entries:
            wrong.append((route.endpoint, changed))
        # a decision of a person says what it was before, and what after
        wrong += [(e["what"], "before and after") for e in entries if e["salt"] and not {"before", "after"} <= set(e["changes"]) and _decides(e)]
    assert not wrong, "\n".join(map(repr, wrong))
    known = {rule.endpoint for rule in app_of(world).url_map.iter_rules()}
    assert (MUST_CHANGE & known) - {"me.password", *changed_by} == set(), "or this proves less than it says"
    said = capsys.readouterr().err
    assert [word for word in PLANTED if word in said.replace("sla_plugin", "")] == []


# entries of what somebody did rather than changed: there is no before
DEEDS = {
    *("signed in", "personal data exported", "password changed", "password reset link made", "password set by link", "sessions ended"),
    *("escalation requested", "test delivery sent", "mail settings tried", "deadline extended", "extension withdrawn", "policy chosen", "override refused"),
}


def _decides(entry: Mapping[str, Any]) -> bool:
    return entry["actor"] != "machine" and entry["what"] not in DEEDS


@pytest.mark.parametrize("path", ["/logout"])
def test_signing_out_and_a_new_password_have_theirs(small_world: World, path: str) -> None:
    changed, entries = post(small_world, Route("", "POST", "/me/password", False), FORMS["me.password"](small_world))
    assert ("person" in changed, [e["what"] for e in entries]) == (True, ["password changed"])
    browser = browser_of(small_world, "ana@example.com")
    browser.get("/me")
    browser.post(path)
    assert small_world.rows("audit_entry")[-1]["what"] == "signed out"
