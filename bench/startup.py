"""How long `make run` takes from an empty clone and at the second time, and what memory the tree holds 60 s after its start.

    python bench/startup.py [--settle SECONDS]

Works in a throw-away copy of the files git knows (or would add), with the wheels that pip finds at hand. Prints one line per figure.
"""

import argparse
import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120.0  # seconds


def copy_checkout(target: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, port: int) -> tuple["subprocess.Popen[bytes]", float]:
    """Run `make run`; returns the process and the seconds until the page answered."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLA_") and name not in ("DATABASE_URL", "REDIS_URL")}
    began = time.monotonic()
    process = subprocess.Popen(["make", "run"], cwd=folder, env={**environment, "SLA_PORT": str(port)}, start_new_session=True)
    while time.monotonic() - began < PATIENCE and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            if connection.getresponse().status < 500:
                return process, time.monotonic() - began
        except OSError:
            time.sleep(0.01)
        finally:
            connection.close()
    raise SystemExit("the page did not come")


def tree(pid: int) -> list[int]:
    """`pid` and all its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(below for child in children for below in tree(int(child)))]


def pss(pid: int) -> float:
    """Proportional memory of the tree, MB. Private memory plus the fair share of what is shared."""
    total = 0
    for member in tree(pid):
        rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        share = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        name = Path(f"/proc/{member}/comm").read_text().strip()
        print(f"    {name:<16} {share / 1024:6.1f} MB")
        total += share
    return total / 1024


def end(process: "subprocess.Popen[bytes]") -> float:
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    process.wait(30)
    return time.monotonic() - began


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--settle", type=float, default=60.0, help="seconds before memory is read")
    settle = arguments.parse_args().settle
    with tempfile.TemporaryDirectory(prefix="sla-startup-") as folder:
        copy_checkout(Path(folder))
        process, first = start(Path(folder), free_port())
        ended = end(process)
        seconds = []
        for _ in range(3):
            process, second = start(Path(folder), free_port())
            seconds.append(second)
            if len(seconds) < 3:
                end(process)
        time.sleep(settle)
        memory = pss(process.pid)
        end(process)
    print(f"first make run, from an empty clone:  {first:.2f} s")
    print(f"second make run:                      {sorted(seconds)[1]:.2f} s [{min(seconds):.2f}-{max(seconds):.2f}]")
    print(f"Ctrl-C until all has ended:           {ended:.2f} s")
    print(f"memory, sum of Pss after {settle:.0f} s:        {memory:.0f} MB")


if __name__ == "__main__":
    main()
