"""Restarts: at once, unless a part keeps dying young."""

import os
import signal

import pytest

from sla_plugin.supervisor.children import Child, fork, restart_pause


@pytest.mark.parametrize(
    ("lived", "early_deaths", "pause"),
    [(0.1, 0, 0.0), (60.0, 9, 0.0), (5.0, 3, 0.0), (0.1, 1, 0.5), (4.9, 2, 1.0), (0.1, 5, 5.0), (0.1, 40, 5.0)],
    ids=["first death", "old age", "just old enough", "second", "third", "sixth", "fortieth"],
)
def test_pause(lived: float, early_deaths: int, pause: float) -> None:
    assert restart_pause(lived, early_deaths) == pause


def test_reap_plans_the_next_start() -> None:
    child = Child("part", lambda: None)
    for start, due in [(100.0, 100.0), (200.0, 200.5), (300.0, 301.0)]:
        child.start(start)
        assert child.pid is not None
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert child.reap(start)
        assert (child.pid, child.due) == (None, due)
        assert not child.reap(start)


def leave_with_seven() -> None:
    raise SystemExit(7)


def fail() -> None:
    raise RuntimeError("said on stderr")


@pytest.mark.parametrize(("run", "code"), [(lambda: None, 0), (leave_with_seven, 7), (fail, 1)], ids=["ends", "leaves", "fails"])
def test_exit_codes(run: object, code: int) -> None:
    assert callable(run)
    assert os.waitstatus_to_exitcode(os.waitpid(fork(run), 0)[1]) == code


def test_a_child_dies_with_its_parent() -> None:
    read, write = os.pipe()

    def parent() -> None:
        os.write(write, b"%d" % fork(signal.pause))
        os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(fork(parent), 0)
    os.close(write)
    grandchild = os.read(read, 20)
    assert grandchild.isdigit()
    assert os.read(read, 1) == b""  # the pipe's other end is closed once the grandchild, too, is gone
    os.close(read)
