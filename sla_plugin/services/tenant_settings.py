"""What a tenant may decide for itself: one table that drives the Settings page, the API and the check of what is typed.

A new setting is a row here and a reader somewhere; its section of the page shows it by itself.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import available_timezones

from sla_plugin.language import LANGUAGES, marked
from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction
from sla_plugin.store.mails import forget_mail_check, note_mail_check
from sla_plugin.store.sealing import Sealer
from sla_plugin.store.tenant_settings import store_settings, stored_settings
from sla_plugin.store.tenants import Tenant, change_tenant, get_tenant

WEEKDAYS = {"mon": marked("Monday"), "sat": marked("Saturday"), "sun": marked("Sunday")}
SECTIONS = {"tenant": marked("Tenant"), "mail": marked("Mail")}  # key of the page -> its heading, in the order of the page
SECURITIES = {
    "starttls": marked("STARTTLS (usual on port 587)"),
    "tls": marked("TLS from the start (usual on port 465)"),
    "none": marked("None: only a server in your own network"),
}
_OF_TENANT = ("name", "time_zone")  # kept in the tenant's own row


class Unfit(ValueError):
    """A value that a setting refuses; the message is a sentence for the person who typed it."""


class Disagree(Unfit):
    """Settings of which each is right alone, and which cannot be together: `errors` is name -> sentence."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(errors.values()))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class TenantSetting:
    """One row.

    name      stable, snake_case; the field of the form and of the API
    section   key of SECTIONS
    label     how the page calls it; `help` one sentence below it
    default   as one would type it
    parse     typed text -> value; raises Unfit
    kind      how the form asks: text, number, switch (yes or no), choice (of `choices`), lines, secret (never shown, stored sealed)
    choices   value -> label, where kind is choice
    """

    name: str
    section: str
    label: str
    help: str
    default: str
    parse: Callable[[str], Any]
    kind: str = "text"
    choices: Mapping[str, str] | None = None


def _name(typed: str) -> str:
    if not 0 < len(typed) <= 200:
        raise Unfit(marked("Give the tenant a name of at most 200 characters."))
    return typed


def _zone(typed: str) -> str:
    if typed not in available_timezones():
        raise Unfit(marked("This is no time zone we know; write one such as Europe/Berlin."))
    return typed


def one_of(words: Mapping[str, str]) -> Callable[[str], str]:
    """A parser of a choice."""

    def parse(typed: str) -> str:
        if typed not in words:
            raise Unfit(marked("Choose one of the values offered."))
        return typed

    return parse


def yes_or_no(typed: str) -> bool:
    """A parser of a switch."""
    if typed not in ("yes", "no"):
        raise Unfit(marked("Say yes or no."))
    return typed == "yes"


def _mail_host(typed: str) -> str:
    if typed and not re.fullmatch(r"[\w.-]{1,253}|[0-9a-fA-F:.]{2,45}", typed):
        raise Unfit(marked("Write the name of the server alone, such as smtp.example.com."))
    return typed


def _port(typed: str) -> int:
    if not typed.isascii() or not typed.isdigit() or not 0 < int(typed) < 65536:
        raise Unfit(marked("A port is a number from 1 to 65535; mail servers have 587, 465, 25 or 2525."))
    return int(typed)


def _mail_address(typed: str) -> str:
    if typed and not re.fullmatch(r"[^@\s<>\"(),:;]{1,64}@[\w-]+(\.[\w-]+)*", typed):
        raise Unfit(marked("This is no mail address; write one such as help@example.com."))
    return typed


def one_line(most: int) -> Callable[[str], str]:
    """A parser of a text of one line."""

    def parse(typed: str) -> str:
        if len(typed) > most or not typed.isprintable():
            raise Unfit(marked("Use one line without control characters, and not a very long one."))
        return typed

    return parse


TENANT_SETTINGS = (
    TenantSetting("name", "tenant", marked("Name"), marked("How this tenant is called on pages and in mails."), "", _name),
    TenantSetting(
        "time_zone",
        "tenant",
        marked("Time zone"),
        marked("Of reports and mails, and of pages where a browser says nothing. Calendars have their own."),
        "UTC",
        _zone,
    ),
    TenantSetting(
        "language", "tenant", marked("Language"), marked("Of mails to people who have not chosen one."), "en", one_of(LANGUAGES), "choice", LANGUAGES
    ),
    TenantSetting("week_start", "tenant", marked("Week begins on"), marked("In calendars and reports."), "mon", one_of(WEEKDAYS), "choice", WEEKDAYS),
    TenantSetting("live_updates", "tenant", marked("Live updates"), marked("Pages refresh their figures by themselves."), "yes", yes_or_no, "switch"),
    TenantSetting(
        "mail_host",
        "mail",
        marked("Mail server"),
        marked("The server that takes mail from you (SMTP), such as smtp.example.com. Empty: no mail is sent, and links are shown to you instead."),
        "",
        _mail_host,
    ),
    TenantSetting("mail_port", "mail", marked("Port"), marked("587 with STARTTLS, 465 with TLS from the start, 25 for a relay."), "587", _port, "number"),
    TenantSetting(
        "mail_security",
        "mail",
        marked("Security"),
        marked("Without TLS, mail leaves only for a server in your own network, and a password never leaves this machine."),
        "starttls",
        one_of(SECURITIES),
        "choice",
        SECURITIES,
    ),
    TenantSetting("mail_user", "mail", marked("User"), marked("Empty, if the server asks for none."), "", one_line(200)),
    TenantSetting("mail_password", "mail", marked("Password"), marked("Often one made for this use only (app password)."), "", one_line(500), "secret"),
    TenantSetting("mail_sender", "mail", marked("Sender's address"), marked("The server must allow it to this user."), "", _mail_address),
    TenantSetting("mail_sender_name", "mail", marked("Sender's name"), marked("Empty: the name of the tenant."), "", one_line(100)),
)
ROWS: Mapping[str, TenantSetting] = {row.name: row for row in TENANT_SETTINGS}


def _texts(tenant: Tenant, stored: Mapping[str, str]) -> dict[str, str]:
    """Every setting as one would type it; secrets as they are stored."""
    texts = {row.name: stored.get(row.name, row.default) for row in TENANT_SETTINGS}
    return {**texts, "name": tenant.name, "time_zone": tenant.time_zone}


def read_settings(tx: Transaction, tenant: int) -> dict[str, Any]:
    """The value of every setting by name; of a secret its sealed form ("" for none)."""
    texts = typed_settings(tx, tenant)
    return {name: text if ROWS[name].kind == "secret" else ROWS[name].parse(text) for name, text in texts.items()}


def typed_settings(tx: Transaction, tenant: int) -> dict[str, str]:
    """Every setting as one would type it, for a form; of a secret its sealed form ("" for none)."""
    return _texts(get_tenant(tx, tenant), stored_settings(tx, tenant))


def check_settings(typed: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with typed settings: name -> sentence. An unknown name is wrong, too."""
    errors = {}
    for name, text in typed.items():
        try:
            if name not in ROWS:
                raise Unfit(marked("There is no such setting."))
            ROWS[name].parse(text.strip())
        except Unfit as problem:
            errors[name] = str(problem)
    return errors


def change_settings(tx: Transaction, tenant: int, typed: Mapping[str, str], now: int, actor: str, sealer: Sealer) -> list[str]:
    """Change the settings that are typed, the others stay; returns the names of those that are different now.

    An empty secret stays as it is, `-` clears it. `typed` has passed `check_settings`; raises Unfit where it has not, Disagree where the settings as they
    would be then cannot be together.
    """
    row = get_tenant(tx, tenant)
    stored = stored_settings(tx, tenant)
    texts = _texts(row, stored)
    keep: dict[str, str | None] = {}
    of_tenant: dict[str, str] = {}
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name, told in typed.items():
        setting, text = ROWS[name], told.strip()
        if setting.kind == "secret":
            if text:
                setting.parse("" if text == "-" else text)
                keep[name] = None if text == "-" else sealer.seal(text)
                before[name], after[name] = ("set" if stored.get(name) else "none"), ("none" if text == "-" else "set anew")
            continue
        setting.parse(text)
        if text == texts[name]:
            continue
        before[name], after[name] = texts[name], text
        if name in _OF_TENANT:
            of_tenant[name] = text
        else:
            keep[name] = None if text == setting.default else text
    if not after:
        return []
    would_be = {**texts, **{name: text or "" for name, text in keep.items() if ROWS[name].kind == "secret"}}
    would_be |= {name: typed[name].strip() for name in after if ROWS[name].kind != "secret"}
    errors = _mail_errors(would_be, after)
    if errors:
        raise Disagree(errors)
    if of_tenant:
        change_tenant(tx, tenant, **of_tenant)
    store_settings(tx, tenant, keep)
    if any(name.startswith("mail_") for name in after):
        note_mail_check(tx, tenant, 0) if would_be["mail_host"] else forget_mail_check(tx, tenant)
    append_audit(tx, tenant, now, actor, "settings changed", {"before": before, "after": after})
    return list(after)


def _mail_errors(texts: Mapping[str, str], changed: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with the mail settings together (secrets: "" for none)."""
    errors: dict[str, str] = {}
    if not texts["mail_host"]:
        return errors
    if not texts["mail_sender"]:
        errors["mail_sender"] = marked("Say from which address mail is sent.")
    if texts["mail_password"] and not texts["mail_user"]:
        errors["mail_user"] = marked("A password is stored: say whose it is, or remove it with -.")
    if texts["mail_user"] and not texts["mail_password"]:
        errors["mail_password"] = marked("Type the password of this user, or empty the user.")
    elif texts["mail_password"] and "mail_password" not in changed and {"mail_host", "mail_user"} & set(changed):
        # or whoever may change settings could have the password sent to a server of theirs
        errors["mail_password"] = marked("Type the password again: the one stored was for another server or user.")
    return errors
