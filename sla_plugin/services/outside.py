"""What services may use of the outside, handed to them by the composition root."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sla_plugin.engine.evaluate import SETTLE
from sla_plugin.errors import ConfigurationError
from sla_plugin.ports import Account, Connector, Http, HttpAnswer, JobQueue, Letter, Mailer, MailProblem, MailServer, MailTry, Words
from sla_plugin.services.kept_documents import KeptDocuments
from sla_plugin.store.connections import Connection
from sla_plugin.store.sealing import Sealer

TRACE_HEADER = "X-Request-Id"


@dataclass(frozen=True)
class Traced:
    """The way out with a name on every request: `X-Request-Id` holds the trace, so that the helpdesk's own logs can be searched for it."""

    http: Http
    trace: int

    def request(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **how: Any) -> HttpAnswer:
        """One request, as `Http.request`."""
        return self.http.request(method, url, headers={**(headers or {}), TRACE_HEADER: str(self.trace)}, **how)


def _written(base: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Our word -> the helpdesk's word that is written: of several that mean ours, the first one the connection lists."""
    return {**base, **{ours: theirs for theirs, ours in reversed(list(own.items()))}}


class NoMail:
    """No way out for mail: what a process without one is given."""

    def try_out(self, server: MailServer, letter: Letter | None, within: float = 60) -> MailTry:
        """Nothing leaves, and that is said."""
        return MailTry((), MailProblem("off", temporary=False))


NO_MAIL = NoMail()


@dataclass(frozen=True)
class Outside:
    """Connectors by name, the ways out over HTTP and SMTP, the queue that wakes workers, the sealer of secrets. `settle` is in microseconds.

    `impatient` is the way out while a person waits for the answer: short time limits. `kept` are the documents of sign-in services. `public_url` is where
    people reach us: links in mails begin with it.
    """

    connectors: Mapping[str, Connector]
    http: Http
    queue: JobQueue
    sealer: Sealer
    settle: int = SETTLE
    impatient: Http | None = None
    kept: KeptDocuments = field(default_factory=KeptDocuments)
    mailer: Mailer = NO_MAIL
    public_url: str = ""

    @property
    def http_in_person(self) -> Http:
        """The way out while a person waits."""
        return self.impatient or self.http

    def connector(self, name: str) -> Connector:
        """The connector called `name`; an unknown one is an error the operator sees, never a crash of a sweep."""
        try:
            return self.connectors[name]
        except KeyError:
            raise ConfigurationError(f"connector {name!r} is not installed; known are {', '.join(self.connectors)}") from None

    def words(self, connection: Connection) -> Words:
        """The connector's words with what the connection overrides: {"status": {theirs: ours}, "priority": {...}, "unset_priority": ours}."""
        base, own = self.connector(connection.connector).words, connection.mapping
        status, priority = dict(own.get("status") or {}), dict(own.get("priority") or {})
        return Words(
            status={**base.status, **{k.lower(): v for k, v in status.items()}},
            priority={**base.priority, **{k.lower(): v for k, v in priority.items()}},
            unset_priority=own.get("unset_priority") or base.unset_priority,
            status_out=_written(base.status_out, status),
            priority_out=_written(base.priority_out, priority),
        )

    def secrets(self, connection: Connection) -> list[str]:
        """The webhook secrets in force, newest first, in clear text."""
        return [self.sealer.open(s["sealed"]) for s in connection.sealed_secrets]

    def account(self, connection: Connection) -> Account:
        """The connection as its connector needs it."""
        return Account(
            connection=connection.name,
            base_url=connection.base_url,
            email=connection.email,
            token=self.sealer.open(connection.sealed_token),
            secrets=self.secrets(connection),
            words=self.words(connection),
            options=connection.options,
        )
