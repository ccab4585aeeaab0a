"""Outgoing webhooks: the commands of a call as one signed request; the receiver deduplicates by webhook-id."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from connectors.http import speaking_of
from connectors.instants import SECOND
from connectors.signatures import sign_standard
from sla_plugin.errors import ConfigurationError, UnsupportedCommand
from sla_plugin.ports import COMMANDS, Account, AccountFacts, Answer, Command, Http

CAPABILITIES = frozenset(COMMANDS)


def check(account: Account) -> AccountFacts:
    """Nothing to call: a request to the receiver would be a command."""
    problems = []
    try:
        sign_standard(account.secrets, "check", b"", 0)
    except ConfigurationError as problem:
        problems.append(str(problem))
    going = "inbound only: there is no base URL, so nothing is written back"
    if account.base_url:
        going = f"outgoing webhooks go to {account.base_url.partition('?')[0]}"
    return AccountFacts(user_id=None, user_name=None, proved=[going], problems=problems)


def prepare(ticket: str, commands: Sequence[Command], marker: str, account: Account) -> dict[str, Any]:
    """One request with every command in our words. Raises UnsupportedCommand for a command that is none of ours."""
    told = []
    for command in commands:
        if type(command) not in COMMANDS.values():
            raise _unsupported(f"no webhook format for the command {getattr(command, 'kind', command)!r}", account)
        told.append({"kind": command.kind, **{name: list(value) if isinstance(value, tuple) else value for name, value in asdict(command).items()}})
    if not told:
        raise _unsupported("there is nothing to send", account)
    return {"method": "POST", "id": marker, "body": {"type": "sla.commands", "ticket": ticket, "marker": marker, "commands": told}}


def send(frozen: Mapping[str, Any], account: Account, http: Http, clock: Callable[[], float]) -> Answer:
    """Sign and post; `clock` gives seconds since 1970 (a retry is signed anew, with the same id). Raises ConfigurationError without a base URL or secret."""
    if not account.base_url:
        raise ConfigurationError(f"{account.connection} has no base URL: enter where its outgoing webhooks go")
    body = json.dumps(frozen["body"], sort_keys=True, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json", **sign_standard(account.secrets, frozen["id"], body, int(clock() * SECOND))}
    with speaking_of("generic", account.connection):
        answer = http.request(frozen["method"], account.base_url, operation="send the commands", headers=headers, data=body)
    return Answer(status=answer.status)


def _unsupported(message: str, account: Account) -> UnsupportedCommand:
    return UnsupportedCommand(f"{account.connection}: {message}", connector="generic", connection=account.connection, operation="prepare")
