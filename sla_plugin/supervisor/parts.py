"""The state of each part on disk: who runs as what, and since when. Written by the parts themselves, read by `sla-plugin status`."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sla_plugin.logs import speak_as
from sla_plugin.settings import Settings

WEB, INBOX, OUTBOX, TIMEKEEPER, REDIS, SUPERVISOR = "web", "inbox-worker", "outbox-worker", "timekeeper", "redis", "supervisor"


@dataclass(frozen=True, slots=True)
class Part:
    """One running process: its name, pid, the kernel's mark of its start (a pid may be used again), its start (ISO, UTC), its address if any."""

    name: str
    pid: int
    birth: str
    since: str
    url: str = ""


def announce(settings: Settings, name: str, *, url: str = "") -> None:
    """Write that this process is the part `name`; its log lines say so, too."""
    speak_as(name)
    folder = settings.data_dir / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    part = Part(name, os.getpid(), process_birth(os.getpid()), datetime.now(UTC).isoformat(timespec="seconds"), url)
    draft = folder / f".{name}.{os.getpid()}"
    draft.write_text(json.dumps(asdict(part)))
    draft.replace(_path(settings, name))


def forget(settings: Settings, name: str) -> None:
    """The part has ended in good order."""
    _path(settings, name).unlink(missing_ok=True)


def read_part(settings: Settings, name: str) -> Part | None:
    """What the part wrote last; None if it never ran or ended in good order."""
    try:
        return Part(**json.loads(_path(settings, name).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def process_birth(pid: int) -> str:
    """The kernel's mark of when the process started; empty if there is no such process."""
    fields = _process_fields(pid)
    return fields[19] if fields else ""


def process_state(part: Part) -> str:
    """What the process does: running, stopped (SIGSTOP) or gone."""
    fields = _process_fields(part.pid)
    if not fields or fields[19] != part.birth or fields[0] in "ZX":
        return "gone"
    return "stopped" if fields[0] in "Tt" else "running"


def pid_runs(pid: object) -> bool:
    """True if a process of that number is alive."""
    fields = _process_fields(pid) if isinstance(pid, int) else []
    return bool(fields) and fields[0] not in "ZX"


def _process_fields(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the command's name: state first, start time twentieth."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _path(settings: Settings, name: str) -> Path:
    return settings.data_dir / "parts" / f"{name}.json"
