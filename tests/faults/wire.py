"""A helpdesk stand-in behind a socket, served by the director's own loop: no thread, so that processes can be forked beside it."""

import json
import selectors
import socket
from collections.abc import Mapping
from typing import Any

from tests.faults.points import LOSE, TROUBLE
from tests.journeys.foreign_desk import Fault, ForeignDesk, Refusal

TROUBLES = {"503": Fault(status=503), "429": Fault(status=429, retry_after=7), "late": Fault(applies="late", answers=False)}


class Wire:
    """Answers requests for `desk` (set before the first) when `serve` is told that a socket has something to read."""

    desk: ForeignDesk

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def hang_up(self) -> None:
        """Close every connection (between two schedules)."""
        for connection in list(self._open):
            self._close(connection)

    def close_listener(self) -> None:
        """In a child: the listener is the parent's."""
        self._listener.close()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.add(connection)
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._answer(connection))

    def _close(self, connection: socket.socket) -> None:
        self._open.discard(connection)
        self._selector.unregister(connection)
        connection.close()

    def _answer(self, connection: socket.socket) -> None:
        request = _read(connection)
        if request is None:
            return self._close(connection)
        method, path, headers, content = request
        status, extra, answer = self._serve(method, path, headers, content)
        if answer is None:
            return self._close(connection)
        body = json.dumps(answer).encode()
        head = "".join(f"{name}: {value}\r\n" for name, value in {"Content-Type": "application/json", "Content-Length": len(body), **extra}.items())
        try:
            connection.sendall(f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + body)
        except OSError:
            self._close(connection)
        return None

    def _serve(self, method: str, path: str, headers: Mapping[str, str], content: bytes) -> tuple[int, dict[str, str], dict[str, Any] | None]:
        """Status, more headers, and the answer (None: the connection breaks)."""
        if headers.get(LOSE) == "before":
            return 0, {}, None
        if headers.get(TROUBLE):
            self.desk.faults.append(TROUBLES[headers[TROUBLE]])
        try:
            answer = self.desk.serve(method, path, headers, content)
        except Refusal as refusal:
            if method == "PUT":
                self.desk.refused.append((refusal.status, int(path.rsplit("/", 1)[1]), refusal.error))
            extra = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
            return (0, {}, None) if headers.get(LOSE) else (refusal.status, extra, {"error": refusal.error})
        return 200, {}, None if headers.get(LOSE) else answer


def _read(connection: socket.socket) -> tuple[str, str, dict[str, str], bytes] | None:
    """Method, path, headers and body; None where the other side has hung up."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            chunk = connection.recv(65536)
            if not chunk:
                return None
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        while len(body) < int(headers.get("Content-Length", 0)):
            chunk = connection.recv(65536)
            if not chunk:
                return None
            body += chunk
    except OSError:
        return None
    method, path, _ = first.split(" ")
    return method, path, headers, body
