"""What holds on every answer and for every browser: headers, cookies, methods, idle sessions, passwords that nobody should take, what the log says."""

import json
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from sla_plugin.logs import set_up_logging
from sla_plugin.services.guessable import is_guessable
from sla_plugin.settings import Settings
from sla_plugin.store.tenant_settings import store_settings
from tests.web.conftest import Browser, app_of, browser_of
from tests.web.world import NOW, PASSWORD, World, empty_world

MINUTE = 60_000_000
ANSWERS = [  # (path, status) of every kind of answer
    ("/login", 200),
    ("/sla", 302),
    ("/nowhere", 404),
    ("/static/admin/app.css", 200),
    ("/static/admin/../../x", 404),
    ("/static/admin/", 404),
    ("/bootstrap/static/css/bootstrap.min.css", 200),
    ("/healthz", 200),
    ("/readyz", 200),
    ("/metrics", 401),
    ("/schemas/generic.json", 200),
    ("/api/v1/me", 401),
    ("/api/v1/nowhere", 404),
    ("/webhooks/nobody", 404),
]


def secure_client(url: str, folder: Path) -> tuple[World, FlaskClient]:
    """A world that people reach by https, and a browser of theirs."""
    environment = {"DATABASE_URL": url, "SLA_DATA_DIR": str(folder), "SLA_PUBLIC_URL": "https://sla.example.com"}
    world = empty_world(Settings.from_env(environment))
    app = app_of(world)
    app.config["PREFERRED_URL_SCHEME"] = "https"  # of the test client
    return world, app.test_client()


# --- headers and methods ---------------------------------------------------------------------------------------------
def test_every_answer_has_the_headers_that_keep_browsers_from_harm(small_world: World) -> None:
    client = app_of(small_world).test_client()
    for path, status in ANSWERS:
        answer = client.get(path)
        answer.close()
        assert answer.status_code == status, path
        policy = answer.headers["Content-Security-Policy"]
        for demanded in ("default-src 'none'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
            assert demanded in policy, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert answer.headers["Referrer-Policy"] == "same-origin", path
        if path in ("/login", "/sla", "/nowhere", "/api/v1/me"):
            assert answer.headers["Cache-Control"] == "no-store", path
        assert len(answer.headers.getlist("Content-Security-Policy")) == 1, path
        assert not {"Server", "X-Powered-By", "Access-Control-Allow-Origin", "Strict-Transport-Security"} & set(answer.headers.keys()), path


def test_by_https_browsers_are_told_to_stay_there_and_cookies_are_this_hosts_alone(sqlite_url: str, tmp_path: Path) -> None:
    world, client = secure_client(sqlite_url, tmp_path)
    for path, _ in ANSWERS:
        answer = client.get(path)
        answer.close()
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains", path
    browser = Browser(client)
    browser.get("/login")
    answers = [client.post("/login", data={"csrf_token": browser.token, "email": "kim@example.com", "password": PASSWORD})]
    page = browser.get("/me")
    answers.append(client.post("/me", data={"csrf_token": browser.token, "theme": "dark", "keys": "on", "zone": "Europe/Berlin"}))
    cookies = [cookie for answer in answers for cookie in answer.headers.getlist("Set-Cookie")]
    assert {cookie.partition("=")[0] for cookie in cookies} >= {f"__Host-sla_{name}" for name in ("session", "device", "theme", "keys", "zone", "zone_fixed")}
    for cookie in cookies:
        assert all(word in cookie for word in ("__Host-", "; Secure", "; Path=/;", "; SameSite=Lax")), cookie
        assert "Domain" not in cookie
        assert "HttpOnly" in cookie or cookie.startswith("__Host-sla_zone=")
    assert 'data-zone-cookie="__Host-sla_zone"' in page
    assert "Europe/Berlin" in browser.get("/me")
    world.runtime.database.engine.dispose()


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "DELETE"])
def test_a_method_that_nobody_offers_does_nothing(small_world: World, method: str) -> None:
    client = app_of(small_world).test_client()
    assert [client.open(path, method=method).status_code for path in ("/login", "/healthz", "/static/admin/app.css", "/api/v1/me")] == [405] * 4
    assert client.open("/webhooks/nobody", method=method).status_code == 404


def test_a_form_has_its_limit(small_world: World) -> None:
    client = app_of(small_world).test_client()
    assert client.post("/login", data={"email": "a" * 2_100_000}).status_code == 413
    assert client.post("/login", data=b"x" * 2_100_000, content_type="multipart/form-data; boundary=x").status_code == 413


def test_our_own_fault_on_a_page_tells_nothing(small_world: World) -> None:
    def broken(**_: object) -> str:
        raise RuntimeError("SELECT token FROM person")

    app = app_of(small_world)
    app.testing = False
    app.view_functions["signing_in.login"] = broken
    answer = app.test_client().get("/login")
    assert (answer.status_code, "SELECT" in answer.text, "RuntimeError" in answer.text) == (500, False, False)
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


# --- who says where we are, and who they are -------------------------------------------------------------------------
def test_links_are_made_of_our_address_never_of_the_requests(small_world: World) -> None:
    app = app_of(small_world)
    app.config["SERVER_NAME"] = "evil.example"  # what the test client says in Host
    browser = Browser(app.test_client())
    browser.get("/login")
    browser.post("/login", email="kim@example.com", password=PASSWORD)
    browser.get("/people")
    form = {"csrf_token": browser.token, "email": "ivy@example.com", "name": "Ivy", "role": "agent"}
    lying = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    answer = browser.client.post("/people", data=form, headers=lying)
    assert answer.location.startswith("/people/")
    page = browser.client.get(answer.location)
    assert page.request.host == "evil.example"
    assert "http://sla.example.com/welcome/" in page.text
    assert "evil.example" not in page.text


def test_nobody_says_by_a_header_where_they_come_from(small_world: World) -> None:
    browser = browser_of(small_world, None)
    browser.get("/login")
    for number in range(6):
        form = {"csrf_token": browser.token, "email": "kim@example.com", "password": "wrong"}
        lying = {"X-Forwarded-For": f"66.6.6.{number}", "X-Real-IP": f"66.6.6.{number}", "Forwarded": f"for=66.6.6.{number}"}
        answer = browser.client.post("/login", data=form, headers=lying)
    assert "wait until" in answer.text
    browser_of(small_world, "ana@example.com")
    assert {row["source"] for row in small_world.rows("session")} == {"127.0.0.1"}


# --- sessions --------------------------------------------------------------------------------------------------------
def at(world: World, minutes: int) -> None:
    world.runtime.clock = lambda: NOW + minutes * MINUTE  # type: ignore[method-assign]


def is_in(browser: Browser) -> bool:
    return "<h1>Overview</h1>" in browser.get("/sla")


def test_a_session_that_lies_idle_ends(small_world: World) -> None:
    browser = browser_of(small_world)
    for minutes in (50, 100, 150):
        at(small_world, minutes)
        assert is_in(browser)
    at(small_world, 150 + 64)
    assert is_in(browser), "an hour, and the five minutes to which use is noted"
    at(small_world, 150 + 64 + 65)
    assert not is_in(browser)


def test_a_page_that_refreshes_itself_keeps_no_session_open(small_world: World) -> None:
    browser = browser_of(small_world)
    for minutes in range(10, 65, 10):
        at(small_world, minutes)
        assert browser.client.get("/sla", headers={"X-Fragment": "overview"}).status_code == 200
    at(small_world, 65)
    assert browser.client.get("/sla", headers={"X-Fragment": "overview"}).status_code == 302


def test_a_tenant_says_how_long_and_twelve_hours_are_the_end(small_world: World) -> None:
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        store_settings(tx, small_world.tenant, {"idle_minutes": "720"})
    browser = browser_of(small_world)
    at(small_world, 719)
    assert is_in(browser)
    at(small_world, 720)
    assert not is_in(browser)


def test_idle_sessions_are_not_shown_as_open(small_world: World) -> None:
    browser_of(small_world)
    at(small_world, 70)
    assert browser_of(small_world).get("/me").count("this one") == 1
    assert "End all others" not in browser_of(small_world, "ana@example.com").get("/me")


def test_a_new_password_begins_a_new_session(small_world: World) -> None:
    browser = browser_of(small_world)
    before = browser.client.get_cookie("sla_session")
    browser.get("/me/password")
    browser.post("/me/password", current=PASSWORD, password="another long password", again="another long password")
    assert is_in(browser)
    assert before is not None
    browser.client.set_cookie("sla_session", before.value)
    assert not is_in(browser)


# --- passwords that are guessed first --------------------------------------------------------------------------------
HERE = ("Acme Support", "Kim Lee", "kim@example.com")


@pytest.mark.parametrize(
    "password",
    [
        *("password1234", "P@ssw0rd!2026", "passwordpassword", "MyPassword123", "Welcome12345", "letmein12345", "iloveyou1234", "administrator1"),
        *("123456789012", "aaaaaaaaaaaa", "abcabcabcabc", "abcdefghijkl", "qwertyuiop[]", "1qaz2wsx3edc", "zaq12wsxcde3", "1q2w3e4r5t6y", "123qweasdzxc"),
        *("Summer2026!!!", "sommer-2025-!", "24.12.1999!!", "superman1234", "147258369147"),
        *("kim@example.com", "Acme-Support-2026", "kim.lee.acme", "slaplugin2026", "zendesk-support"),
        pytest.param("my" * 200_000, id="long and quick to refuse"),
    ],
)
def test_what_is_tried_first_is_refused(password: str) -> None:
    assert is_guessable(password, HERE)


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "a new long password",
        "quite a long one",
        "violet tractor moon",
        "xK9#mQ2$vL7p",
        "пароль из слов тут",
        "mein hut der hat drei ecken",
        "x1" + "v8rk2m" * 9,
    ],
)
def test_words_in_a_row_and_random_ones_are_taken(password: str) -> None:
    assert not is_guessable(password, HERE)


def test_a_list_of_the_operators_is_asked(sqlite_url: str, tmp_path: Path) -> None:
    file = tmp_path / "common.txt"
    file.write_bytes(b"leavemealone\r\nviolet tractor moon\n\xff\xfe broken\n")
    world = empty_world(Settings.from_env({"DATABASE_URL": sqlite_url, "SLA_DATA_DIR": str(tmp_path), "SLA_COMMON_PASSWORDS": str(file)}))
    browser = browser_of(world)
    browser.get("/me/password")
    for listed in ("LeaveMeAlone", "violet tractor moon"):
        assert "among the first to be guessed" in browser.post("/me/password", 422, current=PASSWORD, password=listed, again=listed)
    assert "Your password is changed" in browser.post("/me/password", current=PASSWORD, password="violet tractor sun", again="violet tractor sun")
    world.runtime.database.engine.dispose()


def test_the_forms_refuse_it(small_world: World) -> None:
    browser = browser_of(small_world)
    assert browser.get("/me/password").count('type="password"') == 3
    refused = browser.post("/me/password", 422, current="not mine at all", password="another long password", again="another long password")
    assert "This is not your present password" in refused
    refused = browser.post("/me/password", 422, current=PASSWORD, password="acme-support-1", again="acme-support-1")
    assert "among the first to be guessed" in refused
    admin = browser_of(small_world)
    admin.get("/people")
    link = re.search(r"/welcome/[\w-]{43}", admin.post("/people", email="bob@example.com", name="Bob Doe", role="agent"))
    assert link
    bob = browser_of(small_world, None)
    bob.get(link[0])
    assert "among the first to be guessed" in bob.post(link[0], 422, password="bob@example.com", again="bob@example.com")


# --- the log ---------------------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("logging_kept")
def test_what_is_refused_is_logged_without_secrets(small_world: World, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("INFO", "json")
    browser = browser_of(small_world, None)
    browser.get("/login")
    browser.post("/login", 422, email="kim@example.com", password="wrong horse")
    agent = browser_of(small_world, "ana@example.com")
    agent.get("/policies/new", 403)
    agent.client.post("/logout")
    agent.client.get("/api/v1/me", headers={"Authorization": "Bearer sla_12345678_nonsense"})
    said = capsys.readouterr().err
    told = {line["event"]: line for line in map(json.loads, said.splitlines())}
    assert {"sign-in failed", "signed in", "not allowed", "form refused", "token refused"} <= told.keys()
    assert (told["sign-in failed"]["source"], told["not allowed"]["permission"]) == ("127.0.0.1", "policies.write")
    assert all("timestamp" in line and line["timestamp"].endswith("Z") for line in told.values())
    assert [word for word in ("example.com", "wrong horse", PASSWORD, "nonsense", "Ana Agent") if word in said] == []
