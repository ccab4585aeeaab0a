"""Bind the name that a helpdesk has for somebody to a person: the tickets asked for under it are theirs to see."""

from sla_plugin.errors import InvalidDefinition
from sla_plugin.store.audit import append_audit
from sla_plugin.store.connections import find_by_name
from sla_plugin.store.db import Transaction
from sla_plugin.store.people import Person
from sla_plugin.store.requesters import bind_requester, requesters_of, unbind_requester


def bind(tx: Transaction, tenant: int, person: Person, connection: str, external: str, now: int, actor: str) -> None:
    """Bind a connection's requester to a person. Raises InvalidDefinition (field connection or external): unknown, empty, or somebody's already."""
    found, external = find_by_name(tx, tenant, connection), external.strip()
    if found is None:
        raise InvalidDefinition("connection", "choose a connection")
    if not 0 < len(external) <= 200:
        raise InvalidDefinition("external", "write the name or number that the helpdesk has for the person")
    if bind_requester(tx, tenant, person.id, found.id, external) is None:
        raise InvalidDefinition("external", f"{external} of {connection} is bound already")
    after = {"connection": connection, "requester": external}
    append_audit(tx, tenant, now, actor, "requester bound", {"person": person.email, "before": None, "after": after})


def unbind(tx: Transaction, tenant: int, person: Person, requester: int, now: int, actor: str) -> None:
    """Take a binding of the person back; nothing if there is none."""
    if requester in [row.id for row in requesters_of(tx, tenant, person.id)]:
        was = unbind_requester(tx, tenant, requester)
        before = None if was is None else {"connection": str(was.connection_id), "requester": was.external_id}
        append_audit(tx, tenant, now, actor, "requester unbound", {"person": person.email, "before": before, "after": None})
