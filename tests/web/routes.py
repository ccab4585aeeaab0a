"""Every route of the product with the ids of a tenant filled in: what tests walk, so that a new page is tested by being there."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flask import Flask
from werkzeug.routing import Rule

from sla_plugin.web.access import PUBLIC
from tests.web.world import World

PEOPLE: Mapping[str, str] = {"admin": "kim@example.com", "auditor": "ula@example.com", "agent": "ana@example.com", "customer": "carl@example.com"}
# argument of a route -> the table whose id it is; a new argument must be named here
TABLE_OF = {
    "ticket_id": "ticket",
    "alert": "alert",
    "policy_id": "policy",
    "calendar_id": "calendar",
    "connection_id": "connection",
    "delivery_id": "delivery",
    "person_id": "person",
    "token_id": "token",
}
WORDS = {"kind": "generic", "connector": "generic", "filename": "app.css", "template": "gold", "section": "tenant"}


@dataclass(frozen=True)
class Route:
    """A path with a method; `argued` where it names an id of a tenant."""

    endpoint: str
    method: str
    path: str
    argued: bool


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
