"""Zendesk deliveries to events: pure, tolerant of what Zendesk adds, strict for what we use.

Times are cut to microseconds, words stay verbatim, ids are texts. One action of a person arrives as several deliveries in any order.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import ValidationError

from connectors.bodies import explain, read_object, shown, unreadable
from connectors.compiled import Compiled
from connectors.instants import SECOND
from connectors.zendesk import schemas
from sla_plugin.engine.events import FIELDS, Event
from sla_plugin.ports import InboundRequest, Parsed

_PREFIX = "zen:event-type:"
_OPENING = 2 * SECOND  # a comment of the submitter this soon after creation is the text of the ticket, not a reply

# Zendesk's member of `detail` -> our field; ticket.created tells TOLD as values, every event shows SHOWN
_TOLD = {
    "status": "status",
    "priority": "priority",
    "type": "type",
    "tags": "tags",
    "assignee_id": "assignee",
    "group_id": "group",
    "requester_id": "requester",
    "organization_id": "organization",
    "subject": "subject",
    "created_at": "created_at",
}
_SHOWN = {**_TOLD, "custom_status": "custom_status", "brand_id": "brand"}

# ticket event -> (kind, field, how its `event` reads)
_CHANGES: Mapping[str, tuple[str, str, Compiled]] = {
    "status_changed": ("status.changed", "status", Compiled(schemas.StatusChanged())),
    "priority_changed": ("priority.changed", "priority", Compiled(schemas.WordChanged())),
    "type_changed": ("type.changed", "type", Compiled(schemas.WordChanged())),
    "subject_changed": ("subject.changed", "subject", Compiled(schemas.WordChanged())),
    "agent_assignment_changed": ("assignee.changed", "assignee", Compiled(schemas.IdChanged())),
    "group_assignment_changed": ("group.changed", "group", Compiled(schemas.IdChanged())),
    "requester_changed": ("requester.changed", "requester", Compiled(schemas.IdChanged())),
    "organization_changed": ("organization.changed", "organization", Compiled(schemas.IdChanged())),
    "custom_status_changed": ("field.changed", "custom_status", Compiled(schemas.IdChanged())),
    "brand_changed": ("field.changed", "brand", Compiled(schemas.IdChanged())),
    "form_changed": ("field.changed", "form", Compiled(schemas.IdChanged())),
    "problem_link_changed": ("field.changed", "link", Compiled(schemas.IdChanged())),
}
_WHOLE = {"soft_deleted": "ticket.deleted", "permanently_deleted": "ticket.deleted", "marked_as_spam": "ticket.deleted", "undeleted": "ticket.restored"}
_NO_FACT = {
    "comment_made_private": "a reply made private later was still given when it was given",
    "comment_redacted": "removing words from a comment changes no ticket fact",
    "description_changed": "the description is no ticket fact of ours",
    "email_ccs_changed": "copies start and stop no clock",
    "followers_changed": "followers start and stop no clock",
    "external_id_changed": "the external id is no ticket fact of ours",
    "attachment_linked_to_comment": "an attachment is not a reply; the comment itself comes as comment_added",
    "attachment_redacted_from_comment": "removing an attachment changes no ticket fact",
    "csat_requested": "asking for a rating is not a rating",
    "sla_policy_changed": "Zendesk's own SLA policy moves none of our clocks",
    "schedule_changed": "Zendesk's own schedule moves none of our clocks",
    "next_sla_breach_changed": "Zendesk's own breach time moves none of our clocks",
}

_ENVELOPE = Compiled(schemas.Envelope())
_DETAIL = Compiled(schemas.Detail())
_COMMENT_ADDED = Compiled(schemas.CommentAdded())
_TAGS_CHANGED = Compiled(schemas.TagsChanged())
_MERGED = Compiled(schemas.Merged())
_CUSTOM_FIELD_CHANGED = Compiled(schemas.CustomFieldChanged())
_RATED = Compiled(schemas.Rated())


def delivery_key(request: InboundRequest) -> str:
    """Zendesk's invocation id, else sha256 of the body (hex)."""
    given = request.headers.get("x-zendesk-webhook-invocation-id", "").strip()
    return given if 0 < len(given) <= 255 else hashlib.sha256(request.body).hexdigest()


def parse(request: InboundRequest, options: Mapping[str, Any]) -> Parsed:
    """See `Connector.parse`. Options: `plan_field` (id of the organisation field that holds the plan), `trigger` (our field -> key of a trigger body)."""
    body = read_object(request.body, "zendesk")
    kind = body.get("type")
    if isinstance(kind, str) and kind.startswith(_PREFIX):
        subject, _, name = kind.removeprefix(_PREFIX).partition(".")
        if subject == "ticket":
            return _ticket(name, body)
        if subject == "organization":
            return _organization(name, body, options)
        return Parsed(ignored=f"{kind} is about neither a ticket nor an organisation")
    mapping = options.get("trigger")
    if mapping:
        return Parsed(events=[_observed(mapping, body, delivery_key(request))])
    if "type" not in body:
        raise unreadable("zendesk", "the body has no `type`: it is neither a Zendesk event nor, without a trigger mapping on the connection, readable")
    raise unreadable("zendesk", f"type {shown(kind)} is no zen:event-type: a trigger wrote this body, and the connection has no trigger mapping for its keys")


# --- tickets -------------------------------------------------------------------------------------------------------
def _ticket(name: str, body: dict[str, Any]) -> Parsed:
    if name in _NO_FACT:
        return Parsed(ignored=f"ticket.{name}: {_NO_FACT[name]}")
    read = _READERS.get(name)
    if read is None and name not in _CHANGES and name not in _WHOLE:
        return Parsed(ignored=f"ticket.{name} is not an event we know; nothing was taken from it")
    envelope = _load(_ENVELOPE, body, "")
    detail = _load(_DETAIL, envelope["detail"], "detail")
    event = envelope["event"] or {}
    if read is not None:
        facts = read(event, detail, envelope)
    elif name in _CHANGES:
        kind, field, schema = _CHANGES[name]
        change = _load(schema, event, "event")
        facts = {"kind": kind, "field": field, "before": change["previous"], "after": change["current"]}
    else:
        facts = {"kind": _WHOLE[name]}
    if facts is None:
        return Parsed(ignored=f"ticket.{name} does not tell the rating")
    facts = {"key": f"event:{envelope['id']}", "at": envelope["time"], "actor_id": detail.get("actor_id"), **facts}
    at, updated_at = facts["at"], detail.get("updated_at")
    seen_at = updated_at if updated_at is not None and at is not None and updated_at > at else None
    if facts["kind"] in ("ticket.merged", "ticket.deleted"):  # CLOSED or DELETED are consequences here, not what somebody did
        return Parsed(events=[Event(ticket=detail["id"], **facts)])
    return Parsed(events=[Event(ticket=detail["id"], seen=_fields(_SHOWN, detail, envelope["detail"]), seen_at=seen_at, **facts)])


def _created(event: Mapping[str, Any], detail: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": "ticket.created", "public": detail.get("is_public"), "values": _fields(_TOLD, detail, envelope["detail"])}
    if detail.get("created_at") is not None:  # the importer will read created_at too: both must date the creation alike
        facts["at"] = detail["created_at"]
    return facts


def _comment_added(event: Mapping[str, Any], detail: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
    comment = _load(_COMMENT_ADDED, event, "event")["comment"]
    author = comment["author"] or {}
    author_id, staff = author.get("id"), author.get("is_staff")
    at, created_at = envelope["time"], detail.get("created_at")
    soon = at is not None and created_at is not None and at - created_at <= _OPENING
    return {
        "kind": "reply.public" if comment["is_public"] else "note.internal",
        "key": f"comment:{comment['id']}",  # the same comment may come again by import or through a second webhook
        "comment_id": comment["id"],
        "public": comment["is_public"],
        "actor_id": author_id or detail.get("actor_id"),
        "actor_role": "unknown" if staff is None else "agent" if staff else "customer",
        "opening": soon and author_id is not None and author_id == detail.get("submitter_id"),
    }


def _tags_changed(event: Mapping[str, Any], detail: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
    change = _load(_TAGS_CHANGED, event, "event")
    after = (detail["tags"] or []) if "tags" in detail else None
    return {"kind": "tags.changed", "field": "tags", "added": change["tags_added"] or [], "removed": change["tags_removed"] or [], "after": after}


def _merged(event: Mapping[str, Any], detail: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": "ticket.merged", "field": "merged_into", "after": _load(_MERGED, event, "event")["target_ticket_id"]}


def _custom_field_changed(event: Mapping[str, Any], detail: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
    change = _load(_CUSTOM_FIELD_CHANGED, event, "event")
    name = f"custom.{change['custom_field']['id']}"
    return {"kind": "field.changed", "field": name, "before": _value(change["previous"]), "after": _value(change["current"])}


def _rated(event: Mapping[str, Any], detail: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any] | None:
    given = _load(_RATED, event, "event")
    for told in (given["score"], given["rating"], given["current"]):
        score = told.get("score") if isinstance(told, dict) else told
        if score is not None and not isinstance(score, dict | list):
            return {"kind": "rating.given", "field": "rating", "after": score, "actor_role": "customer"}
    return None


_READERS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], dict[str, Any] | None]] = {
    "created": _created,
    "comment_added": _comment_added,
    "tags_changed": _tags_changed,
    "merged": _merged,
    "custom_field_changed": _custom_field_changed,
    "csat_received": _rated,
}


# --- organisations and triggers ------------------------------------------------------------------------------------
def _organization(name: str, body: dict[str, Any], options: Mapping[str, Any]) -> Parsed:
    if name != "custom_field_changed":
        return Parsed(ignored=f"organization.{name} changes no plan")
    envelope = _load(_ENVELOPE, body, "")
    customer = _load(_DETAIL, {"id": envelope["detail"].get("id")}, "detail")["id"]
    change = _load(_CUSTOM_FIELD_CHANGED, envelope["event"] or {}, "event")
    field, plan_field = change["custom_field"], options.get("plan_field")
    is_plan = field["id"] == str(plan_field) if plan_field else (field["title"] or "").strip().casefold() == "plan"
    if not is_plan:
        return Parsed(ignored=f"organisation field {field['title'] or field['id']!r} is not the plan")
    told = {"field": "plan", "before": _value(change["previous"]), "after": _value(change["current"])}
    return Parsed(events=[Event(key=f"event:{envelope['id']}", kind="customer.changed", ticket=None, customer=customer, at=envelope["time"], **told)])


def _observed(mapping: Any, body: Mapping[str, Any], key: str) -> Event:
    """A trigger's body through the connection's mapping: the ticket as it stands at the receipt."""
    if not isinstance(mapping, Mapping) or "ticket" not in mapping:
        raise unreadable("zendesk", "the connection's trigger mapping does not say which key holds the ticket id")
    values = {}
    for field, name in mapping.items():
        if field != "ticket" and field not in FIELDS and not str(field).startswith("custom."):
            raise unreadable("zendesk", f"the connection's trigger mapping names {field!r}, which is no field of ours ({', '.join(FIELDS)}, custom.<id>)")
        if field == "ticket" or name not in body:
            continue
        value = body[name]
        if isinstance(value, bool) or not isinstance(value, str | int | list | None):
            raise unreadable("zendesk", f"{name} must be a text (found {shown(value)})")
        if field == "tags":
            value = value.split() if isinstance(value, str) else value or []
        values[field] = str(value) if isinstance(value, int) else value
    ticket = _load(_TRIGGER, {"ticket": body.get(mapping["ticket"])}, "")["ticket"]
    return Event(key=f"trigger:{key}"[:255], kind="ticket.observed", ticket=ticket, at=None, values=values)


_TRIGGER = Compiled(schemas.Tolerant.from_dict({"ticket": schemas.Id(required=True)})())


# --- both ----------------------------------------------------------------------------------------------------------
def _load(schema: Compiled, data: Any, place: str) -> dict[str, Any]:
    try:
        return schema.load(data)
    except ValidationError as problem:
        raise unreadable("zendesk", explain(problem, data, place)) from None


def _fields(names: Mapping[str, str], detail: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """`detail` in our field names; only what was told."""
    told = {ours: detail[theirs] for theirs, ours in names.items() if theirs in detail}
    if "tags" in told:
        told["tags"] = told["tags"] or []
    if "created_at" in told:
        told["created_at"] = raw["created_at"]  # verbatim, as every value
    if names is _SHOWN and detail.get("via"):
        told["channel"] = detail["via"].get("channel")
    return told


def _value(told: Any) -> Any:
    return told.get("value") if isinstance(told, dict) else told
