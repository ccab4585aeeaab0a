"""Names that were erased are known again by digest, so that a late webhook does not bring them back."""

import hashlib
import hmac
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sla_plugin.services.rewrite_events import without_texts
from sla_plugin.services.somebody import Somebody
from sla_plugin.store.db import Transaction
from sla_plugin.store.erasures import add_names, erased_names, forget_names, keep_salt, tickets_asked_as
from sla_plugin.store.mentions import WHO
from sla_plugin.store.sealing import Sealer

ERASED = "not kept: it names somebody who was erased"
EVERYWHERE = 0  # in the place of a connection: a mail address, a full name
_ADDRESS = re.compile(r"[\w.+%-]{1,64}@[\w-]+(?:\.[\w-]+)+")


class Tombstones:
    """The erased names of a tenant."""

    def __init__(self, salt: bytes, pseudonyms: Mapping[str, str]) -> None:
        self._salt = salt
        self._pseudonyms = pseudonyms

    def pseudonym_of(self, connection: int, name: Any) -> str | None:
        """The pseudonym of somebody who is called so in a connection, if they are erased."""
        if not isinstance(name, str | int) or isinstance(name, bool):
            return None
        digests = (digest_of(self._salt, place, str(name)) for place in (EVERYWHERE, connection))
        return next((self._pseudonyms[digest] for digest in digests if digest in self._pseudonyms), None)

    def in_bytes(self, body: bytes) -> bool:
        """Whether a raw body holds an erased mail address."""
        return any(self.pseudonym_of(EVERYWHERE, address) for address in set(_ADDRESS.findall(body.decode("utf-8", errors="replace"))))

    def bury(self, tx: Transaction, tenant: int, rows: Sequence[dict[str, Any]]) -> set[int]:
        """Take erased names out of event rows, and the texts of tickets that they asked for; the deliveries whose bodies must not be kept."""
        tickets = sorted({row["ticket_id"] for row in rows if row["ticket_id"] is not None})
        asked = tickets_asked_as(tx, tenant, tickets, sorted(set(self._pseudonyms.values())))
        buried = set()
        for row in rows:
            connection = row["connection_id"]
            actor = self.pseudonym_of(connection, row["actor_id"])
            data = self._value(row["data"], connection)
            theirs = row["ticket_id"] in asked or data != row["data"]
            if actor is not None or theirs:
                row["actor_id"] = actor or row["actor_id"]
                row["data"] = without_texts(data) if theirs else data
                buried.add(row["delivery_id"])
        return buried

    def _value(self, value: Any, connection: int, *, who: bool = False) -> Any:
        if who and (found := self.pseudonym_of(connection, value)) is not None:
            return found
        if isinstance(value, str):
            return _ADDRESS.sub(lambda match: self.pseudonym_of(EVERYWHERE, match[0]) or match[0], value) if "@" in value else value
        if isinstance(value, Mapping):
            says_who = value.get("field") in WHO
            return {key: self._value(part, connection, who=key in WHO or says_who) for key, part in value.items()}
        return [self._value(part, connection, who=who) for part in value] if isinstance(value, list) else value


def digest_of(salt: bytes, connection: int, name: str) -> str:
    """A name of a connection (EVERYWHERE: of all) as it is remembered."""
    return hmac.new(salt, f"{connection}|{name.strip().casefold()}".encode(), hashlib.sha256).hexdigest()


def read_tombstones(tx: Transaction, tenant: int, sealer: Sealer) -> Tombstones | None:
    """The tenant's erased names; None if nobody was erased."""
    names, sealed = erased_names(tx, tenant)
    return Tombstones(bytes.fromhex(sealer.open(sealed)), names) if names and sealed else None


def remember(tx: Transaction, tenant: int, somebody: Somebody, pseudonym: str, sealer: Sealer) -> None:
    """Know somebody's names again from now on."""
    add_names(tx, tenant, dict.fromkeys(_digests(tx, tenant, somebody, sealer), pseudonym))


def forget(tx: Transaction, tenant: int, somebody: Somebody, sealer: Sealer) -> int:
    """Know somebody's names no more: what comes from now on is kept as it comes. Returns how many were known."""
    return forget_names(tx, tenant, _digests(tx, tenant, somebody, sealer))


def _digests(tx: Transaction, tenant: int, somebody: Somebody, sealer: Sealer) -> list[str]:
    salt = bytes.fromhex(sealer.open(keep_salt(tx, tenant, sealer.seal(os.urandom(32).hex()))))
    names = {(EVERYWHERE, text) for text in somebody.texts} | set(somebody.requesters)
    return [digest_of(salt, connection, name) for connection, name in sorted(names)]
