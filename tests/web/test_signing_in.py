"""Who comes in, and who does not."""

import pytest

from sla_plugin.services.passwords import hash_password
from sla_plugin.services.sign_in import FIRST_WAIT, FREE, source_of, wait_after
from sla_plugin.store.duties import Duty
from sla_plugin.store.people import add_person, find_person, set_password
from sla_plugin.store.tenants import add_tenant
from sla_plugin.web.admin.frame import CSP
from sla_plugin.web.sessions import Refused, sign_in
from tests.web.conftest import app_of, browser_of
from tests.web.world import NOW, PASSWORD, World

PAGES = ("/sla", "/tickets", "/alerts", "/policies", "/calendars", "/connections", "/deliveries", "/outbox", "/health-page", "/me")


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_is_sent_to_the_door(small_world: World, path: str) -> None:
    answer = app_of(small_world).test_client().get(path)
    assert (answer.status_code, answer.location) == (302, f"/login?next={path}")


def test_sign_in_goes_on_to_where_one_wanted(small_world: World) -> None:
    browser = browser_of(small_world, None)
    browser.get("/login?next=/calendars")
    assert "<h1>Calendars</h1>" in browser.post("/login", email="KIM@example.com", password=PASSWORD, next="/calendars")


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "evil"])
def test_next_never_leads_elsewhere(small_world: World, elsewhere: str) -> None:
    browser = browser_of(small_world, None)
    browser.get("/login")
    form = {"csrf_token": browser.token, "email": "kim@example.com", "password": PASSWORD, "next": elsewhere}
    assert browser.client.post("/login", data=form).location == "/"


def tries(world: World, number: int, source: str, password: str = "wrong", now: int = NOW) -> list[object]:
    return [sign_in(world.runtime.database, "kim@example.com", password, source, now) for _ in range(number)]


def test_a_source_that_guesses_waits_longer_and_longer(small_world: World) -> None:
    assert tries(small_world, FREE, "1.2.3.4") == [Refused()] * (FREE - 1) + [Refused(NOW + FIRST_WAIT)]
    assert tries(small_world, 1, "1.2.3.4", PASSWORD, NOW + FIRST_WAIT - 1) == [Refused(NOW + FIRST_WAIT)], "the right one has to wait, too"
    later = NOW + FIRST_WAIT
    assert tries(small_world, 1, "1.2.3.4", "wrong", later) == [Refused(later + 2 * FIRST_WAIT)]
    assert not isinstance(tries(small_world, 1, "1.2.3.4", PASSWORD, later + 2 * FIRST_WAIT)[0], Refused)
    assert [wait_after(n) // 1_000_000 for n in (0, 4, 5, 6, 7, 12, 13, 10_000)] == [0, 0, 15, 30, 60, 1920, 3600, 3600]


def test_guesses_from_elsewhere_keep_nobody_out(small_world: World) -> None:
    now = NOW
    for n in range(200):
        tries(small_world, 1, f"66.6.6.{n % 20}", now=now)
        now += 60_000_000
    assert not isinstance(tries(small_world, 1, "1.2.3.4", PASSWORD, now)[0], Refused)


def test_an_unknown_account_waits_like_a_known_one(small_world: World) -> None:
    database = small_world.runtime.database
    unknown = [sign_in(database, "nobody@example.com", "wrong", "1.2.3.4", NOW) for _ in range(FREE + 1)]
    assert unknown == tries(small_world, FREE + 1, "1.2.3.4")


def test_a_browser_that_was_let_in_before_is_a_source_of_its_own(small_world: World) -> None:
    """Behind a proxy all have one address: the admin's own browser still gets in while somebody guesses."""
    browser = browser_of(small_world)
    browser.get("/me")
    browser.post("/logout")
    tries(small_world, 50, "127.0.0.1")
    browser.get("/login")
    assert "<h1>Overview</h1>" in browser.post("/login", email="kim@example.com", password=PASSWORD)
    stranger = browser_of(small_world, None)
    stranger.get("/login")
    assert "wait until" in stranger.post("/login", 422, email="kim@example.com", password=PASSWORD)
    stranger.client.set_cookie("sla_device", "forged")
    assert "wait until" in stranger.post("/login", 422, email="kim@example.com", password=PASSWORD)


def test_a_success_forgives_failures(small_world: World) -> None:
    tries(small_world, FREE - 1, "1.2.3.4")
    tries(small_world, 1, "1.2.3.4", PASSWORD)
    assert tries(small_world, 1, "1.2.3.4") == [Refused()]


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        (None, "unknown"),
        ("x", "unknown"),
    ],
)
def test_sources(address: str | None, source: str) -> None:
    assert source_of(address) == source


def test_somebody_in_two_tenants_says_where_to(small_world: World) -> None:
    with small_world.runtime.database.transaction(Duty.TENANTS) as tx:
        other = add_tenant(tx, "Nordwind", NOW)
        add_person(tx, other, "kim@example.com", "Kim Lee", "agent", hash_password(PASSWORD), NOW, one_time=False)
        different = hash_password("another password")
    browser = browser_of(small_world, None)
    browser.get("/login")
    text = browser.post("/login", 422, email="kim@example.com", password=PASSWORD)
    assert "Choose one" in text
    assert "Nordwind" in text
    text = browser.post("/login", email="kim@example.com", password=PASSWORD, tenant=str(other))
    assert '<span class="tenant">Nordwind</span>' in text
    with small_world.runtime.database.transaction(other) as tx:
        person = find_person(tx, other, "kim@example.com")
        assert person is not None
        set_password(tx, other, person.id, different, one_time=False)
    elsewhere = browser_of(small_world)
    assert '<span class="tenant">Acme Support</span>' in elsewhere.get("/sla"), "the password says which"


def test_wrong_password_says_so_and_keeps_the_address(small_world: World) -> None:
    browser = browser_of(small_world, None)
    browser.get("/login")
    text = browser.post("/login", 422, email="kim@example.com", password="no")
    assert 'role="alert"' in text
    assert 'value="kim@example.com"' in text
    assert "<title>Error: Sign in" in text


def test_a_one_time_password_must_be_changed_first(small_world: World) -> None:
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        person = find_person(tx, small_world.tenant, "kim@example.com")
        assert person is not None
        set_password(tx, person.tenant_id, person.id, person.password_hash, one_time=True)
    browser = browser_of(small_world)
    assert "Change your password" in browser.get("/tickets")
    refused = browser.post("/me/password", 422, current=PASSWORD, password="short", again="short")
    assert "at least 12 characters" in refused
    assert "Your password is changed" in browser.post("/me/password", current=PASSWORD, password="a new long password", again="a new long password")
    assert "<h1>Tickets</h1>" in browser.get("/tickets")


def test_a_new_password_ends_other_sessions(small_world: World) -> None:
    here, there = browser_of(small_world), browser_of(small_world)
    here.get("/me/password")
    here.post("/me/password", current=PASSWORD, password="another long password", again="another long password")
    assert "<h1>Sign in</h1>" in there.get("/sla")
    assert "<h1>Overview</h1>" in here.get("/sla")


def test_forms_without_their_token_are_refused(small_world: World) -> None:
    browser = browser_of(small_world)
    assert browser.client.post("/logout").status_code == 400
    with small_world.runtime.database.reading(small_world.tenant) as tx:
        assert find_person(tx, small_world.tenant, "kim@example.com") is not None


def test_every_page_has_the_strict_headers(small_world: World) -> None:
    browser = browser_of(small_world)
    for path in (*PAGES, "/login", "/nowhere"):
        headers = browser.client.get(path).headers
        assert headers["Content-Security-Policy"] == CSP, path
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_cookie_is_out_of_reach(small_world: World) -> None:
    browser = browser_of(small_world, None)
    browser.get("/login")
    answer = browser.client.post("/login", data={"csrf_token": browser.token, "email": "kim@example.com", "password": PASSWORD})
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_an_auditor_sees_and_changes_nothing(small_world: World) -> None:
    browser = browser_of(small_world, "ula@example.com")
    assert "New policy" not in browser.get("/policies")
    browser.get("/policies/new", 403)
    browser.get("/connections/new", 403)
    browser.get("/portal", 404)
    browser.get("/me")
    browser.post("/outbox/retry", 403)
