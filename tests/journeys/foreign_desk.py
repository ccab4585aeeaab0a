"""A Zendesk stand-in written from the published wire facts alone, as a stranger would write one: it shares no code with the product.

It knows users/me, GET and PUT of a ticket and (if asked to) the audits; its stamps have whole seconds, its bodies are checked, its webhooks are signed and
repeated until they are taken. What reached it is counted by content, from the values before and after each applied update.
"""

import base64
import hashlib
import hmac
import json
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

ROBOT, ANNA, CARLA = 501, 502, 801
STAFF = {ROBOT: "Robot", ANNA: "Anna"}
STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
PRIORITIES = ("low", "normal", "high", "urgent")
UPDATABLE = {"priority", "status", "assignee_id", "comment", "metadata", "safe_update", "updated_stamp"}
EVENT_NAMES = {"priority": "priority_changed", "status": "status_changed", "assignee_id": "agent_assignment_changed"}


class Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, error: str, retry_after: int | None = None) -> None:
        super().__init__(error)
        self.status, self.error, self.retry_after = status, error, retry_after


@dataclass
class Fault:
    """What goes wrong with one PUT.

    status       answered instead of applying (with `error` and `retry_after`)
    applies      at once | never | late (when the test calls `land_late`)
    answers      False = the connection breaks without an answer
    after        called before the answer leaves (a slow vendor, a kill at the worst moment)
    """

    status: int | None = None
    retry_after: int | None = None
    error: str = "Out of order"
    applies: str = "at once"
    answers: bool = True
    after: Callable[[], None] = lambda: None


@dataclass
class Webhook:
    """An event delivery that waits to be sent."""

    invocation: str
    body: bytes
    tries: int = 0
    due: float = 0.0


class ForeignDesk:
    """Runs from `with`; `clock` gives seconds since 1970. Webhooks go to `webhook_url`, or pile up in `webhooks` where there is none."""

    email, token, secret = "robot@desk.test", "t0ken-of-the-robot", "s3cret-of-the-webhook"

    def __init__(self, *, audits: bool = True, clock: Callable[[], float] = time.time, host: str = "127.0.0.1") -> None:
        self.clock = clock
        self.tickets: dict[int, dict[str, Any]] = {}
        self.audits: dict[int, list[dict[str, Any]]] | None = {} if audits else None
        self.applied: list[tuple[float, int, dict[str, Any]]] = []  # by the API: (at, ticket, {member: (before, after)})
        self.refused: list[tuple[int, int, str]] = []  # (status, ticket, error)
        self.reads = 0
        self.named: list[tuple[str, str | None]] = []  # (method, X-Request-Id) of each request about a ticket
        self.faults: deque[Fault] = deque()  # one per PUT, in order
        self.read_faults: deque[int] = deque()  # statuses, one per GET of a ticket
        self.between: Callable[[int], None] | None = None  # called once, after a ticket was read and before anything else arrives
        self.late: list[tuple[int, bytes]] = []
        self.webhook_url = ""
        self.webhooks: deque[Webhook] = deque()
        self.sent: list[tuple[str, int]] = []  # (invocation, status) of each try
        self._lock = threading.RLock()
        self._next = 1000
        self._closed = threading.Event()

        class Handler(_Handler):
            desk = self

        self._server = _Server((host, 0), Handler)
        self.url = f"http://{host}:{self._server.server_port}"

    def __enter__(self) -> "ForeignDesk":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        for _ in range(3):
            threading.Thread(target=self._send_webhooks, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()

    # --- what people do --------------------------------------------------------------------------------------------
    def open_ticket(self, priority: str | None = "normal", *, status: str = "new", assignee: int | None = None, sender: int = CARLA) -> int:
        """A customer writes; the id."""
        with self._lock:
            number, now = self._number(), self.clock()
            self.tickets[number] = {
                "id": number,
                "subject": f"Printer {number}",
                "status": status,
                "priority": priority,
                "assignee_id": assignee,
                "requester_id": CARLA,
                "created_at": _stamp(now),
                "updated_at": _stamp(now),
            }
            self._announce("created", number, sender, now, {})
            return number

    def change(self, number: int, by: int = ANNA, **members: Any) -> None:
        """An agent works in the web interface: priority, status, assignee_id, comment={"body", "public"}."""
        with self._lock:
            self._write(number, members, by, {})

    def land_late(self) -> None:
        """What was on its way all the time arrives now, checks and all."""
        with self._lock:
            while self.late:
                number, content = self.late.pop(0)
                try:
                    self._update(number, content)
                except Refusal as refusal:
                    self.refused.append((refusal.status, number, refusal.error))

    # --- what we look at -------------------------------------------------------------------------------------------
    def count(self, number: int) -> dict[str, int]:
        """How often the API raised, commented, assigned: {"raises", "comments", "assigns"}, by content."""
        found: Counter[str] = Counter({"raises": 0, "comments": 0, "assigns": 0})
        for _, ticket, members in list(self.applied):
            if ticket != number:
                continue
            if "priority" in members:
                before, after = members["priority"]
                found["raises"] += PRIORITIES.index(after) - (PRIORITIES.index(before) if before else 1)
            found["comments"] += "comment" in members
            found["assigns"] += "assignee_id" in members
        return dict(found)

    def written_at(self, number: int) -> float | None:
        """When the API first changed the ticket."""
        return next((at for at, ticket, _ in list(self.applied) if ticket == number), None)

    def signed(self, webhook: Webhook) -> dict[str, str]:
        """Headers of a delivery sent now."""
        return {"X-Zendesk-Webhook-Invocation-Id": webhook.invocation, **signature(self.secret, webhook.body, self.clock())}

    # --- the API ---------------------------------------------------------------------------------------------------
    def serve(self, method: str, path: str, headers: Mapping[str, str], content: bytes) -> dict[str, Any] | None:
        """The answer; None where the connection breaks. Raises Refusal."""
        basic = base64.b64encode(f"{self.email}/token:{self.token}".encode()).decode()
        if headers.get("Authorization") != f"Basic {basic}":
            raise Refusal(401, "Couldn't authenticate you")
        if "/tickets/" in path:
            self.named.append((method, headers.get("X-Request-Id")))
        match method, path.partition("?")[0].strip("/").removesuffix(".json").split("/"):
            case "GET", ["api", "v2", "users", "me"]:
                return {"user": {"id": ROBOT, "name": STAFF[ROBOT], "role": "agent"}}
            case "GET", ["api", "v2", "tickets", number]:
                if self.read_faults:
                    raise Refusal(self.read_faults.popleft(), "Out of order")
                with self._lock:
                    self.reads += 1
                    shown = dict(self._ticket(int(number)))
                    if self.between is not None:
                        interfere, self.between = self.between, None
                        interfere(int(number))
                return {"ticket": shown}
            case "GET", ["api", "v2", "tickets", number, "audits"] if self.audits is not None:
                with self._lock:
                    self._ticket(int(number))
                    return {"audits": list(self.audits.get(int(number), [])), "next_page": None, "count": 0}
            case "PUT", ["api", "v2", "tickets", number]:
                if headers.get("Content-Type", "").partition(";")[0] != "application/json":
                    raise Refusal(415, "Unsupported media type")
                return self._put(int(number), content)
        raise Refusal(404, "InvalidEndpoint")

    def _put(self, number: int, content: bytes) -> dict[str, Any] | None:
        with self._lock:
            fault = self.faults.popleft() if self.faults else Fault()
        if fault.status is not None:
            fault.after()
            raise Refusal(fault.status, fault.error, fault.retry_after)
        answer = None
        if fault.applies == "late":
            with self._lock:
                self.late.append((number, content))
        elif fault.applies == "at once":
            answer = self._update(number, content)
        fault.after()
        return answer if fault.answers else None

    def _update(self, number: int, content: bytes) -> dict[str, Any]:
        with self._lock:
            ticket = self._ticket(number)
            try:
                told = json.loads(content)
                members = dict(told["ticket"])
            except (ValueError, KeyError, TypeError):
                raise Refusal(400, "Unprocessable JSON") from None
            if set(told) != {"ticket"} or not set(members) <= UPDATABLE:
                raise Refusal(422, f"unknown member in {sorted(told)} {sorted(members)}")
            self._check(members)
            safe, stamp = members.pop("safe_update", None), members.pop("updated_stamp", None)
            if (safe, stamp) != (None, None) and (safe is not True or stamp != ticket["updated_at"]):
                raise Refusal(409, f"UpdateConflict: {stamp} is not {ticket['updated_at']}")
            if ticket["status"] == "closed":
                raise Refusal(422, "Status: closed prevents ticket update")
            metadata = members.pop("metadata", {})
            audit, changed = self._write(number, members, ROBOT, metadata)
            if changed:
                self.applied.append((self.clock(), number, changed))
            answer = {"ticket": dict(ticket)}
            return answer | {"audit": audit} if self.audits is not None else answer

    def _check(self, members: Mapping[str, Any]) -> None:
        comment = members.get("comment", {"body": "x"})
        right = (
            members.get("priority", "low") in PRIORITIES
            and members.get("status", "new") in STATUSES
            and members.get("assignee_id", ROBOT) in STAFF
            and not isinstance(members.get("assignee_id"), bool)
            and isinstance(comment, dict)
            and isinstance(comment.get("body"), str)
            and bool(comment["body"].strip())
            and set(comment) <= {"body", "public"}
            and isinstance(comment.get("public", True), bool)
            and isinstance(members.get("metadata", {}), dict)
        )
        if not right:
            raise Refusal(422, f"RecordInvalid: {dict(members)}")

    # --- inside ----------------------------------------------------------------------------------------------------
    def _number(self) -> int:
        self._next += 1
        return self._next

    def _ticket(self, number: int) -> dict[str, Any]:
        if number not in self.tickets:
            raise Refusal(404, "RecordNotFound")
        return self.tickets[number]

    def _write(self, number: int, members: Mapping[str, Any], by: int, metadata: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        ticket, now = self.tickets[number], self.clock()
        changed: dict[str, Any] = {}
        events: list[dict[str, Any]] = []
        for name in EVENT_NAMES:
            if name in members and ticket[name] != members[name]:
                changed[name] = (ticket[name], members[name])
                events.append({"id": self._number(), "type": "Change", "field_name": name, "value": members[name], "previous_value": ticket[name]})
                ticket[name] = members[name]
        comment_id = self._number()
        if "comment" in members:
            changed["comment"] = (None, members["comment"]["body"])
            events.append({"id": comment_id, "type": "Comment", "author_id": by, "public": True, **members["comment"]})
        audit = {
            "id": self._number(),
            "ticket_id": number,
            "created_at": _stamp(now),
            "author_id": by,
            "metadata": {"system": {}, "custom": dict(metadata)},
            "events": events,
        }
        if changed:
            ticket["updated_at"] = _stamp(now)
            if self.audits is not None:
                self.audits.setdefault(number, []).append(audit)
        for name, (before, after) in changed.items():
            if name == "comment":
                public = members["comment"].get("public", True)
                author = {"id": str(by), "is_staff": by in STAFF, "name": STAFF.get(by, "Carla")}
                self._announce(
                    "comment_added",
                    number,
                    by,
                    now,
                    {"comment": {"id": str(comment_id), "body": after, "html_body": after, "is_public": public, "author": author}},
                )
            else:
                loud = name in ("priority", "status")
                told = {"previous": before.upper() if loud and before else before, "current": after.upper() if loud else after}
                self._announce(EVENT_NAMES[name], number, by, now, told)
        return audit, changed

    def _announce(self, what: str, number: int, by: int, at: float, event: dict[str, Any]) -> None:
        ticket = self.tickets[number]
        micros = round(at * 1e6)
        told = {
            "account_id": 4711,
            "id": str(uuid.uuid4()),
            "type": f"zen:event-type:ticket.{what}",
            "subject": f"zen:ticket:{number}",
            "time": f"{datetime.fromtimestamp(micros // 1_000_000, UTC):%Y-%m-%dT%H:%M:%S}.{micros % 1_000_000:06d}000Z",
            "zendesk_event_version": "2022-11-06",
            "detail": {
                "id": str(number),
                "actor_id": str(by),
                "subject": ticket["subject"],
                "status": ticket["status"].upper(),
                "priority": ticket["priority"].upper() if ticket["priority"] else None,
                "assignee_id": str(ticket["assignee_id"]) if ticket["assignee_id"] else None,
                "requester_id": str(ticket["requester_id"]),
                "created_at": ticket["created_at"],
                "updated_at": ticket["updated_at"],
                "type": None,
                "tags": [],
                "via": {"channel": "web"},
                "is_public": True,
            },
            "event": {**event, "meta": {"sequence": {"id": uuid.uuid4().hex, "position": 1}}},
        }
        self.webhooks.append(Webhook(uuid.uuid4().hex, json.dumps(told).encode()))

    def _send_webhooks(self) -> None:
        while not self._closed.wait(0.005):
            if not self.webhook_url:
                continue
            try:
                webhook = self.webhooks.popleft()
            except IndexError:
                continue
            if webhook.due > time.monotonic():
                self.webhooks.append(webhook)
                continue
            status = self._post(webhook)
            self.sent.append((webhook.invocation, status))
            webhook.tries += 1
            if not 200 <= status < 300 and webhook.tries < 100:
                webhook.due = time.monotonic() + 0.25
                self.webhooks.append(webhook)

    def _post(self, webhook: Webhook) -> int:
        """The status; 0 without an answer."""
        address = urlsplit(self.webhook_url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=10)
        try:
            connection.request("POST", address.path, webhook.body, {"Content-Type": "application/json", **self.signed(webhook)})
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


def signature(secret: str, body: bytes, at: float) -> dict[str, str]:
    """The two signature headers of a webhook."""
    timestamp = _stamp(at)
    mac = hmac.new(secret.encode(), timestamp.encode() + body, hashlib.sha256).digest()
    return {"X-Zendesk-Webhook-Signature": base64.b64encode(mac).decode(), "X-Zendesk-Webhook-Signature-Timestamp": timestamp}


def _stamp(at: float) -> str:
    return f"{datetime.fromtimestamp(int(at), UTC):%Y-%m-%dT%H:%M:%SZ}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    desk: ForeignDesk

    def do_GET(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, extra = 200, {}
        try:
            answer = self.desk.serve(self.command, self.path, self.headers, content)
        except Refusal as refusal:
            if self.command == "PUT":
                self.desk.refused.append((refusal.status, int(self.path.rsplit("/", 1)[1]), refusal.error))
            status, answer = refusal.status, {"error": refusal.error}
            extra = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
        if answer is None:
            self.close_connection = True
            return
        body = json.dumps(answer).encode()
        try:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **extra}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # the caller was killed
            self.close_connection = True
