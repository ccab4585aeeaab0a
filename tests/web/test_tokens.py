"""API tokens, sessions, people: who is let in, with what, and how that ends."""

import re

import pytest

from sla_plugin.errors import InvalidDefinition
from sla_plugin.permissions import Actor, allowed
from sla_plugin.services.people import LINK, change_role, disable
from sla_plugin.services.tokens import DAY, make_token, revoke_token
from sla_plugin.store.people import change_person, find_person, set_password
from sla_plugin.web.bearers import Refusal, actor_of_bearer
from tests.web.conftest import browser_of
from tests.web.routes import PEOPLE
from tests.web.world import NOW, PASSWORD, World


def made(world: World, scopes: list[str], days: int | None = 30, email: str = "kim@example.com") -> tuple[int, str]:
    with world.runtime.database.transaction(world.tenant) as tx:
        person = find_person(tx, world.tenant, email)
        assert person is not None
        token = make_token(tx, person, "report", scopes, days, NOW, "test")
    return token.id, token.secret


def bearer(world: World, token: str, now: int = NOW) -> Actor | None:
    found = actor_of_bearer(world.runtime, token, now)
    return None if isinstance(found, Refusal) else found


def test_a_token_acts_for_its_person_within_its_scopes(small_world: World) -> None:
    _, secret = made(small_world, ["tickets.read", "alerts.read"])
    actor = bearer(small_world, secret, NOW + 1)
    assert actor is not None
    assert (actor.tenant, actor.role, actor.permissions) == (small_world.tenant, "admin", {"tickets.read", "alerts.read"})
    assert actor.name == "Kim Lee <kim@example.com> by token report"
    assert small_world.rows("token")[0]["used_at"] == NOW + 1
    bearer(small_world, secret, NOW + 2)
    assert small_world.rows("token")[0]["used_at"] == NOW + 1, "noted coarsely"


def test_what_is_kept_of_a_token_does_not_let_in(small_world: World) -> None:
    _, secret = made(small_world, ["tickets.read"])
    (row,) = small_world.rows("token")
    assert secret not in str(row)
    for wrong in (row["digest"], f"sla_{row['prefix']}_", f"{secret}x", secret[:-1], "", f"sla_{row['prefix']}_{row['digest']}", f"x{secret}"):
        assert bearer(small_world, wrong) is None


@pytest.mark.parametrize("how", ["expired", "revoked", "disabled"])
def test_a_token_ends(small_world: World, how: str) -> None:
    token, secret = made(small_world, ["tickets.read"], email="ana@example.com")
    database, now = small_world.runtime.database, NOW + 1
    with database.transaction(small_world.tenant) as tx:
        person = find_person(tx, small_world.tenant, "ana@example.com")
        assert person is not None
        if how == "revoked":
            for _ in range(2):
                assert revoke_token(tx, small_world.tenant, token, NOW, "test") is not None
        elif how == "disabled":
            change_person(tx, small_world.tenant, person.id, disabled_at=NOW)
    if how == "expired":
        assert bearer(small_world, secret, NOW + 30 * DAY - 1) is not None
        now = NOW + 30 * DAY
    assert bearer(small_world, secret, now) is None


def test_scopes_never_reach_beyond_the_role_as_it_is_now(small_world: World) -> None:
    _, secret = made(small_world, ["people.write", "tickets.read"])
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        person = find_person(tx, small_world.tenant, "kim@example.com")
        assert person is not None
        change_person(tx, small_world.tenant, person.id, role="agent")
    actor = bearer(small_world, secret, NOW)
    assert actor is not None
    assert actor.permissions == {"tickets.read"} <= allowed("agent")


def test_a_token_outlives_a_password(small_world: World) -> None:
    _, secret = made(small_world, ["tickets.read"])
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        person = find_person(tx, small_world.tenant, "kim@example.com")
        assert person is not None
        set_password(tx, small_world.tenant, person.id, "a hash of another one", one_time=True)
    assert bearer(small_world, secret) is not None, "programs do not stop because somebody forgot a password"


def test_a_token_is_shown_once_and_revoked_on_the_page(small_world: World) -> None:
    browser = browser_of(small_world)
    browser.get("/tokens")
    assert "choose at least one" in browser.post("/tokens", 422, name="report", days="30").lower()
    assert "no such permission" in browser.post("/tokens", 422, name="report", days="30", scopes="everything")
    text = browser.post("/tokens", name="report", days="30", scopes=["tickets.read"])
    secret = re.search(r"sla_[0-9a-f]{8}_[\w-]{43}", text)
    assert secret
    assert secret[0] not in browser.get("/tokens")
    assert bearer(small_world, secret[0]) is not None
    path = re.search(r'action="(/tokens/\d+/revoke)"', browser.get("/tokens"))
    assert path
    browser.post(path[1])
    assert bearer(small_world, secret[0]) is None


# --- sessions --------------------------------------------------------------------------------------------------------
def test_sessions_are_listed_and_ended(small_world: World) -> None:
    here, there = browser_of(small_world), browser_of(small_world)
    text = here.get("/me")
    assert text.count("this one") == 1
    here.post("/me/sessions")
    assert "<h1>Sign in</h1>" in there.get("/sla")
    assert "<h1>Overview</h1>" in here.get("/sla")


def test_a_stolen_cookie_ends_with_signing_out(small_world: World) -> None:
    browser = browser_of(small_world)
    cookie = browser.client.get_cookie("sla_session")
    assert cookie is not None
    browser.get("/me")
    browser.post("/logout")
    browser.client.set_cookie("sla_session", cookie.value)
    assert "<h1>Sign in</h1>" in browser.get("/sla")


def test_an_admin_ends_the_sessions_of_somebody(small_world: World) -> None:
    admin, agent = browser_of(small_world), browser_of(small_world, PEOPLE["agent"])
    path = person_path(small_world, "ana@example.com")
    admin.get(path)
    admin.post(f"{path}/sessions")
    assert "<h1>Sign in</h1>" in agent.get("/sla")


# --- people ----------------------------------------------------------------------------------------------------------
def person_path(world: World, email: str) -> str:
    return f"/people/{next(row['id'] for row in world.rows('person') if row['email'] == email)}"


def test_somebody_is_invited_and_sets_a_password_once(small_world: World) -> None:
    admin = browser_of(small_world)
    admin.get("/people")
    assert "no mail address" in admin.post("/people", 422, email="bob", name="Bob", role="agent")
    assert "&#39;ana@example.com&#39; is known here already" in admin.post("/people", 422, email="ANA@example.com", name="Ana", role="agent")
    text = admin.post("/people", email="Bob@example.com", name="Bob", role="agent")
    link = re.search(r"http://sla\.example\.com(/welcome/[\w-]{43})", text)
    assert link
    assert link[1] not in admin.get(person_path(small_world, "bob@example.com"))
    bob = browser_of(small_world, None)
    bob.get(link[1])
    assert "at least 12" in bob.post(link[1], 422, password="short", again="short")
    assert "<h1>Overview</h1>" in bob.post(link[1], password="quite a long one", again="quite a long one")
    bob.get(link[1], 404)
    bob.get("/welcome/unknown", 404)
    small_world.runtime.clock = lambda: NOW + LINK  # type: ignore[method-assign]
    admin = browser_of(small_world)
    path = person_path(small_world, "bob@example.com")
    admin.get(path)
    later = re.search(r"/welcome/[\w-]{43}", admin.post(f"{path}/link"))
    assert later
    small_world.runtime.clock = lambda: NOW + 2 * LINK  # type: ignore[method-assign]
    bob.get(later[0], 404)


@pytest.mark.parametrize(("action", "form"), [("role", {"role": "agent"}), ("disable", {})])
def test_nobody_takes_the_last_admin_away_or_changes_themselves(small_world: World, action: str, form: dict[str, str]) -> None:
    admin = browser_of(small_world)
    own, other = person_path(small_world, "kim@example.com"), person_path(small_world, "ana@example.com")
    admin.get(own)
    assert "nobody" in admin.post(f"{own}/{action}", 422, **form).lower()
    admin.post(f"{other}/role", role="admin")
    second = browser_of(small_world, "ana@example.com")
    second.get(own)
    second.post(f"{own}/{action}", **form)
    third = browser_of(small_world, "ana@example.com")
    third.get(other)
    assert "nobody" in third.post(f"{other}/{action}", 422, **form).lower()


def test_the_last_admin_stays_even_for_the_machine(small_world: World) -> None:
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        kim = find_person(tx, small_world.tenant, "kim@example.com")
        assert kim is not None
        with pytest.raises(InvalidDefinition, match="last admin"):
            change_role(tx, small_world.tenant, kim, "agent", NOW, "command line", None)
        with pytest.raises(InvalidDefinition, match="last admin"):
            disable(tx, small_world.tenant, kim, NOW, "command line", None)


def test_a_disabled_person_is_out_at_once(small_world: World) -> None:
    admin, agent = browser_of(small_world), browser_of(small_world, PEOPLE["agent"])
    path = person_path(small_world, "ana@example.com")
    admin.get(path)
    admin.post(f"{path}/disable")
    assert "<h1>Sign in</h1>" in agent.get("/sla")
    assert "do not fit" in agent.post("/login", 422, email="ana@example.com", password=PASSWORD)
    admin.post(f"{path}/disable", again="yes")
    assert "<h1>Overview</h1>" in browser_of(small_world, "ana@example.com").get("/sla")


def test_a_name_in_a_helpdesk_is_bound_and_taken_back(world: World) -> None:
    admin = browser_of(world)
    path = person_path(world, "carl@example.com")
    admin.get(path)
    assert "bound already" in admin.post(f"{path}/requesters", 422, connection="CRM EU", external="u-1")
    admin.post(f"{path}/requesters", connection="CRM EU", external="u-2")
    assert "#4821 " in browser_of(world, PEOPLE["customer"]).get("/portal")
    row = next(row for row in world.rows("requester") if row["external_id"] == "u-2")
    admin.post(f"{path}/requesters", remove=str(row["id"]))
    assert "#4821 " not in browser_of(world, PEOPLE["customer"]).get("/portal")
