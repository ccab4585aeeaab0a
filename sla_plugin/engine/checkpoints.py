"""Checkpoints: a fold up to an instant, from which later facts go on. `evaluate(checkpoint, new facts)` equals evaluating all.

In memory a checkpoint shares its spans with what goes on from it; as data it is plain JSON, its spans packed, so that reading them back costs nothing until
one is looked at. It holds the open cycles and how many were finished before: those never change. It is of no use any more when a fact or a book appears at
or before its instant, or a book that has metrics it did not count.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from struct import Struct
from typing import Any, overload

from sla_plugin.engine.business_time import ALWAYS
from sla_plugin.engine.clocks import Run, Span
from sla_plugin.engine.facts import Fact
from sla_plugin.engine.fold import Fold, Slot
from sla_plugin.engine.policies import Book, Target, Terms

VERSION = 2  # of the data; another one is not read


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that happened up to `at` (microseconds UTC), folded. `creation`: told, implied, or not known."""

    at: int
    last_at: int | None
    creation: str
    _fold: Fold

    @classmethod
    def of(cls, fold: Fold, at: int, last_at: int | None, creation: str) -> "Checkpoint":
        """A checkpoint of a fold that is not taken further."""
        fold.finish_settled(at)
        fold.finished.clear()
        for slot in fold.slots:
            if slot.run is not None:
                slot.run = slot.run.fork()
        return cls(at, last_at, creation, fold)

    @property
    def frozen(self) -> Mapping[str, int]:
        """Metric -> how many of its first cycles are finished."""
        return {slot.name: slot.cycles - (slot.run is not None) for slot in self._fold.slots}

    def fits(self, facts: Sequence[Fact], books: Sequence[Book]) -> bool:
        """Whether `facts` (ascending) are later ones only, and `books` are those of the checkpoint and later ones."""
        if facts and facts[0].at <= self.at:
            return False
        known = self._fold.book
        if known is not None and known not in books:
            return False
        if any(book.since <= self.at for book in (books[books.index(known) + 1 :] if known is not None else books)):
            return False
        names = {slot.name for slot in self._fold.slots}
        if any(name not in names for book in books for name in book.metrics):
            return False
        # a creation that is told late belongs before the checkpoint
        return self.creation == "told" or not any(
            f.kind == "ticket.created" or f.sets.get("created_at") is not None or f.seen.get("created_at") is not None for f in facts
        )

    def resume(self) -> Fold:
        """A fold to take further; the checkpoint stays as it is."""
        fold = copy(self._fold)
        fold.view, fold.mirror, fold.finished = dict(fold.view), dict(fold.mirror), []
        fold.slots = [copy(slot) for slot in fold.slots]
        for slot in fold.slots:
            if slot.run is not None:
                slot.run = slot.run.fork()
        return fold

    def as_data(self) -> dict[str, Any]:
        """The checkpoint as plain JSON data."""
        fold = self._fold
        return {
            "version": VERSION,
            "at": self.at,
            "last_at": self.last_at,
            "creation": self.creation,
            "revision": None if fold.book is None else fold.book.revision,
            "settle": fold.settle,
            "state": fold.state(),
            "mirror": fold.mirror,
            "gone": fold.gone,
            "begun": fold.begun,
            "history_ended": fold.history_ended,
            "cycles": {slot.name: slot.cycles for slot in fold.slots},
            "runs": [_run_data(slot.run) for slot in fold.slots if slot.run is not None],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any], books: Sequence[Book]) -> "Checkpoint | None":
        """A checkpoint from its data; None if its books are not among `books` or it was written by another version."""
        if data.get("version") != VERSION:
            return None
        known = {terms.key: terms for book in books for terms in book.terms}
        book = next((b for b in books if b.revision == data["revision"]), None)
        named = [tuple(key) for run in data["runs"] for key in (run["terms"], *(kind[1] for kind in run["spans"]["kinds"])) if key is not None]
        if (book is None) is not (data["revision"] is None) or any(key not in known for key in named):
            return None
        fold = Fold.begin(books, data["settle"])
        fold.view.update(_from_json(data["state"]))
        fold.mirror = _from_json(data["mirror"])
        fold.gone, fold.begun, fold.history_ended = data["gone"], data["begun"], data["history_ended"]
        runs = {run["metric"]: _run_from(run, known) for run in data["runs"]}
        fold.slots = [
            Slot(name, slot.bare, slot.bare, cycles=data["cycles"][name], run=runs.get(name)) for slot in fold.slots if (name := slot.name) in data["cycles"]
        ]
        fold.provisional = sum(run.stopped_at is not None for run in runs.values())
        if book is not None:
            fold.choose_from(book)
        return cls(data["at"], data["last_at"], data["creation"], fold)


_PLAIN = tuple(f.name for f in fields(Run) if f.name not in ("terms", "target", "hours", "earlier", "spans"))


def _run_data(run: Run) -> dict[str, Any]:
    target = run.target
    return {
        **{name: getattr(run, name) for name in _PLAIN},
        "terms": run.terms.key if run.terms is not None else None,
        "target": [target.amount, target.business, target.warning, target.critical] if target is not None else None,
        "spans": _packed((*run.earlier, *run.spans)),
    }


def _run_from(data: Mapping[str, Any], known: Mapping[tuple[Any, ...], Terms]) -> Run:
    terms = known[tuple(data["terms"])] if data["terms"] is not None else None
    target = Target(*data["target"]) if data["target"] is not None else None
    hours = None if terms is None or target is None else terms.business_time if target.business else ALWAYS
    plain: dict[str, Any] = {name: data[name] for name in _PLAIN}
    plain |= {"passed": dict(data["passed"]), "grants": dict(data["grants"]), "facets": _from_json(data["facets"])}
    return Run(**plain, terms=terms, target=target, hours=hours, earlier=_PackedSpans(data["spans"], known))


_SPAN = Struct("<qqqqIII")  # since, until, counted, before, which kind, where its cause begins and ends


def _packed(spans: Iterable[Span]) -> dict[str, Any]:
    """Spans as JSON: the numbers of each in one text, what many have in common once, the causes end to end."""
    kinds: dict[tuple[Any, ...], int] = {}
    causes: list[str] = []
    numbers: list[bytes] = []
    written = 0
    for span in spans:
        kind = kinds.setdefault((span.state, span.terms.key if span.terms is not None else None, span.business), len(kinds))
        end = written + len(span.cause)
        numbers.append(_SPAN.pack(span.since, span.until, span.counted, span.before, kind, written, end))
        causes.append(span.cause)
        written = end
    return {"kinds": list(kinds), "numbers": b64encode(b"".join(numbers)).decode(), "causes": "".join(causes)}


class _PackedSpans(Sequence[Span]):
    """Spans as they were packed, each made when it is looked at."""

    def __init__(self, data: Mapping[str, Any], known: Mapping[tuple[Any, ...], Terms]) -> None:
        self._kinds = [(state, known[tuple(key)] if key is not None else None, business) for state, key, business in data["kinds"]]
        self._numbers = b64decode(data["numbers"])
        self._causes: str = data["causes"]

    def __len__(self) -> int:
        return len(self._numbers) // _SPAN.size

    @overload
    def __getitem__(self, index: int) -> Span: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Span]: ...
    def __getitem__(self, index: int | slice) -> Span | Sequence[Span]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = index if index >= 0 else index + len(self)
        if not 0 <= number < len(self):
            raise IndexError(index)
        since, until, counted, before, kind, begin, end = _SPAN.unpack_from(self._numbers, number * _SPAN.size)
        state, terms, business = self._kinds[kind]
        return Span(since, until, state, self._causes[begin:end], terms, business, counted, before)


def _from_json(state: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a ticket; tags are a tuple again."""
    return {**state, "tags": tuple(state["tags"])} if "tags" in state else dict(state)
