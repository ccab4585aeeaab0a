"""Commands that decide by hand about one ticket: extend, choose-policy; and strict mode, which refuses them."""

from collections.abc import Callable
from typing import Any

import click

from sla_plugin.cli.installation import actor, answer, open_installation
from sla_plugin.errors import ConfigurationError
from sla_plugin.services.choose_policy import choose_policy
from sla_plugin.services.explain_ticket import choose_ticket
from sla_plugin.services.extend_deadline import extend_deadline
from sla_plugin.services.record_override import Override
from sla_plugin.services.set_strict_mode import set_strict_mode
from sla_plugin.services.withdraw_extension import withdraw_extension
from sla_plugin.settings import Settings
from sla_plugin.store.tenants import is_strict, tenant_name

_reason = click.option("--reason", required=True, help="Why; it stays with the ticket.")
_connection = click.option("--connection", metavar="NAME", help="Whose ticket, where several connections have one of that id.")


def _decide(settings: Settings, ticket: str, connection: str | None, service: Callable[..., Override], **asked: Any) -> None:
    """Commit what the service decided, then say it; a refusal by strict mode is committed, too, and ends in an error."""
    installation = open_installation(settings)
    with installation.writing() as tx:
        found, _ = choose_ticket(tx, installation.tenant, ticket, connection)
        done = service(tx, installation.tenant, found, **asked, now=installation.now(), actor=actor(), outside=installation.outside)
    if done.refused:
        raise ConfigurationError(f"strict mode refuses exceptions: nothing has changed for ticket {ticket}; the attempt is on record")
    answer({"ticket": found.external_id, "event": done.event})


@click.command("extend")
@click.argument("ticket")
@click.option("--metric", help="Whose deadline: resolution, first_response ...")
@click.option("--by", metavar="DURATION", help="How much more, such as 30m or 2h; business time where the target counts that.")
@click.option("--take-back", metavar="EVENT", help="Instead: take back this extension (`sla-plugin explain` names its event).")
@_reason
@_connection
@click.pass_obj
def extend_command(settings: Settings, ticket: str, metric: str | None, by: str | None, take_back: str | None, reason: str, connection: str | None) -> None:
    """Extend the deadline of a running clock of TICKET (its id in the helpdesk), or take an extension back."""
    if take_back is not None and (metric is not None or by is not None):
        raise click.UsageError("--take-back stands alone, without --metric and --by")
    if take_back is not None:
        _decide(settings, ticket, connection, withdraw_extension, extension=take_back, reason=reason)
    elif metric is None or by is None:
        raise click.UsageError("say --metric and --by")
    else:
        _decide(settings, ticket, connection, extend_deadline, metric=metric, by=by, reason=reason)


@click.command("choose-policy")
@click.argument("ticket")
@click.argument("policy", required=False)
@click.option("--by-conditions", is_flag=True, help="Instead of naming one: leave it to the conditions again.")
@_reason
@_connection
@click.pass_obj
def choose_command(settings: Settings, ticket: str, policy: str | None, by_conditions: bool, reason: str, connection: str | None) -> None:
    """Put TICKET under POLICY, whatever the conditions say."""
    if (policy is None) is not by_conditions:
        raise click.UsageError("name a policy, or say --by-conditions")
    _decide(settings, ticket, connection, choose_policy, policy=policy, reason=reason)


@click.command("strict")
@click.argument("mode", type=click.Choice(["on", "off"]), required=False)
@click.option("--confirm", metavar="TENANT", help="To turn it on: the tenant's name.")
@click.pass_obj
def strict_command(settings: Settings, mode: str | None, confirm: str | None) -> None:
    """Say whether strict mode is on, or turn it on or off. While it is on, no policy and no deadline is overridden by hand; attempts are recorded."""
    installation = open_installation(settings)
    if mode is None:
        with installation.reading() as tx:
            answer({"strict": is_strict(tx, installation.tenant)})
        return
    with installation.writing() as tx:
        name = tenant_name(tx, installation.tenant)
        if mode == "on" and confirm != name:
            raise ConfigurationError(f"strict mode ends all exceptions for everybody: confirm with --confirm '{name}'")
        changed = set_strict_mode(tx, installation.tenant, mode == "on", installation.now(), actor())
    answer({"strict": mode == "on", "changed": changed})


COMMANDS = (extend_command, choose_command, strict_command)
