"""docs/api.md: every example works as it stands, run by bash with the real curl against a served installation; nothing is named that does not exist."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from waitress import create_server

from sla_plugin.web.api.aliases import ALIASES, ROOT
from tests.web.conftest import app_of, page_settings, program_of
from tests.web.world import World, full_world

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text()
EXAMPLES = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def company(sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """A company in the middle of its day."""
    world = full_world(page_settings(sqlite_url, tmp_path))
    yield world
    world.runtime.database.engine.dispose()


@pytest.fixture
def served(company: World) -> Iterator[str]:
    """The installation's address."""
    server = create_server(app_of(company), host="127.0.0.1", port=0, clear_untrusted_proxy_headers=True)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.close()
        server.task_dispatcher.shutdown()
        thread.join(10)


def test_the_examples_work_one_after_the_other(served: str, company: World) -> None:
    environment = {**os.environ, "URL": served, "TOKEN": program_of(company).token, "no_proxy": "127.0.0.1"}
    for number, example in enumerate(EXAMPLES):
        checked = re.sub(r"curl -sS", "curl -sS --fail-with-body", example)
        answer = subprocess.run(["bash", "-euo", "pipefail", "-c", checked], env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert answer.returncode == 0, (number, example, answer.stdout, answer.stderr)
    assert len(EXAMPLES) >= 9
    names = {row["name"]: row["revoked_at"] for row in company.rows("token")}
    assert names["nightly report"] is not None, "made by one example, revoked by the next"
    silver = next(row["id"] for row in company.rows("policy") if row["name"] == "Silver")
    assert [row["version"] for row in company.rows("policy_version") if row["policy_id"] == silver] == [1, 2]
    assert [row["note"] for row in company.rows("alert") if row["acknowledged_at"] is not None] == ["calling the customer"]
    assert [row["state"] for row in company.rows("delivery")].count("stored") == 1, "the replayed one"


def test_other_names_are_documented_and_lead_somewhere(small_world: World) -> None:
    app = app_of(small_world)
    program = program_of(small_world, app=app)
    table = dict(re.findall(r"(?m)^\| `(/[^`]+)` \| `(/[^`]+)` \|$", TEXT.partition("\n## Other names\n")[2].partition("\n## ")[0]))
    assert table == dict(ALIASES)
    for other, name in ALIASES.items():
        answer = program.open("GET", f"{other}?limit=3&page=2")
        assert (answer.status_code, answer.headers["Location"]) == (308, f"{ROOT}{name}?limit=3&page=2")
        assert program.open("GET", answer.headers["Location"]).status_code == 200
        assert program.open("GET", f"{other}7").status_code == 404
    assert program.open("PATCH", "/support/sla-policies/7", {}).headers["Location"] == f"{ROOT}/sla/policies/7"
    assert program.open("GET", "/sla/tickets/7").headers["Location"] == f"{ROOT}/support/tickets/7"
    assert program.open("GET", "/tokens/").headers["Location"] == f"{ROOT}/tokens"
    for nowhere in ("/nothing/", "/sla/tickets/x/compliance", "/support/sla-policies/7/nothing"):
        assert program.open("GET", nowhere).status_code == 404


def test_every_noun_is_in_the_table(small_world: World) -> None:
    table = re.findall(r"(?m)^\| (\w+) \| `/", TEXT.partition("\n## What there is\n")[2].partition("\n## ")[0])
    document = app_of(small_world).test_client().get("/api/v1/openapi.json").json
    assert table == [tag["name"] for tag in document["tags"]]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(?:GET|POST|PUT|PATCH|DELETE) (/[\w/-]+)`", TEXT))))
def test_addresses_named_are_there(small_world: World, path: str) -> None:
    adapter = app_of(small_world).url_map.bind("sla.example.com")
    assert any(adapter.test(ROOT + path, method) for method in ("GET", "POST"))
