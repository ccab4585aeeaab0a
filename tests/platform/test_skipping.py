"""Skipping is an exception with a name."""

import pytest

from tests.skipping import is_allowed


@pytest.mark.parametrize(
    ("reason", "required", "allowed"),
    [
        ("no chromium", "", True),
        ("Skipped: no chromium", "", True),
        ("no ../shared", "", True),
        ("no dovecot", "chromium", True),
        ("no dovecot", "chromium,dovecot", False),
        ("no ../shared", "chromium,dovecot,node,shared", False),
        ("later", "", False),
        ("no time", "", False),
        ("no chromium today", "", False),
    ],
)
def test_reasons(reason: str, required: str, allowed: bool) -> None:
    assert is_allowed(reason, required) is allowed
