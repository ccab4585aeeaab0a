"""What processes say: one line per happening, for people or as JSON, without secrets, ticket text or mail addresses whoever says it.

Redaction is the last step before a line is written, for our lines and for those of libraries. Libraries speak from WARNING on, even at DEBUG: their debug
lines quote what they handle (statements with their values, requests with theirs). Of an exception we print where it happened and its kind; its words only
where they are our own, because others' words quote values.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any

import structlog

from sla_plugin.errors import ConnectorError, SlaPluginError

HIDDEN = "***"
_SECRET = re.compile(
    r"secret|token|passw|authorization|cookie|signature|api_?key|sealed|body|subject|comment|payload|headers|e?mail|\btext\b|content|requester", re.IGNORECASE
)
_PATTERNS = (
    (re.compile(r"[\w.+%-]+@[\w-]+(\.[\w-]+)+"), HIDDEN),  # mail addresses
    (re.compile(r"(?i)\b(basic|bearer)\s+[\w.~+/=-]+"), rf"\1 {HIDDEN}"),
    (re.compile(r"://[^/\s:@]*:[^/\s@]*@"), f"://{HIDDEN}@"),  # the user part of an address
    (re.compile(r"(https?://[^\s?#'\"]+)\?[^\s'\"]*"), rf"\1?{HIDDEN}"),  # queries: some services put keys there
    (re.compile(r"whsec_[\w+/=-]+"), HIDDEN),
    (re.compile(r"(?i)\b((?:api_?)?token|secret|password)(\s*[=:]\s*)\S+"), rf"\1\2{HIDDEN}"),
    (re.compile(r"\b(?=\w*[A-Za-z])(?=\w*[0-9])[A-Za-z0-9_+]{32,}={0,2}"), HIDDEN),  # keys; our ids are digits only
)
_LINE = 400  # characters of a value that are written


class _StandardError(logging.Handler):
    """Writes to what standard error is when a line is written, not to what it was when logging was set up."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        try:
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - as logging itself: a line that cannot be written stops nobody
            self.handleError(record)


def set_up_logging(level: str, form: str = "text") -> None:
    """Lines on stderr from `level` on, as `form` says; may be called again."""
    renderer: Any = structlog.processors.JSONRenderer(ensure_ascii=False) if form == "json" else _readable
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_part,
    ]
    handler = _StandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, name_exception, redact, renderer]
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    for ours in ("sla_plugin", "connectors"):
        logging.getLogger(ours).setLevel(level)
    logging.getLogger("rq").setLevel(logging.CRITICAL)  # our own worker says it in one line
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


_part: list[str] = []


def speak_as(part: str) -> None:
    """From now on every line of this process names its part."""
    _part[:] = [part]


def _name_part(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if _part:
        event["part"] = _part[0]
    return event


def where(error: BaseException) -> str:
    """Where an error came from, `file.py:12 function`: what may be logged of an error whose words may quote ticket text."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/sla_plugin/" in frame.filename or "/connectors/" in frame.filename] or list(frames)
    if not ours:
        return "unknown"
    return f"{ours[-1].filename.rpartition('/')[2]}:{ours[-1].lineno} {ours[-1].name}"


def said(error: SlaPluginError) -> str:
    """The words of an error of ours without those of the helpdesk, which may quote a ticket."""
    words = str(error)
    if isinstance(error, ConnectorError) and error.body:
        words = words.partition("; it says: ")[0]
    return words[:200]


def name_exception(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as its frames and its kind."""
    given = event.pop("exc_info", None)
    if not given:
        return event
    problem = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else sys.exc_info()[1]
    if problem is not None:
        event["exception"] = _told(problem, problem.__traceback__)
    return event


def _told(problem: BaseException, trace: TracebackType | None) -> list[str]:
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]
    words = f": {said(problem)}" if isinstance(problem, SlaPluginError) else ""
    cause = problem.__cause__ or (None if problem.__suppress_context__ else problem.__context__)
    return [*(_told(cause, cause.__traceback__) if cause is not None else []), *frames, f"{type(problem).__name__}{words}"]


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out what must not be read: values under a telling name, and whatever looks like a secret or a mail address anywhere."""
    for key, value in event.items():
        event[key] = HIDDEN if _SECRET.search(key) and value is not None else _cleaned(value)
    return event


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        for pattern, instead in _PATTERNS:
            value = pattern.sub(instead, value)
        return value if len(value) <= _LINE else f"{value[:_LINE]}…"
    if isinstance(value, Mapping):
        return {key: HIDDEN if _SECRET.search(str(key)) else _cleaned(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float) else _cleaned(str(value))


def _readable(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """`03:14:15 WARNING delivery refused connection=CRM reason='…' (sla_plugin.web.door)`."""
    at, level, name = str(event.pop("timestamp", ""))[11:19], str(event.pop("level", "")).upper(), event.pop("logger", "")
    happened, frames = event.pop("event", ""), event.pop("exception", [])
    name = event.pop("part", None) or name
    facts = "".join(f" {key}={_shown(value)}" for key, value in event.items())
    return "\n    ".join([f"{at} {level} {happened}{facts} ({name})", *frames])


def _shown(value: object) -> str:
    """A text that is one plain word stands as it is, any other in quotes: nobody makes a line of their own."""
    return repr(value) if isinstance(value, str) and (not value or " " in value or not value.isprintable()) else str(value)
