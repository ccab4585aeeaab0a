"""`sla-plugin person`: what is held about somebody, erasing them, and letting an erased name come back."""

import click

from sla_plugin.cli.installation import Installation, actor, answer, answering, open_installation
from sla_plugin.errors import ConfigurationError, InvalidDefinition
from sla_plugin.jobs.erasing import erase_step
from sla_plugin.services.erase_person import begin_erasure, plan_erasure
from sla_plugin.services.gather_person import personal_data
from sla_plugin.services.somebody import Somebody, find_somebody
from sla_plugin.services.tombstones import forget
from sla_plugin.settings import Settings
from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction
from sla_plugin.store.erasures import get_erasure
from sla_plugin.store.personal_reads import note_reads

_CONNECTION = click.option("--connection", default="", metavar="NAME", help="WHO is a name or number that this connection's helpdesk has for the person.")


@click.group("person")
def person_group() -> None:
    """Somebody's data. WHO is a mail address, or with --connection what a helpdesk calls them."""


def _find(installation: Installation, tx: Transaction, who: str, connection: str) -> Somebody:
    try:
        if connection:
            return find_somebody(tx, installation.tenant, connection=connection, name=who)
        return find_somebody(tx, installation.tenant, address=who)
    except InvalidDefinition as problem:
        raise ConfigurationError(problem.problem) from None


@person_group.command("plan")
@click.argument("who")
@_CONNECTION
@click.pass_obj
def plan_command(settings: Settings, who: str, connection: str) -> None:
    """Say as JSON in how many rows of which table somebody is, or may be, named. Looks through everything."""
    installation = open_installation(settings)
    with installation.reading() as tx:
        answer(plan_erasure(tx, installation.tenant, _find(installation, tx, who, connection)))


@person_group.command("export")
@click.argument("who")
@_CONNECTION
@click.pass_obj
def export_command(settings: Settings, who: str, connection: str) -> None:
    """Write everything that is held about somebody to standard output: one JSON document, streamed. The audit trail knows that it was made."""
    installation = open_installation(settings)
    now = installation.now()
    with installation.writing() as tx:
        somebody = _find(installation, tx, who, connection)
        thing = str(somebody.person) if somebody.person is not None else somebody.shown
        note_reads(tx, installation.tenant, [(actor(), "export", thing, [now])])
        told = {"person": thing} if somebody.person is not None else {"address": thing}
        append_audit(tx, installation.tenant, now, actor(), "personal data exported", told)
    for piece in personal_data(installation.reading, installation.tenant, somebody, now):
        click.echo(piece, nl=False)


@person_group.command("erase")
@click.argument("who")
@_CONNECTION
@click.option("--confirm", default="", metavar="WHO", help="WHO once more: nobody can undo this.")
@click.pass_obj
def erase_command(settings: Settings, who: str, connection: str, confirm: str) -> None:
    """Erase somebody: their names become a pseudonym in every table, figures and the audit chain stay. Ended half-way, the timekeeper goes on."""
    installation = open_installation(settings)
    runtime, tenant = installation.runtime, installation.tenant
    with installation.writing() as tx:
        somebody = _find(installation, tx, who, connection)
        if confirm.strip().casefold() != somebody.shown.casefold():
            raise ConfigurationError(f"say --confirm {somebody.shown} to erase them; `sla-plugin person plan` shows what that touches")
        try:
            erasure, pseudonym = begin_erasure(tx, tenant, somebody, installation.now(), actor(), None, installation.outside.sealer)
        except InvalidDefinition as problem:
            raise ConfigurationError(problem.problem) from None
    with answering():
        while erase_step(runtime.database, tenant, erasure, installation.outside, runtime.clock):
            pass
    with installation.reading() as tx:
        row = get_erasure(tx, tenant, erasure)
        answer({"pseudonym": pseudonym, "changed": row.counts if row is not None else {}})


@person_group.command("lift")
@click.argument("who")
@_CONNECTION
@click.pass_obj
def lift_command(settings: Settings, who: str, connection: str) -> None:
    """Keep an erased name as it comes from now on: somebody is a customer again. What was erased stays erased."""
    installation = open_installation(settings)
    with installation.writing() as tx:
        known = forget(tx, installation.tenant, _find(installation, tx, who, connection), installation.outside.sealer)
        if not known:
            raise ConfigurationError("nobody of that name was erased")
        append_audit(tx, installation.tenant, installation.now(), actor(), "erased name lifted", {"before": {"known": known}, "after": {"known": 0}})
    click.echo("what comes under that name is kept again")


COMMANDS = (person_group,)
