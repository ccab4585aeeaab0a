"""What docs/deploy and the Containerfile say is true: what they copy, start, set and ask exists. There is no container engine here: no image was built."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from sla_plugin.cli import main
from sla_plugin.settings import NAMES, Settings
from tests.platform.production import ROOT

DEPLOY = ROOT / "docs" / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
CONTAINERFILE = (ROOT / "Containerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
PARTS = ("web", "inbox", "outbox", "timekeeper")


def is_a_command(words: list[str]) -> bool:
    """Whether the command line knows these words; `gunicorn wsgi:app` counts as one."""
    if [Path(words[0]).name, *words[1:]] == ["gunicorn", "wsgi:app"]:
        return True
    if words[1:3] == ["-m", "sla_plugin.cli"]:
        words = ["sla-plugin", *words[3:]]
    if words[0] != "sla-plugin":
        return False
    with click.Context(main) as context:
        command = main.get_command(context, words[1])
        if command is None:
            return False
        command.make_context(words[1], words[2:], resilient_parsing=False).close()
    return True


# --- the container -----------------------------------------------------------------------------------------------------
def instructions(name: str) -> list[str]:
    whole = CONTAINERFILE.replace("\\\n", " ")
    return [line.partition(" ")[2] for line in whole.splitlines() if line.startswith(f"{name} ")]


def test_the_image_is_made_of_one_base_and_our_files() -> None:
    assert instructions("FROM") == ["python:3.11-slim"]
    assert instructions("USER") == ["sla-plugin"]
    assert not re.search(r"://|index-url|extra-index|trusted-host", CONTAINERFILE)
    assert any("--require-hashes" in line and "--no-deps" in line for line in instructions("RUN"))
    for copied in instructions("COPY"):
        *sources, _target = copied.split()
        for source in sources:
            assert (ROOT / source).exists(), f"{source} is copied but does not exist"
            assert f"!{source}" in (ROOT / ".containerignore").read_text().splitlines()
    (command,) = instructions("CMD")
    assert is_a_command(yaml.safe_load(command))
    assert {word.partition("=")[0] for word in instructions("ENV")[0].split()} - NAMES == {"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The folder of the image, as the COPY lines make it."""
    for copied in instructions("COPY"):
        *sources, target = copied.split()
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, tmp_path / "app" / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (tmp_path / "app").mkdir(exist_ok=True)
                shutil.copy(ROOT / source, tmp_path / "app" / target)
    return tmp_path / "app"


def test_what_is_copied_is_enough(image: Path, tmp_path: Path) -> None:
    """From those files alone the database is made and gunicorn finds its configuration and the app."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(image), "SLA_DATA_DIR": str(tmp_path / "data")}
    for words in (["-m", "sla_plugin.cli", "migrate"], ["-m", "gunicorn", "--check-config", "wsgi:app"]):
        done = subprocess.run([sys.executable, *words], cwd=image, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr


# --- compose -----------------------------------------------------------------------------------------------------------
def test_compose_starts_every_part_after_the_migration() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"postgres", "redis", "migrate", *PARTS}
    for name in (*PARTS, "migrate"):
        service = services[name]
        assert is_a_command(service["command"]), service["command"]
        assert {word for word in service["environment"] if word not in NAMES} == set()
        for needed, condition in service["depends_on"].items():
            assert condition["condition"] != "service_healthy" or "healthcheck" in services[needed]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
    for name in PARTS:
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["migrate"]["restart"] == "no"
    assert "/readyz" in services["web"]["healthcheck"]["test"][-1]


def test_compose_settings_are_accepted(tmp_path: Path) -> None:
    given = {"POSTGRES_PASSWORD": "p", "SLA_SECRET_KEYS": "bm90IGEgc2VjcmV0OiB0ZXN0cyBvbmx5IDAxMjM0NTY=", "SLA_PUBLIC_URL": "https://sla.example.com"}
    for name in PARTS:
        told = {key: re.sub(r"\$\{(\w+):\?\}", lambda match: given[match[1]], value) for key, value in COMPOSE["services"][name]["environment"].items()}
        settings = Settings.from_env({**told, "SLA_DATA_DIR": str(tmp_path)})
        assert not settings.embedded_redis
        assert settings.database_url == "postgresql+psycopg://sla:p@postgres/sla"


# --- systemd -----------------------------------------------------------------------------------------------------------
def lines(unit: Path) -> Iterator[tuple[str, str]]:
    for line in unit.read_text().splitlines():
        name, is_one, value = line.partition("=")
        if is_one and not line.startswith("#"):
            yield name, value


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.suffix == ".service"], ids=lambda unit: unit.name)
def test_units_start_what_exists_and_hold_it_tight(unit: Path) -> None:
    said = dict(lines(unit))
    assert is_a_command(shlex.split(said["ExecStart"]))
    assert {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "User": "sla-plugin"}.items() <= said.items()
    assert all(word.partition("=")[0] in {*NAMES, "PYTHONUNBUFFERED"} for word in said["Environment"].split())
    # where processes of others are hidden, a living holder of a lease must still be seen: one user for all parts, no hiding
    assert "ProtectProc" not in said


def test_the_environment_file_is_accepted() -> None:
    told = dict(lines(DEPLOY / "sla-plugin.env"))
    assert set(told) <= NAMES
    assert Settings.from_env(told).web_processes == 2


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd")
def test_systemd_reads_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        name = unit.name.replace("@.", "@1.")
        (tmp_path / name).write_text(re.sub(r"(?m)^(ExecStart=)\S+", r"\1/bin/true", unit.read_text()))
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:/lib/systemd/system:/usr/lib/systemd/system"}
    units = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
