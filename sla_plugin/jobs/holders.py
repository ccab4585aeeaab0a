"""Who holds a lease: a process, named so that its own host can tell whether it still lives."""

import hashlib
import os
import socket
from collections.abc import Iterable
from functools import cache
from pathlib import Path


def process_start(pid: int) -> str | None:
    """When a local process started (kernel ticks); None if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


@cache
def this_host() -> str:
    """What sees the same processes as we do: name, boot of the kernel, process namespace. Names alone may be equal (containers, clones), pids then lie."""
    try:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        processes = str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        kernel = processes = ""
    name = socket.gethostname()
    return f"{name[:60]}/{hashlib.sha256(f'{name}|{kernel}|{processes}'.encode()).hexdigest()[:16]}"


def this_holder() -> str:
    """This process as the holder of a lease."""
    return f"{this_host()}:{os.getpid()}:{process_start(os.getpid())}"


def dead_holders(holders: Iterable[str]) -> list[str]:
    """Those of this host that are gone."""
    dead = []
    for holder in holders:
        host, pid, start = holder.rsplit(":", 2)
        if host == this_host() and not _lives(int(pid), start):
            dead.append(holder)
    return dead


def _lives(pid: int, start: str) -> bool:
    """Whether a local process lives. One that only hides its start from us (another user's, under hidepid) does."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return process_start(pid) in (start, None)
    return process_start(pid) == start
