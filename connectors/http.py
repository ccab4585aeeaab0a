"""The only way out to a helpdesk: time limits, no redirects, a size cap, no private addresses, and statuses turned into errors that say what to do."""

import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests_hardened.ip_filter import InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3.exceptions import HTTPError, NewConnectionError

from sla_plugin.errors import ConfigurationError, ConnectorError, PermanentFailure, TemporaryFailure, WriteConflict
from sla_plugin.ports import HttpAnswer

ANSWER_LIMIT = 2_000_000  # bytes
_EXCERPT = 500  # characters of an answer kept in an error
_ADVICE = {
    400: "refused the request as malformed (400)",
    401: "refused the token (401): make a new API token and enter it on the connection's page",
    403: "does not allow this user to do that (403): give the user of the connection an agent role that may update tickets",
    404: "does not know this address or ticket (404): the ticket may be deleted, or the base URL of the connection is wrong",
    413: "found the request too large (413)",
    422: "refused the values (422)",
}


class Http:
    """`sla_plugin.ports.Http` on requests; one instance serves all threads (a session per thread keeps connections alive).

    `connect_timeout` and `read_timeout` are in seconds; an answer that trickles is cut off after `read_timeout` in all. Proxies and credentials from the
    environment are not used. Private, loopback and link-local addresses are refused (checked on the resolved address, which is then the one connected to)
    unless `allow_private`.
    """

    def __init__(self, *, connect_timeout: float = 5, read_timeout: float = 15, allow_private: bool = False) -> None:
        self._timeouts = (connect_timeout, read_timeout)
        self._allow_private = allow_private
        self._local = threading.local()

    def request(
        self,
        method: str,
        url: str,
        *,
        operation: str,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        json: Any = None,
        data: bytes | None = None,
    ) -> HttpAnswer:
        """One request; 2xx returns.

        Raises TemporaryFailure (408, 425, 429, 5xx, timeout, connection), WriteConflict (409), PermanentFailure (3xx, other 4xx) and ConfigurationError
        (an address we may not or cannot call).
        """
        host = _host(url)
        secret = tuple(auth or ()) + tuple((headers or {}).values())
        try:
            sent = self._session().request(
                method,
                url,
                headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "sla_plugin", **(headers or {})},
                auth=auth,
                json=json,
                data=data,
                timeout=self._timeouts,
                allow_redirects=False,
                stream=True,
            )
            with closing(sent):
                body = _read(sent, self._timeouts[1])
        except InvalidIPAddress:
            raise ConfigurationError(
                f"{host} is a private or local address; set SLA_ALLOW_PRIVATE_URLS=1 if helpdesks inside your network may be called"
            ) from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.InvalidHeader, UnicodeError):
            # the library's words would quote the credential
            raise ConfigurationError(f"{host} cannot be called: its address, the e-mail or the token holds characters that do not belong there") from None
        except (requests.RequestException, HTTPError, OSError) as problem:
            raise _no_answer(problem, host, operation) from problem
        answer = HttpAnswer(sent.status_code, {name.lower(): value for name, value in sent.headers.items()}, body)
        if 200 <= answer.status < 300:
            return answer
        raise _refusal(answer, host, operation, secret)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = _Unredirected()
            session.trust_env = False  # a proxy would resolve names past the guard; a .netrc would add credentials
            if not self._allow_private:
                session.mount("http://", IPFilterAdapter(is_https_proto=False))
                session.mount("https://", IPFilterAdapter(is_https_proto=True))
            self._local.session = session
        session.cookies.clear()
        return session


class _Unredirected(requests.Session):
    """requests reads and follows Location up to a point even when told not to follow; here it never looks."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere."""


@contextmanager
def speaking_of(connector: str, connection: str) -> Iterator[None]:
    """Name connector and connection in every error raised inside."""
    try:
        yield
    except ConfigurationError as error:
        error.args = (f"{connection}: {error}",)
        raise
    except ConnectorError as error:
        error.connector, error.connection = connector, connection
        error.args = (f"{connection}: {error}",)
        raise


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  (a port that is no number raises here)
    except ValueError as problem:
        raise ConfigurationError(f"the base URL is no address: {problem}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError("the base URL must start with https:// (or http://) and name a host, such as https://acme.zendesk.com")
    return parts.hostname


def _read(answer: requests.Response, limit_seconds: float) -> bytes:
    """The body, cut off at ANSWER_LIMIT. Raises requests.ReadTimeout when it takes longer than `limit_seconds` in all."""
    ends = time.monotonic() + limit_seconds
    body = bytearray()
    while len(body) < ANSWER_LIMIT and (chunk := answer.raw.read1(65536, decode_content=True)):
        body += chunk
        if time.monotonic() > ends:
            raise requests.ReadTimeout(f"the answer did not end within {limit_seconds:g} s")
    if len(body) >= ANSWER_LIMIT:
        raise requests.exceptions.ContentDecodingError(f"the answer is larger than {ANSWER_LIMIT} bytes")
    return bytes(body)


def _causes(problem: BaseException) -> Iterator[BaseException]:
    """The error and what lies under it (requests and urllib3 wrap in `reason`, `args` and `__cause__`)."""
    seen: set[int] = set()
    waiting: list[object] = [problem]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [getattr(one, "reason", None), one.__cause__, *one.args]


def _no_answer(problem: BaseException, host: str, operation: str) -> TemporaryFailure:
    """A request without an answer: certain not to have arrived only if no connection was made."""
    causes = list(_causes(problem))
    if any(isinstance(one, socket.gaierror) for one in causes):
        said, sent = "has no address in the DNS (check the base URL)", False
    elif isinstance(problem, requests.exceptions.SSLError):
        said, sent = "could not be trusted (its TLS certificate or protocol was refused)", not any("CERTIFICATE_VERIFY" in str(one) for one in causes)
    elif isinstance(problem, requests.ConnectTimeout):
        said, sent = "did not accept a connection in time", False
    elif any(isinstance(one, NewConnectionError | ConnectionRefusedError) for one in causes):
        said, sent = "refused the connection", False
    elif any(isinstance(one, requests.Timeout | TimeoutError) or "timed out" in str(one) for one in causes):
        said, sent = "did not answer in time", True
    elif isinstance(problem, requests.exceptions.ContentDecodingError):
        said, sent = f"gave an answer we do not read ({problem})", True
    else:
        said, sent = "broke the connection before it answered", True
    return TemporaryFailure(f"{host} {said}", sent=sent, operation=operation)


def _refusal(answer: HttpAnswer, host: str, operation: str, secret: Sequence[str]) -> ConnectorError:
    """Any status outside 2xx as the error that says what now."""
    status = answer.status
    body = _redacted(answer.body, secret)
    context: dict[str, Any] = {"operation": operation, "status": status, "body": body}
    if status == 409:
        return WriteConflict(f"{host}: somebody else changed the ticket meanwhile (409)", **context)
    if status == 429:
        return TemporaryFailure(f"{host} asks us to slow down (429)", retry_after=_retry_after(answer.headers), sent=False, **context)
    if status in (408, 425) or status >= 500:
        return TemporaryFailure(f"{host} is in trouble ({status})", retry_after=_retry_after(answer.headers), **context)
    if status < 400:
        target = answer.headers.get("location", "")
        try:
            elsewhere = urlsplit(target).hostname
        except ValueError:
            elsewhere = None
        return PermanentFailure(f"{host} redirects ({status}) to {elsewhere or 'another address'}: correct the base URL of the connection", **context)
    advice = _ADVICE.get(status, f"refused the request ({status})")
    return PermanentFailure(f"{host} {advice}" + (f"; it says: {body[:200]}" if status in (400, 422) and body else ""), **context)


def _redacted(body: bytes, secret: Sequence[str]) -> str:
    text = body[:8000].decode(errors="replace").replace("\x00", " ")
    for one in secret:
        if len(one) >= 6:  # shorter ones are no secret, and would blot out ordinary words
            text = text.replace(one, "***")
    text = re.sub(r"(?i)\b(basic|bearer)\s+[\w.~+/=-]{8,}", r"\1 ***", text)
    return " ".join(text.split())[:_EXCERPT]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait; a date is read against the answer's own Date header (its clock, not ours)."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))).total_seconds())
    except (ValueError, TypeError):
        return None
