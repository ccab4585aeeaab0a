"""Secrets at rest: sealed with the first key, opened with any (rotation). Which columns hold them is said where they are declared (`info={"sealed": True}`)."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Table, select, tuple_, update

from sla_plugin.errors import ConfigurationError
from sla_plugin.store.db import Base, Transaction
from sla_plugin.store.isolation import owner_column

_BEGINNING = "gAAAA"  # of every Fernet token


class Sealer:
    """Encrypts and decrypts short secrets."""

    def __init__(self, keys: Sequence[str] | Callable[[], Sequence[str]]) -> None:
        """`keys`: Fernet keys, or what tells those in force now; raises ConfigurationError for one that is none."""
        self._tell = keys if callable(keys) else lambda: keys
        self._keys: tuple[str, ...] = ()
        self._refresh()

    def _refresh(self) -> None:
        """Take the keys in force, should they be others than before."""
        keys = tuple(self._tell())
        if keys == self._keys:
            return
        try:
            self._rings = {fingerprint(key): Fernet(key) for key in keys}
        except ValueError as error:
            raise ConfigurationError(f"SLA_SECRET_KEYS: not a Fernet key: {error}") from None
        self._fernet, self._keys = MultiFernet(list(self._rings.values())), keys

    @property
    def fingerprints(self) -> list[str]:
        """The keys in force by fingerprint, the one that seals first."""
        self._refresh()
        return list(self._rings)

    def seal(self, clear: str) -> str:
        """The sealed form of a secret."""
        self._refresh()
        return self._fernet.encrypt(clear.encode()).decode()

    def open(self, sealed: str | None) -> str:
        """The secret; "" for none. Raises ConfigurationError when no key fits."""
        if not sealed:
            return ""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            self._refresh()  # sealed with a key that is newer than what we know
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise ConfigurationError("a stored secret does not open with SLA_SECRET_KEYS: restore the key it was sealed with") from None

    def key_of(self, sealed: str) -> str | None:
        """The fingerprint of the key that a value was sealed with; None where it is none of ours."""
        for name, fernet in self._rings.items():
            try:
                fernet.decrypt(sealed.encode())
            except InvalidToken:
                continue
            return name
        return None


def fingerprint(key: str) -> str:
    """Eight digits by which a key can be named without telling it."""
    return hashlib.sha256(b"key:" + key.encode()).hexdigest()[:8]


def sealed_columns() -> dict[str, list[str]]:
    """Table -> its columns that hold sealed values, as they are declared."""
    found: dict[str, list[str]] = {}
    for name, table in sorted(Base.metadata.tables.items()):
        if columns := [column.name for column in table.columns if column.info.get("sealed")]:
            found[name] = columns
    return found


def sealed_values(value: Any) -> Iterator[str]:
    """The sealed texts in a column's value: itself, or those inside a list or an object. What is not sealed is passed over."""
    if isinstance(value, str):
        if value.startswith(_BEGINNING):
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from sealed_values(part)
    elif isinstance(value, list):
        for part in value:
            yield from sealed_values(part)


def with_sealed(value: Any, change: Callable[[str], str]) -> Any:
    """The value with each sealed text in it changed."""
    if isinstance(value, str):
        return change(value) if value.startswith(_BEGINNING) else value
    if isinstance(value, Mapping):
        return {key: with_sealed(part, change) for key, part in value.items()}
    return [with_sealed(part, change) for part in value] if isinstance(value, list) else value


def sealed_rows(tx: Transaction, tenant: int, name: str, after: Sequence[Any] | None, limit: int) -> tuple[Table, list[Any]]:
    """The next rows of a table with sealed columns, by key, after the key `after`: its key and those columns; locked, so that what is written was read."""
    table = Base.metadata.tables[name]
    key = list(table.primary_key.columns)
    query = select(*key, *(table.c[column] for column in sealed_columns()[name])).where(table.c[owner_column(name)] == tenant)
    if after is not None:
        query = query.where(tuple_(*key) > tuple_(*after))
    query = query.order_by(*key).limit(limit)
    return table, list(tx.execute(query.with_for_update() if tx.is_postgres else query))


def store_sealed(tx: Transaction, tenant: int, table: Table, row: Any, values: Mapping[str, Any]) -> None:
    """Replace sealed columns of a row that `sealed_rows` read and locked."""
    mine = [column == row._mapping[column.name] for column in table.primary_key.columns]
    tx.execute(update(table).where(table.c[owner_column(table.name)] == tenant, *mine).values(dict(values)))
