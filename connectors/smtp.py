"""The only way out for mail: time limits, no private addresses, TLS with a certificate that is looked at, and answers turned into words that say what now."""

import base64
import ipaddress
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import cast

from requests_hardened.ip_filter import EXTRA_BLOCKED_NET_RANGES

from connectors.letters import address_parts, one_line, written
from sla_plugin.ports import Letter, MailProblem, MailServer, MailTry

PORTS = (25, 465, 587, 2525)  # what mail servers listen on; others only where private addresses are open, too
STEP = 10.0  # seconds for each answer
AFTER_DOT = 30.0  # seconds for the answer to a whole mail, which some servers scan first
MOST_ADDRESSES = 3  # of one name that are tried
_EXCERPT = 200  # characters of an answer that are kept

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address


class Smtp:
    """`sla_plugin.ports.Mailer` on smtplib; one connection a mail, one instance serves all threads.

    Private, loopback and link-local addresses are refused (checked on the resolved address, which is then the one connected to) unless `allow_private`;
    without it only the ports of mail servers are called. Without TLS nothing leaves for a public address, and no password leaves this machine.
    `name` is what we call ourselves (our own address where it is no name with a dot), `tls` what certificates are checked with; `step` and `after_dot` are
    seconds for an answer, and for the one to a whole mail.
    """

    def __init__(
        self, *, allow_private: bool = False, name: str = "", tls: ssl.SSLContext | None = None, step: float = STEP, after_dot: float = AFTER_DOT
    ) -> None:
        self._allow_private = allow_private
        self._seconds = (step, after_dot)
        self._name = name if re.fullmatch(r"(?=.*[a-zA-Z])[\w-]+(\.[\w-]+)+", name, re.ASCII) else ""
        self._tls = tls

    def try_out(self, server: MailServer, letter: Letter | None, within: float = 60) -> MailTry:
        """See `Mailer.try_out`."""
        line = _Line(server, self._tls or ssl.create_default_context(), self._name, self._seconds, time.monotonic() + within)
        watch = threading.Timer(within, line.cut)  # an answer that trickles stays below every other time limit
        watch.daemon = True
        watch.start()
        try:
            line.reach(self._addresses(server))
            line.make_safe()
            line.sign_in()
            if letter is not None:
                line.hand_over(letter)
            line.part()
        except _Stopped as stopped:
            return MailTry(line.proved, stopped.problem)
        finally:
            watch.cancel()
            line.close()
        return MailTry(line.proved)

    def _addresses(self, server: MailServer) -> list[_IP]:
        """The addresses that may be called. Raises _Stopped where there is none."""
        if server.port not in PORTS and not self._allow_private:
            raise _stop("port", temporary=False)
        try:
            found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as problem:
            again = isinstance(problem, socket.gaierror) and problem.errno == socket.EAI_AGAIN
            raise _stop("no_dns" if again else "unknown_host", temporary=again) from None
        addresses = list(dict.fromkeys(_address(str(one[4][0])) for one in found))
        allowed = [one for one in addresses if self._allow_private or not is_private(one)]
        if not allowed:
            raise _stop("private", temporary=False)
        if server.security == "none":
            allowed = [one for one in allowed if is_private(one)]
            if not allowed:
                raise _stop("clear", temporary=False)
            if server.user and not all(one.is_loopback for one in allowed):
                raise _stop("clear_password", temporary=False)
        return allowed[:MOST_ADDRESSES]


class _Stopped(Exception):
    def __init__(self, problem: MailProblem) -> None:
        super().__init__(problem.why)
        self.problem = problem


class _Conversation(smtplib.SMTP):
    """smtplib on a socket that is connected already; `host` is whom the certificate must name."""

    def __init__(self, host: str, connected: socket.socket, name: str) -> None:
        super().__init__(local_hostname=name, timeout=STEP)
        self._host = host  # starttls asks for it
        self.sock = connected


class _Line:
    """One connection to a server, step by step; each step notes what it proved."""

    def __init__(self, server: MailServer, tls: ssl.SSLContext, name: str, seconds: tuple[float, float], ends: float) -> None:
        self.proved: list[tuple[str, str]] = []
        self._server, self._context, self._name, self._ends = server, tls, name, ends
        self._step, self._after_dot = seconds
        self._smtp: _Conversation | None = None

    @property
    def smtp(self) -> _Conversation:
        """The conversation, once the server is reached."""
        assert self._smtp is not None
        return self._smtp

    def left(self) -> float:
        """Seconds until the whole try ends."""
        return self._ends - time.monotonic()

    def reach(self, addresses: list[_IP]) -> None:
        """Connect to the first address that answers, and be greeted."""
        for number, address in enumerate(addresses, 1):
            try:
                connected = socket.create_connection((str(address), self._server.port), timeout=max(min(self._step, self.left()), 0.1))
                break
            except TimeoutError:
                why = "silent"
            except OSError:
                why = "refused"
            if number == len(addresses):
                raise _stop(why)
        self._smtp = _Conversation(self._server.host, connected, self._name or _literal(connected))
        if self._server.security == "tls":
            self._smtp.sock = self._wrapped(connected)
        code, said = self._ask(self.smtp.getreply, "no_greeting")
        if not 200 <= code < 600:
            raise _stop("no_mail_server", temporary=False)  # whatever it is, its words are not ours to repeat
        if code != 220:
            raise _stop("turned_away", code < 500, code, said)
        self.proved.append(("reached", f"{address}:{self._server.port}"))
        if self._server.security == "tls":
            self._note_tls()

    def make_safe(self) -> None:
        """Say hello, and go over to TLS where that is the plan."""
        self._hello()
        if self._server.security != "starttls":
            return
        if not self.smtp.has_extn("starttls"):
            raise _stop("no_starttls", temporary=False)
        code, said = self._ask(lambda: self.smtp.starttls(context=self._context), "broken")
        if code != 220:
            raise _stop("no_starttls", code < 500, code, said)
        self._note_tls()
        self._hello()

    def sign_in(self) -> None:
        """Prove who we are, where the tenant has a user."""
        user, password = self._server.user, self._server.password
        if not user:
            return
        if not self.smtp.has_extn("auth"):
            raise _stop("no_sign_in", temporary=False)
        try:
            if (user + password).isascii():
                code, said = self._ask(lambda: self.smtp.login(user, password), "broken")
            else:  # smtplib knows ASCII only; RFC 4616 does not stop there
                words = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
                code, said = self._ask(lambda: self.smtp.docmd("AUTH", f"PLAIN {words}"), "broken")
        except smtplib.SMTPException:  # no way of signing in that both know
            raise _stop("no_sign_in", temporary=False) from None
        if code not in (235, 503):
            raise _stop("sign_in", code < 500, code, said)
        self.proved.append(("signed_in", user))

    def hand_over(self, letter: Letter) -> None:
        """The mail itself. What breaks after its last byte leaves open whether it was taken."""
        try:
            message, wide = written(letter)
            sender, to = "@".join(address_parts(letter.sender)), "@".join(address_parts(letter.to))
        except (ValueError, LookupError, UnicodeError):
            raise _stop("address", temporary=False) from None
        if wide and not self.smtp.has_extn("smtputf8"):
            raise _stop("wide", temporary=False)
        options = ["SMTPUTF8", "BODY=8BITMIME"] if wide else []
        self._demand(lambda: self.smtp.mail(sender, options), "sender")
        self._demand(lambda: self.smtp.rcpt(to), "recipient")
        self._demand(lambda: self.smtp.docmd("DATA"), "content", expected=354)
        self._limit(self._after_dot)
        code, said = self._ask(lambda: self._send(message), "broken", unknown=True)
        if code != 250:
            raise _stop("content", code < 500, code, said)
        self.proved.append(("accepted", f"{code} {_readable(said)}"))

    def part(self) -> None:
        """Say goodbye; whatever comes of it, the mail was taken."""
        try:
            self._limit(1.0)
            self.smtp.quit()
        except (smtplib.SMTPException, OSError):
            return

    def close(self) -> None:
        """Let go of the socket."""
        if self._smtp is not None:
            self._smtp.close()

    def cut(self) -> None:
        """End it from another thread: whoever waits for an answer wakes up."""
        try:
            if self._smtp is not None and isinstance(self._smtp.sock, socket.socket):
                self._smtp.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def _send(self, message: bytes) -> tuple[int, bytes]:
        body = re.sub(rb"(?m)^\.", b"..", message)
        self.smtp.send(body + (b"" if body.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        return self.smtp.getreply()

    def _hello(self) -> None:
        code, said = self._ask(self.smtp.ehlo, "broken")
        if code != 250:
            code, said = self._ask(self.smtp.helo, "broken")
        if code != 250:
            raise _stop("turned_away", code < 500, code, said)

    def _demand(self, step: Callable[[], tuple[int, bytes]], why: str, expected: int | None = None) -> None:
        code, said = self._ask(step, "broken")
        if code != expected if expected is not None else code not in (250, 251):
            raise _stop(why, code < 500, code, said)

    def _ask(self, step: Callable[[], tuple[int, bytes]], why: str, *, unknown: bool = False) -> tuple[int, bytes]:
        """One exchange within its time: code and words of the answer, a refusal's too. Raises _Stopped where none comes.

        `unknown`: the mail has left, so that without an answer nobody knows whether it was taken.
        """
        if not unknown:
            self._limit(self._step)
        try:
            code, said = step()
        except smtplib.SMTPResponseException as refused:
            code, said = refused.smtp_code, refused.smtp_error if isinstance(refused.smtp_error, bytes) else refused.smtp_error.encode()
        except smtplib.SMTPServerDisconnected as problem:
            raise self._unanswered(problem.__context__, why, unknown=unknown) from None
        except smtplib.SMTPException:
            raise
        except ssl.SSLError as problem:
            raise _tls_stop(problem) from None
        except (OSError, ValueError) as problem:
            raise self._unanswered(problem, why, unknown=unknown) from None
        if self.left() <= 0 and not unknown:
            raise _stop("silent")  # what was cut off reads like an answer
        return code, said

    def _unanswered(self, problem: BaseException | None, why: str, *, unknown: bool) -> _Stopped:
        if unknown:
            return _stop("unanswered", unknown=True)
        return _stop("silent" if isinstance(problem, TimeoutError) or self.left() <= 0 else why)

    def _limit(self, seconds: float) -> None:
        if self.smtp.sock is not None:
            self.smtp.sock.settimeout(max(min(seconds, self.left()), 0.1))

    def _wrapped(self, connected: socket.socket) -> ssl.SSLSocket:
        try:
            connected.settimeout(max(min(self._step, self.left()), 0.1))
            return self._context.wrap_socket(connected, server_hostname=self._server.host)
        except TimeoutError:
            raise _stop("silent") from None
        except ssl.SSLError as problem:
            raise _tls_stop(problem) from None
        except (OSError, ValueError):
            raise _stop("broken") from None

    def _note_tls(self) -> None:
        version = cast(ssl.SSLSocket, self.smtp.sock).version() or "TLS"
        self.proved.append(("tls", version.replace("TLSv", "TLS ")))


def is_private(address: _IP) -> bool:
    """Whether an address is not on the public internet; the rule of `connectors.http`."""
    return (
        address.is_private
        or address.is_multicast
        or address.is_unspecified
        or address.is_link_local
        or any(address in network for network in EXTRA_BLOCKED_NET_RANGES)
    )


def _address(text: str) -> _IP:
    found = ipaddress.ip_address(text.partition("%")[0])
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


def _literal(connected: socket.socket) -> str:
    """Our own address as a name for EHLO: valid wherever the host has no name of its own."""
    found = _address(str(connected.getsockname()[0]))
    return f"[IPv6:{found}]" if found.version == 6 else f"[{found}]"


def _stop(why: str, temporary: bool = True, status: int | None = None, said: bytes | str = b"", *, unknown: bool = False) -> _Stopped:
    return _Stopped(MailProblem(why, temporary, unknown, status if status and status > 0 else None, _readable(said)))


def _tls_stop(problem: ssl.SSLError) -> _Stopped:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return _Stopped(MailProblem("certificate", temporary=True, said=str(problem.verify_message)[:_EXCERPT]))
    return _stop("no_tls")


def _readable(said: bytes | str) -> str:
    return one_line(said.decode(errors="replace") if isinstance(said, bytes) else said)[:_EXCERPT]
