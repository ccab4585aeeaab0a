"""A real mail server for tests, with a certificate of its own: it takes mail, refuses, hangs or breaks off as told, and keeps what it took."""

import asyncio
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cache
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connectors.smtp import Smtp
from sla_plugin.ports import MailServer

USER, PASSWORD = "robot", "correct-horse"
BREAK_OFF, HANG = "break off", "hang"


@cache
def certificate(name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(the server's context, the context of a client that trusts it) of a certificate for `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context(cadata=pem.decode())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "both.pem"
        path.write_bytes(pem + secret)
        server.load_cert_chain(path)
    return server, client


class TestServer:
    """`answer(step, address, number)` is asked at every step (mail, rcpt, data): a reply, None for yes, BREAK_OFF or HANG. `took` are the mails it has."""

    __test__ = False

    def __init__(self, security: str = "starttls", name: str = "localhost", sign_in: bool = True) -> None:
        self.took: list[EmailMessage] = []
        self.envelopes: list[tuple[str, str]] = []
        self.signed_in: list[str] = []
        self.seen = {"mail": 0, "rcpt": 0, "data": 0}
        self.answer: Callable[[str, str, int], str | None] = lambda step, address, number: None
        self.hello = ""
        self._security, self._name, self._sign_in = security, name, sign_in
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def settings(self, **other: Any) -> MailServer:
        """How to reach it."""
        given = {"host": self._name, "port": self.port, "security": self._security, "user": USER, "password": PASSWORD}
        if not self._sign_in:
            given |= {"user": "", "password": ""}
        return MailServer(**{**given, **other})

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    # --- what aiosmtpd calls ---
    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]) -> list[str]:
        self.hello = session.host_name = hostname
        return responses

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        envelope.mail_from = address
        return await self._answered(server, "mail", address, "250 OK")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        envelope.rcpt_tos.append(address)
        return await self._answered(server, "rcpt", address, "250 OK")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.seen["data"] += 1
        said = self.answer("data", envelope.rcpt_tos[0], self.seen["data"])
        if said is None or said in (BREAK_OFF, HANG):
            self.envelopes.append((envelope.mail_from, envelope.rcpt_tos[0]))
            self.took.append(message_from_bytes(envelope.content, policy=default))  # type: ignore[arg-type]
        return await self._do(server, said, f"250 queued as {len(self.took)}")

    async def _answered(self, server: Any, step: str, address: str, yes: str) -> str:
        self.seen[step] += 1
        return await self._do(server, self.answer(step, address, self.seen[step]), yes)

    async def _do(self, server: Any, said: str | None, yes: str) -> str:
        if said == BREAK_OFF:
            server.transport.abort()
            await self._end.wait()
        if said == HANG:
            await self._end.wait()
        return said or yes

    def _authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        fits = (data.login.decode(), data.password.decode()) == (USER, PASSWORD)
        self.signed_in += [data.login.decode()] if fits else []
        return AuthResult(success=fits, handled=False)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        context = certificate(self._name)[0]
        open_to_all = not self._sign_in

        def make() -> SMTP:
            return SMTP(
                self,
                hostname="mx.test",
                enable_SMTPUTF8=True,
                tls_context=context if self._security == "starttls" else None,
                require_starttls=self._security == "starttls",
                authenticator=self._authenticate,
                auth_required=self._security == "starttls" and not open_to_all,
                auth_require_tls=self._security == "starttls",
                auth_exclude_mechanism=["LOGIN", "PLAIN"] if open_to_all else [],
                loop=self._loop,
            )

        serving = await self._loop.create_server(make, "127.0.0.1", 0, ssl=context if self._security == "tls" else None)
        self.port = serving.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        serving.close()
        for task in asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}:
            task.cancel()
        await asyncio.sleep(0)


@contextmanager
def mail_server(security: str = "starttls", name: str = "localhost", sign_in: bool = True) -> Iterator[TestServer]:
    """A server for the time of the block."""
    server = TestServer(security, name, sign_in)
    try:
        yield server
    finally:
        server.close()


def client_of(name: str = "localhost") -> Smtp:
    """A way out that trusts such a server, with little patience."""
    return Smtp(allow_private=True, name="sla.example.com", tls=certificate(name)[1], step=2, after_dot=0.5)


def mail_settings_of(server: MailServer, **other: str) -> dict[str, str]:
    """What one types on the Settings page for it."""
    return {
        "mail_host": server.host,
        "mail_port": str(server.port),
        "mail_security": server.security,
        "mail_user": server.user,
        "mail_password": server.password,
        "mail_sender": "help@acme.example",
        "mail_sender_name": "",
        **other,
    }
