"""The command line: `sla-plugin …`. One module per group of commands, listed here; exit codes: 0 done, 1 failed, 2 wrong usage, 3 already running."""

import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import click

from sla_plugin.cli import (
    backups,
    calendars,
    connections,
    exports,
    history,
    keys,
    mail,
    overrides,
    people,
    personal_data,
    policies,
    processes,
    sign_in,
    tenants,
    tickets,
)
from sla_plugin.errors import ConnectorError, SlaPluginError
from sla_plugin.logs import set_up_logging
from sla_plugin.settings import Settings
from sla_plugin.supervisor.up import AlreadyRunning

# Each module has `COMMANDS`, a sequence of click commands. A command that needs settings takes them with `@click.pass_obj`.
MODULES: Sequence[ModuleType] = (
    processes,
    connections,
    policies,
    calendars,
    tickets,
    overrides,
    exports,
    history,
    people,
    personal_data,
    keys,
    sign_in,
    tenants,
    mail,
    backups,
)

FAILED, ALREADY_RUNNING = 1, 3


class Commands(click.Group):
    """A group that reports what the product itself reports as one line, with an exit code that means something."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; SlaPluginError ends it with `error: …` on stderr."""
        try:
            return super().invoke(ctx)
        except AlreadyRunning as problem:
            click.echo(f"error: {problem}", err=True)
            ctx.exit(ALREADY_RUNNING)
        except SlaPluginError as problem:
            click.echo(f"error: {_described(problem)}", err=True)
            ctx.exit(FAILED)


def _described(problem: SlaPluginError) -> str:
    if isinstance(problem, ConnectorError):
        facts = [problem.connection, problem.operation, f"HTTP {problem.status}" if problem.status else ""]
        named = ", ".join(fact for fact in facts if fact)
        return f"{problem} ({named})" if named else str(problem)
    return str(problem)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--tenant", metavar="NAME", help="The tenant that the command works on (else SLA_TENANT, else the only one there is).")
@click.pass_context
def main(context: click.Context, tenant: str | None) -> None:
    """SLA plugin for the helpdesk you already have.

    Settings come from environment variables; `sla-plugin settings` lists them.
    Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage, 3 already running.
    """
    if {"-h", "--help"} & set(sys.argv):
        return  # help must not fail on a wrong setting
    context.obj = Settings.from_env(os.environ if tenant is None else {**os.environ, "SLA_TENANT": tenant})
    set_up_logging(context.obj.log_level, context.obj.log_format)


for module in MODULES:
    for command in module.COMMANDS:
        main.add_command(command)
