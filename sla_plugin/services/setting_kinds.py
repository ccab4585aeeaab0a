"""What a tenant's setting is, and the parsers that several sections share; the settings themselves are rows of services/tenant_settings.py."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sla_plugin.language import marked


class Unfit(ValueError):
    """A value that a setting refuses; the message is a sentence for the person who typed it."""


class Disagree(Unfit):
    """Settings of which each is right alone, and which cannot be together: `errors` is name -> sentence."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(errors.values()))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class TenantSetting:
    """One row.

    name      stable, snake_case; the field of the form and of the API
    section   key of SECTIONS
    label     how the page calls it; `help` one sentence below it
    default   as one would type it
    parse     typed text -> value; raises Unfit
    kind      how the form asks: text, number, switch (yes or no), choice (of `choices`), lines, secret (never shown, stored sealed)
    choices   value -> label, where kind is choice
    """

    name: str
    section: str
    label: str
    help: str
    default: str
    parse: Callable[[str], Any]
    kind: str = "text"
    choices: Mapping[str, str] | None = None


def one_of(words: Mapping[str, str]) -> Callable[[str], str]:
    """A parser of a choice."""

    def parse(typed: str) -> str:
        if typed not in words:
            raise Unfit(marked("Choose one of the values offered."))
        return typed

    return parse


def yes_or_no(typed: str) -> bool:
    """A parser of a switch."""
    if typed not in ("yes", "no"):
        raise Unfit(marked("Say yes or no."))
    return typed == "yes"
