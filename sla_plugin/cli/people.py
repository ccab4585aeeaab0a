"""Commands about who may come in, and who did what: `admin reset-password`, `tokens ...`, `audit verify`, `audit head`."""

import click

from sla_plugin.cli.installation import actor, answer, open_installation
from sla_plugin.errors import ConfigurationError
from sla_plugin.reports.audit_trail import verify_audit
from sla_plugin.reports.export_rows import instant_text
from sla_plugin.services.passwords import hash_password, one_time_password
from sla_plugin.services.seed_tenant import ADMIN, reset_password
from sla_plugin.services.tokens import make_token, revoke_token
from sla_plugin.settings import Settings
from sla_plugin.store.audit import audit_head
from sla_plugin.store.credentials import list_tokens
from sla_plugin.store.people import find_person


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


@click.group("tokens")
def tokens_group() -> None:
    """API tokens: what programs prove themselves with."""


@tokens_group.command("make")
@click.argument("name")
@click.option("--email", default=ADMIN, show_default=True, help="The person that the token acts for.")
@click.option("--scope", "scopes", multiple=True, required=True, help="A permission, such as tickets.read; may be said several times.")
@click.option("--days", type=int, help="Days until it expires; without, it lasts until it is revoked.")
@click.pass_obj
def make_token_command(settings: Settings, name: str, email: str, scopes: tuple[str, ...], days: int | None) -> None:
    """Make a token and print it, this once."""
    installation = open_installation(settings)
    with installation.writing() as tx:
        person = find_person(tx, installation.tenant, email)
        if person is None:
            raise ConfigurationError(f"nobody signs in as {email}")
        made = make_token(tx, person, name, scopes, days, installation.now(), actor())
    click.echo(made.secret)


@tokens_group.command("list")
@click.pass_obj
def list_tokens_command(settings: Settings) -> None:
    """List the tokens as JSON; no secret is in it."""
    installation = open_installation(settings)
    with installation.reading() as tx:
        shown = ("name", "scopes", "made_by")
        instants = ("made_at", "expires_at", "used_at", "revoked_at")
        rows = [
            {"id": str(t.id), **{key: getattr(t, key) for key in shown}, **{key: instant_text(getattr(t, key)) for key in instants}}
            for t in list_tokens(tx, installation.tenant)
        ]
    answer(rows)


@tokens_group.command("revoke")
@click.argument("token", type=int)
@click.pass_obj
def revoke_token_command(settings: Settings, token: int) -> None:
    """Revoke the token with this id: the next request with it is refused."""
    installation = open_installation(settings)
    with installation.writing() as tx:
        found = revoke_token(tx, installation.tenant, token, installation.now(), actor())
    if found is None:
        raise ConfigurationError(f"there is no token {token}; `sla-plugin tokens list` names them")
    click.echo(f"{found.name} is revoked")


@click.group("audit")
def audit_group() -> None:
    """The audit trail: is it whole?"""


@audit_group.command("verify")
@click.option("--anchor", metavar="NUMBER:HASH", help="A head noted earlier (`audit head`): the trail must still hold it.")
@click.pass_obj
def verify_command(settings: Settings, anchor: str | None) -> None:
    """Follow the chain from its first entry to its head; exit code 1 names the first entry that does not fit."""
    installation = open_installation(settings)
    with installation.reading() as tx:
        verdict = verify_audit(tx, installation.tenant, anchor)
    if verdict.problem:
        raise ConfigurationError(f"the audit trail is broken at entry {verdict.number}: {verdict.problem}")
    click.echo(f"whole: {verdict.number} entries, {verdict.erased} of them with erased content")


@audit_group.command("head")
@click.pass_obj
def head_command(settings: Settings) -> None:
    """Print the head of the chain as NUMBER:HASH, to be kept where nobody who writes this database can reach."""
    installation = open_installation(settings)
    with installation.reading() as tx:
        number, chain = audit_head(tx, installation.tenant)
    click.echo(f"{number}:{chain}")


COMMANDS = (admin_group, tokens_group, audit_group)
