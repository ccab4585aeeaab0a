"""The other side of the generic connector: sends signed deliveries, and takes our outgoing webhooks as strictly as a receiver should.

Being an outside system it reads the clock.
"""

import json
import threading
import time
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from connectors.http import Http
from connectors.instants import SECOND
from connectors.signatures import sign_standard, verify_standard
from sla_plugin.errors import DeliveryRejected
from sla_plugin.ports import HttpAnswer, InboundRequest

_MEMBERS = {"set_priority": {"to", "expected"}, "set_status": {"to", "expected"}, "assign": {"assignee", "expected"}, "add_comment": {"body", "public"}}


class GenericSimulator:
    """The receiver is at `url`. Use as a context manager, or `start()` and `stop()`.

    `done` maps webhook-id to the body that was carried out (once); `requests` lists every one that arrived: {at, id, status, reason, repeated}.
    Faults: `fail_next(status)`, `lose_answer_next` (carried out, no answer).
    """

    def __init__(self, *, port: int = 0, secret: str = "whsec_c2ltdWxhdG9yLXNlY3JldA==", webhook_url: str = "") -> None:  # noqa: S107  (no secret of anybody)
        self.secret, self.webhook_url = secret, webhook_url
        self.done: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.lose_answer_next = 0
        self._failures: list[tuple[int, int | None]] = []
        self._lock = threading.Lock()
        self._http = Http(allow_private=True)
        simulator = self

        class Handler(_Handler):
            receiver = simulator

        self._server = _Server(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/commands"

    def __enter__(self) -> "GenericSimulator":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> "GenericSimulator":
        """Serve in the background."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def send(self, body: Mapping[str, Any], message_id: str = "") -> HttpAnswer:
        """One signed delivery to `webhook_url`. Raises as `Http.request`."""
        data = json.dumps(body).encode()
        headers = sign_standard([self.secret], message_id or f"msg_{uuid.uuid4().hex}", data, int(time.time() * SECOND))
        return self._http.request("POST", self.webhook_url, operation="webhook", headers={"Content-Type": "application/json", **headers}, data=data)

    def fail_next(self, status: int, times: int = 1, retry_after: int | None = None) -> None:
        """Answer the next requests with an error, carrying out nothing."""
        self._failures += [(status, retry_after)] * times

    def take(self, headers: Mapping[str, str], body: bytes) -> tuple[int | None, dict[str, str]]:
        """One request: the status (None = the answer is lost) and headers to answer with."""
        now, message_id = time.time(), headers.get("webhook-id", "")
        with self._lock:
            if self._failures:
                status, retry_after = self._failures.pop(0)
                return self._note(now, message_id, status, "ordered by the test"), {} if retry_after is None else {"Retry-After": str(retry_after)}
            try:
                verify_standard(InboundRequest(headers, body, int(now * SECOND)), [self.secret])
                told = _checked(message_id, body)
            except DeliveryRejected as problem:
                return self._note(now, message_id, 401, str(problem)), {}
            except ValueError as problem:
                return self._note(now, message_id, 422, str(problem)), {}
            self._note(now, message_id, 200, "", repeated=message_id in self.done)
            self.done.setdefault(message_id, told)
            if self.lose_answer_next > 0:
                self.lose_answer_next -= 1
                return None, {}
            return 200, {}

    def _note(self, at: float, message_id: str, status: int, reason: str, *, repeated: bool = False) -> int:
        self.requests.append({"at": at, "id": message_id, "status": status, "reason": reason, "repeated": repeated})
        return status


def _checked(message_id: str, body: bytes) -> dict[str, Any]:
    """The body, if it is what we promise to send. Raises ValueError."""
    told = json.loads(body)
    if not isinstance(told, dict) or told.keys() != {"type", "ticket", "marker", "commands"} or told["type"] != "sla.commands":
        raise ValueError("the body must hold exactly type sla.commands, ticket, marker and commands")
    if told["marker"] != message_id or not isinstance(told["ticket"], str) or not told["commands"]:
        raise ValueError("marker must be the webhook-id, ticket a text, commands not empty")
    for command in told["commands"]:
        members = _MEMBERS.get(command.get("kind"))
        if members is None or command.keys() != members | {"kind"}:
            raise ValueError(f"no such command: {command}")
    return told


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    receiver: GenericSimulator

    def do_POST(self) -> None:
        """An outgoing webhook of ours."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers = self.receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
        if status is None:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""
