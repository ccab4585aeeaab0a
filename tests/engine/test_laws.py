"""What holds of every history: order, repetition, time, ledgers, checkpoints."""

import json
import os
import random
from copy import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings, strategies

from sla_plugin.engine.business_time import NEVER
from sla_plugin.engine.checkpoints import Checkpoint
from sla_plugin.engine.clocks import Run
from sla_plugin.engine.evaluate import SETTLE, Verdict, evaluate, folded, make_checkpoint
from sla_plugin.engine.facts import Fact
from sla_plugin.engine.ledger import ledger, sentence
from sla_plugin.engine.metrics.definitions import Metric
from sla_plugin.engine.metrics.waking import Waking
from sla_plugin.engine.policies import Book, Terms
from tests.engine.histories import OFFICE, answer, at, book, book_lists, clocks_of, created, histories, instants, status, terms

law = settings(max_examples=int(os.environ.get("LAW_EXAMPLES", "150")), deadline=None)  # bench/mutation.py asks for fewer


@law
@given(history=histories, books=book_lists, as_of=instants, seed=strategies.integers(0, 2**32))
def test_order_and_repetition_do_not_matter(history: list[Fact], books: list[Book], as_of: int, seed: int) -> None:
    chance = random.Random(seed)
    mixed = [*history, *chance.choices(history, k=len(history) // 2)]
    chance.shuffle(mixed)
    assert evaluate(mixed, books, as_of)._replace(clocks=()) == evaluate(history, books, as_of)._replace(clocks=())
    assert clocks_of(evaluate(mixed, books, as_of)) == clocks_of(evaluate(history, books, as_of))


@law
@given(history=histories, books=book_lists, as_of=instants)
def test_a_fact_told_in_parts_says_the_same(history: list[Fact], books: list[Book], as_of: int) -> None:
    whole = Fact("z-both", "ticket.updated", at(333), sets={"category": "billing", "group": "tier9"})
    parts = [Fact("z-one", "ticket.updated", at(333), sets={"category": "billing"}), Fact("z-two", "group.changed", at(333), sets={"group": "tier9"})]

    def said(facts: list[Fact]) -> list[Any]:
        return [(c.metric, c.cycle, c.phase, c.elapsed, c.deadline_at, c.passed, c.owner) for c in evaluate(facts, books, as_of).clocks]

    assert said([*history, whole]) == said([*history, *parts])


def looked_at_always(books: list[Book]) -> list[Book]:
    """The same books with metrics that look at every fact, whatever it is."""
    everything = Waking(frozenset(), frozenset(), always=True)

    def awake(metric: Metric) -> Metric:
        found = copy(metric)
        object.__setattr__(found, "starts_on", everything)
        object.__setattr__(found, "moves_on", everything)
        return found

    def of(terms: Terms) -> Terms:
        return replace(terms, policy=replace(terms.policy, metrics={name: awake(metric) for name, metric in terms.policy.metrics.items()}))

    return [replace(b, terms=tuple(map(of, b.terms)), metrics={name: awake(metric) for name, metric in b.metrics.items()}) for b in books]


@law
@given(history=histories, books=book_lists, as_of=instants)
def test_looking_only_where_woken_is_looking_at_everything(history: list[Fact], books: list[Book], as_of: int) -> None:
    def said(verdict: Verdict) -> list[dict[str, Any]]:
        return [{**shown, "terms": None, "spans": [span._replace(terms=None) for span in shown["spans"]]} for shown in clocks_of(verdict)]

    assert said(evaluate(history, books, as_of)) == said(evaluate(history, looked_at_always(books), as_of))


@law
@given(history=histories, books=book_lists, as_of=instants)
def test_every_ledger_sums_and_is_whole(history: list[Fact], books: list[Book], as_of: int) -> None:
    for clock in evaluate(history, books, as_of).clocks:
        rows = ledger(clock)
        assert sum(row.counted for row in rows) == clock.elapsed
        assert [row.total for row in rows][-1:] in ([], [clock.elapsed])
        edges = [clock.started_at, *(row.until for row in rows)]
        assert [row.since for row in rows] == edges[:-1]
        assert edges[-1] == max(clock.counted_at, clock.started_at)
        assert all(0 <= row.counted <= row.until - row.since for row in rows)
        assert sentence(clock, "The clock").startswith("The clock ")


@law
@given(history=histories, books=book_lists, as_of=instants, later=strategies.integers(0, 10_000))
def test_time_only_adds(history: list[Fact], books: list[Book], as_of: int, later: int) -> None:
    assume(all(terms.policy.on_change == "keep" for b in books for terms in b.terms))
    now = {(c.metric, c.cycle): c for c in evaluate(history, books, as_of).clocks}
    then = {(c.metric, c.cycle): c for c in evaluate(history, books, as_of + later * 60_000_000).clocks}
    for key, clock in now.items():
        assert then[key].elapsed >= clock.elapsed
        assert clock.passed.items() <= then[key].passed.items()  # what was recorded stays recorded
        assert clock.finished_at is None or (then[key].finished_at, then[key].passed, then[key].elapsed) == (clock.finished_at, clock.passed, clock.elapsed)


@law
@given(history=histories, books=book_lists, as_of=instants)
def test_nothing_happens_later_than_as_of(history: list[Fact], books: list[Book], as_of: int) -> None:
    verdict = evaluate(history, books, as_of)
    for clock in verdict.clocks:
        assert all(instant <= as_of for instant in (*clock.passed.values(), clock.stopped_at or as_of, clock.finished_at or as_of, clock.started_at))
    assert verdict.next_transition_at is None or verdict.next_transition_at > as_of - 1


@law
@given(history=histories, books=book_lists, as_of=instants)
def test_a_breach_is_what_is_over_its_target(history: list[Fact], books: list[Book], as_of: int) -> None:
    assume(len(books) == 1)
    changed = {f.kind for f in history} & {"priority.changed", "deadline.extended"}
    for clock in evaluate(history, books, as_of).clocks:
        if clock.target is not None and not changed and clock.phase != "cancelled":
            assert (clock.breached_at is not None) is (clock.elapsed > clock.target)
            if clock.breached_at is not None:
                assert clock.breached_at == clock.deadline_next_open_at
                assert clock.deadline_at is not None


@law
@given(history=histories, books=book_lists, as_of=instants)
def test_by_the_next_transition_something_moved(history: list[Fact], books: list[Book], as_of: int) -> None:
    coming = evaluate(history, books, as_of).next_transition_at
    assume(coming is not None and coming < NEVER)
    assert coming is not None
    before, after = evaluate(history, books, max(coming - 1, as_of)), evaluate(history, books, max(coming, as_of))

    def said(verdict: Any) -> Any:
        return [(c.metric, c.cycle, c.phase, dict(c.passed)) for c in verdict.clocks], verdict.state, verdict.last_at

    assert coming <= as_of or said(after) != said(before) or any(f.at == coming for f in history) or any(b.since == coming for b in books)


@law
@given(start=strategies.integers(0, 20_000), target=strategies.integers(1, 4_000))
def test_elapsed_at_the_deadline_is_the_target(start: int, target: int) -> None:
    books = [book(terms(targets={"resolution": f"{target}m"}))]
    (clock,) = evaluate([created(start)], books, at(start)).clocks
    assert clock.deadline_at is not None
    (due,) = evaluate([created(start)], books, max(clock.deadline_at, at(start))).clocks
    assert (due.elapsed, due.breached_at) == (target * 60_000_000, None)
    assert clock.deadline_next_open_at is not None
    (late,) = evaluate([created(start)], books, clock.deadline_next_open_at + 1).clocks
    assert (late.elapsed, late.breached_at) == (target * 60_000_000 + 1, clock.deadline_next_open_at)


@law
@given(moments=strategies.lists(strategies.integers(0, 20_000), min_size=3, max_size=3).map(sorted))
def test_elapsed_adds_up(moments: list[int]) -> None:
    first, middle, last = moments
    books = [book(terms(targets={"resolution": "500h"}))]

    def elapsed(since: int, until: int) -> int:
        return evaluate([created(since)], books, at(until)).clocks[0].elapsed

    assert elapsed(first, middle) + elapsed(middle, last) == elapsed(first, last)


@law
@given(day=strategies.integers(0, 6), start=strategies.integers(1081, 1400), length=strategies.integers(1, 500))
def test_a_pause_outside_hours_changes_nothing(day: int, start: int, length: int) -> None:
    books = [book(terms(targets={"resolution": "30h"}))]
    pause = [status("waiting_customer", day * 1440 - 9 * 60 + start - 60), status("open", day * 1440 - 9 * 60 + start - 60 + length)]
    assume(OFFICE.between(pause[0].at, pause[1].at) == 0 and pause[0].at > at(0))
    plain, paused = (evaluate(facts, books, at(15_000)).clocks[0] for facts in ([created()], [created(), *pause]))
    assert (plain.elapsed, plain.deadline_at, plain.deadline_next_open_at, plain.passed) == (
        paused.elapsed,
        paused.deadline_at,
        paused.deadline_next_open_at,
        paused.passed,
    )


@law
@given(history=histories, books=book_lists, upto=instants, later=strategies.integers(0, 10_000))
def test_a_checkpoint_and_the_rest_equal_all(history: list[Fact], books: list[Book], upto: int, later: int) -> None:
    as_of = upto + later * 60_000_000
    known = [b for b in books if b is books[0] or b.since <= upto]
    checkpoint = make_checkpoint(history, known, upto)
    assert checkpoint is not None
    rest = [f for f in history if f.at > upto]
    assume(checkpoint.fits(rest, books))
    whole = evaluate(history, books, as_of)
    stored = Checkpoint.from_data(json.loads(json.dumps(checkpoint.as_data())), books)
    assert stored is not None
    for start in (checkpoint, stored, checkpoint):  # a checkpoint may be used again
        resumed = evaluate(rest, books, as_of, checkpoint=start)
        assert resumed._replace(clocks=(), frozen={}) == whole._replace(clocks=(), frozen={})
        assert clocks_of(resumed) == [c for c in clocks_of(whole) if c["cycle"] > resumed.frozen[c["metric"]]]


@law
@given(history=histories, books=book_lists, cuts=strategies.lists(strategies.integers(0, 15_000), max_size=4).map(sorted))
def test_checkpoints_on_checkpoints_equal_all(history: list[Fact], books: list[Book], cuts: list[int]) -> None:
    checkpoint, done = None, -(2**62)
    for cut in cuts:
        part = [f for f in history if done < f.at <= at(cut)]
        assume(checkpoint is None or checkpoint.fits(part, books))
        checkpoint = make_checkpoint(part, books, at(cut), checkpoint=checkpoint)
        done = at(cut)
    rest = [f for f in history if f.at > done]
    assume(checkpoint is None or checkpoint.fits(rest, books))
    resumed, whole = evaluate(rest, books, at(16_000), checkpoint=checkpoint), evaluate(history, books, at(16_000))
    assert clocks_of(resumed) == [c for c in clocks_of(whole) if c["cycle"] > resumed.frozen.get(c["metric"], 0)]


def test_a_checkpoint_refuses_what_belongs_before_it() -> None:
    books = [book()]
    checkpoint = make_checkpoint([created(), answer(10)], books, at(60))
    assert checkpoint is not None
    assert not checkpoint.fits([answer(60)], books)
    assert not checkpoint.fits([answer(70)], [book(terms(2))])
    assert not checkpoint.fits([answer(70)], [*books, book(terms(2), since=at(30), revision=2)])
    assert checkpoint.fits([answer(70)], [*books, book(terms(2), since=at(80), revision=2)])


SEEN = {"status": "waiting_customer", "priority": "P1"}


@pytest.mark.parametrize(
    "between",
    [
        [],
        [Fact("own", "own.write", at(20), sets={"priority": "P0"}, own=True)],
        [Fact("told", "status.changed", at(20), sets={"status": "open"})],
        [Fact("tagged", "ticket.updated", at(20), added=("vip",))],
        [Fact("other", "note.internal", at(20), seen={"status": "open"})],
        [Fact("lost", "note.internal", at(20), seen={"status": "open"}, seen_at=at(25))],
        [Fact("gone", "ticket.deleted", at(5), gone="deleted"), Fact("back", "ticket.restored", at(25), gone="")],
    ],
    ids=["nothing", "our write", "a change", "a tag", "another snapshot", "a later snapshot", "deleted and back"],
)
def test_a_snapshot_shown_again_heals_as_if_it_were_another(between: list[Fact]) -> None:
    """Reading shares equal snapshots between facts: the fold knows one again, and must not trust it where anything moved in between."""
    shared = [created(), Fact("first", "note.internal", at(10), seen=SEEN), *between, Fact("again", "note.internal", at(30), seen=SEEN)]
    apart = [replace(f, seen=dict(f.seen)) for f in shared]
    books = [book(terms())]
    one, other = evaluate(shared, books, at(600)), evaluate(apart, books, at(600))
    assert (one.mirror, one.state, clocks_of(one)) == (other.mirror, other.state, clocks_of(other))
    assert {**one.mirror, **SEEN} == one.mirror


def runs_of(history: list[Fact], books: list[Book], as_of: int) -> list[Run]:
    """Every cycle, as the fold leaves it."""
    fold, _, _ = folded(history, books, as_of, SETTLE, None, None)
    return [*fold.finished, *(slot.run for slot in fold.slots if slot.run is not None)]


def found_alone(run: Run) -> tuple[int | None, ...]:
    """The four instants of a run, each looked for by itself."""
    thresholds = run.thresholds()
    return (None,) * 4 if thresholds is None else (*map(run.instant_of, thresholds), run.instant_of(thresholds[-1], exceeded=True))


@law
@given(history=histories, books=book_lists, as_of=instants)
def test_the_four_instants_are_each_of_them_found_alone(history: list[Fact], books: list[Book], as_of: int) -> None:
    assert all(run.instants() == found_alone(run) for run in runs_of(history, books, as_of))


@pytest.mark.parametrize("held_at", range(30, 600, 10))
def test_the_four_instants_with_a_hold_before_between_and_after_them(held_at: int) -> None:
    history = [created(), status("waiting_customer", held_at), status("open", held_at + 60), status("waiting_customer", 800), status("open", 900)]
    found = runs_of(history, [book(terms())], at(2000))
    assert found
    assert all(run.instants() == found_alone(run) for run in found)
