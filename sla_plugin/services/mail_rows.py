"""What a tenant decides about mail: the rows of services/tenant_settings.py, and what fits together among them."""

import re
from collections.abc import Callable, Mapping

from sla_plugin.language import marked
from sla_plugin.services.setting_kinds import TenantSetting, Unfit, one_of
from sla_plugin.store.db import Transaction
from sla_plugin.store.mails import forget_mail_check, note_mail_check

SECURITIES = {
    "starttls": marked("STARTTLS (usual on port 587)"),
    "tls": marked("TLS from the start (usual on port 465)"),
    "none": marked("None: only a server in your own network"),
}


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


MAIL_ROWS = (
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


def mail_agrees(tx: Transaction, tenant: int, before: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """What does not fit together: field -> sentence."""
    errors: dict[str, str] = {}
    if not texts["mail_host"]:
        return errors
    if not texts["mail_sender"]:
        errors["mail_sender"] = marked("Say from which address mail is sent.")
    if texts["mail_password"] and not texts["mail_user"]:
        errors["mail_user"] = marked("A password is stored: say whose it is, or remove it with -.")
    if texts["mail_user"] and not texts["mail_password"]:
        errors["mail_password"] = marked("Type the password of this user, or empty the user.")
    elif texts["mail_password"] and texts["mail_password"] == before["mail_password"] and any(texts[n] != before[n] for n in ("mail_host", "mail_user")):
        # or whoever may change settings could have the password sent to a server of theirs
        errors["mail_password"] = marked("Type the password again: the one stored was for another server or user.")
    return errors


def keep_mail(tx: Transaction, tenant: int, texts: Mapping[str, str], now: int) -> None:
    """New settings are to be proved."""
    if texts["mail_host"]:
        note_mail_check(tx, tenant, 0)
    else:
        forget_mail_check(tx, tenant)
