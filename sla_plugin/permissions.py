"""Who may do what: the one table. Pages and the API ask it, docs/security.md prints it, scopes of tokens are its names."""

from collections.abc import Mapping
from dataclasses import dataclass

from sla_plugin.language import marked

ROLES: Mapping[str, str] = {
    marked("customer"): marked("sees their own tickets and may ask to escalate them"),
    marked("agent"): marked("works on tickets and alerts, reads what was promised"),
    marked("admin"): marked("may do everything, people and connections included"),
    marked("auditor"): marked("reads everything, changes nothing"),
}


@dataclass(frozen=True, slots=True)
class Permission:
    """What it allows, in words, and the roles that have it."""

    help: str
    roles: frozenset[str]


def _row(help: str, *roles: str) -> Permission:
    return Permission(help, frozenset(roles))


# name -> row; the word before the dot is the noun: whoever has any permission of a noun may know that its pages exist
PERMISSIONS: Mapping[str, Permission] = {
    "account.use": _row("own page: password, sessions, zone, theme", "customer", "agent", "admin", "auditor"),
    "portal.read": _row("own tickets, with what was promised", "customer"),
    "portal.escalate": _row("ask to escalate an own ticket", "customer"),
    "overview.read": _row("the Overview", "agent", "admin", "auditor"),
    "tickets.read": _row("every ticket of the tenant, with its clocks", "agent", "admin", "auditor"),
    "tickets.escalate": _row("ask to escalate any ticket", "agent", "admin"),
    "tickets.override": _row("extend a deadline, choose a policy by hand, with a reason", "agent", "admin"),
    "alerts.read": _row("alerts", "agent", "admin", "auditor"),
    "alerts.acknowledge": _row("take an alert", "agent", "admin"),
    "policies.read": _row("policies and their versions", "agent", "admin", "auditor"),
    "policies.write": _row("make and change policies", "admin"),
    "calendars.read": _row("calendars and their versions", "agent", "admin", "auditor"),
    "calendars.write": _row("make and change calendars", "admin"),
    "connections.read": _row("connections and their health", "admin", "auditor"),
    "connections.write": _row("make and change connections, their secrets and mode", "admin"),
    "deliveries.read": _row("deliveries and what became of them", "admin", "auditor"),
    "deliveries.bodies": _row("the raw body of a delivery", "admin"),
    "deliveries.replay": _row("put deliveries back into the inbox", "admin"),
    "outbox.read": _row("what was and will be written to helpdesks", "admin", "auditor"),
    "outbox.retry": _row("try failed write-backs again", "admin"),
    "people.read": _row("who may sign in, and their sessions", "admin", "auditor"),
    "people.write": _row("invite people, change roles, disable, end sessions", "admin"),
    "tokens.read": _row("API tokens: names, scopes, last use", "admin", "auditor"),
    "tokens.write": _row("make and revoke API tokens", "admin"),
    "audit.read": _row("the audit trail, its search and export", "admin", "auditor"),
    "privacy.read": _row("who was erased, and how far an erasure is", "admin", "auditor"),
    "privacy.export": _row("everything that is held about somebody, as a file", "admin"),
    "privacy.erase": _row("erase somebody for good", "admin"),
    "settings.read": _row("the tenant's settings", "admin", "auditor"),
    "settings.write": _row("change the tenant's settings", "admin"),
    "health.read": _row("how the parts of the machine are", "admin", "auditor"),
}


def allowed(role: str) -> frozenset[str]:
    """The permissions of a role; an unknown role has none."""
    return frozenset(name for name, row in PERMISSIONS.items() if role in row.roles)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, however they proved it (session or token): the tenant they are in, and what they may do there.

    name         as the audit trail names them
    permissions  those of the role, or what a token's scopes leave of them
    """

    tenant: int
    person: int
    name: str
    role: str
    permissions: frozenset[str]

    def may(self, permission: str) -> bool:
        """Is it allowed? A name that is not in the table is a mistake of ours: KeyError."""
        PERMISSIONS[permission]
        return permission in self.permissions

    def knows(self, permission: str) -> bool:
        """May they know that this exists? Yes, if they hold any permission of the same noun."""
        noun = permission.partition(".")[0]
        return any(held.partition(".")[0] == noun for held in self.permissions)


def permissions_markdown() -> str:
    """The table of docs/security.md."""
    lines = [f"| permission | what | {' | '.join(ROLES)} |", "|---|---|" + "---|" * len(ROLES)]
    for name, row in PERMISSIONS.items():
        lines.append(f"| `{name}` | {row.help} | {' | '.join('yes' if role in row.roles else '' for role in ROLES)} |")
    return "\n".join(lines) + "\n"
