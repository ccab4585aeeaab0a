"""Asked to end: what is under way is finished or given back, nothing new is begun; the next process goes on; who is gone is known by more than a name."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sla_plugin.jobs import outbox
from sla_plugin.jobs.ending import Ending, ended_by_signals
from sla_plugin.jobs.holders import dead_holders, process_start, this_holder, this_host
from sla_plugin.jobs.inbox import drain_inbox
from sla_plugin.jobs.outbox import drain_outbox
from sla_plugin.ports import HttpAnswer
from sla_plugin.settings import Settings
from tests.plant import MINUTE, SECOND, Plant, iso


class Receiver:
    """A webhook receiver; the first request asks the process to end, and is answered at once or not before `answer` is set."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending
        self.answer = threading.Event()
        self.answer.set()
        self.sent: list[str] = []

    def request(self, method: str, url: str, *, data: bytes | None = None, **_: Any) -> HttpAnswer:
        self.sent.append(str(data).split('"ticket":')[1].split('"')[1])
        self.ending.set()
        assert self.answer.wait(20)
        return HttpAnswer(200, {}, b"")


@pytest.fixture
def ending() -> Ending:
    return Ending()


@pytest.fixture
def receiver(ending: Ending) -> Receiver:
    return Receiver(ending)


@pytest.fixture
def plant(settings: Settings, receiver: Receiver) -> Iterator[Plant]:
    """Two tickets whose breach waits to be written."""
    made = Plant(settings, http=receiver)
    made.policy(targets={"first_response": "1h"})
    for ticket in ("A", "B"):
        made.tell({"type": "ticket.created", "id": ticket, "ticket": ticket, "occurred_at": iso(made.now)})
    made.pass_time(made.now + 61 * MINUTE)
    yield made
    receiver.answer.set()
    made.close()


def test_the_inbox_ends_after_the_batch_under_way(plant: Plant, ending: Ending) -> None:
    for number in range(3):
        plant.deliver({"type": "ticket.created", "id": f"n{number}", "ticket": f"n{number}", "occurred_at": iso(plant.now)})

    def clock() -> int:
        ending.set()  # in the middle of the first batch
        return plant.now

    assert drain_inbox(plant.database, plant.outside, clock, 1, ending) == 1
    assert sorted(row["state"] for row in plant.rows("delivery")) == ["applied", "applied", "applied", "stored", "stored"]
    assert drain_inbox(plant.database, plant.outside, clock, 1, ending) == 0
    assert plant.apply() == 2


def test_the_outbox_ends_after_the_call_under_way(plant: Plant, receiver: Receiver, ending: Ending) -> None:
    assert drain_outbox(plant.database, plant.outside, lambda: plant.now, 1, ending) == 1
    assert sorted(row["state"] for row in plant.rows("call")) == ["sent", "waiting"]
    plant.send()
    assert sorted(receiver.sent) == ["A", "B"]
    assert {row["state"] for row in plant.rows("command")} == {"sent"}


def test_a_call_that_takes_too_long_is_given_back(plant: Plant, receiver: Receiver, ending: Ending) -> None:
    """Its late answer no longer counts: the next process finds out, and its lease is the one that does."""
    receiver.answer.clear()
    drain_outbox(plant.database, plant.outside, lambda: plant.now, 1, ending, patience=0.1)
    (given_back,) = [row for row in plant.rows("call") if row["first_tried_at"] is not None]
    assert (given_back["state"], given_back["unknown"], given_back["lease"]) == ("waiting", True, 1)
    assert given_back["next_at"] == plant.now + 2 * SECOND

    receiver.answer.set()
    for thread in threading.enumerate():
        if thread.name.startswith(outbox.THREADS):
            thread.join(20)
    assert [row["state"] for row in plant.rows("call") if row["id"] == given_back["id"]] == ["waiting"]

    plant.now += 3 * SECOND
    plant.send()
    assert {row["state"] for row in plant.rows("call")} == {"sent"}
    assert {row["lease"] for row in plant.rows("call") if row["id"] == given_back["id"]} == {2}


# --- signals -----------------------------------------------------------------------------------------------------------
PROGRAM = """
import signal, sys
from sla_plugin.jobs.ending import Ending, ended_by_signals
ending = Ending()
with ended_by_signals(ending):
    print("ready", flush=True)
    ending.wait()
    print("asked", flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_the_second_kills(first: signal.Signals, second: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(first)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(second)
        assert process.wait(10) == -second


def test_the_handlers_of_before_come_back(ending: Ending) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with ended_by_signals(ending):
        os.kill(os.getpid(), signal.SIGTERM)
        assert ending.wait(5)
    assert signal.getsignal(signal.SIGTERM) is before


# --- who is gone -------------------------------------------------------------------------------------------------------
def test_who_is_gone() -> None:
    """Only a process that we could see and do not: another host's is left alone, whatever its name and pid."""
    with subprocess.Popen(["sleep", "60"]) as other:
        start = process_start(other.pid)
        living = [this_holder(), f"{this_host()}:{other.pid}:{start}"]
        elsewhere = [f"{os.uname().nodename}:{other.pid}:1", f"{os.uname().nodename}/0123456789abcdef:{other.pid}:1"]
        reused = f"{this_host()}:{other.pid}:1"
        assert dead_holders([*living, *elsewhere, reused]) == [reused]
        other.kill()
    assert dead_holders(living) == [living[1]]
    assert len(this_holder()) <= 120


ASK = "import sys; from sla_plugin.jobs.holders import dead_holders, this_holder; print(this_holder() if not sys.argv[1:] else dead_holders(sys.argv[1:]))"


@pytest.mark.skipif(subprocess.run(["unshare", "--pid", "--fork", "true"], check=False, capture_output=True).returncode != 0, reason="no namespaces")
def test_equal_names_in_two_process_namespaces() -> None:
    """Two containers called the same: neither frees the leases of the other."""
    with subprocess.Popen(["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", ASK], stdout=subprocess.PIPE, text=True) as container:
        holder = container.communicate(timeout=60)[0].strip()
    assert holder.split("/")[0] == os.uname().nodename
    assert subprocess.run([sys.executable, "-c", ASK, holder], capture_output=True, text=True, timeout=60, check=True).stdout == "[]\n"
