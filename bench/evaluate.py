"""What evaluating costs: one ticket, a ledger, a ticket with a very long history, and one more event on its checkpoint.

    python bench/evaluate.py [rounds]

Each figure is the median over rounds of the best of several passes (a shared machine only ever adds), with its range. Two long histories are folded:
`talk`, where most events are messages and one in twenty changes the status, and `flapping`, where every second event pauses or resumes every clock.
"""

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sla_plugin.engine.business_time import business_time
from sla_plugin.engine.calendars import Calendar
from sla_plugin.engine.checkpoints import Checkpoint
from sla_plugin.engine.durations import DAY, HOUR, MINUTE
from sla_plugin.engine.evaluate import evaluate, make_checkpoint
from sla_plugin.engine.facts import Fact
from sla_plugin.engine.instants import instant
from sla_plugin.engine.ledger import ledger
from sla_plugin.engine.policies import Book, Policy, Terms

START = instant("2025-03-03T08:00:00Z")
WEEK = {day: ["09:00-18:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
OFFICE = business_time(Calendar.from_definition({"time_zone": "Europe/Berlin", "hours": WEEK, "holidays": ["2025-04-18", "2025-05-01"]}, "bench"))
POLICY = Policy.from_definition(
    {
        "name": "Gold",
        "applies_to": {"all": [{"field": "type", "is_not": "spam"}, {"any": [{"field": "priority", "in": ["P0", "P1"]}, {"field": "tags", "is": "vip"}]}]},
        "targets": {"first_response": "1h", "next_response": "2h", "resolution": {"P0": "4h", "P1": "8h"}, "agent_work": "6h"},
    },
    "bench",
)
BOOKS = [Book.of(1, 0, [Terms(1, 1, POLICY, 1, 1, OFFICE)])]
EVENTS = 100_000


def fact(number: int, at: int, kind: str, role: str = "agent", **sets: str) -> Fact:
    """One fact by the customer c or the agent a."""
    return Fact(f"e{number}", kind, at, actor_role=role, actor_id="c" if role == "customer" else "a", sets=sets)


def ticket() -> list[Fact]:
    """Eight events."""
    minutes = (0, 12, 30, 31, 120, 121, 180, 240)
    kinds = ("ticket.created", "assignee.changed", "reply.public", "status.changed", "reply.public", "status.changed", "reply.public", "status.changed")
    sets: list[dict[str, str]] = [{"status": "open", "priority": "P1", "requester": "c"}, {"assignee": "a"}, {}, {"status": "waiting_customer"}]
    sets += [{}, {"status": "open"}, {}, {"status": "resolved"}]
    by = ("customer", "agent", "agent", "agent", "customer", "customer", "agent", "agent")
    return [fact(n, START + m * MINUTE, kind, role, **told) for n, (m, kind, role, told) in enumerate(zip(minutes, kinds, by, sets, strict=True))]


def long_ticket(flapping: bool) -> list[Fact]:
    """100,000 events, one every five minutes."""
    facts = [fact(0, START, "ticket.created", "customer", status="open", priority="P1", requester="c")]
    for n in range(1, EVENTS):
        at = START + n * 5 * MINUTE
        if flapping or n % 20 == 0:
            facts.append(fact(n, at, "status.changed", status="waiting_customer" if (n if flapping else n // 20) % 2 else "open"))
        else:
            facts.append(fact(n, at, "reply.public", "customer" if n % 2 else "agent"))
    return facts


def best(run: Callable[[], object], count: int, passes: int) -> float:
    """Microseconds of one call: the best pass of `count` calls, without the garbage collector, as timeit has it."""
    found = []
    gc.disable()
    for _ in range(passes):
        begin = time.perf_counter_ns()
        for _ in range(count):
            run()
        found.append((time.perf_counter_ns() - begin) / count / 1000)
    gc.enable()
    return min(found)


def report(name: str, run: Callable[[], object], rounds: int, count: int, passes: int) -> float:
    """One line: median and range over rounds."""
    run()
    figures = [best(run, count, passes) for _ in range(rounds)]
    middle = statistics.median(figures)
    print(f"{name}: {middle:,.1f} us (range {min(figures):,.1f} to {max(figures):,.1f}, {rounds} rounds)", flush=True)
    return middle


def main(rounds: int) -> None:
    """Run the rounds, print."""
    facts, as_of = ticket(), START + 5 * HOUR
    verdict = evaluate(facts, BOOKS, as_of)
    print(f"a ticket: {len(facts)} events, {len(verdict.clocks)} clocks ({', '.join(c.metric for c in verdict.clocks)})")
    report("evaluate one ticket, no ledger", lambda: evaluate(facts, BOOKS, as_of), rounds, 20, 50)
    for days in (0, 30, 300):
        clock = evaluate([facts[0]], BOOKS, START + days * DAY + 5 * HOUR).clocks[-1]
        segments = len(ledger(clock))
        cost = report(f"ledger of a clock with {segments} segments", lambda clock=clock: ledger(clock), rounds, 20, 20)
        print(f"    allowed {20 + 2 * segments} us, goal {10 + segments} us: {cost / (20 + 2 * segments):.2f} of what is allowed")
    for name in ("talk", "flapping"):
        history = long_ticket(name == "flapping")
        end = history[-1].at
        gc.collect()
        report(f"{name}: full fold of {len(history):,} events", lambda h=history, e=end: evaluate(h, BOOKS, e), min(rounds, 3), 1, 1)
        checkpoint = make_checkpoint(history, BOOKS, end)
        assert checkpoint is not None
        one = [fact(EVENTS, end + MINUTE, "status.changed", status="open")]
        report(f"{name}: one more event on the checkpoint", lambda c=checkpoint, o=one, e=end: evaluate(o, BOOKS, e + HOUR, checkpoint=c), rounds, 20, 20)
        stored = json.dumps(checkpoint.as_data())
        report(f"{name}: reading the checkpoint ({len(stored):,} bytes of JSON)", lambda s=stored: Checkpoint.from_data(json.loads(s), BOOKS), rounds, 1, 5)


if __name__ == "__main__":
    main(max(3, int(sys.argv[1])) if len(sys.argv) > 1 else 5)
