"""Child processes: forked, tied to our life, restarted when they die."""

import ctypes
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger("sla_plugin.supervisor")

HANDLED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}  # blocked in the supervisor, which waits for them
SHORT_LIFE = 5.0  # seconds; a part that died younger is in trouble
LONGEST_PAUSE = 5.0  # seconds between two starts of a part in trouble
PR_SET_PDEATHSIG = 1


def die_with_parent(number: signal.Signals, parent: int) -> None:
    """Have the kernel send us `number` when our parent `parent` dies, however it dies; leave at once if it is dead already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def fork(run: Callable[[], None]) -> int:
    """Run `run` in a child process that never outlives us; returns its pid. The child ends with 0, or 1 after an exception (its trace goes to stderr)."""
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        die_with_parent(signal.SIGKILL, parent)
        os.setpgid(0, 0)  # Ctrl-C in a terminal reaches the supervisor only, which ends us in order
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        run()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 0
    except BaseException:  # noqa: BLE001 - the last frame of a process: whatever it was, say it and end
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def restart_pause(lived: float, early_deaths: int) -> float:
    """Seconds to wait before a part starts again: at once, unless it keeps dying young (`early_deaths` in a row before this one)."""
    if lived >= SHORT_LIFE or early_deaths == 0:
        return 0.0
    return float(min(LONGEST_PAUSE, 0.25 * 2**early_deaths))


@dataclass
class Child:
    """One part under supervision. `due` is the monotonic instant of its next start while it does not run."""

    name: str
    run: Callable[[], None]
    pid: int | None = None
    started: float = 0.0
    due: float = 0.0
    early_deaths: int = field(default=0)

    def start(self, now: float) -> None:
        """Fork it."""
        self.pid = fork(self.run)
        self.started = now

    def reap(self, now: float) -> bool:
        """True if it has died since the last look; its next start is planned then."""
        if self.pid is None or os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            return False
        lived = now - self.started
        pause = restart_pause(lived, self.early_deaths)
        self.early_deaths = self.early_deaths + 1 if lived < SHORT_LIFE else 0
        self.pid = None
        self.due = now + pause
        return True

    def kill(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.pid is not None:
            os.kill(self.pid, number)
