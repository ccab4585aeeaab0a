"""JWTs that programs bear: whose they are, who they act for and what with; and every way in which one is not believed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from joserfc.jwk import Key

from sla_plugin.permissions import Actor, allowed
from sla_plugin.services.kept_documents import AGAIN, FRESH, RENEW, USABLE
from sla_plugin.services.tenant_settings import change_settings
from sla_plugin.store.duties import Duty
from sla_plugin.store.identities import add_identity
from sla_plugin.store.people import change_person, find_person
from sla_plugin.store.tenants import add_tenant
from sla_plugin.web.bearer_jwt import JwtRefused, actor_of_jwt
from tests.web.conftest import browser_of
from tests.web.oidc_provider import Provider, rsa_key, serving, signed, small_key, unsigned, with_public_key_as_secret
from tests.web.world import NOW, World

AUDIENCE = "https://sla.example.com/api"
SECONDS = NOW // 1_000_000


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving(Provider()) as served:
        yield served


def typed(provider: Provider, **more: str) -> dict[str, str]:
    told = {"jwt_issuer": provider.issuer, "jwt_audience": AUDIENCE, "jwt_keys": f"{provider.issuer}/jwks"}
    return {**told, "jwt_algorithm": "RS256", "jwt_person": "email", "jwt_scopes": "scope", **more}


def turn_on(world: World, provider: Provider, **more: str) -> None:
    with world.runtime.database.transaction(world.tenant) as tx:
        change_settings(tx, world.tenant, typed(provider, **more), NOW, "test", world.runtime.outside.sealer)


def claims(provider: Provider, **more: Any) -> dict[str, Any]:
    told = {"iss": provider.issuer, "aud": AUDIENCE, "exp": SECONDS + 300, "iat": SECONDS, "sub": "robot-1", "email": "Kim@example.com"}
    return {name: value for name, value in {**told, "scope": "tickets.read alerts.read openid", **more}.items() if value is not None}


def actor(world: World, token: str, now: int = NOW) -> Actor:
    found = actor_of_jwt(world.runtime, token, now)
    assert isinstance(found, Actor), found
    return found


def refused(world: World, token: str, now: int = NOW) -> JwtRefused:
    found = actor_of_jwt(world.runtime, token, now)
    assert isinstance(found, JwtRefused), found
    return found


def test_a_program_acts_for_its_person_within_its_scopes(world: World, provider: Provider) -> None:
    turn_on(world, provider)
    found = actor(world, signed(claims(provider), rsa_key("one")))
    assert (found.tenant, found.role, found.name) == (world.tenant, "admin", "Kim Lee <kim@example.com> by JWT")
    assert found.permissions == {"tickets.read", "alerts.read"}
    for _ in range(5):
        actor(world, signed(claims(provider, aud=["x", AUDIENCE]), rsa_key("one")))
    assert provider.asked["/jwks"] == 1


@pytest.mark.parametrize(
    ("settings", "told", "permissions"),
    [
        ({}, {"email": "ana@example.com", "scope": "people.write tickets.read"}, {"tickets.read"}),
        ({}, {"scope": None}, set()),
        ({}, {"scope": 7}, set()),
        ({"jwt_scopes": "roles"}, {"roles": ["tickets.read", 7, "everything"]}, {"tickets.read"}),
        ({"jwt_person": "upn"}, {"upn": "ana@example.com", "scope": "audit.read alerts.read"}, {"alerts.read"}),
    ],
)
def test_scopes_never_reach_beyond_the_role(
    small_world: World, provider: Provider, settings: dict[str, str], told: dict[str, Any], permissions: set[str]
) -> None:
    turn_on(small_world, provider, **settings)
    found = actor(small_world, signed(claims(provider, **told), rsa_key("one")))
    assert found.permissions == permissions <= allowed(found.role)


def test_a_program_named_by_sub_acts_for_who_signed_in_so(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider, jwt_person="sub")
    token = signed(claims(provider), rsa_key("one"))
    assert refused(small_world, token).reason == "nobody"
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        ana = find_person(tx, small_world.tenant, "ana@example.com")
        assert ana is not None
        add_identity(tx, small_world.tenant, ana.id, provider.issuer, "robot-1", None, NOW)
    assert actor(small_world, token).role == "agent"
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        change_person(tx, small_world.tenant, ana.id, disabled_at=NOW)
    assert refused(small_world, token).reason == "nobody", "from the next request on"


def altered(true: str, other: str) -> str:
    """A true token with the claims of another one."""
    header, _, signature = true.split(".")
    return ".".join([header, other.split(".")[1], signature])


WRONG: dict[str, tuple[Callable[[dict[str, Any], Any], str], str]] = {
    "expired": (lambda c, k: signed({**c, "exp": SECONDS - 31}, k), "expired"),
    "never expires": (lambda c, k: signed({n: v for n, v in c.items() if n != "exp"}, k), "claims"),
    "an expiry that is no number": (lambda c, k: signed({**c, "exp": "tomorrow"}, k), "claims"),
    "not valid yet": (lambda c, k: signed({**c, "nbf": SECONDS + 31}, k), "claims"),
    "made in the future": (lambda c, k: signed({**c, "iat": SECONDS + 31}, k), "claims"),
    "another audience": (lambda c, k: signed({**c, "aud": "another product"}, k), "issuer"),
    "no audience": (lambda c, k: signed({n: v for n, v in c.items() if n != "aud"}, k), "issuer"),
    "another issuer": (lambda c, k: signed({**c, "iss": "https://evil.example"}, k), "issuer"),
    "no issuer": (lambda c, k: signed({n: v for n, v in c.items() if n != "iss"}, k), "issuer"),
    "another algorithm": (lambda c, k: signed(c, small_key("EC", "curve"), "ES256"), "algorithm"),
    "another algorithm of the same key": (lambda c, k: signed(c, k, "PS256"), "algorithm"),
    "algorithm none": (lambda c, k: unsigned(c), "algorithm"),
    "the public key as a secret": (with_public_key_as_secret, "algorithm"),
    "an algorithm that is no text": (lambda c, k: "eyJhbGciOlsiUlMyNTYiXX0." + signed(c, k).split(".", 1)[1], "algorithm"),
    "an unknown key": (lambda c, k: signed(c, rsa_key("two")), "unknown_key"),
    "no name of a key where there are two": (lambda c, k: signed(c, k, kid=None), "unknown_key"),
    "a signature of another key": (lambda c, k: signed(c, rsa_key("two"), kid="one"), "signature"),
    "a key that comes with it": (lambda c, k: signed(c, rsa_key("own"), jwk=rsa_key("own").as_dict(private=False)), "unknown_key"),
    "an address of keys that comes with it": (lambda c, k: signed(c, rsa_key("own"), jku="https://evil.example/jwks"), "unknown_key"),
    "other claims under a true signature": (lambda c, k: altered(signed(c, k), signed({**c, "scope": "people.write"}, k)), "signature"),
    "nobody": (lambda c, k: signed({n: v for n, v in c.items() if n != "email"}, k), "nobody"),
    "somebody unknown": (lambda c, k: signed({**c, "email": "nobody@example.com"}, k), "nobody"),
    "a name that is a list": (lambda c, k: signed({**c, "email": ["kim@example.com"]}, k), "nobody"),
    "an address that is not verified": (lambda c, k: signed({**c, "email_verified": False}, k), "nobody"),
    "garbage": (lambda c, k: "ey.ey.ey", "unreadable"),
    "very long": (lambda c, k: signed({**c, "more": "x" * 20_000}, k), "unreadable"),
    "deep": (lambda c, k: f"{unsigned([]).split('.')[0]}.{'W1tb' * 4000}.x", "unreadable"),
}  # fmt: skip


def test_a_jwt_that_is_not_right_lets_nobody_in(small_world: World, provider: Provider) -> None:
    provider.keys = [rsa_key("one"), rsa_key("other")]
    turn_on(small_world, provider)
    actor(small_world, signed(claims(provider), rsa_key("one")))
    for case, (bend, reason) in WRONG.items():
        token = bend(claims(provider), rsa_key("one"))
        found = refused(small_world, token)
        assert (found.reason, found.later) == (reason, False), case
        assert token not in found.said
    assert provider.asked["/jwks"] == 1, "junk does not make us ask"


def test_thirty_seconds_are_forgiven(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    actor(small_world, signed(claims(provider, exp=SECONDS - 29, nbf=SECONDS + 29, iat=SECONDS + 29), rsa_key("one")))


@pytest.mark.parametrize(("algorithm", "key", "named"), [("ES256", "EC", "ES256"), ("EdDSA", "OKP", "EdDSA"), ("EdDSA", "OKP", "Ed25519")])
def test_the_other_algorithms(small_world: World, provider: Provider, algorithm: str, key: str, named: str) -> None:
    provider.keys = [rsa_key("one"), small_key(key, "curve")]
    turn_on(small_world, provider, jwt_algorithm=algorithm)
    actor(small_world, signed(claims(provider), small_key(key, "curve"), named))
    actor(small_world, signed(claims(provider), small_key(key, "curve"), named, kid=None))
    assert refused(small_world, signed(claims(provider), rsa_key("one"))).reason == "algorithm"


def test_a_key_that_is_taken_away_stops_opening(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    token = signed(claims(provider, exp=SECONDS + 10_000), rsa_key("one"))
    actor(small_world, token)
    provider.keys = [rsa_key("two")]
    actor(small_world, token, NOW + FRESH - 1)
    assert refused(small_world, token, NOW + FRESH).reason == "unknown_key"
    actor(small_world, signed(claims(provider, exp=SECONDS + 10_000), rsa_key("two")), NOW + FRESH)


def test_keys_that_cannot_be_had_are_bridged_for_an_hour_and_then_said(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    token = signed(claims(provider, exp=SECONDS + 10_000), rsa_key("one"))
    actor(small_world, token)
    provider.spoil["/jwks"] = 503
    actor(small_world, token, NOW + USABLE - 1)
    asked = provider.asked["/jwks"]
    actor(small_world, token, NOW + USABLE - 1)
    assert provider.asked["/jwks"] == asked, "one that did not answer is left alone for a moment"
    for _ in range(3):
        found = refused(small_world, token, NOW + USABLE + AGAIN)
        assert (found.reason, found.later) == ("keys_down", True)
    assert "cannot be had just now" in found.said
    assert provider.asked["/jwks"] == asked + 1
    provider.spoil.clear()
    actor(small_world, token, NOW + USABLE + 2 * AGAIN)


def test_a_new_key_is_found_once_a_minute(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    actor(small_world, signed(claims(provider), rsa_key("one")))
    provider.keys = [rsa_key("two")]
    fresh = signed(claims(provider, exp=SECONDS + 10_000), rsa_key("two"))
    assert refused(small_world, fresh, NOW + RENEW - 1).reason == "unknown_key"
    actor(small_world, fresh, NOW + RENEW)


# --- whose they are --------------------------------------------------------------------------------------------------
def test_issuer_and_audience_say_whose_it_is(world: World, provider: Provider) -> None:
    turn_on(world, provider)
    database = world.runtime.database
    with database.transaction(Duty.TENANTS) as tx:
        other = add_tenant(tx, "Nordwind", NOW)
    token = signed(claims(provider, aud=[AUDIENCE, "theirs"]), rsa_key("one"))
    assert actor(world, token).tenant == world.tenant
    with database.transaction(other) as tx:
        change_settings(tx, other, typed(provider, jwt_audience="theirs"), NOW, "test", world.runtime.outside.sealer)
    assert refused(world, token).reason == "issuer", "one that is for two tenants is for none"
    assert refused(world, signed(claims(provider, aud="theirs"), rsa_key("one"))).reason == "nobody", "our people are not theirs"
    with database.transaction(world.tenant) as tx:
        change_settings(tx, world.tenant, {"jwt_issuer": ""}, NOW, "test", world.runtime.outside.sealer)
    assert refused(world, signed(claims(provider), rsa_key("one"))).reason == "issuer"


def test_a_pair_that_another_tenant_has_is_refused_without_a_name(world: World, provider: Provider) -> None:
    with world.runtime.database.transaction(Duty.TENANTS) as tx:
        other = add_tenant(tx, "Nordwind", NOW)
    with world.runtime.database.transaction(other) as tx:
        change_settings(tx, other, typed(provider), NOW, "test", world.runtime.outside.sealer)
    browser = browser_of(world)
    browser.get("/settings")
    page = browser.post("/settings/jwt", 422, **typed(provider))
    assert "cannot be used in this installation; choose another audience" in page
    assert "Nordwind" not in page
    assert "Saved." in browser.post("/settings/jwt", **typed(provider, jwt_audience="ours"))
    assert "Saved." in browser.post("/settings/jwt", **typed(provider, jwt_audience="ours", jwt_scopes="scp"))


def test_settings_that_cannot_work_are_not_saved(small_world: World, provider: Provider) -> None:
    browser = browser_of(small_world)
    browser.get("/settings")
    cases: list[tuple[dict[str, str], list[Key], str]] = [
        ({"jwt_audience": ""}, [], "Write the audience"),
        ({"jwt_keys": ""}, [], "Write where the issuer publishes its keys"),
        ({"jwt_keys": "http://127.0.0.1:9/keys"}, [], "refused the connection"),
        ({"jwt_keys": "ftp://127.0.0.1/keys"}, [], "Write the whole address"),
        ({"jwt_algorithm": "HS256"}, [], "Choose one of the values offered"),
        ({"jwt_algorithm": "ES256"}, [rsa_key("one")], "it publishes no key for ES256"),
        ({"jwt_person": "no claim"}, [], "Write the name of a claim"),
    ]
    for change, keys, sentence in cases:
        provider.keys = keys or provider.keys
        assert sentence in browser.post("/settings/jwt", 422, **typed(provider, **change)), change
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        told = {"sign_in_issuer": provider.issuer, "sign_in_client": AUDIENCE}
        change_settings(tx, small_world.tenant, told, NOW, "test", small_world.runtime.outside.sealer)
    assert "the client id of people" in browser.post("/settings/jwt", 422, **typed(provider))
    assert refused(small_world, signed(claims(provider), rsa_key("one"))).reason == "issuer"


@pytest.mark.parametrize("secret", ["sla_0123abcd_x.y.z", "", "ey.x", "eyJ.eyJ.eyJ.eyJ.x"])
def test_what_is_no_jwt_is_left_to_others(small_world: World, secret: str) -> None:
    assert actor_of_jwt(small_world.runtime, secret, NOW) is None


@pytest.mark.parametrize("said", ["\x00", "https://issuer.example.com/\ud800"], ids=["NUL", "half a character"])
@pytest.mark.parametrize("claim", ["iss", "aud"])
def test_what_no_database_takes_as_text_is_refused_like_anything_unreadable(world: World, provider: Provider, claim: str, said: str) -> None:
    turn_on(world, provider)
    assert refused(world, unsigned(claims(provider, **{claim: said}))).reason == "unreadable"
