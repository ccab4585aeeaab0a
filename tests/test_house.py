"""The house rules that a machine can hold: who imports whom, who commits, what is documented."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sla_plugin.settings import settings_table_markdown

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for package in ("sla_plugin", "connectors") for path in (ROOT / package).rglob("*.py"))
MAY_COMMIT = ("sla_plugin/web/", "sla_plugin/jobs/", "sla_plugin/cli/", "sla_plugin/store/db.py", "sla_plugin/store/schema.py")
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "misc"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_imports_follow_the_layers() -> None:
    answer = subprocess.run([Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


def test_only_the_outer_layers_commit() -> None:
    offenders = [relative(path) for path in SOURCES if not relative(path).startswith(MAY_COMMIT) and re.search(r"\.commit\(", path.read_text())]
    assert offenders == []


def test_no_drawer_for_everything() -> None:
    assert [relative(path) for path in SOURCES if path.stem in FORBIDDEN_NAMES or path.parent.name in FORBIDDEN_NAMES] == []


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"], ids=relative)
def test_importing_a_package_does_nothing(path: Path) -> None:
    """A package's __init__ is a docstring, except where it is the command line itself."""
    if relative(path) != "sla_plugin/cli/__init__.py":
        code = [line for line in re.sub(r'(?s)^""".*?"""', "", path.read_text()).splitlines() if line.strip()]
        assert len(code) <= 20, f"{relative(path)}: what does this do at import?"


def test_the_readme_has_the_settings_as_they_are() -> None:
    assert settings_table_markdown() in (ROOT / "README.md").read_text(), "put the output of `sla-plugin settings --markdown` into README.md"


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-test.txt"])
def test_locks_have_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text()
    pins = re.findall(r"(?m)^[a-z0-9][^\s]*==", text)
    assert len(pins) > 20
    assert len(re.findall(r"(?m)^[a-z0-9][^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", text)) == len(pins)
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text)


def test_the_test_lock_holds_the_run_lock() -> None:
    run, test = (set(re.findall(r"(?m)^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text())) for name in ("requirements.txt", "requirements-test.txt"))
    assert run <= test


def test_every_connector_has_a_readme_and_is_named_in_ours() -> None:
    readme = (ROOT / "README.md").read_text().lower()
    for folder in sorted(path.parent for path in (ROOT / "connectors").glob("*/connector.py")):
        assert (folder / "README.md").exists(), f"{folder.name} has no README.md"
        assert folder.name in readme, f"README.md does not mention {folder.name}"
