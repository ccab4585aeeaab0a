"""Every route of the product with the ids of a tenant filled in: what tests walk, so that a new page is tested by being there."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from sla_plugin.web.access import PUBLIC
from tests.web.world import World

PEOPLE: Mapping[str, str] = {"admin": "kim@example.com", "auditor": "ula@example.com", "agent": "ana@example.com", "customer": "carl@example.com"}
# argument of a route -> the table whose id it is; a new argument must be named here
TABLE_OF = {
    "ticket_id": "ticket",
    "alert": "alert",
    "alert_id": "alert",
    "action_id": "command",
    "policy_id": "policy",
    "calendar_id": "calendar",
    "connection_id": "connection",
    "delivery_id": "delivery",
    "person_id": "person",
    "token_id": "token",
}
WORDS = {"kind": "generic", "connector": "generic", "filename": "app.css", "section": "tenant", "template": "gold"}
# endpoint of the API -> a body that it takes, so that what is refused is the id and not the body; each that takes an id and a body must be named here
BODIES: Mapping[str, Mapping[str, Any]] = {
    "api_people.change_a_person": {"role": "agent"},
    "api_policies.replace_policy": {"name": "Gold", "targets": {"resolution": "1h"}},
    "api_policies.change_policy": {"position": 3},
    "api_tickets.ask_to_escalate": {"reason": "it cannot wait"},
    "api_portal.ask_to_escalate_own_ticket": {"reason": "it cannot wait"},
    "api_exceptions.extend_a_deadline": {"metric": "resolution", "by": "1h", "reason": "asked for"},
    "api_exceptions.take_an_extension_back": {"event": "hand:1", "reason": "asked for"},
    "api_exceptions.choose_a_policy": {"policy": "Everyone", "reason": "asked for"},
    "api_alerts.acknowledge": {"note": "on it"},
    "api_connections.add_a_secret": {},
    "api_connections.change_a_connection": {"mode": "observe"},
    "api_connections.retire_a_secret": {"fingerprint": "old"},
    "api_calendars.replace_calendar": {"name": "Berlin office", "time_zone": "UTC", "hours": "24x7"},
    "api_calendars.change_calendar": {"time_zone": "UTC"},
}


@dataclass(frozen=True)
class Route:
    """A path with a method; `argued` where it names an id of a tenant."""

    endpoint: str
    method: str
    path: str
    argued: bool

    @property
    def is_api(self) -> bool:
        """Whether programs use it, with a token, and not browsers."""
        return self.endpoint.startswith("api_")


def private_rules(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Rules that somebody must be signed in for, by method."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint not in PUBLIC:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield rule, method


def routes(app: Flask, world: World) -> list[Route]:
    """Every private route with ids of the world's tenant."""
    ids = {argument: first_id(world, table) for argument, table in TABLE_OF.items()}
    found = []
    for rule, method in private_rules(app):
        values = {name: ids[name] if name in ids else WORDS[name] for name in rule.arguments} | ({"kind": "csv"} if rule.endpoint == "audit.export" else {})
        path = re.sub(r"<(?:[^:>]+:)?(\w+)>", lambda match, values=values: str(values[match[1]]), rule.rule)  # type: ignore[misc]
        found.append(Route(rule.endpoint, method, path, any(name in ids for name in rule.arguments)))
    return found


def first_id(world: World, table: str) -> int:
    """The smallest id of a table in the world's tenant; 1 where it has none."""
    rows = [row["id"] for row in world.rows(table)]
    return min(rows, default=1)
