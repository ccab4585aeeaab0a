"""Change a connection that exists: its mode, its webhook secrets, what the last check proved."""

import hashlib
from collections.abc import Sequence
from typing import Any

from sla_plugin.errors import ConfigurationError
from sla_plugin.ports import AccountFacts
from sla_plugin.services.connect_helpdesk import refuse_dead_end
from sla_plugin.services.outside import Outside
from sla_plugin.store.audit import append_audit
from sla_plugin.store.connections import MODES, Connection, change_connection, find_by_name, list_connections
from sla_plugin.store.db import Transaction

MOST_SECRETS = 2  # valid at once, while one is rotated


def find_connection(tx: Transaction, tenant: int, name: str) -> Connection:
    """The connection called `name`. Raises ConfigurationError that lists what there is."""
    connection = find_by_name(tx, tenant, name)
    if connection is None:
        names = [c.name for c in list_connections(tx, tenant)]
        raise ConfigurationError(f"there is no connection {name!r}; " + (f"there are {', '.join(names)}" if names else "`sla-plugin connect` makes the first"))
    return connection


def set_mode(tx: Transaction, tenant: int, name: str, mode: str, now: int, actor: str, outside: Outside) -> tuple[Connection, str]:
    """Switch a connection to observe, dry_run or live; returns it with the mode it had. Raises ConfigurationError when it could not write if it were live."""
    if mode not in MODES:
        raise ConfigurationError(f"{mode!r} is no mode; there are {', '.join(MODES)}")
    connection = find_connection(tx, tenant, name)
    if mode == "live":
        refuse_dead_end(outside.connector(connection.connector), outside.account(connection))
    before = connection.mode
    if before != mode:
        _change(tx, tenant, connection, {"mode": mode}, now, actor, "connection mode", {"before": {"mode": before}, "after": {"mode": mode}})
    return connection, before


def add_secret(tx: Transaction, tenant: int, name: str, secret: str, now: int, actor: str, outside: Outside) -> list[dict[str, Any]]:
    """Add a webhook secret beside the one in force; returns all as `shown_secrets`. Raises ConfigurationError when two are in force already."""
    connection = find_connection(tx, tenant, name)
    secret = secret.strip()
    if not secret or not secret.isprintable() or " " in secret:
        raise ConfigurationError("the secret is empty or holds spaces: copy it again")
    if secret in outside.secrets(connection):
        return shown_secrets(connection, outside)
    if len(connection.sealed_secrets) >= MOST_SECRETS:
        raise ConfigurationError(f"{name} has {MOST_SECRETS} secrets already: retire one first (`sla-plugin connections secret {name!r} --retire old`)")
    kept = [{"sealed": outside.sealer.seal(secret), "added_at": now}, *connection.sealed_secrets]
    _change(tx, tenant, connection, {"sealed_secrets": kept}, now, actor, "connection secret added", _prints(connection.sealed_secrets, kept, outside))
    return shown_secrets(connection, outside, kept)


def retire_secret(tx: Transaction, tenant: int, name: str, which: str, now: int, actor: str, outside: Outside) -> list[dict[str, Any]]:
    """Retire the secret with this fingerprint, or `old`: all but the newest. Raises ConfigurationError for one that is not there, or the last one."""
    connection = find_connection(tx, tenant, name)
    prints = [fingerprint(secret) for secret in outside.secrets(connection)]
    going = prints[1:] if which == "old" else [print_ for print_ in prints if print_ == which]
    if not going:
        raise ConfigurationError(f"{name} has no {'older secret' if which == 'old' else f'secret {which!r}'}; in force: {', '.join(prints) or 'none'}")
    kept = [sealed for sealed, print_ in zip(connection.sealed_secrets, prints, strict=True) if print_ not in going]
    if not kept:
        raise ConfigurationError(f"{which} is the only secret of {name}: add the new one first, or every delivery would be refused")
    _change(tx, tenant, connection, {"sealed_secrets": kept}, now, actor, "connection secret retired", _prints(connection.sealed_secrets, kept, outside))
    return shown_secrets(connection, outside, kept)


def record_check(tx: Transaction, tenant: int, connection: Connection, facts: AccountFacts, now: int, actor: str) -> None:
    """Keep what a credential check proved, problems too."""
    kept = {"user_id": facts.user_id, "user_name": facts.user_name, "proved": list(facts.proved), "problems": list(facts.problems)}
    values: dict[str, Any] = {"facts": kept, "checked_at": now}
    before = {name: connection.facts.get(name, []) for name in ("proved", "problems")}
    if connection.assignee is None and facts.user_id is not None:
        values["assignee"] = facts.user_id
    _change(tx, tenant, connection, values, now, actor, "connection checked", {"before": before, "after": {name: kept[name] for name in before}})


def fingerprint(secret: str) -> str:
    """Eight digits by which a secret can be named without telling it."""
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


def _prints(before: Sequence[Any], after: Sequence[Any], outside: Outside) -> dict[str, Any]:
    """The secrets by fingerprint before and after, for the audit trail."""
    told = {"before": before, "after": after}
    return {side: {"secrets": [fingerprint(outside.sealer.open(row["sealed"])) for row in rows]} for side, rows in told.items()}


def shown_secrets(connection: Connection, outside: Outside, sealed: Sequence[Any] | None = None) -> list[dict[str, Any]]:
    """The secrets in force, newest first: fingerprint and when each was added (microseconds UTC)."""
    rows = connection.sealed_secrets if sealed is None else sealed
    return [{"fingerprint": fingerprint(outside.sealer.open(row["sealed"])), "added_at": row["added_at"]} for row in rows]


def _change(tx: Transaction, tenant: int, connection: Connection, values: dict[str, Any], now: int, actor: str, what: str, told: dict[str, Any]) -> None:
    if not change_connection(tx, tenant, connection.id, connection.version, values):
        raise ConfigurationError(f"somebody else changed the connection {connection.name!r} meanwhile: look at it and try again")
    append_audit(tx, tenant, now, actor, what, {"connection": connection.name, **told})
