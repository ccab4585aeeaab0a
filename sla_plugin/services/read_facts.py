"""A promise's stored history as facts: what is said again and again is read once, and what a checkpoint holds is not read at all."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import sla_plugin.engine
from sla_plugin.engine.checkpoints import Checkpoint
from sla_plugin.engine.evaluate import make_checkpoint
from sla_plugin.engine.facts import Fact, in_order, translate, translate_seen
from sla_plugin.engine.policies import Book
from sla_plugin.ports import Words
from sla_plugin.store.checkpoints import drop_checkpoints, read_checkpoints
from sla_plugin.store.db import Transaction
from sla_plugin.store.events import read_told

LONG = 200  # events that are folded at every evaluation; what goes beyond is kept in a checkpoint
RECENT = 50  # the newest events are left out of it: what comes a little late still falls behind it


@dataclass(slots=True)
class History:
    """What evaluating a promise begins with: its facts later than the checkpoint, or all of them.

    before   how many events the checkpoint holds
    live     whether one of the facts is no part of an import
    """

    facts: list[Fact] = field(default_factory=list)
    checkpoint: Checkpoint | None = None
    before: int = 0
    live: bool = False

    @property
    def latest(self) -> int | None:
        """The instant of the last event; None if there is none."""
        return max((f.at for f in self.facts), default=self.checkpoint.last_at if self.checkpoint is not None else None)


class FactReader:
    """Reads events in the words of one connection. Texts that said the same before are not parsed again, so what it returns is shared: nobody changes it."""

    def __init__(self, words: Words) -> None:
        self._words: dict[str, Any] = {"status": words.status, "priority": words.priority, "unset_priority": words.unset_priority}
        self._said: dict[tuple[str, str], tuple[Fact, bool]] = {}
        self._shown: dict[str, Mapping[str, Any]] = {}

    def read(self, rows: Sequence[Any]) -> dict[int, History]:
        """Rows of `read_told` as facts, by promise."""
        said, shown = self._said, self._shown
        histories: dict[int, History] = {}
        for promise, key, kind, at, sequence, actor_id, actor_role, public, own, told, seen in rows:
            first = said.get((kind, told))
            if first is None:
                first = said[kind, told] = self._first_said(kind, told)
            like, imported = first
            history = histories.get(promise)
            if history is None:
                history = histories[promise] = History()
            if not imported:
                history.live = True
            history.facts.append(
                Fact(
                    key,
                    kind,
                    at,
                    sequence,
                    actor_id,
                    actor_role,
                    public,
                    like.sets,
                    like.added,
                    like.removed,
                    _NOTHING if seen is None else shown.get(seen) or self._first_shown(seen),
                    like.seen_at,
                    like.opening,
                    own or like.own,
                    like.gone,
                    like.extends,
                    like.withdraws,
                    like.history_end,
                )
            )
        return histories

    def _first_said(self, kind: str, told: str) -> tuple[Fact, bool]:
        data = json.loads(told)
        like = self._translate(kind, data)
        imported = not like.history_end and (bool(data.get("history")) or kind == "own.write")
        return like, imported

    def _first_shown(self, seen: str) -> Mapping[str, Any]:
        found = self._shown[seen] = translate_seen(json.loads(seen), **self._words)
        return found

    def _translate(self, kind: str, data: Mapping[str, Any]) -> Fact:
        return translate(key="", kind=kind, at=0, sequence=None, actor_id=None, actor_role="", public=None, own=False, data=data, **self._words)


_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Ground:
    """What a fold of a promise's events stands on beside them."""

    books: Sequence[Book]
    words: Words
    settle: int
    known_since: int

    @cached_property
    def digest(self) -> str:
        """Changes with the engine's code, the connection's words and the settings; the books are compared by the checkpoint itself."""
        told = json.dumps([_engine(), asdict(self.words), self.settle, self.known_since], sort_keys=True, default=dict)
        return hashlib.sha256(told.encode()).hexdigest()


@cache
def _engine() -> str:
    """A digest of the engine's code: a fold made by other code is not gone on from."""
    folder = Path(sla_plugin.engine.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_facts(
    tx: Transaction, tenant: int, grounds: Mapping[int, Ground], readers: Mapping[int, FactReader], changed_at: Mapping[int, int]
) -> dict[int, History]:
    """The histories of locked promises, from their checkpoints on where these still fit; one that does not is dropped.

    `grounds` and `readers` by promise; `changed_at`: promise -> the instant of the earliest event that is new to it, at or after which no checkpoint fits.
    """
    histories: dict[int, History] = {}
    useless: list[int] = []
    for row in read_checkpoints(tx, tenant, grounds):
        promise, ground = row.promise_id, grounds[row.promise_id]
        checkpoint = None
        if row.fits == ground.digest and changed_at.get(promise, row.at + 1) > row.at:
            checkpoint = Checkpoint.from_data(json.loads(row.data), ground.books)
        if checkpoint is not None:
            history = readers[promise].read(read_told(tx, tenant, [promise], after=row.at)).get(promise, History())
            if checkpoint.fits(in_order(history.facts), ground.books):
                history.checkpoint, history.before = checkpoint, row.count
                histories[promise] = history
        if promise not in histories:
            useless.append(promise)
    drop_checkpoints(tx, tenant, useless)
    by_reader: dict[FactReader, list[int]] = {}
    for promise in grounds:
        if promise not in histories:
            by_reader.setdefault(readers[promise], []).append(promise)
    for reader, promises in by_reader.items():
        histories |= reader.read(read_told(tx, tenant, promises))
    return histories


def checkpoint_row(tenant: int, promise: int, history: History, ground: Ground, as_of: int) -> dict[str, Any] | None:
    """A row with a newer checkpoint of a history that has grown long; None while it has not, or where it cannot be cut now."""
    if len(history.facts) <= LONG:
        return None
    facts = in_order(history.facts)
    upto = min(facts[-RECENT].at, as_of)
    while late := [f.at for f in facts if f.seen_at is not None and f.at <= upto < f.seen_at]:
        upto = min(late) - 1  # a ticket that was shown later than its event is folded at that later instant
    if upto < facts[0].at:
        return None
    made = make_checkpoint(facts, ground.books, upto, settle=ground.settle, known_since=ground.known_since, checkpoint=history.checkpoint)
    if made is None:
        return None
    count = history.before + sum(f.at <= upto for f in facts)
    return {"tenant_id": tenant, "promise_id": promise, "at": upto, "count": count, "fits": ground.digest, "data": json.dumps(made.as_data())}
