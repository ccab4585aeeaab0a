"""Who comes in, and who does not."""

import pytest

from sla_plugin.store.people import find_person, set_password
from sla_plugin.web.admin.frame import CSP
from sla_plugin.web.sessions import FAILURES, LOCK, Refused, sign_in
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


def test_ten_failures_lock_for_a_quarter_of_an_hour(small_world: World) -> None:
    database = small_world.runtime.database
    answers = [sign_in(database, "kim@example.com", "wrong", NOW) for _ in range(FAILURES)]
    assert answers[-2:] == [Refused(), Refused(NOW + LOCK)]
    assert sign_in(database, "kim@example.com", PASSWORD, NOW + LOCK - 1) == Refused(NOW + LOCK)
    assert not isinstance(sign_in(database, "kim@example.com", PASSWORD, NOW + LOCK + 1), Refused)


def test_a_success_forgives_failures(small_world: World) -> None:
    database = small_world.runtime.database
    for _ in range(FAILURES - 1):
        sign_in(database, "kim@example.com", "wrong", NOW)
    sign_in(database, "kim@example.com", PASSWORD, NOW)
    assert sign_in(database, "kim@example.com", "wrong", NOW) == Refused()


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
