"""What a tenant decides about signing in: its sign-in service for people (OpenID Connect), and whose JWTs programs may bear."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import marked
from sla_plugin.permissions import PERMISSIONS
from sla_plugin.services.connect_helpdesk import check_base_url
from sla_plugin.services.setting_kinds import TenantSetting, Unfit, one_of, yes_or_no
from sla_plugin.store.db import Transaction
from sla_plugin.store.identities import bound_people, forget_check, keep_bearer_issuer, note_check

NEW_PEOPLE = {
    "nobody": marked("nobody: an admin invites people"),
    "customer": marked("as customers"),
    "agent": marked("as agents"),
    "auditor": marked("as auditors"),
}
JWT_ALGORITHMS = {"RS256": "RS256", "ES256": "ES256", "EdDSA": "EdDSA"}
_DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_CLAIM = re.compile(r"[A-Za-z0-9_.:/-]{1,200}")


@dataclass(frozen=True, slots=True)
class Provider:
    """A tenant's sign-in service.

    domains    of the mail addresses that are let in the first time; empty: any that is known here
    new_role   of people who are made at their first sign-in; None: nobody is
    passwords  whether passwords let people in, too
    """

    name: str
    issuer: str
    client: str
    sealed_secret: str
    domains: Sequence[str]
    new_role: str | None
    passwords: bool


@dataclass(frozen=True, slots=True)
class BearerRules:
    """Which JWTs programs may bear. `person` is the claim that names whom they act for (`sub`: as bound at a sign-in, else a mail address)."""

    issuer: str
    audience: str
    keys_url: str
    algorithm: str
    person: str
    scopes: str

    @property
    def algorithms(self) -> Sequence[str]:
        """As a token's header may name it: EdDSA is called by its curve since RFC 9864."""
        return ("EdDSA", "Ed25519") if self.algorithm == "EdDSA" else (self.algorithm,)


# --- parsers ---------------------------------------------------------------------------------------------------------
def _address(typed: str) -> str:
    """An address kept exactly as typed: an issuer is compared letter by letter."""
    try:
        if "?" in typed:
            raise InvalidDefinition("", "no query")
        check_base_url(typed, allow_private=True)  # whether it may be called is found out by calling
    except InvalidDefinition:
        raise Unfit(marked("Write the whole address, such as https://login.example.com/acme, without user, query and fragment.")) from None
    return typed


def _short(typed: str) -> str:
    if len(typed) > 200 or not typed.isprintable():
        raise Unfit(marked("Write at most 200 characters, in one line."))
    return typed


def _domains(typed: str) -> tuple[str, ...]:
    found = tuple(word.removeprefix("@").lower() for word in re.split(r"[\s,;]+", typed) if word)
    wrong = [word for word in found if not _DOMAIN.fullmatch(word)]
    if wrong:
        raise Unfit(marked("Write domains such as example.com, separated by commas."))
    return found


def _claim(typed: str) -> str:
    if not _CLAIM.fullmatch(typed):
        raise Unfit(marked("Write the name of a claim, such as email."))
    return typed


# --- rows ------------------------------------------------------------------------------------------------------------
SIGN_IN_ROWS = (
    TenantSetting(
        "sign_in_on", "sign_in", marked("People sign in through the service below"), marked("The login page has a button for it."), "no", yes_or_no, "switch"
    ),
    TenantSetting("sign_in_name", "sign_in", marked("Name"), marked("The button reads “Sign in with” and this."), "single sign-on", _short),
    TenantSetting(
        "sign_in_issuer",
        "sign_in",
        marked("Issuer"),
        marked("The address of the service as it writes it itself: https://accounts.google.com, https://login.example.com/realms/acme."),
        "",
        _address,
    ),
    TenantSetting("sign_in_client", "sign_in", marked("Client id"), marked("Under which this product is registered there."), "", _short),
    TenantSetting("sign_in_secret", "sign_in", marked("Client secret"), marked("Kept sealed, shown to nobody."), "", _short, "secret"),
    TenantSetting(
        "sign_in_domains",
        "sign_in",
        marked("Mail domains"),
        marked("Whose addresses are let in the first time, separated by commas. Empty: every address that is known here."),
        "",
        _domains,
    ),
    TenantSetting(
        "sign_in_new",
        "sign_in",
        marked("People who are not known here"),
        marked("Whether they are made at their first sign-in, and as what. Nobody becomes an admin by signing in."),
        "nobody",
        one_of(NEW_PEOPLE),
        "choice",
        NEW_PEOPLE,
    ),
    TenantSetting(
        "sign_in_passwords",
        "sign_in",
        marked("Passwords open the door, too"),
        marked("Without, only the service does; one-time links and one-time passwords of the command line still let somebody in, once."),
        "yes",
        yes_or_no,
        "switch",
    ),
)
JWT_ROWS = (
    TenantSetting(
        "jwt_issuer",
        "jwt",
        marked("Issuer"),
        marked("Whose JWTs programs may bear instead of API tokens: the claim iss, letter by letter. Empty: nobody's."),
        "",
        _address,
    ),
    TenantSetting(
        "jwt_audience", "jwt", marked("Audience"), marked("The claim aud that such a JWT must have: one that is meant for this product only."), "", _short
    ),
    TenantSetting("jwt_keys", "jwt", marked("Address of the keys"), marked("The JWKS of the issuer: https://login.example.com/keys."), "", _address),
    TenantSetting("jwt_algorithm", "jwt", marked("Algorithm"), marked("No other is accepted."), "RS256", one_of(JWT_ALGORITHMS), "choice", JWT_ALGORITHMS),
    TenantSetting(
        "jwt_person",
        "jwt",
        marked("Claim of the person"),
        marked("Names for whom a program acts: a mail address known here; or sub, for people who have signed in through the same issuer."),
        "email",
        _claim,
    ),
    TenantSetting(
        "jwt_scopes",
        "jwt",
        marked("Claim of the scopes"),
        marked("Lists names of permissions, such as tickets.read; they never reach beyond the person's role."),
        "scope",
        _claim,
    ),
)


# --- reading ---------------------------------------------------------------------------------------------------------
def provider_of(values: Mapping[str, object]) -> Provider | None:
    """The sign-in service that the settings (values by name) say; None where it is off."""
    if not values["sign_in_on"]:
        return None
    name, issuer, client, secret = (str(values[f"sign_in_{one}"]) for one in ("name", "issuer", "client", "secret"))
    new = str(values["sign_in_new"])
    domains = values["sign_in_domains"]
    assert isinstance(domains, tuple)
    return Provider(name, issuer, client, secret, domains, None if new == "nobody" else new, bool(values["sign_in_passwords"]))


def bearer_rules(values: Mapping[str, object]) -> BearerRules | None:
    """The JWTs that the settings (values by name) let in; None where there are none."""
    found = BearerRules(*(str(values[f"jwt_{one}"]) for one in ("issuer", "audience", "keys", "algorithm", "person", "scopes")))
    return found if found.issuer else None


def granted(claims: Mapping[str, object], claim: str) -> frozenset[str]:
    """The permissions that a claim names: one text with blanks between, or a list. What is no permission of ours is passed over."""
    told = claims.get(claim)
    words = told.split() if isinstance(told, str) else told if isinstance(told, list) else []
    return frozenset(word for word in words if isinstance(word, str) and word in PERMISSIONS)


# --- what the sections need beyond their fields ----------------------------------------------------------------------
def sign_in_agrees(tx: Transaction, tenant: int, before: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """What does not fit together: field -> sentence."""
    if texts["sign_in_secret"] and before["sign_in_secret"] == texts["sign_in_secret"] and _registered(before) != _registered(texts):
        # or whoever may change settings could have the stored secret sent to a service of theirs
        return {"sign_in_secret": marked("Type the client secret again: the one stored is for another service or client id.")}
    if texts["sign_in_on"] != "yes":
        return {}
    errors = {
        name: said
        for name, said in (
            ("sign_in_name", marked("Say what the button should name.")),
            ("sign_in_issuer", marked("Write the address of the service.")),
            ("sign_in_client", marked("Write the client id that the service gave you.")),
            ("sign_in_secret", marked("Write the client secret that the service gave you.")),
        )
        if not texts[name]
    }
    if (texts["jwt_issuer"], texts["jwt_audience"]) == _registered(texts):
        errors["sign_in_client"] = marked("This is the audience of programs' JWTs; what proves a sign-in would open the API. Change that audience first.")
    if texts["sign_in_new"] != "nobody" and not texts["sign_in_domains"].strip():
        errors["sign_in_domains"] = marked("Name the domains of people who may be made; otherwise everybody with an account at the service could come in.")
    if texts["sign_in_passwords"] != "yes" and not any(person.role == "admin" for person in bound_people(tx, tenant, texts["sign_in_issuer"])):
        errors["sign_in_passwords"] = marked("Let an admin sign in through the service once before passwords are turned off, so that it is known to work.")
    return errors


def _registered(texts: Mapping[str, str]) -> tuple[str, str]:
    return texts["sign_in_issuer"], texts["sign_in_client"]


def keep_sign_in(tx: Transaction, tenant: int, texts: Mapping[str, str], now: int) -> None:
    """A service that is in use is looked after from now on."""
    if texts["sign_in_on"] == "yes":
        note_check(tx, tenant, None, now)
    else:
        forget_check(tx, tenant)


def jwt_agrees(tx: Transaction, tenant: int, before: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """What does not fit together: field -> sentence."""
    if not texts["jwt_issuer"]:
        return {}
    errors = {
        name: said
        for name, said in (
            ("jwt_audience", marked("Write the audience; without one, a JWT meant for another product would be accepted here.")),
            ("jwt_keys", marked("Write where the issuer publishes its keys.")),
        )
        if not texts[name]
    }
    if (texts["jwt_issuer"], texts["jwt_audience"]) == (texts["sign_in_issuer"], texts["sign_in_client"]) and texts["jwt_audience"]:
        errors["jwt_audience"] = marked("This is the client id of people's sign-ins; choose another audience, or what proves a sign-in would open the API.")
    return errors


def keep_jwt(tx: Transaction, tenant: int, texts: Mapping[str, str], now: int) -> None:
    """Note whose JWTs they are. Raises IntegrityError where another tenant has the pair."""
    keep_bearer_issuer(tx, tenant, texts["jwt_issuer"], texts["jwt_audience"])
