"""Commands that start processes and look at them: up, web, worker, timekeeper, migrate, status, settings."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import click

from sla_plugin.app import Runtime, build, create_app
from sla_plugin.settings import SETTINGS, Settings, settings_table_markdown
from sla_plugin.supervisor.health import check
from sla_plugin.supervisor.processes import WORKERS, open_listener, run_timekeeper, run_web, run_worker, upgrade_database
from sla_plugin.supervisor.up import up


@click.command("up")
@click.option("--end-with-parent", is_flag=True, help="End when the process that started this one dies (used by `make run`).")
@click.pass_obj
def up_command(settings: Settings, end_with_parent: bool) -> None:
    """Run everything on this machine: Redis if none is given, web, workers, timekeeper. Ctrl-C ends all of it.

    Prints the address, and at the very first start the admin's one-time password.
    """
    up(settings, end_with_parent=end_with_parent)


@click.command("web")
@click.pass_obj
def web_command(settings: Settings) -> None:
    """Run the web server alone (production: `gunicorn wsgi:app`)."""
    with open_listener(settings) as listener:
        runtime = _fit(settings)
        run_web(settings, create_app(settings, runtime), listener)


@click.command("worker")
@click.argument("queue", type=click.Choice(sorted(WORKERS)))
@click.pass_obj
def worker_command(settings: Settings, queue: str) -> None:
    """Run one worker: `inbox` applies what helpdesks sent, `outbox` writes back to them. Each queue needs at least one."""
    run_worker(settings, queue, _fit(settings))


@click.command("timekeeper")
@click.pass_obj
def timekeeper_command(settings: Settings) -> None:
    """Run the timekeeper: warnings and breaches at their instant. Several may run; it needs no Redis."""
    run_timekeeper(settings, _fit(settings))


def _fit(settings: Settings) -> Runtime:
    """A runtime whose database this version can serve. Raises ConfigurationError where it cannot."""
    runtime = build(settings)
    runtime.demand_schema()
    return runtime


@click.command("migrate")
@click.pass_obj
def migrate_command(settings: Settings) -> None:
    """Bring the database up to date. `up` does it by itself; elsewhere run it before starting a new version, while the old one serves.

    Two at once do no harm. A table that is in use is waited for in short tries, so that nobody waits long behind this.
    """
    upgrade_database(settings)
    message = build(settings).first_start_message()
    click.echo(message or "the database is up to date")


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help='Machine-readable: {part: {"pid", "healthy", "since", "detail"}}.')
@click.pass_context
def status_command(context: click.Context, as_json: bool) -> None:
    """Say how each part is: supervisor, web, inbox-worker, outbox-worker, timekeeper, redis, database; then the queues (inbox, time, outbox) and connections.

    Exit code 0 only if all are healthy. Run it with the same SLA_DATA_DIR as `up`.
    """
    parts = check(context.obj)
    if as_json:
        click.echo(json.dumps({name: asdict(health) for name, health in parts.items()}, indent=2))
    else:
        for name, health in parts.items():
            click.echo(
                f"{'ok ' if health.healthy else 'BAD'} {name:<16} {f'pid {health.pid}' if health.pid else '':<12} {health.since or '':<26} {health.detail}"
            )
    context.exit(0 if all(health.healthy for health in parts.values()) else 1)


@click.command("settings")
@click.option("--json", "as_json", is_flag=True, help="The values in force, keys and passwords hidden.")
@click.option("--markdown", is_flag=True, help="The table of the README.")
@click.pass_obj
def settings_command(settings: Settings, as_json: bool, markdown: bool) -> None:
    """List every setting: environment variable, value in force, meaning."""
    values = {field.name: _shown(field.name, getattr(settings, field.name)) for field in fields(settings)}
    if markdown:
        click.echo(settings_table_markdown(), nl=False)
    elif as_json:
        click.echo(json.dumps({row.name: values[row.attribute] for row in SETTINGS}, indent=2))
    else:
        for row in SETTINGS:
            click.echo(f"{row.name:<24} {values[row.attribute]}\n{'':<24} {row.help}")


def _shown(name: str, value: Any) -> Any:
    """A value fit for a terminal: no key, no password."""
    if name == "secret_keys":
        return f"{len(value)} given" if value else "in the key file"
    if name == "metrics_token":
        return "given" if value else ""
    if name == "metrics_networks":
        return ", ".join(map(str, value))
    if name in ("database_url", "redis_url"):
        scheme, _, rest = value.partition("://")
        user, at, place = rest.rpartition("@")
        return f"{scheme}://{user.partition(':')[0]}{':***' if ':' in user else ''}{at}{place}"
    return str(value) if isinstance(value, Path) else value


COMMANDS = (up_command, web_command, worker_command, timekeeper_command, migrate_command, status_command, settings_command)
