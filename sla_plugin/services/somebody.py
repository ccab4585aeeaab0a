"""Somebody as our data knows them: a person who signs in, a mail address, a helpdesk's name for a customer; and how their names become a pseudonym."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.people import check_email
from sla_plugin.store.connections import find_by_name, list_connections
from sla_plugin.store.db import Transaction
from sla_plugin.store.mentions import WHO, Mention
from sla_plugin.store.people import find_person, get_person
from sla_plugin.store.requesters import requesters_of

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
SHORTEST = 5  # letters of a name that is looked for inside texts; and it must be of two words


@dataclass(frozen=True)
class Somebody:
    """Whom it is about.

    address     in small letters; "" for somebody known by a helpdesk's name only
    name        as they sign in; "" for a stranger
    person      their row; None for somebody who does not sign in
    requesters  (connection, what they are called there)
    """

    address: str = ""
    name: str = ""
    person: int | None = None
    requesters: tuple[tuple[int, str], ...] = ()

    @property
    def shown(self) -> str:
        """What has to be typed to confirm: the address, else the name in the helpdesk."""
        return self.address or self.requesters[0][1]

    @property
    def texts(self) -> list[str]:
        """What is looked for inside texts: the address, full names. A short or single word would be found in what is not about them."""
        words = [self.address, *(word for word in (self.name, *(external for _, external in self.requesters)) if is_telling(word))]
        return sorted({word for word in words if word}, key=len, reverse=True)

    def mention(self, connections: Sequence[int]) -> Mention:
        """What to look for in the database: an address names them in every connection, a helpdesk's name in its own."""
        names = {c: frozenset({*self.texts, *(external for owner, external in self.requesters if owner == c)}) for c in connections}
        return Mention(self.texts, names, self.person)

    def as_text(self) -> str:
        """As JSON, to be sealed while an erasure is under way."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "Somebody":
        """What `as_text` wrote."""
        told = json.loads(text)
        return cls(told["address"], told["name"], told["person"], tuple((c, name) for c, name in told["requesters"]))


def is_telling(word: str) -> bool:
    """Whether a word may be looked for inside texts: a mail address, or a name of two words."""
    return "@" in word or (" " in word.strip() and len(word) >= SHORTEST)


def find_somebody(tx: Transaction, tenant: int, *, person: int | None = None, address: str = "", connection: str = "", name: str = "") -> Somebody:
    """Somebody by their row, by mail address, or by the name that a connection's helpdesk has for them. Nobody has to be known.

    Raises InvalidDefinition (field address or connection): nothing said, no mail address, no such connection.
    """
    address, name = address.strip().lower(), name.strip()[:200]
    found = get_person(tx, tenant, person) if person is not None else find_person(tx, tenant, address) if address else None
    if person is not None and found is None:
        raise InvalidDefinition("address", "there is no such person here")
    if found is not None:
        bound = tuple((r.connection_id, r.external_id) for r in requesters_of(tx, tenant, found.id))
        return Somebody(found.email, found.name, found.id, bound)
    if address:
        check_email(address)
        return Somebody(address)
    if not name:
        raise InvalidDefinition("address", "write a mail address, or choose a connection and write the name or number that it has for the person")
    owner = find_by_name(tx, tenant, connection)
    if owner is None:
        raise InvalidDefinition("connection", "choose the connection whose helpdesk has this name or number for the person")
    return Somebody(address=name.lower() if "@" in name else "", requesters=((owner.id, name),))


def mention_of(tx: Transaction, tenant: int, somebody: Somebody) -> Mention:
    """What to look for in the tenant's tables."""
    return somebody.mention([connection.id for connection in list_connections(tx, tenant)])


class Pseudonym:
    """Puts a pseudonym in the place of somebody's names."""

    def __init__(self, pseudonym: str, somebody: Somebody, mention: Mention) -> None:
        self.pseudonym = pseudonym
        self._names = {connection: frozenset(name.casefold() for name in names) for connection, names in mention.names.items()}
        self._every = frozenset[str]().union(*self._names.values()) | {text.casefold() for text in mention.texts}
        self._words = _pattern(somebody)

    def is_them(self, value: Any, connection: int | None = None) -> bool:
        """Whether a value is, as a whole, what they are called (in a connection; None: in any)."""
        return isinstance(value, str | int) and str(value).casefold() in (self._every if connection is None else self._names.get(connection, frozenset()))

    def text(self, text: str) -> str:
        """A text without their names."""
        return self._words.sub(self.pseudonym, text) if self._words is not None else text

    def is_in(self, body: bytes) -> bool:
        """Whether raw bytes name them, as UTF-8 or as JSON escapes it; a short name as a whole value of JSON."""
        told = body.decode("utf-8", errors="replace")
        plain = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), told)
        if self._words is not None and self._words.search(plain):
            return True
        folded = plain.casefold()
        return any(f'"{name}"' in folded for name in self._every if not name.isdigit())

    def value(self, value: Any, *, who: bool = False, connection: int | None = None) -> Any:
        """A value of JSON without their names; `who`: it is where a helpdesk says who somebody is. What does not name them comes back as it is."""
        if who and self.is_them(value, connection):
            return self.pseudonym
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            says_who = value.get("field") in WHO  # {"field": "requester", "from": .., "to": ..}, or a condition on it
            inside = {key: self.value(part, who=key in WHO or says_who, connection=connection) for key, part in value.items()}
            return inside if inside != value else value
        if isinstance(value, list | tuple):
            parts = [self.value(part, who=who, connection=connection) for part in value]
            return parts if parts != list(value) else value
        return value


def _pattern(somebody: Somebody) -> re.Pattern[str] | None:
    """`Kim Lee <kim@example.com>` is one name; a `Kim Lee <somebody@else>` is somebody else."""
    forms = []
    for word in somebody.texts:
        forms.append(re.escape(word) + ("" if "@" in word else r"(?!\s*<)"))
    if somebody.address:
        address = re.escape(somebody.address)
        forms = [rf"{re.escape(name)}\s*<{address}>" for name in {somebody.name, *somebody.texts} if name and "@" not in name] + forms
    return re.compile(rf"(?<![\w.+-])(?:{'|'.join(forms)})(?![\w-])", re.IGNORECASE) if forms else None
