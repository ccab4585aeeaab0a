"""Commands about connections: connect, and `connections` list, check, live, dry-run, observe, secret."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from sla_plugin.cli.installation import Installation, actor, answer, open_installation
from sla_plugin.errors import ConfigurationError, ConnectorError
from sla_plugin.reports.export_rows import instant_text
from sla_plugin.services.change_connection import add_secret, find_connection, record_check, retire_secret, set_mode, shown_secrets
from sla_plugin.services.connect_helpdesk import ConnectionForm, prepare_connection, prove_connection, store_connection
from sla_plugin.settings import Settings
from sla_plugin.store.connections import Connection, find_by_name, get_state, list_connections


@dataclass(frozen=True)
class _Given:
    """The options of `connect` as typed."""

    name: str
    base_url: str | None
    email: str | None
    token: str | None
    token_file: Path | None
    secret: str | None
    secret_file: Path | None
    generate_secret: bool
    mode: str | None
    assignee: str | None
    options: Sequence[str]
    words: Sequence[str]
    skip_check: bool
    update: bool


_OPTIONS: Sequence[Callable[[Any], Any]] = (
    click.option("--name", required=True, help="What you call this connection."),
    click.option("--base-url", help="Address of the helpdesk, e.g. https://acme.zendesk.com (generic: where outgoing webhooks go; may be left out)."),
    click.option("--email", help="E-mail of the helpdesk user that the token belongs to."),
    click.option("--token", help="API token; `-` reads it from standard input. Arguments can be seen in process lists: --token-file is safer."),
    click.option("--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file that holds the API token."),
    click.option("--secret", help="Secret that signs webhooks; `-` reads it from standard input. Generic: made for you if left out."),
    click.option("--secret-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file that holds the webhook secret."),
    click.option("--generate-secret", is_flag=True, help="Make a secret even where the helpdesk has its own (for stand-ins and simulators)."),
    click.option("--live", "mode", flag_value="live", help="Write back at once. Without it the connection only notes what it would write (dry-run)."),
    click.option("--dry-run", "mode", flag_value="dry_run", help="Note what would be written, write nothing (the default of a new connection)."),
    click.option("--observe", "mode", flag_value="observe", help="Keep clocks only; plan nothing."),
    click.option("--assignee", help="Helpdesk user id that gets unassigned tickets on a breach [default: the user of the token]."),
    click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the connector (see its README); a JSON value is read as JSON."),
    click.option(
        "--map",
        "words",
        multiple=True,
        metavar="FIELD.THEIRS=OURS",
        help="A word of the helpdesk, e.g. priority.sev1=P0, status.parked=waiting_internal, unset_priority=P3.",
    ),
    click.option("--skip-check", is_flag=True, help="Store without asking the helpdesk whether the credentials work."),
    click.option("--update", is_flag=True, help="Change the connection of that name; what is not given stays."),
)


def _options(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.group("connect")
def connect_group() -> None:
    """Connect a helpdesk. Asks nothing; answers with JSON that holds the webhook address.

    \b
    The credentials are tried before anything is stored. A new connection is in dry-run until --live or `sla-plugin connections live NAME`.
    """


@connect_group.command("zendesk")
@_options
@click.pass_obj
def connect_zendesk(settings: Settings, /, **given: Any) -> None:
    """Connect Zendesk Support (needs --base-url, --email, --token; --secret once Zendesk has shown it).

    Zendesk makes the signing secret itself when you create the webhook with the address from the answer; give it with --secret, or afterwards with
    `sla-plugin connections secret NAME --add SECRET`.
    """
    answer(_connect(settings, "zendesk", _Given(**given)))


@connect_group.command("generic")
@_options
@click.pass_obj
def connect_generic(settings: Settings, /, **given: Any) -> None:
    """Connect anything that sends Standard Webhooks in our format. Without --secret one is made and shown once."""
    answer(_connect(settings, "generic", _Given(**given)))


def _connect(settings: Settings, connector: str, given: _Given) -> dict[str, Any]:
    installation = open_installation(settings)
    form = ConnectionForm(
        name=given.name,
        connector=connector,
        base_url=given.base_url,
        email=given.email,
        token=_secret_text(given.token, given.token_file, "token"),
        secret=_secret_text(given.secret, given.secret_file, "secret"),
        mode=given.mode,
        assignee=given.assignee,
        mapping=_mapping(given.words) if given.words else None,
        options=_pairs(given.options) if given.options else None,
        generate_secret=given.generate_secret,
    )
    outside = installation.outside
    with installation.reading() as tx:
        if not given.update and find_by_name(tx, installation.tenant, given.name.strip()) is not None:
            raise ConfigurationError(f"there is a connection {given.name.strip()!r} already: choose another name, or change that one with --update")
        draft = prepare_connection(tx, installation.tenant, form, outside, allow_private=settings.allow_private_urls, update=given.update)
    try:
        facts = None if given.skip_check else prove_connection(draft, outside)
    except ConnectorError as problem:
        raise ConfigurationError(f"{problem}. Nothing was stored; correct it, or store it unproved with --skip-check") from problem
    with installation.writing() as tx:
        made = store_connection(tx, installation.tenant, draft, facts, installation.now(), actor(), outside)
    told: dict[str, Any] = {
        "connection": made.name,
        "connector": made.connector,
        "webhook_url": installation.webhook_url(made.public_id),
        "mode": made.mode,
        "assignee": made.assignee,
        "proved": list(made.proved),
    }
    if made.secret is not None:
        told["secret"] = made.secret
    if not made.secrets:
        told["next"] = f"create the webhook at the helpdesk with webhook_url, then: sla-plugin connections secret {made.name!r} --add SECRET"
    return told


def _secret_text(given: str | None, file: Path | None, name: str) -> str | None:
    if given is not None and file is not None:
        raise click.UsageError(f"give either --{name} or --{name}-file")
    if file is not None:
        return file.read_text()
    return sys.stdin.readline() if given == "-" else given


def _mapping(words: Sequence[str]) -> dict[str, Any]:
    """`priority.sev1=P0` ... as {"priority": {"sev1": "P0"}}."""
    mapping: dict[str, Any] = {}
    for word in words:
        key, separator, ours = word.rpartition("=")
        field, dot, theirs = key.partition(".")
        if not separator or not ours or (dot and not theirs) or (not dot and field != "unset_priority"):
            raise click.UsageError(f"--map {word}: write FIELD.THEIRS=OURS, e.g. priority.sev1=P0")
        if dot:
            mapping.setdefault(field, {})[theirs] = ours
        else:
            mapping[field] = ours
    return mapping


def _pairs(options: Sequence[str]) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for option in options:
        key, separator, value = option.partition("=")
        if not separator or not key:
            raise click.UsageError(f"--option {option}: write KEY=VALUE")
        try:
            pairs[key] = json.loads(value)
        except ValueError:
            pairs[key] = value
    return pairs


@click.group("connections")
def connections_group() -> None:
    """List connections, check their credentials, switch what they write, rotate webhook secrets."""


@connections_group.command("list")
@click.pass_obj
def list_command(settings: Settings) -> None:
    """List all connections as JSON (never a token or secret)."""
    installation = open_installation(settings)
    with installation.reading() as tx:
        connections = list_connections(tx, installation.tenant)
        states = {c.id: get_state(tx, installation.tenant, c.id) for c in connections}
    answer([_shown(installation, c, states[c.id]) for c in connections])


def _shown(installation: Installation, connection: Connection, state: Any) -> Mapping[str, Any]:
    return {
        "connection": connection.name,
        "connector": connection.connector,
        "mode": connection.mode,
        "base_url": connection.base_url,
        "email": connection.email,
        "webhook_url": installation.webhook_url(connection.public_id),
        "assignee": connection.assignee,
        "secrets": len(connection.sealed_secrets),
        "mapping": connection.mapping,
        "options": connection.options,
        "checked_at": instant_text(connection.checked_at),
        "proved": connection.facts.get("proved", []),
        "problems": connection.facts.get("problems", []),
        "last_delivery_at": instant_text(state.last_delivery_at),
        "refused": state.refused,
        "refused_at": instant_text(state.refused_at),
        "refused_reason": state.refused_reason,
        "paused_until": instant_text(state.paused_until),
        "paused_reason": state.paused_reason,
    }


@connections_group.command("check")
@click.argument("name")
@click.pass_obj
def check_command(settings: Settings, name: str) -> None:
    """Ask the helpdesk again whether the credentials of NAME work. Exit code 1 if they do not."""
    installation = open_installation(settings)
    with installation.reading() as tx:
        connection = find_connection(tx, installation.tenant, name)
    outside = installation.outside
    facts = outside.connector(connection.connector).check(outside.account(connection), outside.http)
    with installation.writing() as tx:
        record_check(tx, installation.tenant, connection, facts, installation.now(), actor())
    answer({"connection": name, "proved": list(facts.proved), "problems": list(facts.problems)})
    if facts.problems:
        raise ConfigurationError(f"{name}: {'; '.join(facts.problems)}")


def _mode_command(word: str, mode: str, meaning: str) -> click.Command:
    @click.command(word, help=meaning)
    @click.argument("name")
    @click.pass_obj
    def command(settings: Settings, name: str) -> None:
        installation = open_installation(settings)
        with installation.writing() as tx:
            connection, before = set_mode(tx, installation.tenant, name, mode, installation.now(), actor(), installation.outside)
        told: dict[str, Any] = {"connection": name, "mode": mode, "was": before}
        if mode == "live" and connection.checked_at is None:
            told["warning"] = f"its credentials were never proved: run `sla-plugin connections check {name!r}`"
        answer(told)

    return command


for _command in (
    _mode_command("live", "live", "Let NAME write to its helpdesk from now on. What was noted in dry-run is not sent."),
    _mode_command("dry-run", "dry_run", "Let NAME note what it would write, and write nothing."),
    _mode_command("observe", "observe", "Let NAME keep clocks only; nothing is planned."),
):
    connections_group.add_command(_command)


@connections_group.command("secret")
@click.argument("name")
@click.option("--add", "added", metavar="SECRET", help="Accept this secret too, e.g. the helpdesk's new one; `-` reads it from standard input.")
@click.option("--retire", "retired", metavar="FINGERPRINT", help="Stop accepting the secret with this fingerprint; `old` means all but the newest.")
@click.pass_obj
def secret_command(settings: Settings, name: str, added: str | None, retired: str | None) -> None:
    """Show which webhook secrets NAME accepts (fingerprints only), add one, retire one.

    To rotate: --add the new one, switch the helpdesk over, then --retire old. Two are valid at once.
    """
    installation = open_installation(settings)
    outside, tenant = installation.outside, installation.tenant
    if added is None and retired is None:
        with installation.reading() as tx:
            rows = shown_secrets(find_connection(tx, tenant, name), outside)
    else:
        added = _secret_text(added, None, "add")
        with installation.writing() as tx:
            if added is not None:
                rows = add_secret(tx, tenant, name, added, installation.now(), actor(), outside)
            if retired is not None:
                tx.expire_all()
                rows = retire_secret(tx, tenant, name, retired, installation.now(), actor(), outside)
    answer({"connection": name, "secrets": [{**row, "added_at": instant_text(row["added_at"])} for row in rows]})


COMMANDS = (connect_group, connections_group)
