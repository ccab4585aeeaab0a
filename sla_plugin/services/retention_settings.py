"""For how long a tenant keeps what: the rows of services/tenant_settings.py. Compliance records and daily figures are kept for ever."""

from collections.abc import Callable, Mapping

from sla_plugin.language import marked
from sla_plugin.services.setting_kinds import TenantSetting, Unfit


def days_or_ever(least: int) -> Callable[[str], int | None]:
    """A parser of days for which something is kept; empty is for ever (None)."""

    def parse(typed: str) -> int | None:
        if not typed:
            return None
        if not typed.isascii() or not typed.isdigit() or not least <= int(typed[:9]) <= 36500:
            raise Unfit(marked("Write a whole number of days (at least 1, for deliveries and what was sent 7), or leave it empty."))
        return int(typed)

    return parse


def _keep(kind: str, label: str, said: str, default: str = "", least: int = 1) -> TenantSetting:
    return TenantSetting(f"keep_{kind}", "retention", label, said, default, days_or_ever(least), "number")


RETENTION_ROWS = (
    _keep("bodies", marked("Raw webhooks, days"), marked("Without the raw body a delivery cannot be replayed. Empty: as long as the installation keeps them.")),
    _keep(
        "deliveries",
        marked("Deliveries, days"),
        marked("The rows of the Deliveries page. What they became stays; the way back to them does not. Empty: for ever."),
        least=7,
    ),
    _keep(
        "texts",
        marked("Texts of finished tickets, days after the end"),
        marked(
            "Subjects, descriptions, notes. Clocks, ledgers and records stay as they are; a condition that read a text is shown as erased. Empty: for ever."
        ),
    ),
    _keep(
        "tickets",
        marked("Names of finished tickets, days after the end"),
        marked("Requester, assignee, labels and custom fields on the ticket's page, and its texts. What a ledger needs stays in its history. Empty: for ever."),
    ),
    _keep("commands", marked("Sent write-backs, days"), marked("What was written to helpdesks about finished tickets. Empty: for ever."), least=7),
    _keep("sessions", marked("Ended sessions and used links, days"), marked("From where somebody was signed in, and when. Empty: for ever."), "90"),
    _keep("reads", marked("Who looked at what, days"), marked("The list of reads of personal data. Empty: for ever."), "365"),
    _keep(
        "audit",
        marked("Content of the audit trail, days"),
        marked("Who did what and when stays, and the chain with it; what it was before and after goes. Empty: for ever."),
    ),
)
RETENTION: Mapping[str, str] = {row.name: row.name.removeprefix("keep_") for row in RETENTION_ROWS}  # setting -> kind
