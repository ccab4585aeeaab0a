"""A Zendesk to try the product with: a real HTTP server that checks every request, signs its webhooks and fails on demand.

`python -m connectors.zendesk.simulator --port 9001 --webhook URL --secret S --email robot@example.com --token T`, then open http://127.0.0.1:9001/.
Being an outside system it reads the clock. JSON doors beside the API (forms are taken as well):
POST /simulator/tickets {subject, priority}, POST /simulator/tickets/<id>/comments {body, public, by},
POST /simulator/tickets/<id>/status {status},
GET /simulator/tickets, GET /simulator/writes,
POST /simulator/faults {latency, fail_next: {status, times, retry_after}, lose_answer_next, apply_late, no_audits}.
"""

import argparse
import base64
import html
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from connectors.zendesk.simulated_desk import AGENT, ME, Desk, Refused
from connectors.zendesk.simulated_webhooks import Sender

_PAGE = 100  # audits


class ZendeskSimulator:
    """The server; `url` is its base URL. Use as a context manager, or `start()` and `stop()`.

    `desk` holds the tickets, `sender` the webhooks' options, `writes` every update that arrived: {at, ticket, body, status, reason, applied}.
    Faults: `latency` (seconds before each API answer), `fail_next`, `lose_answer_next` (applied, no answer), `apply_late` (no answer, applied that many
    seconds later), `no_audits`.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        email: str = "robot@example.com",
        token: str = "simulator-token",  # noqa: S107  (no secret of anybody)
        webhook_url: str = "",
        secret: str = "simulator-secret",  # noqa: S107
        per_minute: int = 100,
        per_ticket: int = 30,
    ) -> None:
        self.email, self.token = email, token
        self.sender = Sender(webhook_url, secret, time.time)
        self.desk = Desk(time.time, self._emit, per_minute=per_minute, per_ticket=per_ticket)
        self.writes: list[dict[str, Any]] = []
        self.latency = 0.0
        self.lose_answer_next = 0
        self.apply_late_next: float | None = None
        self.no_audits = False
        self._failures: list[tuple[int, str | None, int | None]] = []
        simulator = self

        class Handler(_Handler):
            zendesk = simulator

        self._server = _Server(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "ZendeskSimulator":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> "ZendeskSimulator":
        """Serve in the background."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop serving and sending."""
        self.sender.close()
        self._server.shutdown()
        self._server.server_close()

    # --- people and faults -----------------------------------------------------------------------------------------
    def create_ticket(self, subject: str = "It does not work", priority: str | None = "normal", *, by: str = "customer", status: str = "new") -> str:
        """A new ticket; its id as a text."""
        return str(self.desk.create(subject, priority, by=by, status=status))

    def add_comment(self, ticket: str, body: str = "Hello", *, public: bool = True, by: str = "customer") -> None:
        """A comment by `customer` or `agent`."""
        self.desk.comment(int(ticket), body, public=public, by=by)

    def set_status(self, ticket: str, status: str, by: str = "agent") -> None:
        """As an agent does it in the web interface."""
        self.desk.change(int(ticket), by=by, status=status)

    def set_priority(self, ticket: str, priority: str, by: str = "agent") -> None:
        """As an agent does it in the web interface."""
        self.desk.change(int(ticket), by=by, priority=priority)

    def assign(self, ticket: str, user_id: int = AGENT, by: str = "agent") -> None:
        """As an agent does it in the web interface."""
        self.desk.change(int(ticket), by=by, assignee_id=user_id)

    def ticket(self, ticket: str) -> dict[str, Any]:
        """The ticket as the API shows it."""
        return self.desk.show(int(ticket))

    def fail_next(self, status: int, times: int = 1, retry_after: int | None = None, method: str | None = "PUT") -> None:
        """Answer the next requests of that method (None = any) with an error, applying nothing."""
        self._failures += [(status, method, retry_after)] * times

    def apply_late(self, seconds: float) -> None:
        """The next update gets no answer and is applied (and checked) only after so many seconds."""
        self.apply_late_next = seconds

    # --- requests --------------------------------------------------------------------------------------------------
    def take_failure(self, method: str) -> tuple[int, int | None] | None:
        """The status and Retry-After to answer this request with, if one was ordered."""
        for number, (status, wanted, retry_after) in enumerate(self._failures):
            if wanted in (None, method):
                del self._failures[number]
                return status, retry_after
        return None

    def update(self, ticket_id: int, body: Any) -> dict[str, Any] | None:
        """PUT ticket; None where the answer is lost. Raises Refused."""
        if self.apply_late_next is not None:
            late, self.apply_late_next = self.apply_late_next, None
            threading.Timer(late, self._apply_quietly, (ticket_id, body)).start()
            return None
        answer = self._apply(ticket_id, body)
        if self.lose_answer_next > 0:
            self.lose_answer_next -= 1
            return None
        return answer

    def note_write(self, ticket_id: int, body: Any, status: int, reason: str) -> None:
        """A row in `writes`."""
        self.writes.append({"at": time.time(), "ticket": str(ticket_id), "body": body, "status": status, "reason": reason, "applied": status == 200})

    def _apply(self, ticket_id: int, body: Any) -> dict[str, Any]:
        with self.desk.lock:
            try:
                answer = self.desk.update(ticket_id, body)
            except Refused as refusal:
                self.note_write(ticket_id, body, refusal.status, refusal.reason)
                raise
            self.note_write(ticket_id, body, 200, "")
            return answer

    def _apply_quietly(self, ticket_id: int, body: Any) -> None:
        try:
            self._apply(ticket_id, body)
        except Refused:
            return  # noted; nobody waits for the answer

    def _emit(self, event: dict[str, Any]) -> None:
        if self.sender.url:
            self.sender.emit(event)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    zendesk: ZendeskSimulator

    def do_GET(self) -> None:
        """Pages and reads."""
        self._serve(b"")

    def do_POST(self) -> None:
        """The simulator's own doors."""
        self._serve(self._body())

    def do_PUT(self) -> None:
        """Ticket updates."""
        self._serve(self._body())

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _serve(self, body: bytes) -> None:
        url = urlsplit(self.path)
        parts = [part for part in url.path.split("/") if part]
        try:
            answer = self._api(parts[2:], parse_qs(url.query), body) if parts[:2] == ["api", "v2"] else self._door(parts, body)
        except Refused as refusal:
            headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
            self._answer(refusal.status, {"error": refusal.error, "description": refusal.reason}, headers)
        except (TypeError, ValueError, KeyError) as problem:
            self._answer(422, {"error": "UnprocessableEntity", "description": f"{type(problem).__name__}: {problem}"})
        else:
            if answer is None:  # the connection breaks without an answer
                self.close_connection = True
            elif isinstance(answer, str):
                self._send(200, answer.encode(), "text/html; charset=utf-8")
            else:
                self._answer(200, answer)

    def _api(self, parts: list[str], query: dict[str, list[str]], body: bytes) -> Any:
        zendesk, ticket_id = self.zendesk, int(parts[1]) if len(parts) > 1 and parts[1].isdecimal() else 0
        write = self.command == "PUT"
        if zendesk.latency:
            time.sleep(zendesk.latency)
        try:
            ordered = zendesk.take_failure(self.command)
            if ordered is not None:
                raise Refused(ordered[0], "Ordered", "ordered by the test", ordered[1])
            credentials = base64.b64encode(f"{zendesk.email}/token:{zendesk.token}".encode()).decode()
            if self.headers.get("Authorization") != f"Basic {credentials}":
                raise Refused(401, "Couldn't authenticate you", "wrong e-mail or token")
            if write and self.headers.get_content_type() != "application/json":
                raise Refused(415, "UnsupportedMediaType", f"Content-Type {self.headers.get('Content-Type')}")
        except Refused as refusal:
            if write:
                zendesk.note_write(ticket_id, body.decode(errors="replace"), refusal.status, refusal.reason)
            raise
        match self.command, parts:
            case "GET", ["users", "me"]:
                return {"user": zendesk.desk.me}
            case "GET", ["tickets", _]:
                return {"ticket": zendesk.desk.show(ticket_id)}
            case "GET", ["tickets", _, "audits"] if not zendesk.no_audits:
                zendesk.desk.show(ticket_id)
                page, audits = int(query.get("page", ["1"])[0]), zendesk.desk.audits[ticket_id]
                more = f"{zendesk.url}/api/v2/tickets/{ticket_id}/audits?page={page + 1}" if len(audits) > page * _PAGE else None
                return {"audits": audits[(page - 1) * _PAGE : page * _PAGE], "next_page": more, "previous_page": None, "count": len(audits)}
            case "PUT", ["tickets", _]:
                return zendesk.update(ticket_id, json.loads(body))
        raise Refused(404, "InvalidEndpoint", "Not found")

    def _door(self, parts: list[str], body: bytes) -> Any:
        zendesk, desk = self.zendesk, self.zendesk.desk
        is_form = self.command == "POST" and not body.lstrip().startswith(b"{")  # curl -d calls JSON a form, too
        told: dict[str, Any] = {name: values[0] for name, values in parse_qs(body.decode()).items()} if is_form else json.loads(body or b"{}")
        done: Any = {}
        match self.command, parts:
            case "GET", []:
                return _page(zendesk)
            case "GET", ["simulator", "tickets"]:
                return {"tickets": list(desk.tickets.values())}
            case "GET", ["simulator", "writes"]:
                return {"writes": zendesk.writes}
            case "POST", ["simulator", "tickets"]:
                done = {"ticket": zendesk.create_ticket(told.get("subject") or "It does not work", told.get("priority") or None)}
            case "POST", ["simulator", "tickets", ticket, "comments"]:
                zendesk.add_comment(ticket, told.get("body") or "Hello", public=told.get("public", True) in (True, "true"), by=told.get("by", "customer"))
            case "POST", ["simulator", "tickets", ticket, "status"]:
                zendesk.set_status(ticket, told["status"])
            case "POST", ["simulator", "faults"]:
                zendesk.latency, zendesk.no_audits = float(told.get("latency", zendesk.latency)), bool(told.get("no_audits", zendesk.no_audits))
                zendesk.lose_answer_next, zendesk.apply_late_next = int(told.get("lose_answer_next", 0)), told.get("apply_late")
                if "fail_next" in told:
                    zendesk.fail_next(**told["fail_next"])
            case _:
                raise Refused(404, "InvalidEndpoint", "Not found")
        if is_form:
            return _page(zendesk)
        return done

    def _answer(self, status: int, data: Any, headers: dict[str, str] | None = None) -> None:
        left = str(self.zendesk.desk.calls_left)
        limits = {"ratelimit-limit": str(self.zendesk.desk.per_minute), "ratelimit-remaining": left, "ratelimit-reset": "60"}
        self._send(status, json.dumps(data).encode(), "application/json; charset=utf-8", {**limits, **(headers or {})})

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _page(zendesk: ZendeskSimulator) -> str:
    rows = ""
    for ticket in reversed(list(zendesk.desk.tickets.values())):
        door = f"/simulator/tickets/{ticket['id']}"
        rows += (
            f"<tr><td>{ticket['id']}<td>{html.escape(ticket['subject'])}<td>{ticket['status']}<td>{ticket['priority'] or '-'}<td>{ticket['assignee_id'] or '-'}"
            f'<td><form method=post action="{door}/comments"><input name=body placeholder=Comment><select name=by><option>agent<option>customer</select>'
            f"<select name=public><option value=true>public<option value=false>internal</select><button>Add</button></form>"
            f'<td><form method=post action="{door}/status"><select name=status><option>open<option>pending<option>hold<option>solved<option>closed</select>'
            "<button>Set</button></form>"
        )
    writes = "".join(
        f"<tr><td>{time.strftime('%H:%M:%S', time.localtime(one['at']))}<td>{one['ticket']}<td>{one['status']} {html.escape(one['reason'])}"
        f"<td><pre>{html.escape(json.dumps(one['body'], indent=1))}</pre>"
        for one in reversed(zendesk.writes)
    )
    return (
        '<!doctype html><html lang=en><meta charset=utf-8><title>Zendesk simulator</title><h1>Zendesk simulator</h1><p><a href="/">Reload</a></p>'
        "<form method=post action=/simulator/tickets><input name=subject placeholder=Subject><select name=priority><option>normal<option>low<option>high"
        "<option>urgent<option value=''>(not set)</select><button>Create ticket as a customer</button></form>"
        f"<table border=1><tr><th>Ticket<th>Subject<th>Status<th>Priority<th>Assignee<th>Comment<th>Status</tr>{rows}</table>"
        f"<h2>Updates that arrived through the API</h2><table border=1><tr><th>At<th>Ticket<th>Answer<th>Body</tr>{writes}</table></html>"
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m connectors.zendesk.simulator", description="A strict Zendesk stand-in with a page to click in.")
    parser.add_argument("--port", type=int, default=9001)
    parser.add_argument("--webhook", default="", help="where to send event webhooks: the connection's webhook address")
    parser.add_argument("--secret", default="simulator-secret", help="the signing secret of the webhooks")
    parser.add_argument("--email", default="robot@example.com")
    parser.add_argument("--token", default="simulator-token")
    given = parser.parse_args()
    simulator = ZendeskSimulator(port=given.port, email=given.email, token=given.token, webhook_url=given.webhook, secret=given.secret).start()
    print(f"Zendesk simulator: {simulator.url}/ (user {given.email}, id {ME}); Ctrl-C ends it", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        simulator.stop()


if __name__ == "__main__":
    main()
