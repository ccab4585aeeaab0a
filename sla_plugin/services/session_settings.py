"""How long somebody stays signed in without doing anything: the row of services/tenant_settings.py, and its reader."""

from collections.abc import Sequence

from sla_plugin.language import marked
from sla_plugin.services.setting_kinds import TenantSetting, one_of
from sla_plugin.store.credentials import Session, sessions_of
from sla_plugin.store.db import Transaction
from sla_plugin.store.tenant_settings import stored_settings

IDLE = {
    "15": marked("15 minutes"),
    "30": marked("30 minutes"),
    "60": marked("an hour"),
    "240": marked("4 hours"),
    "720": marked("12 hours, as long as a session lasts"),
}
DEFAULT = "60"  # NIST SP 800-63B-4 (AAL2): an hour at most
_MINUTE = 60_000_000  # microseconds
COARSE = 5 * _MINUTE  # between two notes of a session's use; so long may it lie idle beyond its limit
SESSION_ROWS = (
    TenantSetting(
        "idle_minutes",
        "sessions",
        marked("Sign out after nothing was done for"),
        marked("A page that refreshes itself does not count, so choose 12 hours where a screen on the wall shows the Overview."),
        DEFAULT,
        one_of(IDLE),
        "choice",
        IDLE,
    ),
)


def idle_since(tx: Transaction, tenant: int, now: int) -> int:
    """The instant after which a session of the tenant must have been used to be open now."""
    return now - int(stored_settings(tx, tenant).get("idle_minutes", DEFAULT)) * _MINUTE - COARSE


def open_sessions(tx: Transaction, tenant: int, person: int, now: int) -> Sequence[Session]:
    """The sessions of a person that are neither ended nor idle, the last used first."""
    since = idle_since(tx, tenant, now)
    return [session for session in sessions_of(tx, tenant, person, now) if session.seen_at > since]
