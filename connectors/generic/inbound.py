"""Generic deliveries to events: our own format, so nothing is guessed."""

import hashlib
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError

from connectors.bodies import explain, read_object, shown, unreadable
from connectors.compiled import Compiled
from connectors.generic.schemas import MOST_EVENTS, EventBody, check_whole
from sla_plugin.engine.events import Event
from sla_plugin.ports import InboundRequest, Parsed

_KINDS = {  # where the name differs from ours
    "contract.created": "contract.changed",
    "contract.updated": "contract.changed",
    "contract.ended": "contract.changed",
    "customer.updated": "customer.changed",
    "plan.changed": "customer.changed",
}
_IDS = ("assignee", "group", "requester", "organization")  # numbers become texts, as everywhere
_BODY = Compiled(EventBody(), check=check_whole)


def delivery_key(request: InboundRequest) -> str:
    """The webhook-id, else sha256 of the body (hex)."""
    given = request.headers.get("webhook-id", "").strip()
    return given if 0 < len(given) <= 255 else hashlib.sha256(request.body).hexdigest()


def parse(request: InboundRequest, options: Mapping[str, Any]) -> Parsed:
    """See `Connector.parse`. One wrong event makes the whole delivery unreadable: half of it would be a silent loss."""
    body = read_object(request.body, "generic")
    if "events" not in body:
        return Parsed(events=[_event(body, "")])
    told = body["events"]
    if not isinstance(told, list):
        raise unreadable("generic", f"events must be a list (found {shown(told)})")
    if len(told) > MOST_EVENTS:
        raise unreadable("generic", f"events holds {len(told)} events; at most {MOST_EVENTS} fit in one delivery")
    if not told:
        return Parsed(ignored="events is empty")
    return Parsed(events=[_event(one, f"events[{number}]") for number, one in enumerate(told)])


def _event(body: Any, place: str) -> Event:
    if not isinstance(body, dict):
        raise unreadable("generic", f"{place or 'the body'} must be an object (found {shown(body)})")
    try:
        told = _BODY.load(body)
    except ValidationError as problem:
        raise unreadable("generic", explain(problem, body, place)) from None
    kind, actor = told["type"], told["actor"] or {"id": None, "role": "unknown"}
    changes = {field: _tidy(field, change) for field, change in told.get("changes", {}).items()}
    values = {field: _id_text(field, value) for field, value in told.get("values", {}).items()}
    facts: dict[str, Any] = {"values": values | {field: change["to"] for field, change in changes.items()}}
    if len(changes) == 1 and not values:
        ((field, change),) = changes.items()
        facts |= {"field": field, "before": change.get("from"), "after": change["to"]}
    elif kind == "rating.given":
        facts |= {"field": "rating", "after": values["rating"]}
    elif kind == "plan.changed":
        facts |= {"field": "plan", "before": changes.get("plan", {}).get("from"), "after": facts["values"]["plan"]}
    elif kind == "ticket.merged":
        facts |= {"field": "merged_into", "after": facts["values"].get("merged_into")}
    if kind.startswith("contract."):
        facts |= {"field": "contract", "before": None, "after": kind.removeprefix("contract.")}
    return Event(
        key=told["id"],
        kind=_KINDS.get(kind, kind),
        ticket=told["ticket"],
        customer=told["customer"],
        at=told["occurred_at"],
        sequence=told["sequence"],
        actor_id=actor["id"],
        actor_role=actor["role"],
        public={"reply.public": True, "note.internal": False}.get(kind),
        comment_id=told["comment_id"],
        history=told["history"],
        history_end=told["history_end"] or kind == "history.ended",
        **facts,
    )


def _tidy(field: str, change: Mapping[str, Any]) -> dict[str, Any]:
    return {side: _id_text(field, change[side]) for side in ("from", "to") if side in change}


def _id_text(field: str, value: Any) -> Any:
    return str(value) if field in _IDS and isinstance(value, int) and not isinstance(value, bool) else value
