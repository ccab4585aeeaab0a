"""How a tenant sends mail, out of what it typed on the Settings page."""

from dataclasses import dataclass

from sla_plugin.ports import MailServer
from sla_plugin.services.tenant_settings import read_settings
from sla_plugin.store.db import Transaction
from sla_plugin.store.sealing import Sealer


@dataclass(frozen=True, slots=True)
class MailSettings:
    """The server, whose mails they are (`sender_name` is never empty), and the language of people who have chosen none."""

    server: MailServer
    sender: str
    sender_name: str
    tenant: str
    time_zone: str
    language: str


def mail_settings(tx: Transaction, tenant: int, sealer: Sealer) -> MailSettings | None:
    """How the tenant sends mail; None where it does not. Raises ConfigurationError when no key opens the password."""
    told = read_settings(tx, tenant)
    if not told["mail_host"]:
        return None
    server = MailServer(told["mail_host"], told["mail_port"], told["mail_security"], told["mail_user"], sealer.open(told["mail_password"]))
    return MailSettings(server, told["mail_sender"], told["mail_sender_name"] or told["name"], told["name"], told["time_zone"], told["language"])
