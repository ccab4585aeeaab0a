"""Keys change while everything runs: what is sealed goes over in chunks, a kill in between does no harm, running processes follow, an old key goes last."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from sla_plugin.errors import ConfigurationError
from sla_plugin.key_ring import KeyRing, new_key
from sla_plugin.services.outside import Outside
from sla_plugin.services.rotate_keys import count_sealed, seal_anew
from sla_plugin.services.tenant_settings import SECTIONS
from sla_plugin.settings import Settings
from sla_plugin.store.sealing import Sealer, fingerprint, sealed_columns
from tests.plant import KEY, Plant
from tests.web.conftest import app_of, browser_of, page_settings
from tests.web.world import World, empty_world

Run = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
# a process that opens what it is handed, line by line, with the ring that it read at its beginning
OPENER = """
import sys
from sla_plugin.key_ring import KeyRing
from sla_plugin.settings import Settings
from sla_plugin.store.sealing import Sealer
sealer = Sealer(KeyRing(Settings.from_env({"SLA_DATA_DIR": sys.argv[1]})).keys)
print(sealer.seal("mine"), flush=True)
for line in sys.stdin:
    print(sealer.open(line.strip()), sealer.fingerprints[0], sealer.seal("after"), flush=True)
"""


@pytest.fixture
def connections(run: Run) -> None:
    """Three connections with secrets."""
    for number in range(3):
        run("connect", "generic", "--name", f"C{number}")


def statuses(ask: Run) -> dict[str, int]:
    return {key["key"]: key["values"] for key in ask("keys", "status")["keys"]}


@pytest.mark.usefixtures("connections")
def test_a_key_file_is_rotated_and_the_old_key_retired(run: Run, ask: Run, tmp_path: Path) -> None:
    (old,) = statuses(ask)
    rotated = ask("keys", "rotate")
    assert (rotated["made"], rotated["sealed"], rotated["unknown"]) == (True, 3, 0)
    assert statuses(ask) == {rotated["key"]: 3, old: 0}
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600
    assert "C0" in run("connections", "list").stdout
    assert ask("keys", "retire")["dropped"] == [old]
    assert statuses(ask) == {rotated["key"]: 3}
    assert ask("keys", "retire")["dropped"] == []
    verified = run("audit", "verify").stdout
    assert "whole" in verified


@pytest.mark.usefixtures("connections")
def test_what_was_ended_half_way_goes_on_and_makes_no_other_key(run: Run, ask: Run, tmp_path: Path) -> None:
    (old,) = statuses(ask)
    ring = KeyRing(Settings.from_env({"SLA_DATA_DIR": str(tmp_path)}))
    ring.write([new_key(), *ring.keys()])  # killed after the key was made, before a value was sealed
    assert "still seal 3 values" in run("keys", "retire", code=1).stderr
    rotated = ask("keys", "rotate")
    assert (rotated["made"], rotated["sealed"]) == (False, 3)
    assert statuses(ask) == {rotated["key"]: 3, old: 0}


@pytest.mark.usefixtures("connections")
def test_keys_of_the_environment_are_changed_by_whoever_keeps_it(environment: dict[str, str], run: Run, ask: Run, tmp_path: Path) -> None:
    old = (tmp_path / "secret.key").read_text().strip()
    environment["SLA_SECRET_KEYS"] = old
    said = run("keys", "rotate").stdout
    fresh = said.split("A new key: ")[1].split("\n")[0]
    environment["SLA_SECRET_KEYS"] = f"{old},{fresh}"
    assert statuses(ask) == {fingerprint(old): 3, fingerprint(fresh): 0}
    environment["SLA_SECRET_KEYS"] = f"{fresh},{old}"
    assert ask("keys", "rotate")["sealed"] == 3
    assert "take all but the first key out" in run("keys", "retire", code=1).stderr
    environment["SLA_SECRET_KEYS"] = fresh
    assert statuses(ask) == {fingerprint(fresh): 3}
    environment["SLA_SECRET_KEYS"] = Fernet.generate_key().decode()
    assert ask("keys", "status")["unknown"] == 3
    assert "bring the missing key back" in run("keys", "retire", code=1).stderr


def test_a_process_that_runs_follows(tmp_path: Path) -> None:
    settings = Settings.from_env({"SLA_DATA_DIR": str(tmp_path)})
    ring = KeyRing(settings)
    with subprocess.Popen(
        [sys.executable, "-c", OPENER, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        theirs = other.stdout.readline().strip()
        ring.write([new_key(), *ring.keys()])
        ours = Sealer(KeyRing(settings).keys)
        assert ours.open(theirs) == "mine"
        other.stdin.write(ours.seal("sealed with a key that it has never seen") + "\n")
        other.stdin.flush()
        words, first, sealed = other.stdout.readline().strip().rsplit(" ", 2)
        assert words == "sealed with a key that it has never seen"
        assert first == ours.fingerprints[0]
        assert ours.key_of(sealed) == ours.fingerprints[0], "and seals with it from then on"
        other.stdin.close()


def test_a_key_file_that_is_gone_leaves_the_keys_that_are_known(tmp_path: Path) -> None:
    ring = KeyRing(Settings.from_env({"SLA_DATA_DIR": str(tmp_path)}))
    known, sealed = ring.keys(), Sealer(ring.keys).seal("mine")
    assert ring.path is not None
    kept = ring.path.read_bytes()
    ring.path.unlink()
    assert ring.keys() == known
    assert not ring.path.exists(), "a new key would open nothing of what is stored"
    assert Sealer(ring.keys).open(sealed) == "mine"
    ring.path.write_bytes(f"{new_key()}\n".encode() + kept)
    assert ring.keys()[1:] == known


def test_sessions_and_open_forms_go_on(small_world: World, tmp_path: Path) -> None:
    browser = browser_of(small_world)
    browser.get("/settings")
    ring = KeyRing(small_world.runtime.settings)
    ring.write([new_key(), *ring.keys()])
    assert "Saved." in browser.post("/settings/tenant", name="Acme Care", time_zone="UTC", language="en", week_start="mon"), "a form opened before"
    browser.get("/me")
    another = app_of(small_world).test_client()  # a process started since
    cookie = browser.client.get_cookie("sla_session")
    assert cookie is not None
    another.set_cookie("sla_session", cookie.value)
    assert another.get("/me").status_code == 200


@pytest.fixture
def small_world(sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """A tenant with people and nothing else."""
    world = empty_world(page_settings(sqlite_url, tmp_path))
    yield world
    world.runtime.database.engine.dispose()


def test_every_sealed_column_goes_over_in_chunks(settings: Settings) -> None:
    """On both databases; a column that says it is sealed is in it by itself."""
    assert {"connection", "tenant", "tenant_setting", "erasure"} <= set(sealed_columns())
    assert SECTIONS
    plant = Plant(settings)
    for number in range(120):
        plant.connect(f"c{number}", "generic")
    fresh = new_key()
    plant.outside = Outside(**{**vars(plant.outside), "sealer": Sealer([fresh, KEY])})
    sealer, after, rounds = plant.outside.sealer, None, 0
    while True:
        with plant.database.transaction(plant.tenant) as tx:
            after = seal_anew(tx, plant.tenant, "connection", after, sealer, plant.now, "test")
        rounds += 1
        if after is None:
            break
    with plant.database.reading(plant.tenant) as tx:
        assert count_sealed(tx, plant.tenant, sealer) == {fingerprint(fresh): 2 * 121}
    assert rounds == 3
    (row,) = (c for c in plant.rows("connection") if c["name"] == "c7")
    assert sealer.open(row["sealed_token"]) == "token"
    assert Sealer([fresh]).open(row["sealed_secrets"][0]["sealed"]) == "secret"
    with pytest.raises(ConfigurationError):
        Sealer([KEY]).open(row["sealed_token"])
    assert json.dumps(plant.rows("audit_entry")[-1]["changes"]).count("token") == 0
    plant.close()
