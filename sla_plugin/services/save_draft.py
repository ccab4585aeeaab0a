"""Drafts of policies, of calendars and of the order of policies: kept for each person until applied or discarded; nobody's is overwritten."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sla_plugin.engine.policies import Policy
from sla_plugin.errors import InvalidDefinition, Overtaken
from sla_plugin.services.apply_policy_file import PolicyFile, Stored, read_policy_file_data, read_stored
from sla_plugin.services.order_policies import positions_for
from sla_plugin.store.db import Transaction
from sla_plugin.store.drafts import DraftRow, delete_draft, find_draft, insert_draft, update_draft
from sla_plugin.store.ids import new_id
from sla_plugin.store.plans import forget_plans
from sla_plugin.store.policies import calendar_ids, calendar_versions, policy_ids, policy_versions

KINDS: Final = ("policy", "calendar", "order")
ORDER: Final = 0  # the object of a draft of the order


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes: the person, and their name as the audit trail has it."""

    person: int
    name: str


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest version of an object; number 0 and no definition: it does not exist yet."""

    number: int
    definition: Mapping[str, Any] | None
    made_by: str = ""
    at: int = 0


NONE_YET: Final = Newest(0, None)


def newest_version(tx: Transaction, tenant: int, kind: str, object_id: int) -> Newest:
    """The newest version of a policy or calendar; of the order what the positions say now: {"order": [names]}."""
    if kind == "order":
        versions = [v for _, v in policy_versions(tx, tenant)]
        last = max(versions, key=lambda v: v.revision, default=None)
        order = {"order": current_order(read_stored(tx, tenant))}
        return Newest(1, order, last.made_by, last.effective_at) if last is not None else Newest(0, order)
    rows = policy_versions(tx, tenant) if kind == "policy" else calendar_versions(tx, tenant)
    mine = [v for _, v in rows if (v.policy_id if kind == "policy" else v.calendar_id) == object_id]
    if not mine:
        return NONE_YET
    return Newest(mine[-1].version, mine[-1].definition, mine[-1].made_by, mine[-1].effective_at)


def current_order(stored: Stored) -> list[str]:
    """The names of the policies in the order in which they are tried; defaults and those that are not active are not in it."""
    policies = [Policy.from_definition(definition, name) for name, (_, definition) in stored.policies.items()]
    return [p.name for p in sorted(policies, key=lambda p: (p.position, p.name)) if p.active and not p.default]


def save_draft(
    tx: Transaction,
    tenant: int,
    kind: str,
    object_id: int | None,
    name: str,
    definition: Mapping[str, Any],
    *,
    base: int,
    seen: int,
    author: Author,
    now: int,
) -> DraftRow:
    """Write the author's draft of an object (None: one that does not exist yet and takes a new id).

    `base`: the version that the text was begun on. `seen`: the edition of the author's draft that it was written over; 0 = none. Raises Overtaken if they saved
    one meanwhile in another window. The definition is one that can work; whether it fits what is stored is looked at by the plan.
    """
    values = {"name": name, "base": base, "definition": dict(definition), "made_by": author.name, "saved_at": now}
    mine = find_draft(tx, tenant, kind, object_id, author.person) if object_id is not None else None
    if mine is None:
        subject = object_id if object_id is not None else new_id()
        made = insert_draft(tx, tenant, kind=kind, object_id=subject, person_id=author.person, edition=1, **values)
    else:
        made = mine.id
        if mine.edition != seen or not update_draft(tx, tenant, mine.id, seen, **values):
            raise Overtaken("this draft in another window", mine.made_by, mine.saved_at)
        forget_plans(tx, tenant, draft=mine.id)
    tx.expire_all()
    saved = tx.get(DraftRow, (tenant, made))
    assert saved is not None
    return saved


def rebase_draft(tx: Transaction, tenant: int, draft: DraftRow, now: int) -> None:
    """Put a draft on top of the newest version: its text stays, and applying it replaces what was saved meanwhile."""
    base = newest_version(tx, tenant, draft.kind, draft.object_id)
    definition = {**draft.definition, "was": (base.definition or {}).get("order", [])} if draft.kind == "order" else draft.definition
    update_draft(tx, tenant, draft.id, draft.edition, base=base.number, definition=definition, saved_at=now)
    forget_plans(tx, tenant, draft=draft.id)


def discard_draft(tx: Transaction, tenant: int, draft: DraftRow) -> None:
    """Forget a draft and what was worked out for it."""
    forget_plans(tx, tenant, draft=draft.id)
    delete_draft(tx, tenant, draft.id)


def overtaken_by(tx: Transaction, tenant: int, draft: DraftRow) -> Newest | None:
    """The version that somebody saved since the draft was begun; None if it stands on the newest one."""
    newest = newest_version(tx, tenant, draft.kind, draft.object_id)
    if draft.kind == "order":
        return newest if draft.definition.get("was") != (newest.definition or {}).get("order") else None
    return newest if newest.number != draft.base else None


def proposed_file(tx: Transaction, tenant: int, draft: DraftRow) -> PolicyFile:
    """What applying the draft would put in force. Raises InvalidDefinition if it cannot be, e.g. since its name was taken meanwhile."""
    stored = read_stored(tx, tenant)
    if draft.kind == "order":
        positions = positions_for(draft.definition["order"], {name: d for name, (_, d) in stored.policies.items()})
        return PolicyFile({}, {name: {**stored.policies[name][1], "position": position} for name, position in positions.items()})
    taken = (policy_ids if draft.kind == "policy" else calendar_ids)(tx, tenant).get(draft.name, draft.object_id)
    if taken != draft.object_id:
        raise InvalidDefinition("name", f"the name {draft.name!r} is taken meanwhile; choose another")
    if draft.kind == "policy":
        return read_policy_file_data({"policies": [draft.definition]})
    return read_policy_file_data({"calendars": {draft.name: draft.definition}})
