"""Once and not twice: the transaction of a POST, in which its answer is kept under the request's Idempotency-Key."""

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import Any, TypeVar, cast

from flask import Response, abort, g, request

from sla_plugin.store.db import Transaction
from sla_plugin.store.idempotency import REMEMBERED, keep_answer, kept_answer, take_key
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.problems import Problem, invalid
from sla_plugin.web.runtime import Runtime

View = TypeVar("View", bound=Callable[..., Any])
KEY = "Idempotency-Key"
_LONGEST = 255  # characters of a key
_KEPT_HEADERS = ("Location", "ETag")


class _Write:
    """The write of one request: its transaction is open from `begin` until the answer stands, and is committed with it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._begun: tuple[Transaction, Runtime] | None = None

    def begin(self, runtime: Runtime) -> Transaction:
        tx = self._stack.enter_context(runtime.database.transaction(caller().tenant))
        self._begun = tx, runtime
        key = _key()
        if key is None:
            return tx
        if not take_key(tx, caller().tenant, key):
            raise Problem("under-way", f"The request with this {KEY} is being worked on.", {"Retry-After": "1"})
        self._answer_again(tx, runtime, key)
        return tx

    def recall(self, runtime: Runtime) -> None:
        key = _key()
        if key is not None:
            with runtime.database.reading(caller().tenant) as tx:
                self._answer_again(tx, runtime, key)

    def _answer_again(self, tx: Transaction, runtime: Runtime, key: str) -> None:
        kept = kept_answer(tx, caller().tenant, key, caller().now - REMEMBERED)
        if kept is None:
            return
        if kept.fingerprint != _fingerprint():
            raise Problem("key-reused", f"This {KEY} was used for another request; take a new one.")
        told = json.loads(runtime.outside.sealer.open(kept.answer) or "{}")
        headers = {**told["headers"], "Idempotent-Replay": "true"}
        abort(Response(told["body"], status=kept.status, headers=headers, content_type=told["content_type"]))

    def keep(self, answer: Response) -> None:
        key = _key()
        if key is None:
            return
        if self._begun is None:
            raise RuntimeError(f"{request.endpoint} writes without writing.begin: its answer cannot be kept")
        tx, runtime = self._begun
        headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
        told = json.dumps({"body": answer.get_data(as_text=True), "content_type": answer.content_type, "headers": headers})
        keep_answer(tx, caller().tenant, key, _fingerprint(), answer.status_code, runtime.outside.sealer.seal(told), caller().now)


def once(view: View) -> View:
    """What the view began is committed when its answer stands, and with it the answer; an error takes all of it back."""

    @wraps(view)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            g.write = _Write(stack)
            answer = view(*args, **kwargs)
            g.write.keep(answer)
        return answer

    return cast(View, wrapper)


def begin(runtime: Runtime) -> Transaction:
    """The transaction of a POST, of the caller's tenant. A request that was answered before is answered alike from here: nothing after this line happens."""
    write: _Write = g.write
    return write.begin(runtime)


def recall(runtime: Runtime) -> None:
    """Before a POST asks others, outside any transaction: a request that was answered before is answered alike from here. `begin` follows all the same."""
    write: _Write = g.write
    write.recall(runtime)


def _key() -> str | None:
    key = request.headers.get(KEY)
    if key is not None and (not 0 < len(key) <= _LONGEST or not key.isascii() or not key.isprintable()):
        raise invalid({KEY: f"Use 1 to {_LONGEST} printable ASCII characters, such as a UUID."})
    return key


def _fingerprint() -> str:
    """What must be the same for it to be the same request: method, address, body, and who sends it."""
    told = f"{request.method} {request.full_path} {caller().actor.person}\n".encode() + request.get_data()
    return hashlib.sha256(told).hexdigest()
