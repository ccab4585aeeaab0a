"""A Zendesk account in memory, for the simulator: tickets, audits, limits, and every check the real one makes on an update (or should)."""

import re
import threading
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

_STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
_PRIORITIES = ("urgent", "high", "normal", "low")
_TYPES = ("problem", "incident", "question", "task")
ME, AGENT, CUSTOMER = 9001, 9002, 5001
_STAFF = {ME: "SLA Robot", AGENT: "Anna Agent"}
_EVENTS = {  # what changed -> Zendesk's event
    "status": "status_changed",
    "priority": "priority_changed",
    "type": "type_changed",
    "assignee_id": "agent_assignment_changed",
    "group_id": "group_assignment_changed",
    "subject": "subject_changed",
    "tags": "tags_changed",
}
_MEMBERS: Mapping[str, Callable[[Any], bool]] = {  # what a ticket update may hold, and when it is right
    "status": lambda value: value in _STATUSES,
    "priority": lambda value: value in _PRIORITIES,
    "type": lambda value: value in _TYPES,
    "subject": lambda value: isinstance(value, str) and bool(value),
    "assignee_id": lambda value: type(value) is int and value in _STAFF,
    "group_id": lambda value: type(value) is int,
    "tags": lambda value: isinstance(value, list) and all(isinstance(tag, str) for tag in value),
    "comment": lambda value: isinstance(value, dict) and not value.keys() - {"body", "html_body", "public", "author_id"},
    "custom_fields": lambda value: isinstance(value, list) and all(isinstance(one, dict) and type(one.get("id")) is int for one in value),
    "metadata": lambda value: isinstance(value, dict) and len(str(value)) <= 1024,
    "safe_update": lambda value: value is True,  # false has the effect of true: whoever sends it errs
    "updated_stamp": lambda value: isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value) is not None,
}


class Refused(Exception):
    """An API request that Zendesk answers with an error; `reason` is ours, for the log of writes."""

    def __init__(self, status: int, error: str, reason: str, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status, self.error, self.reason, self.retry_after = status, error, reason, retry_after


class Desk:
    """Tickets by id, their audits, and the webhooks each change causes, handed to `emit(event)`. `clock` gives seconds since 1970. Thread-safe."""

    def __init__(self, clock: Callable[[], float], emit: Callable[[dict[str, Any]], None], *, per_minute: int = 100, per_ticket: int = 30) -> None:
        self.tickets: dict[int, dict[str, Any]] = {}
        self.audits: dict[int, list[dict[str, Any]]] = defaultdict(list)
        self.me = {"id": ME, "name": _STAFF[ME], "role": "agent", "active": True, "suspended": False}
        self.per_minute, self.per_ticket = per_minute, per_ticket
        self.lock = threading.RLock()
        self._clock, self._emit = clock, emit
        self._ids = 35436
        self._calls: deque[float] = deque()
        self._updates: dict[int, deque[float]] = defaultdict(deque)

    # --- people ----------------------------------------------------------------------------------------------------
    def create(self, subject: str, priority: str | None = "normal", *, by: str = "customer", status: str = "new", body: str = "It does not work.") -> int:
        """A new ticket with its first comment; the id."""
        with self.lock:
            at, ticket_id, actor = self._clock(), self._id(), _person(by)
            self.tickets[ticket_id] = {
                "id": ticket_id,
                "subject": subject,
                "description": body,
                "status": status,
                "priority": priority,
                "type": None,
                "tags": [],
                "assignee_id": None,
                "group_id": 7001,
                "requester_id": CUSTOMER,
                "submitter_id": actor,
                "organization_id": 6001,
                "brand_id": 4001,
                "created_at": _second(at),
                "updated_at": _second(at),
                "via": {"channel": "web"},
                "custom_fields": [],
            }
            self._tell("created", ticket_id, actor, at, {})
            self._comment(ticket_id, {"body": body, "public": True}, actor, at)
            return ticket_id

    def comment(self, ticket_id: int, body: str, *, public: bool = True, by: str = "customer") -> None:
        """A comment of an agent or customer; a customer's reply opens a pending or solved ticket, as Zendesk does."""
        with self.lock:
            changes: dict[str, Any] = {"comment": {"body": body, "public": public}}
            if by == "customer" and self._ticket(ticket_id)["status"] in ("pending", "solved"):
                changes["status"] = "open"
            self._change(ticket_id, changes, _person(by), "web", {})

    def change(self, ticket_id: int, *, by: str = "agent", **members: Any) -> None:
        """Set members such as `status="pending"` in the web interface."""
        with self.lock:
            _check(members)
            self._ticket(ticket_id)
            self._change(ticket_id, members, _person(by), "web", {})

    # --- the API ---------------------------------------------------------------------------------------------------
    def show(self, ticket_id: int) -> dict[str, Any]:
        """GET ticket. Raises Refused(404)."""
        with self.lock:
            return dict(self._ticket(ticket_id))

    def update(self, ticket_id: int, body: Any) -> dict[str, Any]:
        """PUT ticket: `{"ticket": ..., "audit": ...}`. Raises Refused as the real one answers."""
        with self.lock:
            now = self._clock()
            _spend(self._calls, now, 60, self.per_minute, "calls a minute")
            ticket = self._ticket(ticket_id)
            _spend(self._updates[ticket_id], now, 600, self.per_ticket, "updates of one ticket in 10 minutes")
            if not isinstance(body, dict) or body.keys() != {"ticket"} or not isinstance(body["ticket"], dict):
                raise Refused(422, "UnprocessableEntity", 'the body must be {"ticket": {...}} and nothing else')
            members = body["ticket"]
            _check(members)
            if ("safe_update" in members) != ("updated_stamp" in members):
                raise Refused(422, "UnprocessableEntity", "safe_update and updated_stamp go together")
            if "updated_stamp" in members and members["updated_stamp"] != ticket["updated_at"]:
                raise Refused(409, "UpdateConflict", f"updated_stamp {members['updated_stamp']} is not {ticket['updated_at']}")
            if ticket["status"] == "closed":
                raise Refused(422, "RecordInvalid", "Status: closed prevents ticket update")
            changes = {name: value for name, value in members.items() if name not in ("safe_update", "updated_stamp", "metadata")}
            audit = self._change(ticket_id, changes, ME, "api", members.get("metadata", {}))
            return {"ticket": dict(ticket), "audit": audit}

    @property
    def calls_left(self) -> int:
        """Updates left in this minute."""
        with self.lock:
            return max(0, self.per_minute - len(self._calls))

    # --- inside ------------------------------------------------------------------------------------------------------
    def _id(self) -> int:
        self._ids += 1
        return self._ids

    def _ticket(self, ticket_id: int) -> dict[str, Any]:
        if ticket_id not in self.tickets:
            raise Refused(404, "RecordNotFound", "Not found")
        return self.tickets[ticket_id]

    def _change(self, ticket_id: int, changes: Mapping[str, Any], actor: int, channel: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
        ticket, at = self.tickets[ticket_id], self._clock()
        audit: dict[str, Any] = {"id": self._id(), "ticket_id": ticket_id, "created_at": _second(at), "author_id": actor, "via": {"channel": channel}}
        audit |= {"metadata": {"system": {}, "custom": dict(metadata)}, "events": []}
        told: list[tuple[str, dict[str, Any]]] = []
        for name, value in changes.items():
            before = ticket.get(name)
            if name in ("comment", "custom_fields") or before == value:
                continue
            ticket[name] = value
            audit["events"].append({"id": self._id(), "type": "Change", "field_name": name, "value": _plain(value), "previous_value": _plain(before)})
            told.append((_EVENTS[name], _event(name, before, value)))
        if told or "comment" in changes:
            ticket["updated_at"] = _second(at)  # before the webhooks: each shows the ticket after all changes
        if "comment" in changes:
            audit["events"].append(self._comment(ticket_id, changes["comment"], actor, at))
        for position, (name, event) in enumerate(told):
            self._tell(name, ticket_id, actor, at + (position + 1) * 1e-6, event)
        if audit["events"]:  # as the real one: no audit, and no metadata kept, where nothing changed
            self.audits[ticket_id].append(audit)
        return audit

    def _comment(self, ticket_id: int, comment: Mapping[str, Any], actor: int, at: float) -> dict[str, Any]:
        comment_id, public = self._id(), comment.get("public", True)
        body = comment.get("body") or comment.get("html_body")
        author = {"id": str(actor), "is_staff": actor in _STAFF, "name": _STAFF.get(actor, "Carla Customer")}
        told = {"id": str(comment_id), "body": body, "html_body": f"<p>{body}</p>", "is_public": public, "author": author}
        self._tell("comment_added", ticket_id, actor, at, {"comment": told})
        return {"id": comment_id, "type": "Comment", "author_id": actor, "body": body, "public": public}

    def _tell(self, name: str, ticket_id: int, actor: int, at: float, event: dict[str, Any]) -> None:
        ticket = self.tickets[ticket_id]
        detail: dict[str, Any] = {"actor_id": str(actor), "custom_status": None, "external_id": None, "form_id": "3001", "is_public": True}
        for member in ("id", "assignee_id", "group_id", "requester_id", "submitter_id", "organization_id", "brand_id"):
            detail[member] = None if ticket[member] is None else str(ticket[member])
        for member in ("status", "priority", "type"):
            detail[member] = None if ticket[member] is None else ticket[member].upper()
        for member in ("subject", "description", "tags", "created_at", "updated_at", "via"):
            detail[member] = ticket[member]
        micros = round(at * 1_000_000)
        moment = datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        self._emit(
            {
                "account_id": 27182818,
                "detail": detail,
                "event": {**event, "meta": {"sequence": {"id": uuid.uuid4().hex.upper(), "position": 1}}},
                "id": str(uuid.uuid4()),
                "subject": f"zen:ticket:{ticket_id}",
                "time": f"{moment}.{micros % 1_000_000:06d}123Z",
                "type": f"zen:event-type:ticket.{name}",
                "zendesk_event_version": "2022-11-06",
            }
        )


def _check(members: Mapping[str, Any]) -> None:
    for name, value in members.items():
        if name not in _MEMBERS:
            raise Refused(422, "UnprocessableEntity", f"unknown member {name!r}")
        if not _MEMBERS[name](value):
            raise Refused(422, "UnprocessableEntity", f"wrong value for {name}: {value!r}")
    comment = members.get("comment")
    if comment is not None:
        if not isinstance(comment.get("body") or comment.get("html_body"), str):
            raise Refused(422, "UnprocessableEntity", "a comment needs a body")
        if not isinstance(comment.get("public", True), bool):
            raise Refused(422, "UnprocessableEntity", f"wrong value for comment.public: {comment['public']!r}")


def _spend(spent: deque[float], now: float, seconds: int, most: int, what: str) -> None:
    while spent and spent[0] <= now - seconds:
        spent.popleft()
    if len(spent) >= most:
        raise Refused(429, "APIRateLimitExceeded", f"more than {most} {what}", retry_after=max(1, int(spent[0] + seconds - now) + 1))
    spent.append(now)


def _person(by: str) -> int:
    people = {"customer": CUSTOMER, "agent": AGENT, "me": ME}
    if by not in people:
        raise Refused(422, "UnprocessableEntity", f"by must be customer or agent, not {by!r}")
    return people[by]


def _event(name: str, before: Any, after: Any) -> dict[str, Any]:
    if name == "tags":
        return {"tags_added": [tag for tag in after if tag not in before], "tags_removed": [tag for tag in before if tag not in after]}
    words = name in ("status", "priority", "type")
    return {"current": after.upper() if words else after, "previous": before.upper() if words and before else before}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value  # audits hold ids as texts


def _second(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
