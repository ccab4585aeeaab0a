"""Who is let in to the API: tokens and nothing else, each end of a token at once, and how often."""

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from sla_plugin.permissions import allowed
from sla_plugin.services.people import disable
from sla_plugin.services.tokens import DAY, make_token, revoke_token
from sla_plugin.store.people import find_person
from sla_plugin.web.access import PUBLIC
from sla_plugin.web.api.rates import Rates
from tests.web.conftest import Program, app_of, browser_of, program_of
from tests.web.world import NOW, World


def limited(world: World, token: int, address: int) -> World:
    """The world with other rates a minute."""
    world.runtime.settings = replace(world.runtime.settings, api_token_rate=token, api_address_rate=address)
    return world


def test_a_session_cookie_lets_nobody_in(small_world: World) -> None:
    browser = browser_of(small_world)
    assert "Kim Lee" in browser.get("/me")
    answer = browser.client.get("/api/v1/me")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="sla_plugin"'
    assert browser.client.post("/api/v1/tokens", json={"name": "x", "scopes": ["account.use"]}).status_code == 401
    assert browser.client.get("/api/v1/me", headers={"Authorization": "Basic a2ltOng="}).status_code == 401


def test_the_api_sets_no_cookie(small_world: World) -> None:
    program = program_of(small_world)
    for answer in (program.open("GET", "/me"), program.open("GET", "/nothing"), program.client.get("/api/docs")):
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "token",
    ["sla_", "sla_0123abcd_x", "sla_0123abcd_" + "x" * 43, "x", "sla_" + "é" * 8, "a.b.c", "sla_" + "0" * 5000, "sla_%00%00%00%00"],
    ids=["empty", "short", "unknown", "none of ours", "not ascii", "like a JWT", "long", "escaped"],
)
def test_wrong_tokens_are_refused(small_world: World, token: str) -> None:
    answer = app_of(small_world).test_client().get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/unauthenticated")
    assert answer.headers["WWW-Authenticate"].endswith('error="invalid_token"')
    assert token not in answer.text or len(token) < 5


@pytest.mark.parametrize("how", ["revoked", "expired", "disabled"])
def test_a_token_that_ended_is_refused_everywhere_at_once(world: World, how: str) -> None:
    """Two processes have served it; both refuse the next request."""
    with world.runtime.database.transaction(world.tenant) as tx:
        person = find_person(tx, world.tenant, "ana@example.com")
        assert person is not None
        made = make_token(tx, person, "desk", allowed("agent"), 30, NOW, "test")
    here, there = (Program(app_of(world).test_client(), made.secret) for _ in range(2))
    assert here.get("/me")["email"] == there.get("/me")["email"] == "ana@example.com"
    with world.runtime.database.transaction(world.tenant) as tx:
        if how == "revoked":
            revoke_token(tx, world.tenant, made.id, NOW, "test")
        elif how == "disabled":
            disable(tx, world.tenant, person, NOW, "test", None)
    if how == "expired":
        world.runtime.clock = lambda: NOW + 30 * DAY  # type: ignore[method-assign]
    for program in (here, there):
        assert "expired or revoked" in program.get("/me", 401)["detail"]


def test_a_token_does_what_its_scopes_say_and_no_more(small_world: World) -> None:
    program = program_of(small_world, "admin", ["tokens.read"])
    program.get("/tokens")
    refused = program.post("/tokens", {"name": "more", "scopes": ["tokens.read"]}, 403)
    assert "scopes" in refused["detail"]
    program.get("/audit", 404)
    assert "Your role (auditor)" in program_of(small_world, "auditor").post("/tokens", {"name": "x", "scopes": ["tokens.read"]}, 403)["detail"]
    assert program_of(small_world, "customer").get("/tokens", 404)["type"] == "/problems/not-found"


def test_a_token_cannot_make_one_that_may_more(small_world: World) -> None:
    program = program_of(small_world, "admin", ["tokens.read", "tokens.write"])
    assert "people.write" in program.post("/tokens", {"name": "more", "scopes": ["people.write", "tokens.read"]}, 403)["detail"]
    made = program.post("/tokens", {"name": "less", "scopes": ["TOKENS.READ"]})
    assert Program(program.client, made["secret"]).get("/tokens")["total"] == 2


# --- how often -------------------------------------------------------------------------------------------------------
def test_each_token_has_its_rate(small_world: World) -> None:
    app = app_of(limited(small_world, 3, 1000))
    first, second = program_of(small_world, app=app), program_of(small_world, app=app)
    told = [first.open("GET", "/me") for _ in range(4)]
    assert [answer.status_code for answer in told] == [200, 200, 200, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in told] == ["2", "1", "0", "0"]
    assert {answer.headers["RateLimit-Limit"] for answer in told} == {"3"}
    assert told[3].json["type"] == "/problems/rate-limited"
    assert 1 <= int(told[3].headers["Retry-After"]) <= 120
    second.get("/me")


def test_each_address_has_its_rate_before_anybody_looks_at_a_token(small_world: World) -> None:
    client = app_of(limited(small_world, 1000, 3)).test_client()
    assert [client.get("/api/v1/me").status_code for _ in range(5)] == [401, 401, 401, 429, 429]
    assert client.get("/api/v1/me", environ_base={"REMOTE_ADDR": "203.0.113.9"}).status_code == 401
    assert client.get("/api/v1/nothing").status_code == 429
    assert [client.get(path).status_code for path in ("/api/docs", "/healthz")] == [200, 200], "what is public is not counted"


def test_guessing_tokens_is_slowed_and_keeps_nobody_out(small_world: World) -> None:
    app = app_of(small_world)
    right = program_of(small_world, app=app)

    def guess(client: FlaskClient) -> int:
        return client.get("/api/v1/me", headers={"Authorization": "Bearer sla_0123abcd_" + "x" * 43}).status_code

    told = [guess(right.client) for _ in range(40)]
    assert (told[0], told[-1]) == (401, 429)
    right.get("/me")


def test_rates_are_counted_in_redis_for_all_processes_and_here_without(redis_url: str, small_world: World) -> None:
    here, there = Rates(redis_url), Rates(redis_url)
    assert [rates.hit(2, "token", "a").allowed for rates in (here, there, here)] == [True, True, False]
    alone = Rates("unix:///nowhere/redis.sock")
    assert [alone.hit(2, "token", "a").allowed for _ in range(3)] == [True, True, False]


def test_what_is_public_is_in_the_list() -> None:
    assert {name for name in PUBLIC if name.startswith("api_")} == {"api_reference.openapi", "api_reference.docs", "api_reference.problem"}
