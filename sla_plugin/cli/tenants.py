"""Commands about tenants and their brands: `tenants add`, `tenants list`, `entities add`, `entities list`, `entities assign`."""

import click

from sla_plugin.app import build
from sla_plugin.cli.installation import actor, answer, open_installation
from sla_plugin.errors import ConfigurationError
from sla_plugin.services.manage_entities import assign_entity, make_entity
from sla_plugin.services.seed_tenant import found_tenant
from sla_plugin.settings import Settings
from sla_plugin.store import schema
from sla_plugin.store.connections import list_connections
from sla_plugin.store.duties import Duty
from sla_plugin.store.entities import list_entities
from sla_plugin.store.tenants import list_tenants


@click.group("tenants")
def tenants_group() -> None:
    """The companies that share this installation. Nobody in one sees anything of another."""


@tenants_group.command("add")
@click.argument("name")
@click.option("--admin", required=True, metavar="EMAIL", help="The mail address of the tenant's first admin.")
@click.option("--zone", default="UTC", show_default=True, help="Time zone of the tenant and of its first calendar.")
@click.pass_obj
def add_command(settings: Settings, name: str, admin: str, zone: str) -> None:
    """Make a tenant with an admin, an example calendar and the default policy; prints the admin's one-time password."""
    runtime = build(settings)
    schema.demand(runtime.database.engine)
    with runtime.database.transaction(Duty.TENANTS) as tx:
        made = found_tenant(tx, name, admin, runtime.clock(), actor(), zone)
    click.echo(f"{name} is made. Sign in as {made.email} with the one-time password {made.password}")


@tenants_group.command("list")
@click.pass_obj
def list_command(settings: Settings) -> None:
    """List the tenants as JSON: id and name."""
    runtime = build(settings)
    schema.demand(runtime.database.engine)
    with runtime.database.reading(Duty.TENANTS) as tx:
        answer([{"id": str(tenant), "name": name} for tenant, name in list_tenants(tx)])


@click.group("entities")
def entities_group() -> None:
    """The brands of a tenant. A connection may serve one."""


@entities_group.command("add")
@click.argument("name")
@click.pass_obj
def add_entity_command(settings: Settings, name: str) -> None:
    """Make a brand."""
    installation = open_installation(settings)
    with installation.writing() as tx:
        make_entity(tx, installation.tenant, name, installation.now(), actor())
    click.echo(f"{name} is made")


@entities_group.command("list")
@click.pass_obj
def list_entities_command(settings: Settings) -> None:
    """List the brands with their connections as JSON."""
    installation = open_installation(settings)
    with installation.reading() as tx:
        connections = list_connections(tx, installation.tenant)
        found = [{"name": e.name, "connections": [c.name for c in connections if c.entity_id == e.id]} for e in list_entities(tx, installation.tenant)]
    answer(found)


@entities_group.command("assign")
@click.argument("connection")
@click.argument("name", required=False)
@click.option("--none", "nobody", is_flag=True, help="The connection serves no brand any more.")
@click.pass_obj
def assign_command(settings: Settings, connection: str, name: str | None, nobody: bool) -> None:
    """Say which brand a connection serves."""
    if (name is None) != nobody:
        raise ConfigurationError("name the brand, or say --none")
    installation = open_installation(settings)
    with installation.writing() as tx:
        assign_entity(tx, installation.tenant, connection, name, installation.now(), actor())
    click.echo(f"{connection} serves {name or 'no brand'}")


COMMANDS = (tenants_group, entities_group)
