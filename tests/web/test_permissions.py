"""One table decides: every route declares what it needs, every role gets exactly that, and the docs print it."""

import re
from pathlib import Path

import pytest
from sqlalchemy import select

from sla_plugin.permissions import PERMISSIONS, ROLES, allowed, permissions_markdown
from sla_plugin.store.audit import AuditEntry
from sla_plugin.store.events import EventRow
from sla_plugin.web.access import PUBLIC, needed, needs
from tests.web.conftest import app_of, browser_of, program_of, shared_app
from tests.web.routes import PEOPLE, private_rules, routes
from tests.web.world import World

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_docs_have_the_table() -> None:
    assert permissions_markdown() in (DOCS / "security.md").read_text()


def test_roles_stand_in_each_other_as_told() -> None:
    assert allowed("admin") | allowed("customer") == set(PERMISSIONS), "admins may do everything but what only customers have"
    assert {name for name in allowed("auditor") if not name.endswith((".read", ".use"))} == set()
    assert allowed("customer") == {"account.use", "portal.read", "portal.escalate"}
    assert allowed("stranger") == frozenset()


def test_every_route_declares_what_it_needs(small_world: World) -> None:
    app = app_of(small_world)
    assert [(rule.rule, method) for rule, method in private_rules(app) if needed(app, rule.endpoint, method) is None] == []
    assert sorted(set(PUBLIC) - set(app.view_functions)) == []


def test_every_permission_guards_something(small_world: World) -> None:
    app = app_of(small_world)
    used = {needed(app, rule.endpoint, method) for rule, method in private_rules(app)} | {"deliveries.bodies"}
    assert set(PERMISSIONS) - used == set()


def test_a_route_that_declares_nothing_answers_nobody(small_world: World) -> None:
    app = app_of(small_world)
    app.add_url_rule("/forgotten", "forgotten", lambda: "secret")
    app.add_url_rule("/declared", "declared", needs("tickets.read")(lambda: "told"))
    client = app.test_client()
    assert client.get("/forgotten").status_code == 404
    assert client.get("/declared").status_code == 200  # a blueprint's guard decides who; this route has none


def test_a_permission_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(KeyError):
        needs("tickets.delete")


@pytest.mark.parametrize("role", ROLES)
def test_each_role_gets_what_the_table_says(world: World, role: str) -> None:
    app = shared_app(world)
    browser, program = browser_of(world, PEOPLE[role]), program_of(world, role, app=app)
    nouns = {name.partition(".")[0] for name in allowed(role)}
    wrong = []
    for route in routes(app, world):
        if route.path.endswith("/sessions") and role == "admin":
            continue  # ends what the walk needs; has its own test
        need = needed(app, route.endpoint, route.method) or ""
        if route.is_api:
            answer = program.open(route.method, route.path, {} if route.method != "GET" else None, {"If-Match": "*"})
        else:
            browser.get("/me")
            answer = browser.client.open(route.path, method=route.method, data={"csrf_token": browser.token} if route.method != "GET" else None)
        refused = 403 if need.partition(".")[0] in nouns else 404
        if need not in allowed(role):
            fits = answer.status_code == refused
        else:
            own = route.endpoint.startswith(("portal.", "api_portal."))  # the first ticket of all need not be the customer's
            fits = answer.status_code in (200, 201, 202, 204, 302, 409, 422) or (own and answer.status_code == 404)
        if not fits:
            wrong.append((route, need, answer.status_code))
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
def test_the_menu_leads_nowhere_forbidden(world: World, role: str) -> None:
    browser = browser_of(world, PEOPLE[role])
    text = browser.get("/")
    shown = re.findall(r'href="([^"]+)"', text.partition('id="nav"')[2])
    assert "/me" in shown
    for path in shown:
        browser.get(path)


# --- customers -------------------------------------------------------------------------------------------------------
def ticket_id(world: World, number: str) -> int:
    return next(int(row["id"]) for row in world.rows("ticket") if row["external_id"] == number)


def test_a_customer_sees_the_tickets_they_asked_for(world: World) -> None:
    browser = browser_of(world, PEOPLE["customer"])
    text = browser.get("/")
    assert "<h1>My tickets</h1>" in text
    assert "#4820 " in text, "by mail address"
    assert "#4822 " in text, "by the name that the helpdesk has"
    assert "#4821 " not in text
    assert "#4812 " not in text
    assert "What we promised" in browser.get(f"/portal/{ticket_id(world, '4820')}")
    browser.get(f"/portal/{ticket_id(world, '4821')}", 404)
    browser.post(f"/portal/{ticket_id(world, '4821')}/escalate", 404, reason="mine!")
    browser.get(f"/tickets/{ticket_id(world, '4820')}", 404)


def test_a_customer_asks_to_escalate_and_agents_are_alerted(world: World) -> None:
    ticket = ticket_id(world, "4820")
    customer, agent = browser_of(world, PEOPLE["customer"]), browser_of(world, PEOPLE["agent"])
    path = f"/portal/{ticket}"
    customer.get(path)
    assert "say why this cannot wait" in customer.post(f"{path}/escalate", 422, reason=" ").lower()
    text = customer.post(f"{path}/escalate", reason="The plant stands still <now>")
    assert "waits for an agent" in text
    assert "asked for already" in customer.post(f"{path}/escalate", 422, reason="Again")

    alerts = agent.get("/alerts")
    assert "Asked for" in alerts
    assert "Escalation" in alerts
    assert "The plant stands still &lt;now&gt;" in agent.get(f"/tickets/{ticket}")
    request = next(row for row in world.rows("alert") if row["level"] == "requested")
    agent.post(f"/alerts/{request['id']}/acknowledge")
    assert "an agent took it" in customer.get(path)
    assert "waits for an agent" in customer.post(f"{path}/escalate", reason="And again")

    with world.runtime.database.reading(world.tenant) as tx:
        kinds = tx.scalars(select(EventRow.actor_role).where(EventRow.kind == "escalation.requested")).all()
        entries = tx.scalars(select(AuditEntry).where(AuditEntry.what == "escalation requested")).all()
    assert list(kinds) == ["customer", "customer"]
    assert [entry.actor for entry in entries] == ["Carl Customer <carl@example.com>"] * 2
    assert "plant" not in str([entry.changes for entry in entries]), "what people write stays with the ticket"


def test_asking_to_escalate_moves_no_clock(world: World) -> None:
    browser = browser_of(world, PEOPLE["agent"])
    ticket = ticket_id(world, "4812")
    before = browser.get(f"/tickets/{ticket}").partition("clock-sentence")[2].partition("</p>")[0]
    browser.post(f"/tickets/{ticket}/escalate", reason="Important customer")
    assert browser.get(f"/tickets/{ticket}").partition("clock-sentence")[2].partition("</p>")[0] == before
