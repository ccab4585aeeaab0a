"""Commands about mail: `mail test`, `mail list`."""

import click

from sla_plugin.cli.installation import actor, answer, open_installation
from sla_plugin.errors import ConfigurationError
from sla_plugin.reports.export_rows import instant_text
from sla_plugin.reports.mail_words import explained, lines_of
from sla_plugin.services import prove_mail
from sla_plugin.services.people import check_email
from sla_plugin.settings import Settings
from sla_plugin.store.mails import MAIL_STATES, list_mails, mail_check
from sla_plugin.store.people import find_person

MOST = 1000  # mails that are listed


@click.group("mail")
def mail_group() -> None:
    """Mail of the tenant: does it leave, and what became of it. The server is set up on the Settings page."""


@mail_group.command("test")
@click.argument("address")
@click.pass_obj
def test_command(settings: Settings, address: str) -> None:
    """Send a test mail to ADDRESS now and tell every step; exit code 1 if the server did not take it."""
    check_email(address)
    installation = open_installation(settings)
    tenant, outside = installation.tenant, installation.outside
    with installation.reading() as tx:
        person = find_person(tx, tenant, address)
        told, check = prove_mail.settings_to_prove(tx, tenant, outside), mail_check(tx, tenant)
    name, language = (person.name, person.language) if person is not None else ("", None)
    tried = prove_mail.send_test(told, address, name, language, installation.now(), outside)
    with installation.writing() as tx:
        seen = check.checked_at if check is not None else None
        prove_mail.note_proof(tx, tenant, tried, seen, installation.now(), actor(), always=check is not None)
    lines = lines_of(tried)
    for line in lines if tried.problem is None else lines[:-1]:
        click.echo(line.text)
    if tried.problem is not None:
        raise ConfigurationError(lines[-1].text)


@mail_group.command("list")
@click.option("--state", type=click.Choice(MAIL_STATES), help="Only mails in this state.")
@click.pass_obj
def list_command(settings: Settings, state: str | None) -> None:
    """List mails as JSON, the newest first: to whom, what became of them. No link and no text is in it."""
    installation = open_installation(settings)
    with installation.reading() as tx:
        rows = [
            {
                "id": str(mail.id),
                "kind": mail.kind,
                "person": str(mail.person_id) if mail.person_id else None,
                "to": mail.address or email,
                "state": mail.state,
                "tries": mail.attempts,
                "created_at": instant_text(mail.created_at),
                "settled_at": instant_text(mail.settled_at),
                "problem": explained(mail.problem, mail.status, mail.said) if mail.problem else None,
            }
            for mail, email in list_mails(tx, installation.tenant, state, MOST)
        ]
    answer(rows)


COMMANDS = (mail_group,)
