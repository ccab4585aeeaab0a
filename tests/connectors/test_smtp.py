"""Mail against a real server: what is proved, what is refused and why, what a header may hold, and where nothing goes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

import pytest

from connectors.letters import written
from connectors.smtp import PORTS, Smtp
from sla_plugin.ports import Letter, MailProblem, MailServer, MailTry
from tests.mail_server import BREAK_OFF, HANG, PASSWORD, TestServer, certificate, mail_server

LETTER = Letter(
    "<reset.1@example.com>", 1_793_800_000_000_000, "help@example.com", "Acme", "kim@example.com", "Kim Lee", "Hello", "Text\n.dot\n", "<p>Text</p>"
)


def smtp(allow_private: bool = True, name: str = "sla.example.com", server_name: str = "localhost") -> Smtp:
    return Smtp(allow_private=allow_private, name=name, tls=certificate(server_name)[1], step=0.4, after_dot=0.5)


def body(message: EmailMessage, kind: str = "plain") -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def tried(server: TestServer, letter: Letter | None = LETTER, **other: object) -> MailTry:
    return smtp().try_out(server.settings(**other), letter)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_is_handed_over_and_every_step_is_told(security: str) -> None:
    with mail_server(security) as server:
        answer = tried(server)
        (message,) = server.took
    assert [step for step, _ in answer.proved] == ["reached", "tls", "signed_in", "accepted"]
    assert answer.problem is None
    assert dict(answer.proved)["accepted"] == "250 queued as 1"
    assert dict(answer.proved)["tls"].startswith("TLS 1.")
    assert (server.signed_in, server.envelopes, server.hello) == (["robot"], [("help@example.com", "kim@example.com")], "sla.example.com")
    assert (str(message["From"]), str(message["To"]), message["Message-ID"]) == ("Acme <help@example.com>", "Kim Lee <kim@example.com>", LETTER.message_id)
    assert message["Auto-Submitted"] == "auto-generated"
    assert parsedate_to_datetime(message["Date"]).timestamp() == LETTER.at // 1_000_000
    assert body(message) == "Text\n.dot\n"
    assert "<p>Text</p>" in body(message, "html")


def test_settings_are_proved_without_a_mail() -> None:
    with mail_server() as server:
        answer = tried(server, None)
    assert ([step for step, _ in answer.proved], answer.problem) == (["reached", "tls", "signed_in"], None)
    assert server.seen == {"mail": 0, "rcpt": 0, "data": 0}


def test_a_server_of_this_machine_needs_neither_tls_nor_a_user() -> None:
    with mail_server("none", sign_in=False) as server:
        answer = tried(server)
    assert ([step for step, _ in answer.proved], answer.problem) == (["reached", "accepted"], None)


@pytest.mark.parametrize(
    ("step", "said", "problem"),
    [
        ("mail", "550 5.7.1 not yours", MailProblem("sender", False, False, 550, "5.7.1 not yours")),
        ("mail", "451 busy", MailProblem("sender", True, False, 451, "busy")),
        ("rcpt", "550 5.1.1 no such user", MailProblem("recipient", False, False, 550, "5.1.1 no such user")),
        ("rcpt", "450 4.2.0 greylisted", MailProblem("recipient", True, False, 450, "4.2.0 greylisted")),
        ("rcpt", "421 closing", MailProblem("recipient", True, False, 421, "closing")),
        ("rcpt", HANG, MailProblem("silent", True)),
        ("rcpt", BREAK_OFF, MailProblem("broken", True)),
        ("data", "552 too large", MailProblem("content", False, False, 552, "too large")),
        ("data", "452 full", MailProblem("content", True, False, 452, "full")),
        ("data", HANG, MailProblem("unanswered", True, True)),
        ("data", BREAK_OFF, MailProblem("unanswered", True, True)),
    ],
)
def test_refusals_and_broken_lines(step: str, said: str, problem: MailProblem) -> None:
    with mail_server() as server:
        server.answer = lambda at, address, number: said if at == step else None
        answer = tried(server)
    assert answer.problem == problem
    assert [one for one, _ in answer.proved] == ["reached", "tls", "signed_in"]


def test_a_wrong_password_is_told_and_not_repeated() -> None:
    with mail_server() as server:
        answer = tried(server, password="wrong-horse")
    assert answer.problem is not None
    assert (answer.problem.why, answer.problem.temporary, answer.problem.status) == ("sign_in", False, 535)
    assert "wrong-horse" not in str(answer)
    assert "wrong-horse" not in repr(server.settings(password="wrong-horse"))


def test_words_beyond_ascii_sign_in_and_are_refused_like_others() -> None:
    with mail_server() as server:
        answer = tried(server, user="röbot", password="pässword")
    assert answer.problem is not None
    assert answer.problem.why == "sign_in"


def test_a_server_that_knows_no_sign_in() -> None:
    with mail_server("none", sign_in=False) as server:
        answer = tried(server, user="robot", password=PASSWORD)
    assert answer.problem == MailProblem("no_sign_in", temporary=False)


def test_a_certificate_that_is_not_trusted_or_not_theirs() -> None:
    with mail_server() as server:
        stranger = Smtp(allow_private=True, step=0.4).try_out(server.settings(), LETTER)
    with mail_server(name="other.test") as server:
        other = smtp(server_name="other.test").try_out(server.settings(host="localhost"), LETTER)
    for answer in (stranger, other):
        assert answer.problem is not None
        assert (answer.problem.why, [step for step, _ in answer.proved]) == ("certificate", ["reached"])
    assert "mismatch" in (other.problem.said if other.problem else "")


def test_a_server_without_tls_gets_nothing() -> None:
    with mail_server("none", sign_in=False) as server:
        assert tried(server, security="starttls").problem == MailProblem("no_starttls", temporary=False)
        plain = tried(server, security="tls").problem
    assert plain is not None
    assert plain.why == "no_tls"
    assert server.signed_in == []


@contextmanager
def scripted(*lines: bytes) -> Iterator[int]:
    """A server that says these lines, one after each thing it hears, and then nothing; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                try:
                    for line in lines:
                        connection.sendall(line)
                        if not connection.recv(1000):
                            return
                    connection.recv(1000)
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
    thread.join(5)


@pytest.mark.parametrize(
    ("lines", "why", "temporary"),
    [
        ((b"220 hi\r\n", b"500 what\r\n", b"500 what\r\n"), "turned_away", False),
        ((b"554 no service\r\n",), "turned_away", False),
        ((b"421 too many\r\n",), "turned_away", True),
        ((b"SSH-2.0-OpenSSH_9\r\n",), "no_mail_server", False),
        ((), "silent", True),
        ((b"x" * 20_000,), "turned_away", False),
    ],
)
def test_servers_that_do_not_want_us(lines: tuple[bytes, ...], why: str, temporary: bool) -> None:
    with scripted(*lines) as port:
        problem = smtp().try_out(MailServer("127.0.0.1", port, "none"), LETTER).problem
    assert problem is not None
    assert problem.why == why
    assert "OpenSSH" not in problem.said, "what is no mail server is not quoted"


def test_nobody_there_and_nothing_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert smtp().try_out(MailServer("127.0.0.1", port, "none"), LETTER).problem == MailProblem("silent", True)
        assert smtp().try_out(MailServer("127.0.0.1", port, "tls"), LETTER).problem == MailProblem("silent", True)
    assert smtp().try_out(MailServer("127.0.0.1", port, "none"), LETTER).problem == MailProblem("refused", True)
    assert smtp().try_out(MailServer("mail.invalid", 25, "none"), LETTER).problem in (MailProblem("unknown_host", False), MailProblem("no_dns", True))


def test_an_answer_that_trickles_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = threading.Event()

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                while not done.wait(0.05):
                    try:
                        connection.sendall(b"2")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        problem = smtp().try_out(MailServer("127.0.0.1", listening.getsockname()[1], "none"), LETTER, within=0.5).problem
        done.set()
        thread.join()
    assert problem is not None
    assert (problem.why, problem.temporary) == ("silent", True)


# --- where nothing goes ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0.0.0.0", "10.1.2.3", "192.168.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1", "100.64.0.1", "224.0.0.1"]
)
def test_private_addresses_are_refused(host: str) -> None:
    for security in ("starttls", "tls", "none"):
        assert smtp(allow_private=False).try_out(MailServer(host, 587, security), LETTER) == MailTry([], MailProblem("private", temporary=False))


@pytest.mark.parametrize("port", [22, 80, 443, 3306, 6379, 11211])
def test_other_ports_are_refused_before_the_name_is_looked_up(port: int) -> None:
    assert smtp(allow_private=False).try_out(MailServer("mail.invalid", port, "tls"), LETTER).problem == MailProblem("port", temporary=False)
    assert port not in PORTS


def test_without_tls_nothing_leaves_for_the_internet_and_no_password_this_machine() -> None:
    assert smtp().try_out(MailServer("192.0.2.1", 25, "none"), LETTER).problem is not None
    assert smtp().try_out(MailServer("8.8.8.8", 25, "none"), LETTER) == MailTry([], MailProblem("clear", temporary=False))
    assert smtp().try_out(MailServer("10.0.0.1", 25, "none", "robot", "x"), LETTER) == MailTry([], MailProblem("clear_password", temporary=False))


# --- what a header may hold ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "evil",
    ["Kim\r\nBcc: victim@example.com", "Kim\nBcc: victim@example.com", "Kim\r\n\r\n<b>", "Kim\x00\x0bBcc: x", "Kim\u2028Bcc: x", "K" * 300 + "\r\nBcc: x"],
)
def test_no_name_makes_a_header(evil: str) -> None:
    message, _ = written(replace(LETTER, to_name=evil, sender_name=evil, subject=evil))
    head = message.partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
    assert sorted(names) == sorted(
        [b"from", b"to", b"subject", b"date", b"message-id", b"auto-submitted", b"x-auto-response-suppress", b"mime-version", b"content-type"]
    )


@pytest.mark.parametrize("address", ["kim@example.com\r\nRCPT TO:<victim@example.com>", "kim", "kim@", "@example.com", "a b@example.com", "kim@a..b", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    with mail_server() as server:
        answer = smtp().try_out(server.settings(), replace(LETTER, to=address))
    assert answer.problem == MailProblem("address", temporary=False)
    assert server.seen == {"mail": 0, "rcpt": 0, "data": 0}


def test_names_and_domains_beyond_ascii() -> None:
    with mail_server() as server:
        tried(server, replace(LETTER, to_name="Jürgen, „Jay“ Œ", sender_name="Größe & Co", subject="Grüße ☕", to="kim@bücher.example", text="Grüße ☕\n"))
        (message,) = server.took
    assert server.envelopes == [("help@example.com", "kim@xn--bcher-kva.example")]
    assert (message["To"].addresses[0].display_name, message["From"].addresses[0].display_name) == ("Jürgen, „Jay“ Œ", "Größe & Co")
    assert (str(message["Subject"]), body(message)) == ("Grüße ☕", "Grüße ☕\n")
    raw, _ = written(replace(LETTER, to_name="Jürgen", text="Grüße ☕\n" * 300))
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) < 999


def test_an_address_beyond_ascii_needs_a_server_that_knows_them() -> None:
    with mail_server() as server:
        assert tried(server, replace(LETTER, to="jürgen@example.com")).problem is None
    assert server.envelopes == [("help@example.com", "jürgen@example.com")]


@pytest.mark.parametrize(
    ("name", "hello"),
    [("sla.example.com", "sla.example.com"), ("localhost", "[127.0.0.1]"), ("10.0.0.1", "[127.0.0.1]"), ("", "[127.0.0.1]"), ("a b.c\r\n", "[127.0.0.1]")],
)
def test_what_we_call_ourselves(name: str, hello: str) -> None:
    with mail_server() as server:
        assert smtp(name=name).try_out(server.settings(), None).problem is None
    assert server.hello == hello
