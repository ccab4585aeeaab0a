"""Connect a helpdesk: check what was typed, prove the credentials, store. The vendor is called between reading and writing, never inside a transaction."""

import ipaddress
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from sla_plugin.engine.facts import PRIORITIES, STATUSES
from sla_plugin.errors import ConfigurationError, InvalidDefinition, InvalidFields
from sla_plugin.ports import Account, AccountFacts, Assign, Connector
from sla_plugin.services.outside import Outside
from sla_plugin.store.audit import append_audit
from sla_plugin.store.connections import Connection, add_connection, change_connection, find_by_name
from sla_plugin.store.db import Transaction

_INSIDE_NAMES = (".local", ".localhost", ".internal", ".lan", ".home.arpa", ".test")
_HINTS = {
    "base_url": "the address of the helpdesk, such as https://acme.zendesk.com",
    "email": "the e-mail of the helpdesk user that the token belongs to",
    "token": "an API token of the helpdesk",
}


@dataclass(frozen=True)
class ConnectionForm:
    """What somebody typed. None = not given: a new connection takes the default, an existing one keeps what it has."""

    name: str
    connector: str
    base_url: str | None = None
    email: str | None = None
    token: str | None = None
    secret: str | None = None
    mode: str | None = None
    assignee: str | None = None
    mapping: Mapping[str, Any] | None = None
    options: Mapping[str, Any] | None = None
    generate_secret: bool = False


@dataclass(frozen=True)
class Draft:
    """A checked form, ready to be proved and stored. Holds clear text: never log or keep one.

    `known` is the connection it changes (None = a new one); `generated` says that the secret is ours and must be shown once.
    """

    form: ConnectionForm
    connector: Connector
    account: Account
    known: Connection | None
    generated: bool = False


@dataclass(frozen=True)
class Connected:
    """A stored connection; `secret` only where we made it, to be shown once."""

    name: str
    connector: str
    public_id: str
    mode: str
    assignee: str | None
    secret: str | None
    secrets: int
    proved: Sequence[str] = field(default_factory=tuple)


def prepare_connection(tx: Transaction, tenant: int, form: ConnectionForm, outside: Outside, *, allow_private: bool, update: bool) -> Draft:
    """Check a form against its connector. Raises InvalidFields with every field that is wrong, ConfigurationError for what a live connection could not do."""
    connector = outside.connector(form.connector)
    wrong: dict[str, str] = {}

    def fit(field: str, check: Callable[[Any], Any], typed: Any) -> Any:
        try:
            return None if typed is None else check(typed)
        except InvalidDefinition as problem:
            wrong[problem.field] = problem.problem
        except ConfigurationError as problem:
            wrong[field] = str(problem).removeprefix(f"{form.name}: ")  # which says which connection of many
        return None

    name = fit("name", _name, form.name)
    known = find_by_name(tx, tenant, name) if name else None
    if known is not None and not update:
        wrong["name"] = f"there is a connection {name!r} already: choose another name, or change that one"
    if name and known is None and update:
        wrong["name"] = f"there is no connection {name!r} to change: make it first"
    if known is not None and update and known.connector != form.connector:
        wrong["connector"] = f"{name!r} is a {known.connector} connection; a connection never changes its connector, make a new one"
    known = None if wrong else known  # somebody else's account is not looked into
    form = replace(
        form,
        name=name or "",
        base_url=fit("base_url", lambda typed: check_base_url(typed, allow_private=allow_private), form.base_url),
        email=fit("email", _email, form.email),
        token=fit("token", lambda typed: _secret_text(typed, "token"), form.token),
        secret=fit("secret", lambda typed: _secret_text(typed, "secret"), form.secret),
        mapping=fit("mapping", check_mapping, form.mapping),
    )
    generated = form.secret is None and (known is None or not known.sealed_secrets) and (form.generate_secret or _may_choose_secret(connector))
    if generated:
        form = replace(form, secret=new_secret())
    account = _account(form, connector, known, outside)
    for need in connector.needs:
        if need != "secret" and not getattr(account, need):
            wrong.setdefault(need, f"{connector.title} needs {_HINTS.get(need, need)}")
    fit("assignee", lambda typed: connector.prepare("0", [Assign(assignee=typed)], None, "check", account), form.assignee or None)
    if wrong:
        raise InvalidFields(wrong)
    if form.mode == "live":
        refuse_dead_end(connector, account)
    return Draft(form, connector, account, known, generated)


def prove_connection(draft: Draft, outside: Outside) -> AccountFacts:
    """Ask the vendor whether the credentials work (call it outside any transaction).

    Raises ConnectorError as the vendor's answer demands, ConfigurationError with what to do when they work but cannot do what we need.
    """
    facts = draft.connector.check(draft.account, outside.http)
    if facts.problems:
        raise ConfigurationError(f"{draft.form.name} is not connected: {'; '.join(facts.problems)}")
    return facts


def store_connection(tx: Transaction, tenant: int, draft: Draft, facts: AccountFacts | None, now: int, actor: str, outside: Outside) -> Connected:
    """Store a draft; `facts` None = unproved. Raises ConfigurationError if somebody else changed or made the connection meanwhile."""
    form, known = draft.form, draft.known
    values: dict[str, Any] = {}
    for name in ("base_url", "email", "mode", "mapping", "options", "assignee"):
        if getattr(form, name) is not None:
            values[name] = getattr(form, name)
    if form.token is not None:
        values["sealed_token"] = outside.sealer.seal(form.token)
    if form.secret is not None and (known is None or form.secret not in outside.secrets(known)):
        older = [] if known is None else list(known.sealed_secrets)[:1]  # two are valid while one is rotated
        values["sealed_secrets"] = [{"sealed": outside.sealer.seal(form.secret), "added_at": now}, *older]
    if facts is not None:
        values["facts"] = {"user_id": facts.user_id, "user_name": facts.user_name, "proved": list(facts.proved)}
        values["checked_at"] = now
        if form.assignee is None and (known is None or known.assignee is None):
            values["assignee"] = facts.user_id
    # what can be told without telling a secret
    told = {name: value for name, value in values.items() if not name.startswith("sealed_")}
    told |= {word: "replaced" for word in ("token", "secrets") if f"sealed_{word}" in values}
    before = None if known is None else {name: getattr(known, name) for name in told if name in values}
    if known is None:
        if find_by_name(tx, tenant, form.name) is not None:
            raise ConfigurationError(f"somebody else made a connection {form.name!r} meanwhile: choose another name")
        values = {"mode": "dry_run", "mapping": {}, "options": {}, "facts": {}, "sealed_secrets": [], "base_url": "", "email": "", **values}
        public_id = secrets.token_hex(16)
        add_connection(tx, tenant, {"name": form.name, "connector": form.connector, "public_id": public_id, "created_at": now, **values})
    else:
        public_id = known.public_id
        if not change_connection(tx, tenant, known.id, known.version, values):
            raise ConfigurationError(f"somebody else changed the connection {form.name!r} meanwhile: look at it and try again")
    what = "connection made" if known is None else "connection changed"
    append_audit(tx, tenant, now, actor, what, {"connection": form.name, "connector": form.connector, "before": before, "after": told})

    def now_in(name: str) -> Any:
        return values[name] if name in values else getattr(known, name, None)

    return Connected(
        name=form.name,
        connector=form.connector,
        public_id=public_id,
        mode=now_in("mode"),
        assignee=now_in("assignee"),
        secret=form.secret if draft.generated else None,
        secrets=len(now_in("sealed_secrets") or ()),
        proved=tuple(facts.proved) if facts is not None else (),
    )


def new_secret() -> str:
    """A webhook secret in the form of Standard Webhooks."""
    return "whsec_" + secrets.token_hex(16)  # hex is base64 too, and survives every shell


def check_base_url(text: str, *, allow_private: bool) -> str:
    """The address without a trailing slash; "" stays "". Raises InvalidDefinition: http goes only inside one's own network, and only where that is opened."""
    text = text.strip().rstrip("/")
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").lower()
        parts.port  # noqa: B018  (a port that is no number raises here)
    except ValueError as problem:
        raise InvalidDefinition("base_url", f"{text!r} is no address: {problem}") from None
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() for c in text) or len(text) > 500:
        raise InvalidDefinition("base_url", f"{text!r} is no address; write one such as https://acme.zendesk.com")
    if parts.username is not None or parts.fragment:
        raise InvalidDefinition("base_url", "leave user, password and fragment out of the address; credentials have their own fields")
    inside = _is_inside(host)
    if inside and not allow_private:
        raise InvalidDefinition("base_url", f"{host} is a private address; set SLA_ALLOW_PRIVATE_URLS=yes if helpdesks inside your network may be called")
    if parts.scheme == "http" and not inside:
        raise InvalidDefinition("base_url", f"{host} is outside your network: use https, or the token could be read on the way")
    return text


def _is_inside(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(_INSIDE_NAMES)


def check_mapping(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """`{"status": {theirs: ours}, "priority": {...}, "unset_priority": ours}`, checked. Raises InvalidDefinition."""
    for part, words in mapping.items():
        if part == "unset_priority":
            _ours(words, PRIORITIES, "mapping.unset_priority")
        elif part in ("status", "priority") and isinstance(words, Mapping):
            for theirs, ours in words.items():
                _ours(ours, STATUSES if part == "status" else PRIORITIES, f"mapping.{part}.{theirs}")
        else:
            raise InvalidDefinition(f"mapping.{part}", "unknown; a mapping has status, priority and unset_priority")
    return dict(mapping)


def refuse_dead_end(connector: Connector, account: Account) -> None:
    """Raises ConfigurationError for a connection that could not write if it were live."""
    if not account.base_url:
        raise ConfigurationError(f"{account.connection} cannot go live: it has no base URL, so there is nowhere to write to")
    if "token" in connector.needs and not account.token:
        raise ConfigurationError(f"{account.connection} cannot go live: it has no token")


def _ours(word: Any, known: Sequence[str], place: str) -> None:
    if word not in known:
        raise InvalidDefinition(place, f"{word!r} is none of our words; use {', '.join(known)}")


def _may_choose_secret(connector: Connector) -> bool:
    """Vendors that need a token make their signing secret themselves; where only the secret is needed, both sides use ours."""
    return tuple(connector.needs) == ("secret",)


def _name(text: str) -> str:
    text = text.strip()
    if not text or len(text) > 200 or not text.isprintable():
        raise InvalidDefinition("name", "give the connection a name of at most 200 printable characters")
    return text


def _email(text: str) -> str:
    text = text.strip().removesuffix("/token")
    if text and (text.count("@") != 1 or any(c.isspace() for c in text) or len(text) > 320 or not all(text.split("@"))):
        raise InvalidDefinition("email", f"{text!r} is no e-mail address")
    return text


def _secret_text(text: str, name: str) -> str:
    text = text.strip()
    if not text or not text.isprintable() or any(c.isspace() for c in text):
        raise InvalidDefinition(name, "this is empty or holds spaces: copy it again")
    return text


def _account(form: ConnectionForm, connector: Connector, known: Connection | None, outside: Outside) -> Account:
    """The account as it will be."""
    before = outside.account(known) if known is not None else None
    older = list(before.secrets) if before is not None else []
    draft = Connection(
        name=form.name,
        connector=form.connector,
        mapping=dict(form.mapping if form.mapping is not None else known.mapping if known is not None else {}),
    )
    return Account(
        connection=form.name,
        base_url=_first(form.base_url, before.base_url if before else ""),
        email=_first(form.email, before.email if before else ""),
        token=_first(form.token, before.token if before else ""),
        secrets=[form.secret, *older] if form.secret else older,
        words=outside.words(draft),
        options=dict(form.options if form.options is not None else known.options if known is not None else {}),
    )


def _first(given: str | None, kept: str) -> str:
    return kept if given is None else given
