"""Every error the product raises on purpose; the type answers "what now?": retry, reconfigure, or give up."""

from collections.abc import Mapping
from typing import Any


class SlaPluginError(Exception):
    """Root of the tree: anything the product itself reports."""


class ConfigurationError(SlaPluginError):
    """The operator must act (a setting, a missing part, a refused credential); never retried."""


class InvalidDefinition(SlaPluginError):
    """A calendar, policy or rule that cannot work; raised at construction.

    `field` names the place in the definition, e.g. `policies[0].targets.resolution.P1`; `problems` is every field that is wrong, with what is.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem
        self.problems: Mapping[str, str] = {field: problem}


class InvalidFields(InvalidDefinition):
    """Several places of what was typed are wrong, and each is told: `problems` is field -> problem. `field` is the first of them."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        field, problem = next(iter(problems.items()))
        super().__init__(field, "; ".join([problem, *(f"{other}: {said}" for other, said in problems.items() if other != field)]))
        self.problems = dict(problems)


class ConnectorError(SlaPluginError):
    """Something between us and a helpdesk.

    Attributes: `connector` (kind), `connection` (name, may be empty before it is known), `operation` (verb), `status` (HTTP status or None),
    `body` (redacted excerpt of the answer, at most 500 characters).
    """

    def __init__(self, message: str, *, connector: str = "", connection: str = "", operation: str = "", status: int | None = None, body: str = "") -> None:
        super().__init__(message)
        self.connector = connector
        self.connection = connection
        self.operation = operation
        self.status = status
        self.body = body[:500]


class DeliveryRejected(ConnectorError):
    """Bad signature or stale timestamp: refused at the door, counted, never stored."""


class DeliveryUnreadable(ConnectorError):
    """Verified but not understood: kept, visible with this reason, replayable after a fix."""


class TemporaryFailure(ConnectorError):
    """Timeout, 5xx or 429: rescheduled. On a write the outcome is unknown: read before the next try.

    `retry_after` is in seconds, None where the vendor did not say. `sent` is False only where it is certain that nothing reached the vendor.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, sent: bool = True, **context: Any) -> None:
        super().__init__(message, **context)
        self.retry_after = retry_after
        self.sent = sent


class WriteConflict(ConnectorError):
    """409: somebody else changed the ticket since we read it. Read again; a new call carries what still holds."""


class PermanentFailure(ConnectorError):
    """401, 403, 404, 422: trying again changes nothing; the call is failed and shown."""


class UnsupportedCommand(ConnectorError):
    """A command outside the connector's capabilities: refused when configured."""


class Overtaken(SlaPluginError):
    """Somebody changed meanwhile what this was based on; nothing was overwritten, nothing was lost: compare, then take theirs or put yours on top.

    `by` and `at` (microseconds UTC) say who and when; `what` is what was saved: `version 8`.
    """

    def __init__(self, what: str, by: str, at: int) -> None:
        super().__init__(f"{by} saved {what} meanwhile; nothing was overwritten")
        self.what = what
        self.by = by
        self.at = at


class PlanOutdated(SlaPluginError):
    """What a plan says no longer holds (tickets or other policies changed, or it is too old): compute it again, look, then apply."""


class SignInRefused(SlaPluginError):
    """Somebody cannot come in through a sign-in service, or a program with its JWT; the message is a sentence for them, `names` fill it in.

    `reason` is a word for the log, `operator` what an admin should know (no secret, no mail address); `later` is True where the service is to blame and trying
    again may help.
    """

    def __init__(self, message: str, *, reason: str, operator: str = "", later: bool = False, **names: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.operator = operator
        self.later = later
        self.names = names
