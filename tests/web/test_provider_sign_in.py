"""Signing in through a sign-in service, against a real one of ours: who is let in, what others are told, and that nothing is believed without proof."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from sla_plugin.jobs.outbox import recheck_provider
from sla_plugin.reports.lights import lights_of
from sla_plugin.reports.machine import read_machine
from sla_plugin.services.ask_provider import VALID
from sla_plugin.services.check_provider import ILL, WELL
from sla_plugin.services.kept_documents import FRESH, RENEW, USABLE
from sla_plugin.services.passwords import hash_password
from sla_plugin.services.people import make_link
from sla_plugin.services.tenant_settings import change_settings
from sla_plugin.store.duties import Duty
from sla_plugin.store.people import add_person, change_person, find_person, set_password
from sla_plugin.store.tenants import add_tenant
from sla_plugin.web.admin.provider_sign_in import redirect_uri
from sla_plugin.web.sessions import Refused, sign_in
from tests.web.conftest import Browser, browser_of, shared_app
from tests.web.oidc_provider import Provider, query, rsa_key, serving, signed, small_key, unsigned, with_public_key_as_secret
from tests.web.world import NOW, PASSWORD, World

PUBLIC = "http://sla.example.com"
KIM = {"sub": "k-1", "email": "Kim@Example.com", "email_verified": True, "name": "Kim L."}
SETTINGS = {"sign_in_on": "yes", "sign_in_name": "Acme ID", "sign_in_new": "nobody", "sign_in_passwords": "yes", "sign_in_domains": ""}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving(Provider(clock=lambda: NOW / 1e6, people={"kim": dict(KIM)})) as served:
        yield served
    assert served.complaints == []


def typed(provider: Provider, **more: str) -> dict[str, str]:
    return {**SETTINGS, "sign_in_issuer": provider.issuer, "sign_in_client": provider.client, "sign_in_secret": provider.secret, **more}


def turn_on(world: World, provider: Provider, **more: str) -> None:
    """The service is set, without the page."""
    provider.redirects.add(redirect_uri(PUBLIC, world.tenant))
    with world.runtime.database.transaction(world.tenant) as tx:
        change_settings(tx, world.tenant, typed(provider, **more), NOW, "test", world.runtime.outside.sealer)


def client_of(world: World) -> FlaskClient:
    """A browser that nobody used before; a new app where the settings have changed."""
    return shared_app(world).test_client()


def set_clock(world: World, provider: Provider, now: int) -> None:
    world.runtime.clock = lambda: now  # type: ignore[method-assign]
    provider.clock = lambda: now / 1e6


def there(world: World, client: FlaskClient, to: str = "") -> str:
    """Where the button leads."""
    answer = client.get(f"/login/{world.tenant}/begin", query_string={"next": to} if to else {})
    assert answer.status_code == 302, answer.text
    return str(answer.location)


def and_back(client: FlaskClient, url: str) -> Any:
    """The browser comes back with what the service gave it."""
    parts = urlsplit(url)
    return client.get(f"{parts.path}?{parts.query}")


def come_in(world: World, provider: Provider, login: str = "kim", to: str = "") -> tuple[FlaskClient, Any]:
    client = client_of(world)
    return client, and_back(client, provider.visit(there(world, client, to), login))


def who(client: FlaskClient) -> str:
    """Who is signed in, as the page says it; empty for nobody."""
    found = re.search(r"You are signed in as (\S+),", client.get("/me").text)
    return found[1] if found else ""


def said(answer: Any) -> str:
    """The sentence for the person."""
    found = re.search(r'role="alert".*?<li>(.*?)</li>', answer.text, re.DOTALL)
    assert found, answer.text
    return found[1]


# --- let in ----------------------------------------------------------------------------------------------------------
def test_somebody_known_by_a_verified_address_comes_in_and_is_bound(world: World, provider: Provider) -> None:
    turn_on(world, provider)
    client, answer = come_in(world, provider, to="/calendars")
    assert (answer.status_code, answer.location) == (302, "/calendars")
    assert who(client) == "kim@example.com"
    (identity,) = world.rows("identity")
    assert (identity["issuer"], identity["subject"], identity["email"]) == (provider.issuer, "k-1", "kim@example.com")
    assert [entry["what"] for entry in world.rows("audit_entry")][-2:] == ["identity bound", "signed in"]
    assert world.rows("audit_entry")[-1]["changes"]["how"] == "provider"
    assert "by single sign-on" in client.get("/me").text
    client, _ = come_in(world, provider)
    assert who(client) == "kim@example.com"
    assert len(world.rows("identity")) == 1


def test_the_first_page_has_the_button_first_and_the_page_of_the_tenant_too(small_world: World, provider: Provider) -> None:
    assert "Sign in with" not in browser_of(small_world, None).get("/login")
    turn_on(small_world, provider)
    for path in ("/login", f"/login/{small_world.tenant}"):
        page = browser_of(small_world, None).get(f"{path}?next=/alerts")
        assert page.index("Sign in with Acme ID") < page.index('name="password"')
        assert f'href="/login/{small_world.tenant}/begin?next=/alerts"' in page
    browser = browser_of(small_world, None)
    browser.get("/login")
    assert "<h1>Overview</h1>" in browser.post("/login", email="kim@example.com", password=PASSWORD)


def test_what_is_kept_in_the_browser_is_out_of_reach_and_shows_nothing(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    client = client_of(small_world)
    answer = client.get(f"/login/{small_world.tenant}/begin")
    cookie = next(one for one in answer.headers.getlist("Set-Cookie") if one.startswith("sla_sign_in="))
    assert all(word in cookie for word in ("HttpOnly", "SameSite=Lax", "Path=/;", "Max-Age=600"))
    sent = query(answer.location)
    assert sent["state"] not in cookie
    assert sent["redirect_uri"] == f"{PUBLIC}/login/{small_world.tenant}/back"


def test_the_name_of_the_service_counts_not_the_address(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    come_in(small_world, provider)
    provider.people["kim"] |= {"email": "kim.lee@elsewhere.example", "email_verified": False}
    client, _ = come_in(small_world, provider)
    assert who(client) == "kim@example.com"
    assert small_world.rows("identity")[0]["email"] == "kim@example.com", "an address that is not verified is not even noted"
    provider.people["other"] = {"sub": "k-2", "email": "kim@example.com", "email_verified": True}
    client, answer = come_in(small_world, provider, "other")
    assert "belongs here to another account of Acme ID" in said(answer)
    assert who(client) == ""


def test_an_admin_unbinds_somebody(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    provider.people["ana"] = {"sub": "a-1", "email": "ana@example.com", "email_verified": "true"}
    come_in(small_world, provider, "ana")
    browser = browser_of(small_world)
    ana = next(row["id"] for row in small_world.rows("person") if row["email"] == "ana@example.com")
    assert "At the sign-in service" in browser.get(f"/people/{ana}")
    identity = small_world.rows("identity")[0]["id"]
    assert "There is no such account" in browser.post(f"/people/{ana}/identities", 422, remove="7")
    browser.post(f"/people/{ana}/identities", remove=str(identity))
    assert small_world.rows("identity") == []
    assert small_world.rows("audit_entry")[-1]["what"] == "identity unbound"
    provider.people["ana"]["sub"] = "a-2"
    client, _ = come_in(small_world, provider, "ana")
    assert who(client) == "ana@example.com"


def test_claims_may_come_from_userinfo_and_the_secret_by_form(small_world: World, provider: Provider) -> None:
    provider.claims_in_userinfo = True
    provider.offer = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    turn_on(small_world, provider)
    client, _ = come_in(small_world, provider)
    assert who(client) == "kim@example.com"
    provider.spoil["/userinfo"] = b'{"sub": "somebody-else", "email": "ula@example.com", "email_verified": true}'
    assert "could not be trusted" in said(come_in(small_world, provider)[1])


def test_a_one_time_password_that_was_not_used_ends_with_another_way_in(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        kim = find_person(tx, small_world.tenant, "kim@example.com")
        assert kim is not None
        set_password(tx, small_world.tenant, kim.id, hash_password("once-upon-a-time"), one_time=True)
    client, _ = come_in(small_world, provider)
    assert client.get("/sla").status_code == 200, "nobody is asked to change a password they do not know"
    assert isinstance(sign_in(small_world.runtime.database, "kim@example.com", "once-upon-a-time", "1.2.3.4", NOW), Refused)


@pytest.mark.parametrize("role", ["customer", "agent", "auditor"])
def test_people_are_made_where_the_tenant_has_it_so(small_world: World, provider: Provider, role: str) -> None:
    turn_on(small_world, provider, sign_in_new=role, sign_in_domains="example.com, acme.example")
    provider.people["new"] = {"sub": "n-1", "email": "New@acme.example", "email_verified": True, "name": "  Nia New "}
    client, _ = come_in(small_world, provider, "new")
    assert who(client) == "new@acme.example"
    row = small_world.rows("person")[-1]
    assert (row["name"], row["role"], row["one_time"]) == ("Nia New", role, False)
    assert [entry["what"] for entry in small_world.rows("audit_entry")][-2:] == ["person made at sign-in", "signed in"]


# --- not let in ------------------------------------------------------------------------------------------------------
PEOPLE: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "not verified": ({**KIM, "email_verified": False}, {}, "Acme ID has not verified your mail address"),
    "verified is not said": ({"sub": "k-1", "email": "kim@example.com"}, {}, "Acme ID has not verified your mail address"),
    "verified is a word": ({**KIM, "email_verified": "yes"}, {}, "Acme ID has not verified your mail address"),
    "no address": ({"sub": "k-1"}, {}, "did not tell your mail address"),
    "an address that is none": ({**KIM, "email": "kim"}, {}, "a mail address that is none"),
    "another domain": (KIM, {"sign_in_domains": "acme.example"}, "Addresses such as yours are not let in"),
    "a domain inside another": ({**KIM, "email": "x@notexample.com"}, {"sign_in_domains": "example.com"}, "Addresses such as yours are not let in"),
    "nobody here": ({**KIM, "email": "nobody@example.com"}, {}, "nobody here does. Ask an admin to invite you"),
    "disabled": ({**KIM, "email": "carl@example.com"}, {}, "Your account here is disabled"),
}  # fmt: skip


def test_who_is_not_let_in_is_told_why(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        change_person(tx, small_world.tenant, small_world.customer, disabled_at=NOW)
    for case, (person, settings, sentence) in PEOPLE.items():
        turn_on(small_world, provider, **settings)
        provider.people["kim"] = dict(person)
        before = (small_world.rows("person"), small_world.rows("audit_entry"))
        client, answer = come_in(small_world, provider)
        assert answer.status_code == 403, case
        assert sentence in said(answer), case
        assert who(client) == "", case
        assert small_world.rows("identity") == [], case
        assert (small_world.rows("person"), small_world.rows("audit_entry")) == before, case


def test_somebody_disabled_after_the_first_time_is_out_and_a_session_ends(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    provider.people["ana"] = {"sub": "a-1", "email": "ana@example.com", "email_verified": True}
    client, _ = come_in(small_world, provider, "ana")
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        ana = find_person(tx, small_world.tenant, "ana@example.com")
        assert ana is not None
        change_person(tx, small_world.tenant, ana.id, disabled_at=NOW)
    assert who(client) == ""
    assert "Your account here is disabled" in said(come_in(small_world, provider, "ana")[1])


# --- answers that are not believed -----------------------------------------------------------------------------------
LIES: dict[str, tuple[Callable[[dict[str, Any], Any], str], str]] = {
    "another nonce": (lambda c, k: signed({**c, "nonce": "x" * 43}, k), "could not be trusted"),
    "no nonce": (lambda c, k: signed({n: v for n, v in c.items() if n != "nonce"}, k), "could not be trusted"),
    "expired": (lambda c, k: signed({**c, "exp": c["iat"] - 31}, k), "This sign-in is over"),
    "no expiry": (lambda c, k: signed({n: v for n, v in c.items() if n != "exp"}, k), "could not be trusted"),
    "from the future": (lambda c, k: signed({**c, "iat": c["iat"] + 600}, k), "could not be trusted"),
    "another audience": (lambda c, k: signed({**c, "aud": "another product"}, k), "could not be trusted"),
    "several audiences and no azp": (lambda c, k: signed({**c, "aud": [c["aud"], "another product"]}, k), "could not be trusted"),
    "another azp": (lambda c, k: signed({**c, "azp": "another product"}, k), "could not be trusted"),
    "another issuer": (lambda c, k: signed({**c, "iss": "https://evil.example"}, k), "could not be trusted"),
    "another access token": (lambda c, k: signed({**c, "at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, k), "could not be trusted"),
    "no sub": (lambda c, k: signed({n: v for n, v in c.items() if n != "sub"}, k), "could not be trusted"),
    "a sub that is no text": (lambda c, k: signed({**c, "sub": 7}, k), "could not be trusted"),
    "algorithm none": (lambda c, k: unsigned(c), "could not be trusted"),
    "the public key as a secret": (with_public_key_as_secret, "could not be trusted"),
    "an unknown key": (lambda c, k: signed(c, rsa_key("two")), "could not be trusted"),
    "an unknown key under a known name": (lambda c, k: signed(c, rsa_key("two"), kid=k.kid), "could not be trusted"),
    "a short key": (lambda c, k: signed(c, rsa_key("short", 1024)), "could not be trusted"),
    "a critical header": (lambda c, k: signed(c, k, crit=["unheard-of"], **{"unheard-of": 1}), "could not be trusted"),
    "no token": (lambda c, k: "nothing", "could not be trusted"),
    "claims that are a list": (lambda c, k: signed([1], k), "could not be trusted"),
}


def test_an_answer_that_is_not_proved_lets_nobody_in(small_world: World, provider: Provider) -> None:
    provider.keys = [rsa_key("one"), rsa_key("short", 1024)]
    turn_on(small_world, provider)
    for lie, (bend, sentence) in LIES.items():
        provider.bend = bend
        with capture_logs() as logs:
            client, answer = come_in(small_world, provider)
        assert answer.status_code == 403, lie
        assert sentence in said(answer), lie
        assert who(client) == "", lie
        told = str(logs)
        assert "sign-in refused" in told
        assert [word for word in (provider.secret, "kim@", "eyJ", *provider.grants, *provider.access) if word in told or word in answer.text] == [], lie
    assert small_world.rows("identity") == []


def test_a_true_answer_with_everything_optional_is_believed(small_world: World, provider: Provider) -> None:
    """The lies above fail for what they say, not for being bent."""
    provider.bend = lambda c, k: signed({**c, "aud": [c["aud"], "x"], "azp": c["aud"], "exp": c["iat"] - 29}, k, x5t="abc", odd="header")
    turn_on(small_world, provider)
    assert who(come_in(small_world, provider)[0]) == "kim@example.com"
    provider.keys, provider.bend = [small_key("EC", "curve")], None
    set_clock(small_world, provider, NOW + RENEW)
    assert who(come_in(small_world, provider)[0]) == "kim@example.com"


SPOILED: dict[str, tuple[dict[str, int | bytes], int, str]] = {
    "the service is down": ({"/.well-known/openid-configuration": 503}, 503, "did not answer; try again, or use your password"),
    "the service says garbage": ({"/.well-known/openid-configuration": b"<html>"}, 503, "did not answer; try again, or use your password"),
    "the token endpoint is down": ({"/token": 502}, 503, "did not answer; try again, or use your password"),
    "the token endpoint says garbage": ({"/token": b"<html>"}, 403, "something that we do not understand"),
    "the token endpoint says nothing of use": ({"/token": b"{}"}, 403, "something that we do not understand"),
    "the token endpoint is a list": ({"/token": b"[]"}, 403, "something that we do not understand"),
    "we are not known there": ({"/token": 401}, 403, "something that we do not understand"),
    "the keys are gone": ({"/jwks": 500}, 503, "did not answer; try again, or use your password"),
    "there are no keys": ({"/jwks": b'{"keys": 7}'}, 403, "could not be trusted"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_service_that_is_not_well(small_world: World, provider: Provider, case: str) -> None:
    spoil, status, sentence = SPOILED[case]
    turn_on(small_world, provider)
    provider.spoil = spoil
    client = client_of(small_world)
    answer = client.get(f"/login/{small_world.tenant}/begin")
    if answer.status_code == 302:
        answer = and_back(client, provider.visit(answer.location, "kim"))
    assert (answer.status_code, sentence in said(answer)) == (status, True), said(answer)
    assert 'name="password"' in answer.text
    assert who(client) == ""


def test_a_service_nobody_listens_at(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider, sign_in_issuer="http://127.0.0.1:9")
    answer = client_of(small_world).get(f"/login/{small_world.tenant}/begin")
    assert answer.status_code == 503
    assert "The sign-in service Acme ID did not answer" in said(answer)
    (light,) = [one for one in lights(small_world) if one.about == "sign_in"]
    assert light.level == "watch"
    assert "refused the connection" in light.text


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"error": "access_denied"}, "Acme ID let nobody in"),
        ({"error": "temporarily_unavailable"}, "did not answer"),
        ({"error": "<script>alert(1)</script>"}, "something that we do not understand"),
        ({}, "something that we do not understand"),
    ],
)
def test_the_service_sends_somebody_back_without_a_code(small_world: World, provider: Provider, answer: dict[str, str], sentence: str) -> None:
    turn_on(small_world, provider)
    client = client_of(small_world)
    sent = query(there(small_world, client))
    found = client.get(f"/login/{small_world.tenant}/back?{urlencode({'state': sent['state'], 'iss': provider.issuer, **answer})}")
    assert sentence in said(found)
    assert "<script>alert" not in found.text
    assert all(light.level == "good" for light in lights(small_world) if light.about == "sign_in"), "a browser's word is no proof that the service is ill"


def test_it_is_cancelled_there(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    client = client_of(small_world)
    assert "Acme ID let nobody in" in said(and_back(client, provider.visit(there(small_world, client), "kim", "deny")))


# --- answers that come from elsewhere, or twice ----------------------------------------------------------------------
def test_an_answer_comes_back_once(world: World, provider: Provider) -> None:
    turn_on(world, provider)
    client = client_of(world)
    begun = there(world, client)
    cookie = client.get_cookie("sla_sign_in")
    assert cookie is not None
    back = provider.visit(begun, "kim")
    assert and_back(client, back).status_code == 302
    assert client.get_cookie("sla_sign_in") is None
    client.post("/logout")
    assert "This sign-in is over" in said(and_back(client, back))
    client.set_cookie("sla_sign_in", cookie.value)
    asked = provider.asked["/token"]
    assert "This sign-in is over" in said(and_back(client, back)), "also for who kept the cookie"
    assert provider.asked["/token"] == asked


def test_a_code_is_used_once(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    client = client_of(small_world)
    used = query(provider.visit(there(small_world, client), "kim"))
    and_back(client, f"/login/{small_world.tenant}/back?{urlencode(used)}")
    thief = client_of(small_world)
    state = query(there(small_world, thief))["state"]
    assert "This sign-in is over" in said(thief.get(f"/login/{small_world.tenant}/back?{urlencode({**used, 'state': state})}"))
    assert who(thief) == ""
    provider.complaints.clear()


def test_nobody_is_signed_in_as_somebody_else_by_a_link(small_world: World, provider: Provider) -> None:
    """Login CSRF: the answer of another browser's sign-in."""
    turn_on(small_world, provider)
    attacker, victim = client_of(small_world), client_of(small_world)
    link = provider.visit(there(small_world, attacker), "kim")
    assert "This sign-in is over" in said(and_back(victim, link))
    there(small_world, victim)
    assert "This sign-in is over" in said(and_back(victim, link)), "nor while a sign-in of one's own is under way"
    assert who(victim) == ""
    victim.set_cookie("sla_sign_in", "forged")
    assert "This sign-in is over" in said(and_back(victim, link))


def test_a_sign_in_is_over_after_ten_minutes(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    client = client_of(small_world)
    begun = there(small_world, client)
    set_clock(small_world, provider, NOW + VALID)
    assert "This sign-in is over" in said(and_back(client, provider.visit(begun, "kim")))


@pytest.mark.parametrize("issuer", ["https://evil.example", None])
def test_an_answer_of_another_service_is_not_taken(small_world: World, provider: Provider, issuer: str | None) -> None:
    """Mix-up (RFC 9207): a service that names the issuer in its answers always does."""
    turn_on(small_world, provider)
    client = client_of(small_world)
    back = query(provider.visit(there(small_world, client), "kim"))
    del back["iss"]
    assert "could not be trusted" in said(client.get(f"/login/{small_world.tenant}/back?{urlencode(back | ({'iss': issuer} if issuer else {}))}"))
    assert provider.asked["/token"] == 0, "the code is told to nobody"


def test_a_service_that_does_not_name_itself_works_too(small_world: World, provider: Provider) -> None:
    provider.names_issuer = False
    turn_on(small_world, provider)
    assert who(come_in(small_world, provider)[0]) == "kim@example.com"


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "evil"])
def test_next_never_leads_elsewhere(small_world: World, provider: Provider, elsewhere: str) -> None:
    turn_on(small_world, provider)
    assert come_in(small_world, provider, to=elsewhere)[1].location == "/"


# --- several tenants -------------------------------------------------------------------------------------------------
def test_each_tenant_has_a_door_of_its_own(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    with small_world.runtime.database.transaction(Duty.TENANTS) as tx:
        other = add_tenant(tx, "Nordwind", NOW)
        add_person(tx, other, "kim@example.com", "Kim North", "agent", hash_password(PASSWORD), NOW, one_time=False)
    client = client_of(small_world)
    assert "Sign in with" not in client.get("/login").text, "of whom would it be?"
    assert "Sign in with" not in client.get(f"/login/{other}").text
    assert "Sign in with" not in client.get("/login/7").text
    assert client.get(f"/login/{other}/begin").location == "/login?next=/"
    begun = there(small_world, client)
    back = provider.visit(begun, "kim")
    assert "This sign-in is over" in said(client.get(f"/login/{other}/back?{urlsplit(back).query}")), "an answer for one tenant opens no other"
    client, _ = come_in(small_world, provider)
    assert '<span class="tenant">Acme Support</span>' in client.get("/sla").text
    client.post("/logout")
    assert "Sign in with Acme ID" in client.get("/login").text, "this browser has used it"
    assert [row for row in small_world.rows("identity") if row["tenant_id"] == other] == []


# --- keys and documents ----------------------------------------------------------------------------------------------
def test_keys_are_rotated_and_junk_does_not_make_us_ask(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    for _ in range(3):
        come_in(small_world, provider)
    assert (provider.asked["/jwks"], provider.asked["/.well-known/openid-configuration"]) == (1, 1)
    provider.keys = [rsa_key("two"), rsa_key("one")]
    set_clock(small_world, provider, NOW + RENEW)
    assert who(come_in(small_world, provider)[0]) == "kim@example.com"
    assert provider.asked["/jwks"] == 2
    provider.bend = lambda claims, key: signed(claims, rsa_key("junk"))
    for _ in range(5):
        come_in(small_world, provider)
    assert provider.asked["/jwks"] == 2
    provider.bend = None
    provider.spoil = {"/jwks": 503, "/.well-known/openid-configuration": 503}
    set_clock(small_world, provider, NOW + FRESH + RENEW)
    assert who(come_in(small_world, provider)[0]) == "kim@example.com", "what is kept bridges a while"
    set_clock(small_world, provider, NOW + RENEW + USABLE)
    answer = client_of(small_world).get(f"/login/{small_world.tenant}/begin")
    assert answer.status_code == 503


# --- the settings ----------------------------------------------------------------------------------------------------
def test_a_service_is_asked_when_it_is_saved(world: World, provider: Provider) -> None:
    browser = browser_of(world)
    page = browser.get("/settings")
    assert f"{PUBLIC}/login/{world.tenant}/back" in page
    assert "Saved." in browser.post("/settings/sign_in", **typed(provider))
    assert provider.asked["/jwks"] == 1
    (light,) = [one for one in lights(world) if one.about == "sign_in"]
    assert (light.level, light.name) == ("good", "sign-in service")
    entry = world.rows("audit_entry")[-1]
    assert entry["changes"]["after"]["sign_in_secret"] == "set anew"
    assert provider.secret not in str(entry)
    assert provider.secret not in browser.get("/settings")
    browser.post("/settings/sign_in", **{**typed(provider), "sign_in_secret": "", "sign_in_name": "Acme"})
    page = browser.post("/settings/sign_in", 422, **{**typed(provider), "sign_in_secret": "", "sign_in_issuer": "https://evil.example"})
    assert "Type the client secret again" in page
    provider.redirects.add(redirect_uri(PUBLIC, world.tenant))
    assert who(come_in(world, provider)[0]) == "kim@example.com", "an empty secret keeps the one that is stored"


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "nothing typed": ({}, {"sign_in_issuer": "", "sign_in_client": "", "sign_in_secret": ""}, "Write the client secret"),
    "no address": ({}, {"sign_in_issuer": "acme"}, "Write the whole address"),
    "http outside": ({}, {"sign_in_issuer": "http://login.example.com"}, "Write the whole address"),
    "no domain": ({}, {"sign_in_domains": "example"}, "Write domains such as"),
    "everybody": ({}, {"sign_in_new": "agent"}, "Name the domains of people who may be made"),
    "an admin by signing in": ({}, {"sign_in_new": "admin"}, "Choose one of the values offered"),
    "passwords off untried": ({}, {"sign_in_passwords": "no"}, "Let an admin sign in through the service once"),
    "nobody listens": ({}, {"sign_in_issuer": "http://127.0.0.1:9"}, "refused the connection"),
    "another issuer": ({"issuer": "https://login.example.com"}, {}, "write the issuer exactly so"),
    "no endpoint": ({"token_endpoint": None}, {}, "token_endpoint cannot be used"),
    "a script for an address": ({"authorization_endpoint": "javascript:alert(1)"}, {}, "authorization_endpoint cannot be used"),
    "no PKCE": ({"code_challenge_methods_supported": ["plain"]}, {}, "PKCE"),
    "symmetric signatures only": ({"id_token_signing_alg_values_supported": ["HS256"]}, {}, "id_token_signing_alg_values_supported"),
    "no way to send a secret": ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, {}, "takes no client secret"),
}


def test_what_cannot_work_is_not_saved(small_world: World, provider: Provider) -> None:
    browser = browser_of(small_world)
    browser.get("/settings")
    for case, (offer, change, sentence) in WRONG.items():
        provider.offer = offer
        page = browser.post("/settings/sign_in", 422, **{**typed(provider), **change})
        assert sentence in page, case
        assert 'value="Acme ID"' in page, "what was typed is kept"
        assert [light for light in lights(small_world) if light.about == "sign_in"] == [], case


def test_settings_are_saved_while_the_service_is_down(small_world: World, provider: Provider) -> None:
    browser = browser_of(small_world)
    browser.get("/settings")
    browser.post("/settings/sign_in", **typed(provider))
    provider.spoil["/.well-known/openid-configuration"] = 503
    assert "Saved." in browser.post("/settings/sign_in", **typed(provider, sign_in_name="Other"))
    assert "Saved." in browser.post("/settings/sign_in", **typed(provider, sign_in_on="no"))
    assert "The service was asked, and this is wrong" in browser.post("/settings/sign_in", 422, **typed(provider)), "turned on again, it is asked"


# --- passwords off, and the ways back --------------------------------------------------------------------------------
def test_without_passwords_nobody_is_locked_out_for_good(small_world: World, provider: Provider) -> None:
    database = small_world.runtime.database
    turn_on(small_world, provider)
    client, _ = come_in(small_world, provider)
    browser = Browser(client)
    browser.get("/settings")
    assert "Saved." in browser.post("/settings/sign_in", **{**typed(provider, sign_in_passwords="no"), "sign_in_secret": ""})
    page = browser_of(small_world, None).get("/login")
    assert page.index("Sign in with Acme ID") < page.index("<details")
    stranger = browser_of(small_world, None)
    stranger.get("/login")
    assert "Passwords do not open this door" in stranger.post("/login", 422, email="ana@example.com", password=PASSWORD)
    assert "do not fit together" in stranger.post("/login", 422, email="ana@example.com", password="wrong"), "only who knows the password learns it"
    with database.transaction(small_world.tenant) as tx:
        ana = find_person(tx, small_world.tenant, "ana@example.com")
        assert ana is not None
        link = make_link(tx, small_world.tenant, ana.id, NOW)
        set_password(tx, small_world.tenant, ana.id, hash_password("once-upon-a-time"), one_time=True)
    stranger.get("/login")
    assert "Change your password" in stranger.post("/login", email="ana@example.com", password="once-upon-a-time"), "a one-time password of the command line"
    linked = browser_of(small_world, None)
    linked.get(f"/welcome/{link}")
    assert "<h1>Overview</h1>" in linked.post(f"/welcome/{link}", password="quite a long one", again="quite a long one")
    assert "by a one-time link" in linked.get("/me")
    provider.spoil["/.well-known/openid-configuration"] = 503
    set_clock(small_world, provider, NOW + USABLE)
    answer = client_of(small_world).get(f"/login/{small_world.tenant}/begin")
    assert "an admin can let you in by a one-time link" in said(answer)
    with database.transaction(small_world.tenant) as tx:
        change_settings(tx, small_world.tenant, {"sign_in_on": "no"}, NOW, "command line", small_world.runtime.outside.sealer)
    assert not isinstance(sign_in(database, "kim@example.com", PASSWORD, "1.2.3.4", NOW), Refused)


def test_guesses_keep_nobody_out_of_the_service_nor_the_other_way_round(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider)
    for n in range(50):
        sign_in(small_world.runtime.database, "kim@example.com", "wrong", f"66.6.6.{n % 5}", NOW)
        sign_in(small_world.runtime.database, "kim@example.com", "wrong", "127.0.0.1", NOW)
    assert who(come_in(small_world, provider)[0]) == "kim@example.com"
    provider.bend = lambda claims, key: unsigned(claims)
    for _ in range(7):
        come_in(small_world, provider)
    assert not isinstance(sign_in(small_world.runtime.database, "kim@example.com", PASSWORD, "1.2.3.4", NOW), Refused)
    assert {row["person_id"] for row in small_world.rows("session")} == {row["id"] for row in small_world.rows("person") if row["email"] == "kim@example.com"}


# --- from day to day -------------------------------------------------------------------------------------------------
def lights(world: World) -> Any:
    with world.runtime.database.reading(Duty.CHECKING) as tx:
        machine = read_machine(tx, world.runtime.clock(), {}, world.tenant)
    return lights_of(machine, machine.tenants[0], {})


def test_the_service_is_asked_every_day_and_sooner_while_it_is_ill(world: World, provider: Provider) -> None:
    turn_on(world, provider)
    now = NOW

    def round_at(instant: int) -> list[Any]:
        nonlocal now
        now = instant
        set_clock(world, provider, instant)
        for _ in range(2):
            recheck_provider(world.runtime.database, world.runtime.outside, lambda: now)
        return [light for light in lights(world) if light.about == "sign_in"]

    asked = provider.asked
    round_at(NOW + WELL)
    assert asked["/jwks"] == 0
    (light,) = round_at(NOW + WELL + 1)
    assert (light.level, asked["/jwks"]) == ("good", 1)
    provider.spoil["/jwks"] = 500
    (light,) = round_at(NOW + 2 * WELL + 2)
    assert light.level == "watch"
    assert asked["/jwks"] == 2
    round_at(now + ILL)
    assert asked["/jwks"] == 2
    provider.spoil.clear()
    (light,) = round_at(now + 1)
    assert (light.level, asked["/jwks"]) == ("good", 3)
    assert "sign-in service" in browser_of(world).get("/health-page")
    with world.runtime.database.transaction(world.tenant) as tx:
        change_settings(tx, world.tenant, {"sign_in_on": "no"}, NOW, "test", world.runtime.outside.sealer)
    assert round_at(now + 2 * WELL) == []
    assert asked["/jwks"] == 3


def test_a_sign_in_that_shows_the_service_to_be_wrong_turns_the_light_and_one_that_works_turns_it_back(small_world: World, provider: Provider) -> None:
    turn_on(small_world, provider, sign_in_secret="outdated")
    assert "something that we do not understand" in said(come_in(small_world, provider)[1])
    (light,) = [one for one in lights(small_world) if one.about == "sign_in"]
    assert "invalid_client" in light.text
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        change_settings(tx, small_world.tenant, {"sign_in_secret": provider.secret}, NOW, "test", small_world.runtime.outside.sealer)
    come_in(small_world, provider)
    (light,) = [one for one in lights(small_world) if one.about == "sign_in"]
    assert light.level == "good"
