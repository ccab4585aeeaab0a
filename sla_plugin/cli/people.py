"""Commands about people who sign in: `admin reset-password`."""

import click

from sla_plugin.cli.installation import actor, open_installation
from sla_plugin.services.passwords import hash_password, one_time_password
from sla_plugin.services.seed_tenant import ADMIN, reset_password
from sla_plugin.settings import Settings


@click.group("admin")
def admin_group() -> None:
    """Look after the people who sign in."""


@admin_group.command("reset-password")
@click.option("--email", default=ADMIN, show_default=True, help="Who lost the password.")
@click.pass_obj
def reset_command(settings: Settings, email: str) -> None:
    """Print a new one-time password; every session of that person ends. It must be replaced at the next sign-in."""
    installation = open_installation(settings)
    password = one_time_password()
    hashed = hash_password(password)
    with installation.writing() as tx:
        reset_password(tx, installation.tenant, email, hashed, installation.now(), actor())
    click.echo(f"Sign in as {email} with the one-time password {password}")


COMMANDS = (admin_group,)
