"""What a log line may hold, whoever says it; and that both forms carry the same."""

import json
import logging
import sys
from typing import Any

import pytest
import structlog

from sla_plugin.errors import ConfigurationError, PermanentFailure
from sla_plugin.logs import HIDDEN, redact, said, set_up_logging, where


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("token", "abc", HIDDEN),
        ("webhook_secret", "abc", HIDDEN),
        ("Authorization", "Basic abc", HIDDEN),
        ("subject", "No invoice", HIDDEN),
        ("comment", "words", HIDDEN),
        ("body", b"words", HIDDEN),
        ("email", "a@b.example", HIDDEN),
        ("token", None, None),
        ("reason", "asked by a.b+c@d-e.example.com today", f"asked by {HIDDEN} today"),
        ("reason", "sent Bearer abc.def-ghi", f"sent Bearer {HIDDEN}"),
        ("reason", "postgresql://sla:pass@db/sla is gone", f"postgresql://{HIDDEN}@db/sla is gone"),
        ("url", "https://hooks.example.com/in?key=abc&x=1 failed", f"https://hooks.example.com/in?{HIDDEN} failed"),
        ("reason", "whsec_00112233 is wrong", f"{HIDDEN} is wrong"),
        ("reason", "api_token=abcdef given", f"api_token={HIDDEN} given"),
        ("reason", "got 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", f"got {HIDDEN}"),
        ("facts", {"token": "abc", "list": ["a@b.example", 1]}, {"token": HIDDEN, "list": [HIDDEN, 1]}),
        ("trace", 382381091057685860, 382381091057685860),
        ("call", "sla-382381091057685860", "sla-382381091057685860"),
        ("where", "timekeeper.py:103 _slice", "timekeeper.py:103 _slice"),
        ("ok", True, True),
        ("reason", "x" * 1000, "x" * 400 + "…"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_redaction(key: str, value: object, expected: object) -> None:
    assert redact(None, "info", {key: value}) == {key: expected}


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.usefixtures("logging_kept")
def test_nobody_makes_a_line_of_their_own(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("DEBUG", form)
    structlog.get_logger("sla_plugin.web.door").warning("delivery refused", reason="x\n03:14:15WARNINGsigned\rin\u2028kim\x1b[2J")
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 or form == "json"
    assert said.count("\n") == 1
    assert "\x1b" not in said


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.usefixtures("logging_kept")
def test_libraries_are_redacted_and_exceptions_keep_their_words(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("DEBUG", form)
    structlog.get_logger("sla_plugin.web.door").warning("delivery refused", connection="CRM", reason="ü is no signature")
    structlog.get_logger("sla_plugin.jobs").debug("a line at debug", trace=7)
    logging.getLogger("waitress").warning("slow client %s", "carla@private.example")
    logging.getLogger("sqlalchemy.engine").info("INSERT INTO ticket VALUES ('No invoice')")
    try:
        try:
            int("No invoice")
        except ValueError as cause:
            raise ConfigurationError("SLA_PORT is wrong") from cause
    except ConfigurationError:
        logging.getLogger("sla_plugin.worker").exception("draining the %s failed", "inbox")
    err = capsys.readouterr().err
    assert "No invoice" not in err
    assert "carla" not in err
    for word in (
        "delivery refused",
        "ü is no signature",
        "a line at debug",
        "slow client ***",
        "draining the inbox failed",
        "ValueError",
        "ConfigurationError: SLA_PORT is wrong",
    ):
        assert word in err
    if form == "json":
        lines = [json.loads(line) for line in err.splitlines()]
        assert [line["event"] for line in lines] == ["delivery refused", "a line at debug", "slow client ***", "draining the inbox failed"]
        assert (lines[1]["trace"], lines[0]["level"], lines[2]["logger"]) == (7, "warning", "waitress")
        assert [frame for frame in lines[3]["exception"] if "test_logs.py" in frame]


def test_where_an_error_came_from_is_our_own_line() -> None:
    def fail(value: Any) -> None:
        said(value)  # breaks inside our module

    with pytest.raises(AttributeError) as problem:
        fail(Broken())
    assert where(problem.value).startswith("logs.py:")
    assert where(problem.value).endswith(" said")
    assert where(ValueError("never raised")) == "unknown"


class Broken(PermanentFailure):
    """An error that breaks when it is told."""

    def __init__(self) -> None:
        pass

    def __str__(self) -> str:
        return sys.nothing  # type: ignore[attr-defined,no-any-return]


def test_the_words_of_the_helpdesk_stay_on_the_page() -> None:
    error = PermanentFailure("desk: h refused the values (422); it says: Email carla@private.example", status=422, body="Email carla@private.example")
    assert said(error) == "desk: h refused the values (422)"
    assert said(ConfigurationError("no base URL")) == "no base URL"
