"""Input as it comes: out of order, missing, repeated, from the future, before the creation, unknown. Each has a defined answer."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sla_plugin.engine.business_time import ALWAYS
from sla_plugin.engine.evaluate import evaluate
from sla_plugin.engine.facts import Fact, translate
from sla_plugin.engine.instants import instant, iso, read_instant
from tests.engine.histories import answer, at, book, created, cycles, fact, status, terms

BOOKS = [book(terms(hours=ALWAYS, targets={"first_response": "1h", "resolution": "2h"}))]
ASKED = ("first_response", "resolution")


def standing(facts: list[Fact], minute: float = 100, **known: Any) -> dict[str, list[tuple[str, int]]]:
    verdict = evaluate(facts, BOOKS, at(minute), **known)
    return {metric: [(c.phase, c.elapsed // 60_000_000) for c in cycles(verdict, metric)] for metric in ASKED}


@pytest.mark.parametrize(
    ("facts", "first_response", "resolution"),
    [
        ([], [], []),
        ([answer(10), created()], [("finished", 10)], [("running", 100)]),  # out of order
        ([created(), answer(10), answer(10), created()], [("finished", 10)], [("running", 100)]),  # repeated
        ([answer(10), status("waiting_customer", 20)], [], []),  # the creation is missing
        ([created(), status("open", 40)], [("running", 100)], [("running", 100)]),  # the pause is missing
        ([created(), answer(-5)], [("running", 100)], [("running", 100)]),  # an answer before the creation
        ([created(), status("closed", -5)], [("running", 100)], [("running", 100)]),  # the creation says open
        ([created(), answer(200)], [("running", 100)], [("running", 100)]),  # from the future
        ([created(300)], [], []),
        ([created(), status("on fire", 10)], [("running", 100)], [("running", 100)]),  # an unknown status holds nothing and stops nothing
        ([created(priority="P9")], [("running", 100)], [("running", 100)]),
        ([created(), created(30, key="again")], [("running", 100)], [("running", 100)]),  # created twice
        ([created(), fact("ticket.restored", 10, gone="")], [("running", 100)], [("running", 100)]),
        ([created(), fact("something.new", 10)], [("running", 100)], [("running", 100)]),
        ([created(), fact("ticket.updated", 10, event="x", moved="y")], [("running", 100)], [("running", 100)]),  # fields named as ours
    ],
)
def test_table(facts: list[Fact], first_response: list[Any], resolution: list[Any]) -> None:
    assert standing(facts) == {"first_response": first_response, "resolution": resolution}


def test_what_is_still_to_come_is_the_next_transition() -> None:
    assert evaluate([created(300)], BOOKS, at(100)).next_transition_at == at(300)


@pytest.mark.parametrize(("known_since", "wanted"), [(None, []), (at(-10), [("running", 95)]), (at(20), [])])
def test_a_creation_that_was_never_told(known_since: int | None, wanted: list[Any]) -> None:
    seen = fact("ticket.observed", 30, seen={"created_at": at(5), "status": "open"})
    assert standing([seen], known_since=known_since)["resolution"] == wanted


def test_no_books_promise_nothing() -> None:
    verdict = evaluate([created(), answer(10)], [], at(100))
    assert (verdict.clocks, verdict.next_transition_at, verdict.terms) == ((), None, None)
    assert verdict.state["priority"] == "P1"


@pytest.mark.parametrize("as_of", [1.5, "2026-11-16", datetime(2026, 11, 16, tzinfo=UTC), None, True], ids=repr)
def test_only_whole_microseconds_are_instants(as_of: Any) -> None:
    with pytest.raises(TypeError, match="whole microseconds"):
        evaluate([created()], BOOKS, as_of)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-16T09:00:00Z", at(0)),
        ("2026-11-16T10:00:00+01:00", at(0)),
        (at(0), at(0)),
        ("2026-11-16T09:00:00", None),
        ("soon", None),
        (None, None),
        (True, None),
    ],
    ids=repr,
)
def test_instants_as_helpdesks_write_them(text: Any, wanted: int | None) -> None:
    assert read_instant(text) == wanted


def test_naive_times_are_refused() -> None:
    with pytest.raises(ValueError, match="has no offset"):
        instant("2026-11-16T09:00:00")


def test_instants_as_we_write_them() -> None:
    assert (iso(at(0)), iso(None), iso(2**62), iso(-(2**62))) == ("2026-11-16T09:00:00Z", None, None, None)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"status": "on fire"}, {"status": "open", "status_word": "on fire"}),
        ({"status": None}, {}),
        ({"priority": None}, {"priority": "P2", "priority_word": None}),
        ({"priority": "mega"}, {"priority": "P2", "priority_word": "mega"}),
        ({"created_at": "2026-11-16T09:00:00"}, {"created_at": None}),
        ({"tags": "a b"}, {"tags": ("a", "b")}),
        ({"tags": None}, {"tags": ()}),
        ({"custom_fields": {"7": "x"}}, {"custom.7": "x"}),
    ],
    ids=str,
)
def test_words_that_no_list_has(values: dict[str, Any], wanted: dict[str, Any]) -> None:
    told = translate(
        key="k",
        kind="ticket.updated",
        at=at(0),
        sequence=None,
        actor_id=None,
        actor_role="unknown",
        public=None,
        own=False,
        data={"values": values},
        status={"open": "open"},
        priority={},
        unset_priority="P2",
    )
    assert told.sets == wanted
