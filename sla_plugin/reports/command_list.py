"""The list of commands, what was and will be written to helpdesks: the newest first."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, cast

from sqlalchemy import Table, select

from sla_plugin.reports.lists import PAGE, Branch, Count, Filter, Key, Listing, Page, count_rows, read_page
from sla_plugin.store.db import Transaction
from sla_plugin.store.outbox import COMMAND_STATES, CallRow, CommandRow

COMMANDS = cast(Table, CommandRow.__table__)
LISTING = Listing(
    "commands",
    COMMANDS,
    {
        "state": Filter("state", "ix_command_state", COMMAND_STATES),
        "connection": Filter("connection_id", "ix_command_connection"),
    },
    {"-created": True, "created": False},
)


class Listed(NamedTuple):
    """A command with the call that carried it last, if any."""

    CommandRow: Any
    CallRow: Any


def list_commands(
    tx: Transaction,
    tenant: int,
    *,
    filters: Mapping[str, str] | None = None,
    promise: int | None = None,
    sort: str = "-created",
    after: Key | None = None,
    limit: int = PAGE,
) -> Page:
    """Commands (of a promise, if given), rows are Listed."""
    branches = _branches(tenant, filters or {})
    if promise is not None:
        branches = [[*branch, COMMANDS.c.promise_id == promise] for branch in branches]
    page = read_page(tx, tuple(COMMANDS.c), branches, (COMMANDS.c.id,), descending=LISTING.descending(sort), after=after, limit=limit)
    wanted = [row.call_id for row in page.rows if row.call_id is not None]
    calls = {call.id: call for call in tx.scalars(select(CallRow).where(CallRow.tenant_id == tenant, CallRow.id.in_(wanted)))}
    return Page([Listed(row, calls.get(row.call_id)) for row in page.rows], page.after, page.looked)


def count_commands(tx: Transaction, tenant: int, connection: int | None = None, states: Collection[str] = COMMAND_STATES) -> dict[str, Count]:
    """How many commands are in each state."""
    of = {} if connection is None else {"connection": str(connection)}
    return count_rows(tx, COMMANDS, {state: _branches(tenant, {**of, "state": state}) for state in states})


def _branches(tenant: int, filters: Mapping[str, str]) -> list[Branch]:
    """Commands of a connection are merged from its states, whose index has the state before the id."""
    asked = LISTING.offered(filters)
    state, given = asked.get("state", ""), asked.get("connection", "")
    if (state and state not in COMMAND_STATES) or (given and not (given.isascii() and given.isdigit() and len(given) < 20)):
        return []
    mine = [COMMANDS.c.tenant_id == tenant]
    if given:
        of = [*mine, COMMANDS.c.connection_id == int(given)]
        return [[*of, COMMANDS.c.state == one] for one in ([state] if state else COMMAND_STATES)]
    return [[*mine, COMMANDS.c.state == state]] if state else [mine]
