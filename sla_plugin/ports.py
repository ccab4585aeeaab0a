"""What the plugin asks of the outside: the Connector protocol, the commands a helpdesk may be given, the way mail leaves, the queue that wakes workers.

Connectors get plain data and give plain data; they know nothing of stores, tenants or Flask. Instants are integer microseconds UTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from sla_plugin.engine.events import Event


# --- inbound -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class InboundRequest:
    """A webhook request at the door: header names in lower case, the raw body bytes, the instant of receipt."""

    headers: Mapping[str, str]
    body: bytes
    received_at: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a delivery became: its events, or none with the reason in one sentence."""

    events: Sequence[Event] = ()
    ignored: str | None = None


# --- the configured account ----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Words:
    """A helpdesk's words and ours. Keys of `status` and `priority` are the helpdesk's words in lower case, values are ours."""

    status: Mapping[str, str]
    priority: Mapping[str, str]
    unset_priority: str = "P2"
    # our word -> the helpdesk's word that is written
    status_out: Mapping[str, str] = field(default_factory=dict)
    priority_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Account:
    """One connection, as its connector needs it to call the helpdesk. `token` and `secrets` are clear text: never log or keep one."""

    connection: str
    base_url: str
    email: str
    token: str
    secrets: Sequence[str]
    words: Words
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What a credential check proved: who the token is, and what it may do, one line each."""

    user_id: str | None
    user_name: str | None
    proved: Sequence[str] = ()
    problems: Sequence[str] = ()


# --- outbound ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class SetPriority:
    """Set the priority to one of our words (P0 ...); `expected` is our word it replaces."""

    kind: ClassVar[str] = "set_priority"
    to: str
    expected: str | None


@dataclass(frozen=True, slots=True)
class SetStatus:
    """Set the status to one of our words (in_progress ...); `expected` are our words it may replace."""

    kind: ClassVar[str] = "set_status"
    to: str
    expected: Sequence[str]


@dataclass(frozen=True, slots=True)
class Assign:
    """Assign to a helpdesk user id, if nobody has the ticket."""

    kind: ClassVar[str] = "assign"
    assignee: str
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class AddComment:
    """Add a comment; internal unless `public`."""

    kind: ClassVar[str] = "add_comment"
    body: str
    public: bool = False


Command = SetPriority | SetStatus | Assign | AddComment
COMMANDS: Mapping[str, type[SetPriority] | type[SetStatus] | type[Assign] | type[AddComment]] = {
    c.kind: c for c in (SetPriority, SetStatus, Assign, AddComment)
}


@dataclass(frozen=True, slots=True)
class TicketSnapshot:
    """A ticket as the helpdesk shows it now: values verbatim (FIELDS), and the stamp a compare-and-set needs (None where there is none).

    repeatable_at   from when on a write moves the stamp, so that its repeat is refused (microseconds UTC; None = always): stamps may have whole seconds
    """

    values: Mapping[str, Any]
    stamp: str | None
    repeatable_at: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the helpdesk said to a call that landed.

    audit_id, comment_id   its own ids, by which the echo is known
    at                     when it applied it (its clock), None where it does not say
    values                 ticket values after the write, verbatim
    limit_remaining, limit_reset_seconds   what its rate headers left us, None where it does not say
    certain        False: nothing but the ticket's last change, at `at`, speaks for it (only `find` answers so)
    """

    status: int
    audit_id: str | None = None
    comment_id: str | None = None
    at: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    limit_remaining: int | None = None
    limit_reset_seconds: float | None = None
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """A vendor's documented write limits: calls per minute and account, calls per ten minutes and ticket (None = none)."""

    per_minute: int | None = None
    per_ticket_ten_minutes: int | None = None


class Http(Protocol):
    """The only way out: `connectors.http.Http` (timeouts, SSRF guard, error mapping), or a fake."""

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
    ) -> "HttpAnswer":
        """One request. 2xx returns; else raises TemporaryFailure (5xx, 429, timeout, connection), WriteConflict (409) or PermanentFailure."""
        ...


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status, headers (lower case) and body of a 2xx answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connector(Protocol):
    """A helpdesk or channel. Stateless; one instance serves all connections of its kind."""

    name: str  # stable string on disk
    title: str
    summary: str  # one sentence for the catalogue page
    capabilities: frozenset[str]  # kinds of COMMANDS it can carry
    sequenced: bool  # True only if the vendor always gives an order number
    body_limit: int  # bytes
    refusal_status: int  # HTTP status for a forged delivery
    needs: Sequence[str]  # account fields that must be given: base_url, email, token, secret
    words: Words  # the defaults; a connection may override
    limits: Limits
    body_schema: Path | None  # JSON Schema of its webhook bodies, where the format is ours to publish

    def verify(self, request: InboundRequest, secrets: Sequence[str]) -> None:
        """Check signature and age against `request.received_at`, constant time, any of `secrets`. Raises DeliveryRejected."""
        ...

    def delivery_key(self, request: InboundRequest) -> str:
        """The vendor's delivery id, else sha256 of the body (hex)."""
        ...

    def parse(self, request: InboundRequest, options: Mapping[str, Any]) -> Parsed:
        """Pure and tolerant. Raises DeliveryUnreadable with a sentence that names field and value."""
        ...

    def sample(self, secrets: Sequence[str], at: int) -> InboundRequest:
        """A signed delivery as the vendor would send it at `at`, unique by its key, without effect on any ticket: a test of the way in."""
        ...

    def check(self, account: Account, http: Http) -> AccountFacts:
        """Prove the credentials. Raises ConnectorError when they cannot work."""
        ...

    def read(self, ticket: str, account: Account, http: Http) -> TicketSnapshot | None:
        """The ticket as it is now; None where the connector cannot read (its receiver deduplicates instead)."""
        ...

    def prepare(self, ticket: str, commands: Sequence[Command], snapshot: TicketSnapshot | None, marker: str, account: Account) -> dict[str, Any]:
        """Freeze one vendor request (JSON-able) that carries all `commands` and the marker. Pure."""
        ...

    def send(self, frozen: Mapping[str, Any], account: Account, http: Http) -> Answer:
        """Send a prepared request. Raises as `Http.request`."""
        ...

    def find(self, frozen: Mapping[str, Any], marker: str, account: Account, http: Http) -> Answer | None:
        """Did an earlier try of this request land? The answer if so, None if not (or if it cannot be known and a repeat is harmless)."""
        ...


# --- mail ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class MailServer:
    """Where a tenant's mail leaves. `security`: starttls, tls (from the first byte) or none. `password` is clear text: never log or keep one."""

    host: str
    port: int
    security: str
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail, ready to leave; `at` (microseconds UTC) is its date, `message_id` the same at every try, so that receivers may know a repeat."""

    message_id: str
    at: int
    sender: str
    sender_name: str
    to: str
    to_name: str
    subject: str
    text: str
    html: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MailProblem:
    """What stopped a try.

    why        a stable word: a key of reports.mail_words.PROBLEMS
    temporary  trying again later may help: a 4xx, no answer, no connection
    unknown    all was handed over and the answer is missing: the server may have taken the mail
    status, said   the server's own answer, where it gave one (at most 200 characters)
    """

    why: str
    temporary: bool
    unknown: bool = False
    status: int | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class MailTry:
    """How far a try came: (step, detail) in order, the steps being reached, tls, signed_in, accepted; and what stopped it (None: nothing)."""

    proved: Sequence[tuple[str, str]]
    problem: MailProblem | None = None


class Mailer(Protocol):
    """The only way out for mail: `connectors.smtp.Smtp`, or a fake."""

    def try_out(self, server: MailServer, letter: Letter | None, within: float = 60) -> MailTry:
        """Reach the server, make the line safe, sign in, and hand the letter over (None: only the first three), in at most `within` seconds. Never raises."""
        ...


# --- wakes -----------------------------------------------------------------------------------------------------------
class JobQueue(Protocol):
    """Wakes workers; carries no content and no truth. Never raises: without Redis a wake is lost and the timekeeper's look repeats it."""

    def wake_inbox(self) -> None:
        """There are deliveries to apply."""
        ...

    def wake_outbox(self) -> None:
        """There are commands or mails to send."""
        ...
