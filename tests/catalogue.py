"""The texts of the product and their catalogues: `make translations` brings the catalogues up to date, a test demands that they are.

A catalogue is `sla_plugin/translations/<language>.po`: its head (comments with the glossary, then the header) is kept as it is; messages stand sorted,
without places.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.pofile import read_po, write_po

from sla_plugin.language import CATALOGUES, LANGUAGES

ROOT = Path(__file__).parents[1]
WIDTH = 150
# what holds texts beside gettext and ngettext: those said later, and the first word of a row of permissions
KEYWORDS = {**DEFAULT_KEYWORDS, "marked": None, "_row": (1,)}


def languages() -> list[str]:
    """The languages that have a catalogue: all but the one of the code."""
    return [name for name in LANGUAGES if name != "en"]


def path_of(language: str) -> Path:
    """Where the catalogue of a language is."""
    return CATALOGUES / f"{language}.po"


def texts_of_code() -> Catalog:
    """Every text that code and templates say, as a catalogue without translations."""
    catalogue = Catalog()
    for method, path in _sources():
        with path.open("rb") as file:
            for _, message, _, _ in extract(method, file, KEYWORDS):
                catalogue.add(message)
    return catalogue


def _sources() -> Iterator[tuple[str, Path]]:
    for folder in ("sla_plugin", "connectors"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if any(f"{keyword}(" in path.read_text() for keyword in ("gettext", "marked", "_row")):
                yield "python", path
    for path in sorted((ROOT / "sla_plugin").rglob("templates/*.html")):
        yield "jinja2", path


def read(language: str) -> Catalog:
    """A catalogue as it is on disk."""
    with path_of(language).open("rb") as file:
        return read_po(file, locale=language)


def bring_up_to_date(language: str) -> list[str]:
    """Write a catalogue anew: new texts are added without a translation, stale ones go. Returns the texts that wait to be translated."""
    told = read(language)
    catalogue = Catalog(locale=language)
    for message in texts_of_code():
        if message.id:
            known = told.get(message.id)
            catalogue.add(message.id, known.string if known is not None and not known.fuzzy else "")
    body = io.BytesIO()
    write_po(body, catalogue, width=WIDTH, no_location=True, omit_header=True, sort_output=True)
    head, _, _ = path_of(language).read_text().partition("\n\n")
    path_of(language).write_text(f"{head}\n\n{body.getvalue().decode().strip()}\n")
    return [_shown(message) for message in catalogue if message.id and not is_translated(message)]


def is_translated(message: Message) -> bool:
    """Has each form of the message its words?"""
    return all(message.string) if isinstance(message.string, tuple) else bool(message.string)


def _shown(message: Message) -> str:
    return message.id[0] if isinstance(message.id, tuple) else str(message.id)


if __name__ == "__main__":
    for name in languages():
        waiting = bring_up_to_date(name)
        print(f"{path_of(name).relative_to(ROOT)}: {len(waiting)} to translate", *waiting, sep="\n  ", file=sys.stdout)
