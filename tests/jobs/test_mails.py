"""The mail queue against a real server: sent once, repeated when it must be, visible when it cannot be; links sealed until they have left."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import url_for

from sla_plugin.jobs.holders import this_host
from sla_plugin.jobs.mails import drain_mails, step
from sla_plugin.jobs.outbox import drain_outbox
from sla_plugin.jobs.timekeeper import Timekeeper
from sla_plugin.ports import Letter, MailServer, MailTry
from sla_plugin.reports.lights import Light, lights_of
from sla_plugin.reports.machine import read_machine
from sla_plugin.services import send_mail
from sla_plugin.services.people import LINK, accept, disable, invite, link_of, reset
from sla_plugin.services.queue_mail import welcome_url
from sla_plugin.services.send_mail import LEASE, WAITS
from sla_plugin.services.tenant_settings import change_settings
from sla_plugin.store.duties import Duty
from sla_plugin.store.people import Person, change_person, find_person
from sla_plugin.store.schema import METADATA
from sla_plugin.store.tenants import list_tenants
from tests.mail_server import BREAK_OFF, PASSWORD, TestServer, client_of, mail_server, mail_settings_of
from tests.web.conftest import app_of, page_settings
from tests.web.world import NOW, World, empty_world

SECOND = 1_000_000
DAY = 24 * 3600 * SECOND


@pytest.fixture
def server() -> Iterator[TestServer]:
    """A mail server with STARTTLS that wants a user."""
    with mail_server() as running:
        yield running


@pytest.fixture
def post(database_url: str, tmp_path: Path, server: TestServer) -> Iterator[World]:
    """A tenant that sends mail, on each database."""
    yield from opened(database_url, tmp_path, server)


@pytest.fixture
def small_post(sqlite_url: str, tmp_path: Path, server: TestServer) -> Iterator[World]:
    """The same on SQLite."""
    yield from opened(sqlite_url, tmp_path, server)


def opened(url: str, folder: Path, server: TestServer) -> Iterator[World]:
    world = empty_world(page_settings(url, folder), mailer=client_of())
    set_up(world, **mail_settings_of(server.settings()))
    drain(world)
    yield world
    world.runtime.database.engine.dispose()


def set_up(world: World, **typed: str) -> None:
    with world.runtime.database.transaction(world.tenant) as tx:
        change_settings(tx, world.tenant, typed, NOW, "test", world.runtime.outside.sealer)


def drain(world: World, now: int = NOW) -> int:
    return drain_mails(world.runtime.database, world.runtime.outside, lambda: now)


def invited(world: World, email: str = "ivy@example.com", name: str = "Ivy Doe", now: int = NOW) -> int:
    with world.runtime.database.transaction(world.tenant) as tx:
        person, secret = invite(tx, world.tenant, email, name, "agent", now, "test", world.runtime.outside)
    assert secret == "", "who is mailed the link is not shown it by others"
    return person


def person_of(world: World, email: str = "ivy@example.com") -> Person:
    with world.runtime.database.reading(world.tenant) as tx:
        person = find_person(tx, world.tenant, email)
    assert person is not None
    return person


def states(world: World) -> list[str]:
    return [row["state"] for row in world.rows("mail")]


def link_in(message: Any) -> str:
    """The secret of the link in a mail, the same in both its forms."""
    plain, rich = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    (line,) = [line for line in plain.split() if line.startswith("http://sla.example.com/welcome/")]
    assert f'href="{line}"' in rich
    return str(line.rpartition("/")[2])


def valid(world: World, secret: str, now: int = NOW) -> bool:
    with world.runtime.database.reading(Duty.SIGN_IN) as tx:
        return link_of(tx, secret, now) is not None


def audited(world: World) -> list[str]:
    return [row["what"] for row in world.rows("audit_entry")]


def light(world: World, now: int) -> Light:
    with world.runtime.database.reading(world.tenant) as tx:
        machine = read_machine(tx, now, {}, world.tenant)
    (found,) = [one for one in lights_of(machine, machine.tenants[0], {}) if one.about in ("mail", "mails")]
    return found


# --- sent once -------------------------------------------------------------------------------------------------------
def test_an_invitation_leaves_with_a_link_that_works_and_is_erased(post: World, server: TestServer) -> None:
    invited(post)
    (before,) = post.rows("mail")
    assert (before["state"], before["address"], before["facts"]) == ("pending", None, {})
    assert "welcome" not in str(before), "sealed"
    assert drain(post) == 1
    assert drain(post) == 0
    (message,) = server.took
    assert (str(message["To"]), str(message["From"])) == ("Ivy Doe <ivy@example.com>", "Acme Support <help@acme.example>")
    assert "Acme Support" in message["Subject"]
    secret = link_in(message)
    assert valid(post, secret)
    (row,) = post.rows("mail")
    assert (row["state"], row["attempts"], row["sealed"], row["holder"], row["problem"]) == ("sent", 1, None, None, None)
    assert audited(post)[-2:] == ["person invited", "mail sent"]
    assert secret not in str([post.rows(table) for table in ("mail", "audit_entry", "one_time_link")])


def test_an_address_of_a_link_is_the_pages_own(small_post: World) -> None:
    with app_of(small_post).test_request_context():
        assert welcome_url(small_post.runtime.outside, "abc") == small_post.runtime.settings.public_url + url_for("signing_in.welcome", secret="abc")


def test_a_mail_speaks_the_persons_language_else_the_tenants(small_post: World, server: TestServer) -> None:
    set_up(small_post, language="de")
    with small_post.runtime.database.transaction(small_post.tenant) as tx:
        change_person(tx, small_post.tenant, person_of(small_post, "ana@example.com").id, language="en")
        for email in ("ana@example.com", "kim@example.com"):
            person = find_person(tx, small_post.tenant, email)
            assert person is not None
            reset(tx, small_post.tenant, person, NOW, "test", small_post.runtime.outside)
    drain(small_post)
    pages = {str(message["To"]): message.get_body(("html",)).get_content() for message in server.took}  # type: ignore[union-attr]
    assert '<html lang="en">' in pages["Ana Agent <ana@example.com>"]
    assert '<html lang="de">' in pages["Kim Lee <kim@example.com>"]
    assert "November 2026" in pages["Kim Lee <kim@example.com>"]


def test_names_are_text_whatever_is_in_them(small_post: World, server: TestServer) -> None:
    set_up(small_post, name="<b>Acme</b> & Co", mail_sender_name='"Help", <desk>')
    invited(small_post, name="Ivy <script>alert(1)</script> {{ 7 * 7 }} %(tenant)s")
    drain(small_post)
    (message,) = server.took
    rich = message.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "<script>" not in rich
    assert "&lt;b&gt;Acme&lt;/b&gt; &amp; Co" in rich
    assert "{{ 7 * 7 }} %(tenant)s" in rich
    assert message["From"].addresses[0].display_name == '"Help", <desk>'
    assert message["From"].addresses[0].addr_spec == "help@acme.example"


def test_two_workers_at_once_send_each_mail_once(post: World, server: TestServer) -> None:
    people = [invited(post, f"p{number}@example.com") for number in range(6)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: drain(post), range(4)))
    assert len(server.took) == len(people)
    assert {str(message["To"]) for message in server.took} == {f"Ivy Doe <p{number}@example.com>" for number in range(6)}
    assert set(states(post)) == {"sent"}
    assert {row["attempts"] for row in post.rows("mail")} == {1}


def test_the_outbox_sends_mail_beside_its_calls(small_post: World, server: TestServer) -> None:
    invited(small_post)
    for _ in range(2):
        drain_outbox(small_post.runtime.database, small_post.runtime.outside, lambda: NOW, 2)
    assert len(server.took) == 1
    assert states(small_post) == ["sent"]


def test_the_timekeeper_wakes_for_mail(small_post: World) -> None:
    woken: list[str] = []

    class Bell:
        def wake_inbox(self) -> None:
            """Nothing."""

        def wake_outbox(self) -> None:
            woken.append("outbox")

    outside = small_post.runtime.outside.__class__(**{**vars(small_post.runtime.outside), "queue": Bell()})
    now = [NOW]
    keeper = Timekeeper(small_post.runtime.database, outside, lambda: now[0], DAY)
    keeper.rounds()
    assert woken == [], "all is proved, nothing waits"
    invited(small_post)
    now[0] += 2 * SECOND
    keeper.rounds()
    assert woken == ["outbox"]


# --- not sent at once ------------------------------------------------------------------------------------------------
def test_greylisting_is_waited_for(post: World, server: TestServer) -> None:
    invited(post)
    server.answer = lambda at, address, number: "450 4.2.0 greylisted" if at == "rcpt" and number < 3 else None
    assert drain(post) == 1
    (row,) = post.rows("mail")
    assert (row["state"], row["attempts"], row["next_at"], row["problem"], row["status"]) == ("pending", 1, NOW + WAITS[0], "recipient", 450)
    assert drain(post, NOW + WAITS[0] - 1) == 0
    assert drain(post, NOW + WAITS[0]) == 1
    assert drain(post, NOW + WAITS[0] + WAITS[1]) == 1
    assert states(post) == ["sent"]
    assert len(server.took) == 1
    assert server.took[0]["Message-ID"] == f"<invitation.{row['id']}@acme.example>"


def test_a_fourth_try_is_not_made(small_post: World, server: TestServer) -> None:
    invited(small_post)
    server.answer = lambda at, address, number: "421 4.3.2 closing" if at == "mail" else None
    now = NOW
    for wait in (*WAITS, DAY, DAY):
        drain(small_post, now)
        now += wait
    (row,) = small_post.rows("mail")
    assert (row["state"], row["attempts"], row["sealed"], row["status"], row["said"]) == ("failed", 3, None, 421, "4.3.2 closing")
    assert server.seen["mail"] == 3
    assert audited(small_post)[-1] == "mail failed"


def test_a_refusal_for_good_fails_at_once_and_is_seen_until_something_newer_is_there(post: World, server: TestServer) -> None:
    person = invited(post)
    server.answer = lambda at, address, number: "550 5.1.1 no such user" if at == "rcpt" else None
    assert drain(post) == 1
    assert drain(post, NOW + DAY) == 0
    assert (states(post), server.seen["rcpt"]) == (["failed"], 1)
    assert (light(post, NOW).level, light(post, NOW).text) == ("watch", "1 mail could not be sent")
    server.answer = lambda at, address, number: None
    with post.runtime.database.transaction(post.tenant) as tx:
        found = find_person(tx, post.tenant, "ivy@example.com")
        assert found is not None
        assert found.id == person
        reset(tx, post.tenant, found, NOW, "test", post.runtime.outside)
    assert states(post) == ["cancelled", "pending"]
    drain(post)
    assert states(post) == ["cancelled", "sent"]
    assert light(post, NOW).level == "good"


def test_a_line_that_breaks_after_the_mail_repeats_it_under_the_same_name(post: World, server: TestServer) -> None:
    invited(post)
    server.answer = lambda at, address, number: BREAK_OFF if at == "data" and number == 1 else None
    drain(post)
    assert (states(post), post.rows("mail")[0]["problem"]) == (["pending"], "unanswered")
    drain(post, NOW + WAITS[0])
    first, second = server.took
    assert states(post) == ["sent"]
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Date"] == second["Date"]
    assert link_in(first) == link_in(second), "whichever arrives works"
    assert valid(post, link_in(first))


class Dying:
    """A way out at which the process dies: `before` the server hears of it, or after the server has taken the mail."""

    def __init__(self, inner: Any, before: bool) -> None:
        self.inner, self.before = inner, before

    def try_out(self, server: MailServer, letter: Letter | None, within: float = 60) -> MailTry:
        """As far as it comes."""
        if not self.before:
            self.inner.try_out(server, letter, within)
        raise KeyboardInterrupt


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_process_that_is_killed_leaves_its_mail_to_the_next(post: World, server: TestServer, before: bool) -> None:
    invited(post)
    dying = post.runtime.outside.__class__(**{**vars(post.runtime.outside), "mailer": Dying(post.runtime.outside.mailer, before)})
    with pytest.raises(KeyboardInterrupt):
        step(post.runtime.database, dying, lambda: NOW)
    (row,) = post.rows("mail")
    assert (row["state"], row["next_at"], row["lease"]) == ("pending", NOW + LEASE, 1)
    assert drain(post, NOW + LEASE - 1) == 0, "it may be on its way still"
    assert drain(post, NOW + LEASE) == 1
    assert states(post) == ["sent"]
    assert len({message["Message-ID"] for message in server.took}) == 1
    assert len(server.took) == (1 if before else 2)


def test_a_dead_process_is_seen_at_once(post: World, server: TestServer) -> None:
    invited(post)
    with post.runtime.database.transaction(Duty.MAIL) as tx:
        assert send_mail.claim(tx, NOW, f"{this_host()}:999999999:1") is not None
    assert drain(post) == 1
    assert len(server.took) == 1


def test_a_mail_that_kills_processes_is_given_up(small_post: World, server: TestServer) -> None:
    invited(small_post)
    now = NOW
    for _ in range(3):
        with small_post.runtime.database.transaction(Duty.MAIL) as tx:
            assert send_mail.claim(tx, now, "elsewhere:1:1") is not None
        now += LEASE
    drain(small_post, now)
    assert (states(small_post), small_post.rows("mail")[0]["problem"], server.took) == (["failed"], "interrupted", [])


def test_who_was_overtaken_records_nothing(post: World) -> None:
    invited(post)
    with post.runtime.database.transaction(Duty.MAIL) as tx:
        slow = send_mail.claim(tx, NOW, "elsewhere:1:1")
    assert slow is not None
    drain(post, NOW + LEASE)
    before = audited(post)
    with post.runtime.database.transaction(post.tenant) as tx:
        assert send_mail.settle(tx, slow, MailTry((), None), NOW + LEASE + 1) is None
    assert (audited(post), states(post)) == (before, ["sent"])


# --- nothing to send any more ----------------------------------------------------------------------------------------
def test_a_link_that_is_too_old_is_not_sent(small_post: World, server: TestServer) -> None:
    invited(small_post)
    drain(small_post, NOW + LINK)
    (row,) = small_post.rows("mail")
    assert (row["state"], row["problem"], row["sealed"], server.took) == ("cancelled", "expired", None, [])


def ends_it(world: World, how: str) -> None:
    with world.runtime.database.transaction(world.tenant) as tx:
        person = find_person(tx, world.tenant, "ivy@example.com")
        assert person is not None
        if how == "disabled":
            disable(tx, world.tenant, person, NOW, "test", None)
        elif how == "disabled elsewhere":
            change_person(tx, world.tenant, person.id, disabled_at=NOW)
        elif how == "shown instead":
            assert reset(tx, world.tenant, person, NOW, "test") != ""
        else:
            secret = reset(tx, world.tenant, person, NOW, "test")
            found = link_of(tx, secret, NOW)
            assert found is not None
            assert accept(tx, *found, "hash", NOW)


@pytest.mark.parametrize("how", ["disabled", "disabled elsewhere", "shown instead", "accepted"])
def test_what_is_no_longer_wanted_is_not_sent(small_post: World, server: TestServer, how: str) -> None:
    invited(small_post)
    ends_it(small_post, how)
    drain(small_post)
    assert (states(small_post), server.took) == (["cancelled"], [])
    assert small_post.rows("mail")[0]["sealed"] is None


def test_mail_that_was_turned_off_meanwhile_fails_and_says_so(small_post: World, server: TestServer) -> None:
    invited(small_post)
    set_up(small_post, mail_host="")
    drain(small_post)
    assert (states(small_post), small_post.rows("mail")[0]["problem"], server.took) == (["failed"], "off", [])


def test_without_mail_the_link_is_given_to_whoever_asked(small_post: World, server: TestServer) -> None:
    set_up(small_post, mail_host="")
    with small_post.runtime.database.transaction(small_post.tenant) as tx:
        _, secret = invite(tx, small_post.tenant, "ivy@example.com", "Ivy", "agent", NOW, "test", small_post.runtime.outside)
    assert valid(small_post, secret)
    assert (small_post.rows("mail"), drain(small_post), server.took) == ([], 0, [])


# --- the daily proof -------------------------------------------------------------------------------------------------
def test_settings_are_proved_when_changed_and_every_day(post: World, server: TestServer) -> None:
    (check,) = checks(post)
    assert (check["checked_at"], check["problem"]) == (NOW, None)
    signed_in = len(server.signed_in)
    assert drain(post, NOW + DAY) == 0
    assert drain(post, NOW + DAY + 1) == 1
    assert drain(post, NOW + DAY + 1) == 0
    assert (len(server.signed_in), server.seen["mail"]) == (signed_in + 1, 0)
    set_up(post, mail_password="no longer right")
    assert light(post, NOW).level == "idle"
    later = NOW + DAY + 2
    assert drain(post, later) == 1
    (check,) = checks(post)
    assert (check["checked_at"], check["problem"], check["status"]) == (later, "sign_in", 535)
    assert light(post, later).level == "bad"
    assert "refused user or password" in light(post, later).text
    trail = audited(post)
    assert drain(post, later + 1) == 0
    assert drain(post, later + 901 * SECOND) == 1, "what failed is tried again soon"
    assert audited(post) == trail, "and written down once"
    set_up(post, mail_password=PASSWORD)
    drain(post, later + 902 * SECOND)
    assert checks(post)[0]["problem"] is None


def test_two_workers_prove_once(post: World, server: TestServer) -> None:
    before = len(server.signed_in)
    barrier = threading.Barrier(3)

    def work(_: int) -> int:
        barrier.wait()
        return drain(post, NOW + DAY + 1)

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(work, range(3)))
    assert (sum(done), len(server.signed_in)) == (1, before + 1)


def test_a_proof_of_what_was_changed_meanwhile_is_not_kept(small_post: World, server: TestServer) -> None:
    inner: Callable[..., MailTry] = small_post.runtime.outside.mailer.try_out

    class Meanwhile:
        def try_out(self, server: MailServer, letter: Letter | None, within: float = 60) -> MailTry:
            """Somebody changes the settings while the old ones are tried."""
            answer = inner(server, letter, within)
            set_up(small_post, mail_sender="other@acme.example")
            return answer

    outside = small_post.runtime.outside.__class__(**{**vars(small_post.runtime.outside), "mailer": Meanwhile()})
    step(small_post.runtime.database, outside, lambda: NOW + DAY + 1)
    assert checks(small_post)[0]["checked_at"] == 0, "to be proved anew"


def checks(world: World) -> list[dict[str, Any]]:
    with world.runtime.database.reading(world.tenant) as tx:
        return [dict(row) for row in tx.execute(METADATA.tables["mail_check"].select()).mappings()]


def test_another_tenants_mail_leaves_by_their_server(small_post: World, server: TestServer) -> None:
    with mail_server("tls") as other:
        theirs = empty_world(small_post.runtime.settings, "Nordwind", "nordwind.example", mailer=client_of())
        set_up(theirs, **mail_settings_of(other.settings(), mail_sender="post@nordwind.example"))
        invited(small_post)
        invited(theirs, "ida@nordwind.example")
        drain(small_post)
        assert ([str(m["To"]) for m in server.took], [str(m["To"]) for m in other.took]) == (["Ivy Doe <ivy@example.com>"], ["Ivy Doe <ida@nordwind.example>"])
        with theirs.runtime.database.reading(Duty.TENANTS) as tx:
            assert len(list_tenants(tx)) == 2
        assert json.dumps(theirs.rows("mail")).count("ivy") == 0
        theirs.runtime.database.engine.dispose()
