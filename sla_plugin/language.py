"""Words in the reader's language. English is in the code; other languages are catalogues beside it (`translations/<language>.po`, gettext's own format).

A text is found by its English words, so a catalogue that lacks one shows English. Names in texts are named: `gettext("Saved as version %(number)d", number=3)`.
"""

import gettext as _gettext
import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from babel.core import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = {"en": "English", "de": "Deutsch"}
CATALOGUES = Path(__file__).parent / "translations"
_speaking: ContextVar[str] = ContextVar("language", default="en")


def language() -> str:
    """The language that is spoken here and now: a key of LANGUAGES."""
    return _speaking.get()


@contextmanager
def speaking(name: str | None) -> Iterator[None]:
    """Speak a language within the block; English for one that we have no words of."""
    token = _speaking.set(name if name in LANGUAGES else "en")
    try:
        yield
    finally:
        _speaking.reset(token)


def speak(name: str | None) -> None:
    """Speak a language from here on (a request says it at its beginning); English for one that we have no words of."""
    _speaking.set(name if name in LANGUAGES else "en")


def preferred(header: str | None) -> str:
    """The first language of ours in an Accept-Language header; English without one."""
    wanted = []
    for part in (header or "")[:200].split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            wanted.append((-float(quality or 1), tag.replace("-", "_")))
        except ValueError:
            continue
    return negotiate_locale([tag for _, tag in sorted(wanted, key=lambda w: w[0])], list(LANGUAGES)) or "en"


def gettext(message: str, /, **names: Any) -> str:
    """The message in the language spoken, with the names filled in."""
    said = _catalogue(language()).gettext(message)
    return said % names if names else said


def ngettext(one: str, many: str, number: int, /, **names: Any) -> str:
    """The message for one or for many; `num` is filled in beside the names."""
    return unfilled_ngettext(one, many, number) % {"num": number, **names}


def unfilled_ngettext(one: str, many: str, number: int, /) -> str:
    """The message for one or for many with its names still in it: templates fill them in themselves, escaped."""
    return _catalogue(language()).ngettext(one, many, number)


def marked(message: str) -> str:
    """A message that is translated later, where it is shown: named here so that it is found for the catalogues."""
    return message


@cache
def _catalogue(name: str) -> _gettext.NullTranslations:
    """The words of a language, read once and only when somebody speaks it."""
    if name == "en":
        return _gettext.NullTranslations()
    compiled = io.BytesIO()
    with (CATALOGUES / f"{name}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=name))
    compiled.seek(0)
    return _gettext.GNUTranslations(compiled)
