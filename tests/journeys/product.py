"""The product as a stranger runs it: `sla-plugin up` in processes of its own, told what to do by its command line only."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from sla_plugin.reports.exports import export_rows
from sla_plugin.settings import Settings
from sla_plugin.store.db import open_database
from sla_plugin.store.duties import Duty
from sla_plugin.store.tenants import the_tenant

PARTS = ("web", "inbox-worker", "outbox-worker", "timekeeper", "redis")


def eventually(what: Callable[[], Any], seconds: float, said: str) -> Any:
    """The first true answer of `what` within `seconds`; fails with `said` and the last answer."""
    end = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < end, f"not within {seconds} s: {said} (last: {answer!r})"
        time.sleep(0.02)
    return answer


def free_tcp_port() -> int:
    """A TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def instant_of(text: str) -> float:
    """Seconds since 1970 of `2026-11-21T01:02:03Z`, with or without a fraction."""
    return datetime.fromisoformat(text).timestamp()


def deadline_of(desk: Any, ticket: int, target: int) -> float:
    """When a ticket's first response is due, in seconds; a stranger's creation instants have whole seconds."""
    return instant_of(desk.tickets[ticket]["created_at"]) + target


class Product:
    """A running product; `stop` ends it and proves that nothing is left of it."""

    def __init__(self, folder: Path, port: int, **settings: str) -> None:
        self.folder, self.url = folder, f"http://127.0.0.1:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        ours = {name: value for name, value in os.environ.items() if not name.startswith("SLA_") and name not in ("DATABASE_URL", "REDIS_URL")}
        self.environment = {**ours, "SLA_DATA_DIR": str(folder), "SLA_PORT": str(port), "SLA_ALLOW_PRIVATE_URLS": "yes", **settings}
        self.log = folder / "log"
        self.started: list[subprocess.Popen[bytes]] = []
        self.tree: dict[int, psutil.Process] = {}

    def start(self) -> "Product":
        """`up`, until its page answers."""
        process = self.run("up")
        eventually(lambda: b"sla_plugin runs at" in self.log.read_bytes() or process.poll() is not None, 30, "the product starts")
        assert process.poll() is None, self.log.read_text()
        eventually(lambda: all(self.pid(name) for name in PARTS if name != "redis" or "REDIS_URL" not in self.environment), 10, "all parts are announced")
        self._remember()
        return self

    def run(self, *words: str, **settings: str) -> "subprocess.Popen[bytes]":
        """Another process of the product; it ends with this one."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(self._words(*words), env={**self.environment, **settings}, stdout=log, stderr=log)
        self.started.append(process)
        self.tree[process.pid] = psutil.Process(process.pid)
        return process

    def stop(self) -> None:
        """End all of it, stopped parts too; fails if a process is left."""
        self._remember()
        for process in self.tree.values():
            if process.is_running() and process.status() == psutil.STATUS_STOPPED:
                process.send_signal(signal.SIGCONT)
        for started in self.started:
            if started.poll() is None:
                started.send_signal(signal.SIGINT)
        for started in self.started:
            try:
                started.wait(10)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()
        left = [process for process in self.tree.values() if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
        _, alive = psutil.wait_procs(left, 5)
        for process in alive:
            process.kill()
        assert not alive, f"left behind: {alive}"

    def cli(self, *words: str) -> Any:
        """The JSON answer of a command."""
        done = subprocess.run(self._words(*words), env=self.environment, text=True, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return json.loads(done.stdout)

    def policy(self, content: str) -> None:
        """`policy apply` of a YAML text."""
        file = self.folder / "policy.yaml"
        file.write_text(content)
        self.cli("policy", "apply", str(file))

    def connect(self, desk: Any, *words: str) -> str:
        """`connect zendesk` to a desk, live; its webhooks come here from now on. Returns the webhook address."""
        given = ("--base-url", desk.url, "--email", desk.email, "--token", desk.token, "--secret", desk.secret)
        answer: Mapping[str, str] = self.cli("connect", "zendesk", "--name", "Desk", *given, "--live", *words)
        desk.webhook_url = answer["webhook_url"]
        return answer["webhook_url"]

    def export(self, kind: str, ticket: str | None = None) -> list[dict[str, Any]]:
        """The rows of `export KIND --json`, without the second that the command needs to start."""
        settings = Settings.from_env(self.environment)
        database = open_database(settings.database_url, self.folder)
        try:
            with database.reading(Duty.TENANTS) as tx:
                tenant = the_tenant(tx)
                assert tenant is not None
                tx.narrow(tenant)
                return [dict(row) for row in export_rows(tx, tenant, kind, ticket=ticket)]
        finally:
            database.engine.dispose()

    def pid(self, part: str) -> int:
        """The pid a part has announced, as `status` tells it; 0 while there is none."""
        try:
            return int(json.loads((self.folder / "parts" / f"{part}.json").read_text())["pid"])
        except (OSError, ValueError):
            return 0

    def signal(self, part: str, number: signal.Signals) -> int:
        """Send a signal to a part; its pid."""
        self._remember()
        pid = self.pid(part)
        os.kill(pid, number)
        return pid

    def kill(self, part: str) -> None:
        """kill -9, and wait until the part runs again."""
        before = self.signal(part, signal.SIGKILL)
        eventually(lambda: self.pid(part) not in (0, before), 10, f"{part} runs again")
        self._remember()

    def _remember(self) -> None:
        for started in self.started:
            if started.poll() is None:
                for child in psutil.Process(started.pid).children(recursive=True):
                    self.tree.setdefault(child.pid, child)

    @staticmethod
    def _words(*words: str) -> list[str]:
        return [sys.executable, "-m", "sla_plugin.cli", *words]
