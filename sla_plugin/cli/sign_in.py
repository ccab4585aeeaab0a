"""Commands about the tenant's sign-in service: `sign-in show`, `sign-in check`, `sign-in off`, `sign-in unbind`. They work while nobody can sign in."""

import click

from sla_plugin.cli.installation import actor, answer, open_installation
from sla_plugin.errors import ConfigurationError
from sla_plugin.reports.export_rows import instant_text
from sla_plugin.services.check_provider import ask_issuer, note_provider
from sla_plugin.services.sign_in_with_provider import provider_in_use, unbind
from sla_plugin.services.tenant_settings import ROWS, change_settings, typed_settings
from sla_plugin.settings import Settings
from sla_plugin.store.identities import bound_people, identities_of, provider_check
from sla_plugin.store.people import find_person
from sla_plugin.web.admin.provider_sign_in import redirect_uri


@click.group("sign-in")
def sign_in_group() -> None:
    """The tenant's sign-in service (OpenID Connect): how it is set, whether it answers, and off with it where it is broken."""


@sign_in_group.command("show")
@click.pass_obj
def show_command(settings: Settings) -> None:
    """Print the settings of signing in as JSON, the address to register, and how the service was when it was last asked; no secret is in it."""
    installation = open_installation(settings)
    with installation.reading() as tx:
        texts = typed_settings(tx, installation.tenant)
        check = provider_check(tx, installation.tenant)
        bound = [person.email for person in bound_people(tx, installation.tenant, texts["sign_in_issuer"])]
    shown = {name: ("set" if text else "") if ROWS[name].kind == "secret" else text for name, text in texts.items() if ROWS[name].section in ("sign_in", "jwt")}
    state = {"checked_at": instant_text(check.checked_at), "problem": check.problem} if check is not None else None
    answer({**shown, "redirect_uri": redirect_uri(installation.settings.public_url, installation.tenant), "check": state, "bound": bound})


@sign_in_group.command("check")
@click.pass_obj
def check_command(settings: Settings) -> None:
    """Ask the service now; exit code 1 and what is wrong where people could not sign in through it."""
    installation = open_installation(settings)
    with installation.reading() as tx:
        provider = provider_in_use(tx, installation.tenant)
    if provider is None:
        raise ConfigurationError("no sign-in service is in use; it is turned on on the Settings page")
    problem = ask_issuer(provider.issuer, installation.outside, installation.now())
    with installation.writing() as tx:
        note_provider(tx, installation.tenant, problem, installation.now())
    if problem is not None:
        raise ConfigurationError(f"{provider.issuer}: {problem}")
    click.echo(f"{provider.issuer} is well")


@sign_in_group.command("off")
@click.pass_obj
def off_command(settings: Settings) -> None:
    """Turn the sign-in service off: the login page asks for passwords again. What was set stays, so that it can be turned on again on the Settings page."""
    installation = open_installation(settings)
    with installation.writing() as tx:
        changed = change_settings(tx, installation.tenant, {"sign_in_on": "no"}, installation.now(), actor(), installation.outside.sealer)
    click.echo("off: passwords let people in; `sla-plugin admin reset-password --email E` makes one for who has none" if changed else "it was off already")


@sign_in_group.command("unbind")
@click.argument("email")
@click.pass_obj
def unbind_command(settings: Settings, email: str) -> None:
    """Forget who a person is at the service; their next sign-in binds anew by the mail address."""
    installation = open_installation(settings)
    with installation.writing() as tx:
        person = find_person(tx, installation.tenant, email)
        if person is None:
            raise ConfigurationError(f"nobody signs in as {email}")
        found = identities_of(tx, installation.tenant, person.id)
        for identity in found:
            unbind(tx, installation.tenant, person, identity.id, installation.now(), actor())
    click.echo(f"{email} is bound to nothing any more" if found else f"{email} was bound to nothing")


COMMANDS = (sign_in_group,)
