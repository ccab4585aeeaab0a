"""The words of each kind of mail, in the language spoken: one set of words, drawn as plain text and as HTML.

A new kind is a function here and a line in KINDS. Words come from us and from names that admins typed, never from tickets.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.dates import format_date
from jinja2 import Environment, Template

from sla_plugin.language import gettext, language


@dataclass(frozen=True, slots=True)
class About:
    """What the words of a mail are made of.

    name, tenant   of the person it goes to, and of the tenant that sends it
    told           what the queue holds for it, open and sealed: strings by name
    expires_at     until when its link works (microseconds UTC), in `time_zone`
    """

    name: str
    tenant: str
    told: Mapping[str, str]
    expires_at: int | None
    time_zone: str


@dataclass(frozen=True, slots=True)
class Words:
    """A mail before it is drawn: paragraphs before the link, the link with the words of its button ("" for none), paragraphs after it."""

    subject: str
    paragraphs: Sequence[str]
    footer: str
    link: str = ""
    button: str = ""
    after: Sequence[str] = ()


def _hello(about: About) -> str:
    return gettext("Hello %(name)s,", name=about.name)


def _footer(about: About) -> str:
    return gettext("This mail was written by the SLA plugin of %(tenant)s. Nobody reads answers to it.", tenant=about.tenant)


def _until(about: About) -> str:
    if about.expires_at is None:
        return gettext("The link works once.")
    at = datetime.fromtimestamp(about.expires_at / 1e6, ZoneInfo(about.time_zone))
    told = {"day": format_date(at, "long", locale=language()), "time": f"{at:%H:%M}", "zone": about.time_zone}
    return gettext("The link works once, until %(day)s, %(time)s (%(zone)s).", **told)


def _invitation(about: About) -> Words:
    return Words(
        gettext("You are invited to %(tenant)s", tenant=about.tenant),
        [_hello(about), gettext("you are invited to the SLA plugin of %(tenant)s. Set a password, and you are in:", tenant=about.tenant)],
        _footer(about),
        about.told.get("link", ""),
        gettext("Set a password"),
        [_until(about), gettext("If you did not expect this mail, do nothing: without a password nobody comes in.")],
    )


def _reset(about: About) -> Words:
    return Words(
        gettext("A new password for %(tenant)s", tenant=about.tenant),
        [_hello(about), gettext("a new password was asked for, for your account at %(tenant)s. Set it here:", tenant=about.tenant)],
        _footer(about),
        about.told.get("link", ""),
        gettext("Set a new password"),
        [_until(about), gettext("If it was not you who asked, do nothing: your password stays as it is.")],
    )


def _test(about: About) -> Words:
    return Words(
        gettext("Test mail of %(tenant)s", tenant=about.tenant),
        [_hello(about), gettext("this mail proves that %(tenant)s can send mail. There is nothing to do.", tenant=about.tenant)],
        _footer(about),
    )


KINDS: Mapping[str, Callable[[About], Words]] = {"invitation": _invitation, "reset": _reset, "test": _test}


def plain(words: Words) -> str:
    """The mail as plain text."""
    parts = [*words.paragraphs, *([words.link] if words.link else []), *words.after, f"-- \n{words.footer}"]
    return "\n\n".join(parts) + "\n"


def html(words: Words) -> str:
    """The mail as HTML; whatever is in the words is text there."""
    return _TEMPLATE.render(words=words, language=language())


def _read() -> Template:
    text = (Path(__file__).parent / "mails" / "letter.html").read_text()
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)


_TEMPLATE = _read()
