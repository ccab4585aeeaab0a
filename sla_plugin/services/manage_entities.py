"""Brands of a tenant, and which one a connection serves."""

from sla_plugin.errors import ConfigurationError, InvalidDefinition
from sla_plugin.services.change_connection import find_connection
from sla_plugin.store.audit import append_audit
from sla_plugin.store.connections import change_connection
from sla_plugin.store.db import Transaction
from sla_plugin.store.entities import add_entity, find_entity, list_entities


def make_entity(tx: Transaction, tenant: int, name: str, now: int, actor: str) -> int:
    """A new brand; returns its id. Raises InvalidDefinition for a name that cannot be, or is taken."""
    name = name.strip()
    if not 0 < len(name) <= 200:
        raise InvalidDefinition("name", "give the brand a name of at most 200 characters")
    if find_entity(tx, tenant, name) is not None:
        raise InvalidDefinition("name", f"there is a brand {name!r} already")
    entity = add_entity(tx, tenant, name, now)
    append_audit(tx, tenant, now, actor, "entity made", {"entity": name, "before": None, "after": {"name": name}})
    return entity


def assign_entity(tx: Transaction, tenant: int, connection: str, name: str | None, now: int, actor: str) -> None:
    """Let a connection serve a brand (None: no brand). Raises ConfigurationError for a brand or a connection that is not there."""
    found = find_connection(tx, tenant, connection)
    entities = {entity.id: entity.name for entity in list_entities(tx, tenant)}
    chosen = next((entity for entity, known in entities.items() if known == name), None)
    if name is not None and chosen is None:
        there = f"there are {', '.join(entities.values())}" if entities else "`sla-plugin entities add` makes one"
        raise ConfigurationError(f"there is no brand {name!r}; {there}")
    before = entities.get(found.entity_id or 0)
    if before == name:
        return
    if not change_connection(tx, tenant, found.id, found.version, {"entity_id": chosen}):
        raise ConfigurationError(f"somebody else changed the connection {connection!r} meanwhile: look at it and try again")
    append_audit(tx, tenant, now, actor, "entity assigned", {"connection": connection, "before": {"entity": before}, "after": {"entity": name}})
