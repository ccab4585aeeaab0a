"""Calls to Zendesk: check, read, and one safe ticket update that carries all commands of a call."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from connectors.http import speaking_of
from connectors.instants import SECOND, parse_instant
from sla_plugin.errors import ConfigurationError, PermanentFailure, TemporaryFailure, UnsupportedCommand
from sla_plugin.ports import Account, AccountFacts, AddComment, Answer, Assign, Command, Http, HttpAnswer, SetPriority, SetStatus, TicketSnapshot

CAPABILITIES = frozenset({SetPriority.kind, SetStatus.kind, Assign.kind, AddComment.kind})
_AUDIT_PAGES = 10  # of 100 audits each, when looking for our marker
_MEMBERS = {  # Zendesk's member of a ticket -> our field
    "status": "status",
    "priority": "priority",
    "type": "type",
    "tags": "tags",
    "assignee_id": "assignee",
    "group_id": "group",
    "requester_id": "requester",
    "organization_id": "organization",
    "subject": "subject",
    "problem_id": "link",
    "brand_id": "brand",
    "custom_status_id": "custom_status",
    "created_at": "created_at",
}
_WRITTEN = ("priority", "status", "assignee_id")  # members that `prepare` sets to absolute values


def check(account: Account, http: Http) -> AccountFacts:
    """Who the token is. Raises PermanentFailure when Zendesk takes it for nobody."""
    answer = _call("GET", "/api/v2/users/me", account, http, "check the token")
    user = _member(answer, "user", account, "check the token")
    if user.get("id") is None:
        raise PermanentFailure(
            f"{account.connection}: Zendesk takes this e-mail and token for an anonymous visitor: check both, and that token access is on in the Admin Center",
            connector="zendesk",
            connection=account.connection,
            operation="check the token",
            status=401,
        )
    name, role = str(user.get("name") or user["id"]), user.get("role")
    proved = [f"the token acts as {name} (id {user['id']}, {role or 'role not told'})"]
    problems = []
    if user.get("ticket_restriction"):
        proved.append(f"{name} sees tickets only as: {user['ticket_restriction']}")
    if user.get("suspended"):
        problems.append(f"{name} is suspended in Zendesk: no update will be accepted")
    if user.get("active") is False:
        problems.append(f"{name} is deleted in Zendesk: no update will be accepted")
    if role == "end-user":
        problems.append(f"{name} is an end user: make the user of the token an agent")
    return AccountFacts(user_id=str(user["id"]), user_name=name, proved=proved, problems=problems)


def read(ticket: str, account: Account, http: Http) -> TicketSnapshot:
    """The ticket now; the stamp is its `updated_at`, verbatim."""
    found = _member(_call("GET", _path(ticket), account, http, "read the ticket"), "ticket", account, "read the ticket")
    changed_at = _instant(found.get("updated_at"))
    return TicketSnapshot(_values(found), found.get("updated_at"), None if changed_at is None else changed_at + SECOND)


def prepare(ticket: str, commands: Sequence[Command], snapshot: TicketSnapshot | None, marker: str, account: Account) -> dict[str, Any]:
    """One PUT with everything, frozen.

    Raises UnsupportedCommand for what one PUT cannot carry, ConfigurationError where the connection has no word or id for a value.
    """
    changes: dict[str, Any] = {}
    comments: list[AddComment] = []
    for command in commands:
        if isinstance(command, SetPriority):
            changes["priority"] = _word(account.words.priority_out, command.to, "priority", account)
        elif isinstance(command, SetStatus):
            changes["status"] = _word(account.words.status_out, command.to, "status", account)
        elif isinstance(command, Assign):
            changes["assignee_id"] = _user_id(command.assignee, account)
        elif isinstance(command, AddComment):
            comments.append(command)
        else:
            raise _unsupported(f"Zendesk cannot carry the command {getattr(command, 'kind', command)!r}", account)
    if len({comment.public for comment in comments}) > 1:
        raise _unsupported("one Zendesk update carries either a public or an internal comment, not both", account)
    body = dict(changes)
    if comments:
        body["comment"] = {"body": "\n\n".join(comment.body for comment in comments), "public": comments[0].public}
    if not body:
        raise _unsupported("there is nothing to send", account)
    if snapshot is not None and snapshot.stamp:
        body |= {"updated_stamp": snapshot.stamp, "safe_update": True}  # left out together: `safe_update: false` means true at Zendesk
    body["metadata"] = {"sla_plugin": marker}
    before = {member: snapshot.values.get(_MEMBERS[member]) for member in changes} if snapshot is not None else {}
    return {"method": "PUT", "path": _path(ticket), "body": {"ticket": body}, "before": before}


def send(frozen: Mapping[str, Any], account: Account, http: Http) -> Answer:
    """Send it once. Missing audit ids or times in the answer are survived."""
    answer = _call(frozen["method"], frozen["path"], account, http, "update the ticket", frozen["body"])
    data = _data(answer, account, "update the ticket")
    ticket, audit = _part(data, "ticket"), _part(data, "audit")
    remaining, reset = _budget(answer.headers)
    return Answer(
        status=answer.status,
        audit_id=_text(audit.get("id")),
        comment_id=_comment_id(audit),
        at=_instant(ticket.get("updated_at")) or _instant(audit.get("created_at")),
        values=_values(ticket),
        limit_remaining=remaining,
        limit_reset_seconds=reset,
    )


def find(frozen: Mapping[str, Any], marker: str, account: Account, http: Http) -> Answer | None:
    """Did it land? The audit with our marker says so; without audits the ticket itself must do (and a repeat then dies on its stamp)."""
    sent = frozen["body"]["ticket"]
    try:
        for audit in _audits(frozen["path"], account, http):
            if _is_ours(audit, marker, sent):
                at = _instant(audit.get("created_at"))
                return Answer(status=200, audit_id=_text(audit.get("id")), comment_id=_comment_id(audit), at=at, values=_changed(audit))
    except PermanentFailure as failure:
        if failure.status != 404:
            raise
        return _landed_by_ticket(frozen, account, http)
    except _TooManyAudits:  # the newest were not seen: the ticket must do
        return _landed_by_ticket(frozen, account, http)
    return None


class _TooManyAudits(Exception):
    """More pages of audits than we read."""


def _audits(path: str, account: Account, http: Http) -> Iterator[Mapping[str, Any]]:
    """Audits in the order given, page by page; only the query of `next_page` is taken, so that the token goes nowhere else."""
    page = f"{path}/audits"
    for _ in range(_AUDIT_PAGES):
        data = _data(_call("GET", page, account, http, "read the audits"), account, "read the audits")
        yield from (audit for audit in data.get("audits") or [] if isinstance(audit, dict))
        following = data.get("next_page")
        if not isinstance(following, str) or not urlsplit(following).query:
            return
        page = f"{path}/audits?{urlsplit(following).query}"
    raise _TooManyAudits


def _is_ours(audit: Mapping[str, Any], marker: str, sent: Mapping[str, Any]) -> bool:
    metadata = _part(audit, "metadata")
    if marker in (_part(metadata, "custom").get("sla_plugin"), metadata.get("sla_plugin")):
        return True
    # a stand-in may drop metadata: our own words, written through the API since we read the ticket, are ours as well
    body, stamp, made_at = _part(sent, "comment").get("body"), _instant(sent.get("updated_stamp")), _instant(audit.get("created_at"))
    if not body or stamp is None or made_at is None or made_at < stamp or _part(metadata, "custom").get("sla_plugin"):
        return False
    return any(event.get("type") == "Comment" and str(event.get("body", "")).strip() == str(body).strip() for event in _events(audit))


def _landed_by_ticket(frozen: Mapping[str, Any], account: Account, http: Http) -> Answer | None:
    sent = frozen["body"]["ticket"]
    ticket = _member(_call("GET", frozen["path"], account, http, "read the ticket"), "ticket", account, "read the ticket")
    written = {member: sent[member] for member in _WRITTEN if member in sent}
    if any(_text(ticket.get(member)) != _text(value) for member, value in written.items()):
        return None
    moved = ticket.get("updated_at") != sent.get("updated_stamp")
    if not written:  # a comment alone leaves no trace in the ticket but the instant
        return Answer(status=200, at=_instant(ticket.get("updated_at")), values=_values(ticket), certain=False) if moved else None
    # the stamp has whole seconds: a write within the second of our read leaves it as it was, but not the values it replaced
    replaced = any(_text(frozen.get("before", {}).get(member)) != _text(value) for member, value in written.items())
    if not moved and not replaced:
        return None
    return Answer(status=200, at=_instant(ticket.get("updated_at")), values=_values(ticket))


# --- requests and answers --------------------------------------------------------------------------------------------
def _call(method: str, path: str, account: Account, http: Http, operation: str, body: Any = None) -> HttpAnswer:
    with speaking_of("zendesk", account.connection):
        return http.request(method, account.base_url.rstrip("/") + path, operation=operation, auth=(f"{account.email}/token", account.token), json=body)


def _data(answer: HttpAnswer, account: Account, operation: str) -> dict[str, Any]:
    try:
        data = json.loads(answer.body)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):  # a log-in page or a proxy: on a write nobody knows whether it arrived
        raise TemporaryFailure(
            f"{account.connection}: {answer.status} without JSON; is {account.base_url} the address of Zendesk itself?",
            connector="zendesk",
            connection=account.connection,
            operation=operation,
            status=answer.status,
        )
    return data


def _member(answer: HttpAnswer, name: str, account: Account, operation: str) -> Mapping[str, Any]:
    data = _data(answer, account, operation)
    if not isinstance(data.get(name), dict):
        raise TemporaryFailure(
            f"{account.connection}: the answer has no {name}", connector="zendesk", connection=account.connection, operation=operation, status=answer.status
        )
    return _part(data, name)


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = data.get(name)
    return part if isinstance(part, dict) else {}


def _path(ticket: str) -> str:
    return f"/api/v2/tickets/{quote(ticket, safe='')}"


def _values(ticket: Mapping[str, Any]) -> dict[str, Any]:
    """A REST ticket in our field names; ids as texts, the rest verbatim, only what was told."""
    values = {ours: _text(ticket[theirs]) if theirs.endswith("_id") else ticket[theirs] for theirs, ours in _MEMBERS.items() if theirs in ticket}
    if _part(ticket, "via").get("channel") is not None:
        values["channel"] = _part(ticket, "via")["channel"]
    for one in ticket.get("custom_fields") or []:
        if isinstance(one, dict) and "id" in one:
            values[f"custom.{one['id']}"] = one.get("value")
    return values


def _changed(audit: Mapping[str, Any]) -> dict[str, Any]:
    return _values({str(event.get("field_name")): event.get("value") for event in _events(audit) if event.get("field_name") in _WRITTEN})


def _events(audit: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [event for event in audit.get("events") or [] if isinstance(event, dict)]


def _comment_id(audit: Mapping[str, Any]) -> str | None:
    return next((_text(event.get("id")) for event in _events(audit) if event.get("type") == "Comment"), None)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _instant(value: Any) -> int | None:
    try:
        return parse_instant(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _budget(headers: Mapping[str, str]) -> tuple[int | None, float | None]:
    """The tighter of the account's and the endpoint's remaining calls, and the seconds until it is full again."""
    told = [
        (int(headers[remaining]), float(headers[reset]) if headers.get(reset, "").isdecimal() else None)
        for remaining, reset in (("ratelimit-remaining", "ratelimit-reset"), ("x-rate-limit-remaining", "x-rate-limit-reset"))
        if headers.get(remaining, "").isdecimal()
    ]
    return min(told, key=lambda one: one[0], default=(None, None))


# --- commands ------------------------------------------------------------------------------------------------------
def _word(words: Mapping[str, str], ours: str, what: str, account: Account) -> str:
    word = words.get(ours)
    if not word:
        raise ConfigurationError(f"{account.connection} has no Zendesk word for {what} {ours}: add one on the connection's page")
    return word.lower()


def _user_id(assignee: str, account: Account) -> int:
    if not (assignee.isascii() and assignee.isdigit()):
        raise ConfigurationError(f"{account.connection}: Zendesk assigns to a user id (a number), not to {assignee!r}")
    return int(assignee)


def _unsupported(message: str, account: Account) -> UnsupportedCommand:
    return UnsupportedCommand(f"{account.connection}: {message}", connector="zendesk", connection=account.connection, operation="prepare")
