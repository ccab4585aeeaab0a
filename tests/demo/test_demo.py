"""`make demo`: the check passes with the product as it is, fails where it must, and nothing stays behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from connectors.zendesk.simulated_desk import ME, Refused
from connectors.zendesk.simulator import ZendeskSimulator
from sla_plugin.demo.check import POLICY, TARGET, faults
from sla_plugin.demo.product import empty
from sla_plugin.engine.durations import SECOND
from sla_plugin.engine.policies import Policy
from sla_plugin.errors import ConfigurationError
from sla_plugin.services.apply_policy_file import read_policy_file

RAISED = {"priority": "urgent", "assignee_id": ME, "comment": {"body": "SLA breached", "public": False}}


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "sla_plugin.demo", "--folder", str(folder), *words]


def processes_in(folder: Path) -> list[psutil.Process]:
    """Processes of ours that work on the folder's data."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("SLA_DATA_DIR") == str(folder):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.mark.platform
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [([], 0, "all as it should be"), (["--dry-run"], 1, "expected one raise, the helpdesk saw 0")],
    ids=["as it is", "a connection that writes nothing"],
)
def test_the_check(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    folder = tmp_path / "demo"
    done = subprocess.run(command(folder, "--check", *words), capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
    assert processes_in(folder) == []


@pytest.mark.platform
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: signal.Signals(number).name)
def test_nothing_stays_behind(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "demo"
    with subprocess.Popen(command(folder), stdout=subprocess.PIPE, text=True) as demo:
        try:
            assert demo.stdout is not None
            seen = list(up_to(demo.stdout, "creates ticket"))
            assert any("one-time password" in line for line in seen)
            assert processes_in(folder)
            demo.send_signal(number)
            assert demo.wait(20) == (0 if number != signal.SIGKILL else -9)
        finally:
            demo.kill()
    end = time.monotonic() + 15
    while processes_in(folder) and time.monotonic() < end:
        time.sleep(0.1)
    assert processes_in(folder) == []


def up_to(lines: Iterator[str], word: str) -> Iterator[str]:
    for line in lines:
        yield line
        if word in line:
            return
    raise AssertionError(f"it ended without {word!r}")


# --- what the check counts -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("updates", "late", "expected"),
    [
        ([RAISED], 0.5, []),
        ([RAISED], 1.5, ["the raise came +1.5", "the comment came +1.5", "the assignment came +1.5"]),
        ([RAISED], -0.5, ["the raise came -0.5", "the comment came -0.5", "the assignment came -0.5"]),
        ([RAISED, {"comment": {"body": "SLA breached", "public": False}}], 0.5, ["expected one comment, the helpdesk saw 2", "they came in 2 updates"]),
        ([{**RAISED, "priority": "high"}], 0.5, ["the ticket is high"]),
        ([RAISED, {"priority": "nonsense"}], 0.5, ["an update was refused with 422"]),
        ([], 0.5, [f"expected one {what}, the helpdesk saw 0" for what in ("raise", "comment", "assignment")]),
    ],
    ids=["right", "late", "early", "a second comment", "not raised", "refused", "nothing"],
)
def test_what_the_check_finds(updates: list[dict[str, object]], late: float, expected: list[str]) -> None:
    with ZendeskSimulator() as zendesk:
        ticket = zendesk.create_ticket("Nobody answers", "high")
        zendesk.desk.change(int(ticket), priority="normal")
        for members in updates:
            with suppress(Refused):  # it is noted, and the case says so
                zendesk.update(int(ticket), {"ticket": members})
        for row in zendesk.writes:
            row["at"] = 1000.0
        found = list(faults(zendesk, ticket, 1000.0 - late, lambda line: None))
    assert len(found) == len(expected), found
    assert all(one.startswith(said) for one, said in zip(found, expected, strict=True)), found


def test_the_policy_is_what_the_check_counts_on() -> None:
    (definition,) = read_policy_file(POLICY.read_text()).policies.values()
    policy = Policy.from_definition(definition, "policy")
    target, resolution = policy.target("first_response", "P1"), policy.target("resolution", "P1")
    assert target is not None
    assert target.amount == TARGET * SECOND
    assert resolution is not None
    assert resolution.amount > 2 * target.amount  # no second breach while the check watches


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(ConfigurationError, match="no demo has put there"):
        empty(tmp_path)
    assert (tmp_path / "precious").exists()
