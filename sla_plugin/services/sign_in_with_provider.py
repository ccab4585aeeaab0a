"""Who of the tenant's people it is that a sign-in service vouches for.

The first time a person is found by a verified mail address and bound to the service's own name for them; from then on that name alone counts.
"""

from sla_plugin.errors import InvalidDefinition, SignInRefused
from sla_plugin.language import marked
from sla_plugin.services.ask_provider import Claimed
from sla_plugin.services.people import check_email
from sla_plugin.services.sign_in_settings import Provider, provider_of
from sla_plugin.services.tenant_settings import read_settings
from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction
from sla_plugin.store.identities import add_identity, find_identity, identities_of, note_identity, remove_identity
from sla_plugin.store.people import Person, add_person, find_person, get_person, set_password
from sla_plugin.store.tenant_settings import stored_settings

DISABLED = marked("Your account here is disabled. Ask an admin to let you in again.")


def provider_in_use(tx: Transaction, tenant: int) -> Provider | None:
    """The tenant's sign-in service; None where it has none, or there is no such tenant."""
    if stored_settings(tx, tenant).get("sign_in_on") != "yes":
        return None
    return provider_of(read_settings(tx, tenant, "sign_in"))


def passwords_open(tx: Transaction, tenant: int) -> bool:
    """Whether passwords let people of the tenant in."""
    provider = provider_in_use(tx, tenant)
    return provider is None or provider.passwords


def admit(tx: Transaction, tenant: int, provider: Provider, claimed: Claimed, nobodys_hash: str, now: int) -> Person:
    """The person, bound now if that is the first time, made if the tenant has it so. `nobodys_hash` is of a password that nobody knows.

    Raises SignInRefused: disabled, no_email, unverified, domain, unknown, bound (to another account of the service). Raises IntegrityError where another
    sign-in of the same person was quicker: try once more.
    """
    known = find_identity(tx, tenant, claimed.issuer, claimed.subject)
    if known is not None:
        identity, person = known
        # another mail address over there changes nothing here: the service's own name counts
        note_identity(tx, tenant, identity.id, claimed.email, now)
        return _let_in(tx, person, nobodys_hash)
    email = _first_email(provider, claimed)
    person_or_none = find_person(tx, tenant, email)
    if person_or_none is None:
        if provider.new_role is None:
            raise SignInRefused(marked("%(name)s knows you, but nobody here does. Ask an admin to invite you."), reason="unknown", name=provider.name)
        made = _make(tx, tenant, email, claimed, provider.new_role, nobodys_hash, now)
        append_audit(
            tx,
            tenant,
            now,
            f"{made.name} <{email}>",
            "person made at sign-in",
            {"person": email, "issuer": claimed.issuer, "subject": claimed.subject, "before": None, "after": {"name": made.name, "role": made.role}},
        )
        return made
    person = person_or_none
    if person.disabled_at is not None:
        raise SignInRefused(DISABLED, reason="disabled")
    if any(one.issuer == claimed.issuer for one in identities_of(tx, tenant, person.id)):
        # an address that was given to somebody else over there must not open the account of who had it before
        raise SignInRefused(
            marked("Your mail address belongs here to another account of %(name)s. Ask an admin to unbind that one."), reason="bound", name=provider.name
        )
    add_identity(tx, tenant, person.id, claimed.issuer, claimed.subject, email, now)
    person = _let_in(tx, person, nobodys_hash)
    append_audit(tx, tenant, now, f"{person.name} <{email}>", "identity bound", {"person": email, "issuer": claimed.issuer, "subject": claimed.subject})
    return person


def unbind(tx: Transaction, tenant: int, person: Person, identity: int, now: int, actor: str) -> None:
    """Forget who a person is at a sign-in service; their next sign-in there binds anew. Raises InvalidDefinition (field `identity`): not theirs."""
    found = remove_identity(tx, tenant, person.id, identity)
    if found is None:
        raise InvalidDefinition("identity", "there is no such account of the sign-in service")
    append_audit(tx, tenant, now, actor, "identity unbound", {"person": person.email, "issuer": found.issuer, "subject": found.subject})


def _first_email(provider: Provider, claimed: Claimed) -> str:
    """The address by which somebody is known the first time."""
    if not claimed.told_email:
        raise SignInRefused(
            marked("%(name)s did not tell your mail address, by which you would be known here. Tell an admin."),
            reason="no_email",
            operator="neither id token nor userinfo has the claim email",
            name=provider.name,
        )
    if claimed.email is None:
        raise SignInRefused(
            marked("%(name)s has not verified your mail address. Verify it there, then try again."),
            reason="unverified",
            operator="the claim email_verified is not true",
            name=provider.name,
        )
    try:
        check_email(claimed.email)
    except InvalidDefinition:
        raise SignInRefused(marked("%(name)s tells a mail address that is none."), reason="no_email", name=provider.name) from None
    if provider.domains and claimed.email.rpartition("@")[2] not in provider.domains:
        raise SignInRefused(marked("Addresses such as yours are not let in here. Ask an admin."), reason="domain")
    return claimed.email


def _make(tx: Transaction, tenant: int, email: str, claimed: Claimed, role: str, nobodys_hash: str, now: int) -> Person:
    person = add_person(tx, tenant, email, claimed.name or email.partition("@")[0], role, nobodys_hash, now, one_time=False)
    add_identity(tx, tenant, person, claimed.issuer, claimed.subject, email, now)
    return _there(tx, tenant, person)


def _let_in(tx: Transaction, person: Person, nobodys_hash: str) -> Person:
    """The person, unless disabled. A one-time password that nobody used ends here: who came in another way is not asked for it."""
    if person.disabled_at is not None:
        raise SignInRefused(DISABLED, reason="disabled")
    if person.one_time:
        set_password(tx, person.tenant_id, person.id, nobodys_hash, one_time=False)
        tx.expire(person)
        return _there(tx, person.tenant_id, person.id)
    return person


def _there(tx: Transaction, tenant: int, person: int) -> Person:
    found = get_person(tx, tenant, person)
    assert found is not None
    return found
