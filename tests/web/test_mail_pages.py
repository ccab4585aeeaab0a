"""Mail on the pages: settings checked alone and together, a test mail told line by line, invitations and resets, a forgotten password that tells nothing."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as listen

from sla_plugin.jobs.mails import drain_mails
from sla_plugin.ports import Letter, MailProblem, MailServer, MailTry
from sla_plugin.services.forgot_password import APART
from sla_plugin.services.passwords import hash_password
from sla_plugin.services.sign_in import FREE
from sla_plugin.services.tenant_settings import typed_settings
from sla_plugin.store.duties import Duty
from sla_plugin.store.people import add_person, change_person, find_person
from sla_plugin.store.schema import METADATA
from sla_plugin.store.tenant_settings import store_settings
from sla_plugin.store.tenants import add_tenant
from tests.mail_server import client_of, mail_server, mail_settings_of
from tests.web.conftest import Browser, app_of, browser_of, page_settings
from tests.web.world import NOW, World, empty_world

SERVER = MailServer("smtp.example.com", 587, "starttls", "robot", "correct-horse")


class Post:
    """A way out that keeps letters and answers as told."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.servers: list[MailServer] = []
        self.problem: MailProblem | None = None

    def try_out(self, server: MailServer, letter: Letter | None, within: float = 60) -> MailTry:
        """Kept."""
        self.servers.append(server)
        self.letters += [letter] if letter is not None else []
        steps = [("reached", "192.0.2.1:587"), ("tls", "TLS 1.3"), ("signed_in", server.user)]
        return MailTry(steps, self.problem) if self.problem or letter is None else MailTry([*steps, ("accepted", "250 OK")])


@pytest.fixture
def post() -> Post:
    """A post office without a network."""
    return Post()


@pytest.fixture
def world(sqlite_url: str, tmp_path: Path, post: Post) -> Iterator[World]:
    """A tenant with people, and a way out for mail."""
    made = empty_world(page_settings(sqlite_url, tmp_path), mailer=post)
    yield made
    made.runtime.database.engine.dispose()


@pytest.fixture
def both(database_url: str, tmp_path: Path, post: Post) -> Iterator[World]:
    """The same on each database."""
    made = empty_world(page_settings(database_url, tmp_path), mailer=post)
    yield made
    made.runtime.database.engine.dispose()


def set_up(world: World, **other: str) -> Browser:
    browser = browser_of(world)
    browser.get("/settings")
    assert "Saved." in browser.post("/settings/mail", **mail_settings_of(SERVER, **other))
    return browser


def drain(world: World, now: int = NOW) -> int:
    return drain_mails(world.runtime.database, world.runtime.outside, lambda: now)


def texts(world: World) -> dict[str, str]:
    with world.runtime.database.reading(world.tenant) as tx:
        return typed_settings(tx, world.tenant)


def requests(world: World) -> int:
    with world.runtime.database.reading(Duty.CHECKING) as tx:
        return len(tx.execute(METADATA.tables["reset_request"].select()).all())


def link_of(letter: Letter) -> str:
    found = re.search(r"http://sla\.example\.com(/welcome/\S+)", letter.text)
    assert found is not None
    return found[1]


# --- settings --------------------------------------------------------------------------------------------------------
WRONG: tuple[tuple[dict[str, str], str, str], ...] = (
    ({"mail_host": "https://smtp.example.com"}, "mail_host", "the name of the server alone"),
    ({"mail_host": "smtp example"}, "mail_host", "the name of the server alone"),
    ({"mail_port": "0"}, "mail_port", "from 1 to 65535"),
    ({"mail_port": "smtp"}, "mail_port", "from 1 to 65535"),
    ({"mail_security": "ssl"}, "mail_security", "Choose one"),
    ({"mail_user": "a\tb"}, "mail_user", "one line"),
    ({"mail_password": "x" * 501}, "mail_password", "one line"),
    ({"mail_sender": "help"}, "mail_sender", "no mail address"),
    ({"mail_sender": "help@example.com>"}, "mail_sender", "no mail address"),
    ({"mail_sender_name": "n" * 101}, "mail_sender_name", "one line"),
    ({"mail_sender": ""}, "mail_sender", "from which address"),
    ({"mail_password": ""}, "mail_password", "Type the password"),
    ({"mail_user": ""}, "mail_user", "say whose it is"),
)


def test_settings_are_checked_alone_and_together(world: World) -> None:
    browser = browser_of(world)
    browser.get("/settings")
    before = texts(world)
    for typed, field, said in WRONG:
        page = browser.post("/settings/mail", 422, **mail_settings_of(SERVER, **typed))
        (wrong,) = re.findall(rf'id="e-{field}">(.*?)</div>', page, re.DOTALL)
        assert said in wrong, typed
        assert "correct-horse" not in page
        assert texts(world) == before, typed


def test_settings_are_kept_sealed_and_proved_soon(world: World, post: Post) -> None:
    browser = set_up(world)
    assert "correct-horse" not in str(texts(world))
    assert "The settings are being tried." in browser.get("/settings")
    drain(world)
    assert post.servers == [SERVER]
    assert "correct-horse" not in repr(post.servers)
    assert "The server was reached and let us in" in browser.get("/settings")
    assert "Nothing was different" in browser.post("/settings/mail", **mail_settings_of(SERVER, mail_password=""))


def test_a_stored_password_goes_to_no_other_server(world: World) -> None:
    browser = set_up(world)
    before = texts(world)
    for typed in ({"mail_host": "smtp.evil.example"}, {"mail_user": "somebody"}):
        assert "Type the password again" in browser.post("/settings/mail", 422, **mail_settings_of(SERVER, **{"mail_password": "", **typed}))
        assert texts(world) == before
    assert "Saved." in browser.post("/settings/mail", **mail_settings_of(SERVER, mail_host="smtp.other.example"))


def test_a_test_mail_is_told_line_by_line(world: World, post: Post) -> None:
    browser = set_up(world)
    page = browser.post("/settings/mail/test")
    for line in ("The server was reached at 192.0.2.1:587", "The line is safe (TLS 1.3)", "Signed in as robot.", "The server took the mail: 250 OK"):
        assert line in page
    (letter,) = post.letters
    assert (letter.to, letter.sender) == ("kim@example.com", "help@acme.example")
    assert "The server was reached and let us in" in browser.get("/settings")
    entry = world.rows("audit_entry")[-1]
    assert (entry["what"], entry["actor"], entry["changes"]["problem"]) == ("mail settings tried", "Kim Lee <kim@example.com>", None)
    post.problem = MailProblem("sign_in", False, status=535, said="5.7.8 <b>no</b>")
    page = browser.post("/settings/mail/test")
    assert "Signed in as" in page
    assert "refused user or password. It says: 535 5.7.8 &lt;b&gt;no&lt;/b&gt;." in page
    assert "app password" in page
    assert "refused user or password" in browser.get("/health-page")


def test_one_test_at_a_time(world: World, post: Post) -> None:
    set_up(world)
    app, entered, leave = app_of(world), threading.Event(), threading.Event()
    inner = post.try_out

    def slow(server: MailServer, letter: Letter | None, within: float = 60) -> MailTry:
        entered.set()
        assert leave.wait(10)
        return inner(server, letter, within)

    post.try_out = slow  # type: ignore[method-assign]
    first, second = Browser(app.test_client()), Browser(app.test_client())
    for one in (first, second):
        one.get("/login")
        one.post("/login", email="kim@example.com", password="correct horse battery")
        one.get("/settings")
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(first.post("/settings/mail/test")))
    thread.start()
    assert entered.wait(10)
    assert "Another test mail is on its way" in second.post("/settings/mail/test", 422)
    leave.set()
    thread.join()
    assert "The server took the mail" in answers[0]


def test_a_real_server_is_tried_from_the_page(sqlite_url: str, tmp_path: Path) -> None:
    with mail_server("tls") as server:
        world = empty_world(page_settings(sqlite_url, tmp_path), mailer=client_of())
        browser = browser_of(world)
        browser.get("/settings")
        browser.post("/settings/mail", **mail_settings_of(server.settings()))
        assert "The server took the mail: 250 queued as 1" in browser.post("/settings/mail/test")
        browser.post("/settings/mail", **mail_settings_of(server.settings(), mail_password="wrong"))
        assert "refused user or password. It says: 535" in browser.post("/settings/mail/test")
        assert len(server.took) == 1
        world.runtime.database.engine.dispose()


def test_an_auditor_reads_how_mail_stands_and_sends_nothing(world: World, post: Post) -> None:
    set_up(world)
    browser = browser_of(world, "ula@example.com")
    assert "Send a test mail" not in browser.get("/settings")
    browser.post("/settings/mail/test", 403)
    assert post.letters == []


# --- invitations and resets ------------------------------------------------------------------------------------------
def test_somebody_invited_gets_the_link_and_comes_in(both: World, post: Post) -> None:
    browser = set_up(both)
    browser.get("/people")
    page = browser.post("/people", email="ivy@example.com", name="Ivy Doe", role="agent")
    assert "A mail with a link is on its way" in page
    assert "shown this once" not in page
    assert "/welcome/" not in page
    assert "is on its way since" in page
    drain(both)
    (letter,) = post.letters
    path = both.rows("person")[-1]["id"]
    assert "was sent" in browser.get(f"/people/{path}")
    ivy = browser_of(both, None)
    ivy.get(link_of(letter))
    assert "<h1>Overview</h1>" in ivy.post(link_of(letter), password="a long new password", again="a long new password")
    assert "no longer valid" in ivy.get(link_of(letter), 404)


def test_a_failed_invitation_is_seen_and_sent_again(world: World, post: Post) -> None:
    browser = set_up(world)
    drain(world)
    browser.get("/people")
    browser.post("/people", email="ivy@example.com", name="Ivy Doe", role="agent")
    post.problem = MailProblem("recipient", False, status=550, said="5.1.1 no such user")
    drain(world)
    assert "mail not sent" in browser.get("/people")
    assert "1 mail could not be sent" in browser.get("/health-page")
    person = f"/people/{world.rows('person')[-1]['id']}"
    page = browser.get(person)
    assert "could not be sent" in page
    assert "It says: 550 5.1.1 no such user. Check the address." in page
    assert ">Send again</button>" in page
    post.problem = None
    assert "A mail with a link is on its way" in browser.post(f"{person}/link")
    drain(world)
    assert "was sent" in browser.get(person)
    assert "mail not sent" not in browser.get("/people")
    assert "could not be sent" not in browser.get("/health-page")
    assert link_of(post.letters[0]) != link_of(post.letters[1])
    assert {letter.subject for letter in post.letters} == {"You are invited to Acme Support"}, "who never came in is invited again"
    browser_of(world, None).get(link_of(post.letters[0]), 404)
    browser_of(world, None).get(link_of(post.letters[1]))


def test_a_link_is_shown_on_request_and_then_not_mailed(world: World, post: Post) -> None:
    browser = set_up(world)
    drain(world)
    person = f"/people/{world.customer}"
    browser.get(person)
    page = browser.post(f"{person}/link", show="yes")
    assert "shown this once" in page
    assert "http://sla.example.com/welcome/" in page
    assert (drain(world), post.letters) == (0, [])
    assert "/welcome/" not in browser.get(person)


def test_without_mail_links_are_shown_as_ever(world: World, post: Post) -> None:
    browser = browser_of(world)
    browser.get("/people")
    page = browser.post("/people", email="ivy@example.com", name="Ivy Doe", role="agent")
    assert "http://sla.example.com/welcome/" in page
    assert "Mail a link" not in page
    assert (drain(world), post.letters, world.rows("mail")) == (0, [], [])


def test_a_name_is_one_line(world: World) -> None:
    browser = browser_of(world)
    browser.get("/people")
    for name in ("Ivy\r\nBcc: victim@example.com", "Ivy\x00", "Ivy\u2028Doe"):
        assert "on one line" in browser.post("/people", 422, email="ivy@example.com", name=name, role="agent")
    assert len(world.rows("person")) == 4


# --- forgotten passwords ---------------------------------------------------------------------------------------------
def asked(world: World, email: str) -> str:
    browser = browser_of(world, None)
    browser.get("/forgot")
    text = browser.post("/forgot", email=email)
    return re.sub(r'name="csrf_token" value="[^"]+"', "", text)


def test_a_forgotten_password_is_set_anew_by_mail(both: World, post: Post) -> None:
    set_up(both)
    assert "Forgot your password?" in browser_of(both, None).get("/login")
    assert "on its way" in asked(both, " KIM@example.com ")
    assert post.letters == []
    drain(both)
    assert requests(both) == 0
    (letter,) = post.letters
    assert (letter.to, letter.subject) == ("kim@example.com", "A new password for Acme Support")
    kim = browser_of(both, None)
    kim.get(link_of(letter))
    kim.post(link_of(letter), password="a long new password", again="a long new password")
    entry = [row for row in both.rows("audit_entry") if row["what"] == "password reset link made"]
    assert [row["actor"] for row in entry] == ["the sign-in page"]


def test_the_answer_is_the_same_for_everybody(world: World, post: Post) -> None:
    set_up(world)
    with world.runtime.database.transaction(world.tenant) as tx:
        ana = find_person(tx, world.tenant, "ana@example.com")
        assert ana is not None
        change_person(tx, world.tenant, ana.id, disabled_at=NOW)
    pages = {asked(world, email) for email in ("kim@example.com", "nobody@example.com", "ana@example.com")}
    assert len(pages) == 1
    drain(world)
    assert [letter.to for letter in post.letters] == ["kim@example.com"]


def test_where_passwords_are_off_a_forgotten_one_is_not_replaced(world: World, post: Post) -> None:
    """A link would be a way past the sign-in service."""
    set_up(world)
    with world.runtime.database.transaction(world.tenant) as tx:
        store_settings(tx, world.tenant, {"sign_in_on": "yes", "sign_in_passwords": "no"})
    assert "on its way" in asked(world, "kim@example.com")
    drain(world)
    assert (post.letters, world.rows("one_time_link"), requests(world)) == ([], [], 0)


def test_the_work_is_the_same_for_everybody(both: World) -> None:
    """Time is statements and commits: the same ones in the same order, whoever is asked for."""
    set_up(both)
    sent: list[tuple[str, int]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, len(parameters)))

    listen.listen(both.runtime.database.engine, "before_cursor_execute", note)
    seen = []
    for email in ("kim@example.com", "xyz@example.com", "kim@example.com", "zyx@example.com"):
        sent.clear()
        asked(both, email)
        seen.append(list(sent))
    assert seen[1] == seen[2] == seen[3]  # the first of all made the source's row
    with both.runtime.database.reading(Duty.CHECKING) as tx:
        rows = tx.execute(METADATA.tables["reset_request"].select()).all()
    assert len({len(row.sealed) for row in rows}) == 1
    assert "example.com" not in str(rows)


def test_asking_again_and_again_neither_floods_nor_voids(world: World, post: Post) -> None:
    set_up(world)
    drain(world)
    for second in range(FREE):
        asked(world, "kim@example.com")
        drain(world, NOW + second)
    assert len(post.letters) == 1
    browser = browser_of(world, None)
    browser.get(link_of(post.letters[0]))
    browser.get("/forgot")
    page = browser.post("/forgot", 422, email="carl@example.com")
    assert "wait until" in page
    assert 'value="carl@example.com"' in page
    assert requests(world) == 0
    with world.runtime.database.transaction(Duty.SIGN_IN) as tx:
        tx.execute(METADATA.tables["sign_in_failure"].delete())
    asked(world, "kim@example.com")
    drain(world, NOW + APART)
    assert len(post.letters) == 2


def test_answering_twice_mails_once(both: World, post: Post) -> None:
    set_up(both)
    asked(both, "kim@example.com")
    asked(both, "kim@example.com")
    threads = [threading.Thread(target=drain, args=(both,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(post.letters), requests(both)) == (1, 0)


def test_an_address_of_several_tenants_gets_a_mail_from_each_that_sends(world: World, post: Post) -> None:
    set_up(world)
    with world.runtime.database.transaction(Duty.TENANTS) as tx:
        silent = add_tenant(tx, "Silent", NOW)
        add_person(tx, silent, "kim@example.com", "Kim Lee", "agent", hash_password("x"), NOW, one_time=False)
    theirs = empty_world(world.runtime.settings, "Nordwind", "nordwind.example", mailer=post)
    with theirs.runtime.database.transaction(theirs.tenant) as tx:
        add_person(tx, theirs.tenant, "kim@example.com", "Kim N", "agent", hash_password("x"), NOW, one_time=False)
    browser = browser_of(theirs, "kim@nordwind.example")
    browser.get("/settings")
    browser.post("/settings/mail", **mail_settings_of(SERVER, mail_sender="post@nordwind.example"))
    asked(world, "kim@example.com")
    drain(world)
    assert sorted((letter.sender, letter.to_name) for letter in post.letters) == [("help@acme.example", "Kim Lee"), ("post@nordwind.example", "Kim N")]
    theirs.runtime.database.engine.dispose()


def test_where_nobody_sends_mail_nothing_is_promised(world: World) -> None:
    browser = browser_of(world, None)
    assert "Forgot" not in browser.get("/login")
    page = browser.get("/forgot")
    assert "Ask an admin" in page
    assert "<form" not in page


def test_what_is_no_address_is_said(world: World) -> None:
    set_up(world)
    browser = browser_of(world, None)
    browser.get("/forgot")
    for email in ("", "kim", "kim@", "a@b@c", "<kim@example.com>", "x" * 400 + "@example.com", "kim@example.com\r\nBcc: x@example.com"):
        assert "no mail address" in browser.post("/forgot", 422, email=email), email
    assert requests(world) == 0
