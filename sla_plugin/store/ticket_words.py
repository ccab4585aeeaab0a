"""The words of tickets: what the search of a list looks into. The tenant first, like every table: a search reads rows of one tenant, in order.

Not an index over a text (GIN, FTS5): neither has the tenant in front, and Postgres asks no index for a condition that might leak a row past row-level
security, which `@@` and LIKE might. Plain words in a plain index are the same in both databases.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, String, Table, and_, delete, exists, select
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.bulk import insert_rows, of_tenant
from sla_plugin.store.db import Base, Transaction

MOST_WORDS = 24  # of one ticket
LONGEST = 40  # letters of a word; more of it is not looked at
ASKED = 6  # words of a search
LOOKED = 5_000  # tickets with the first word that a search looks at
FOUND = 1000  # tickets that it brings
_WORD = re.compile(r"\w+")


class TicketWord(Base):
    """One word of a ticket's number, subject or customer, in small letters."""

    __tablename__ = "ticket_word"
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    # by the bytes of the word: a beginning is then a range
    word: Mapped[str] = mapped_column(String(LONGEST).with_variant(String(LONGEST, collation="C"), "postgresql"), primary_key=True)
    ticket_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


WORDS = cast(Table, TicketWord.__table__)


def words_of(*texts: str | None) -> frozenset[str]:
    """The words of a ticket's number, subject and customer, in this order; too many are cut off."""
    found = dict.fromkeys(word[:LONGEST] for text in texts for word in _WORD.findall((text or "").casefold()))
    return frozenset(list(found)[:MOST_WORDS])


def wanted_words(text: str) -> list[str]:
    """The words of a search."""
    return list(dict.fromkeys(word[:LONGEST] for word in _WORD.findall(text.casefold())))[:ASKED]


def write_words(tx: Transaction, tenant: int, told: Mapping[int, tuple[Collection[str], Collection[str]]]) -> None:
    """Let tickets be found by other words: ticket -> (those it had, those it has). Whoever changes or erases the texts of a ticket calls this."""
    for ticket, (before, after) in told.items():
        if gone := sorted(set(before) - set(after)):
            tx.execute(delete(WORDS).where(WORDS.c.tenant_id == tenant, WORDS.c.word.in_(gone), WORDS.c.ticket_id == ticket))
    fresh = [{"tenant_id": tenant, "word": word, "ticket_id": ticket} for ticket, (before, after) in told.items() for word in sorted(set(after) - set(before))]
    insert_rows(tx, WORDS, of_tenant(tenant, fresh), known=("tenant_id", "word", "ticket_id"))


def search_words(tenant: int, words: Sequence[str]) -> Select[Any]:
    """The newest tickets that have all the words, at most FOUND; the last word may be a beginning unless it is a number.

    Of tickets that have the longest whole word the newest LOOKED are looked at; of those with the beginning alone, as many, in the order of words.
    """
    *whole, last = words
    if last.isdigit():
        whole, last = [*whole, last], ""
    if whole:
        first, *others = sorted(whole, key=len, reverse=True)
        some = select(WORDS.c.ticket_id).where(WORDS.c.tenant_id == tenant, WORDS.c.word == first).order_by(WORDS.c.ticket_id.desc()).limit(LOOKED)
    else:
        first, others = "", []
        some = select(WORDS.c.ticket_id).where(WORDS.c.tenant_id == tenant, _begins(WORDS, last)).order_by(WORDS.c.word, WORDS.c.ticket_id).limit(LOOKED)
        last = ""
    looked = some.subquery("looked")
    query = select(looked.c.ticket_id).distinct()
    for number, word in enumerate([*others, *([last] if last else [])]):
        also = WORDS.alias(f"also_{number}")
        matches = _begins(also, word) if word == last else also.c.word == word
        query = query.where(exists().where(also.c.tenant_id == tenant, matches, also.c.ticket_id == looked.c.ticket_id))
    return query.order_by(looked.c.ticket_id.desc()).limit(FOUND)


def _begins(table: Any, word: str) -> ColumnElement[bool]:
    return and_(table.c.word >= word, table.c.word < word + "\U0010ffff")
