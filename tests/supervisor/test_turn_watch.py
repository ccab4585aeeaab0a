"""The writer that does not move is found; nobody else is blamed."""

import fcntl
import json
from pathlib import Path

import pytest

from sla_plugin.supervisor.turn_watch import LIMIT, TurnWatch


def note(path: Path, pid: int, since: float = 1.0) -> None:
    path.write_bytes(json.dumps({"pid": pid, "since": since}).encode().ljust(64))


def test_a_holder_over_the_limit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "write.turn"
    note(path, 42)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        watch = TurnWatch(path)
        assert [watch.stuck(now) for now in (10.0, 10.0 + LIMIT, 10.1 + LIMIT)] == [None, None, 42]


def test_new_turns_start_the_count_again(tmp_path: Path) -> None:
    path = tmp_path / "write.turn"
    watch = TurnWatch(path)
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for turn in range(10):
            note(path, 42, float(turn))
            assert watch.stuck(turn * LIMIT) is None


@pytest.mark.parametrize("content", [b"", b" " * 64, b'{"pid": 42, "since": 1.0}', b"rubbish"], ids=["empty", "released", "left behind, not locked", "rubbish"])
def test_no_holder(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "write.turn"
    path.write_bytes(content)
    watch = TurnWatch(path)
    assert [watch.stuck(now) for now in (0.0, 100.0)] == [None, None]


def test_no_file(tmp_path: Path) -> None:
    assert TurnWatch(tmp_path / "none").stuck(0.0) is None
