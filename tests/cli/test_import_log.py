"""`import-log` through a real server: signed, kept in order, sent again without harm; then exported and explained."""

import csv
import gzip
import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from sla_plugin.app import Runtime, build, create_app
from sla_plugin.settings import Settings

HEADER = "number,incident_state,sys_mod_count,opened_at,sys_updated_at,priority,assigned_to"


@pytest.fixture
def runtime(environment: dict[str, str], run: Callable[..., Any]) -> Iterator[Runtime]:
    made = build(Settings.from_env(environment))
    yield made
    made.database.engine.dispose()


@pytest.fixture
def server(environment: dict[str, str], runtime: Runtime) -> Iterator[str]:
    """The web application on a port of this machine."""
    app = create_app(runtime.settings, runtime)
    serving = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Twenty incidents of three rows, every second one closed too late."""
    lines = [HEADER]
    for number in range(20):
        day = 4 if number % 2 else 2
        lines += [
            f"I{number},{state},{count},1/3/2016 09:00,{at},3 - Moderate,?"
            for count, (state, at) in enumerate([("New", "1/3/2016 09:05"), ("Resolved", "1/3/2016 10:00"), ("Closed", f"{day}/3/2016 08:00")])
        ]
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_a_log_through_the_door(ask: Callable[..., Any], run: Callable[..., Any], runtime: Runtime, server: str, log: Path) -> None:
    ask("policy", "apply", "-", input="policies: [{name: Days, targets: {resolution: 24h}, pause_in: [], resolution: {stops: closed}}]")
    ask("connect", "generic", "--name", "Log")
    sent = ask("import-log", str(log), "--connection", "Log", "--url", server, "--threads", "3")
    assert (sent["deliveries"], sent["rows"], sent["events"], sent["incidents"], sent["duplicates"]) == (60, 60, 80, 20, 0)
    again = ask("import-log", str(log), "--connection", "Log", "--url", server)
    assert (again["deliveries"], again["duplicates"]) == (60, 60)
    batched = ask("import-log", str(log), "--connection", "Log", "--url", server, "--batch", "50", "--limit", "10", "--threads", "1")
    assert (batched["deliveries"], batched["events"], batched["duplicates"]) == (1, 40, 0)
    assert runtime.drain_inbox() == 61
    records = ask("export", "records", "--connection", "Log")
    assert {row["ticket"]: row["met"] for row in records} == {f"I{n}": n % 2 == 0 for n in range(20)}
    assert [ask("export", kind) for kind in ("alerts", "commands", "corrections")] == [[], [], []]
    assert len(ask("export", "events", "--ticket", "I3")) == 4
    (row,) = csv.DictReader(io.StringIO(run("export", "records", "--csv", "--ticket", "I3").stdout))
    assert (row["elapsed"], row["met"], row["elapsed_us"]) == (str(71 * 3600), "false", "")
    assert "sums to 71:00:00 ✓" in run("explain", "I3").stdout
    explained = ask("explain", "I3", "--json")
    assert [(c["metric"], c["sums"], c["sum"]) for c in explained["clocks"]] == [("resolution", True, 71 * 3600)]


def test_history_may_end(ask: Callable[..., Any], runtime: Runtime, server: str, log: Path) -> None:
    ask("connect", "generic", "--name", "Log")
    ask("import-log", str(log), "--connection", "Log", "--url", server, "--end-history")
    runtime.drain_inbox()
    assert {row["history"] for row in ask("export", "tickets")} == {False}


def test_a_refusal_ends_it_with_the_servers_words(ask: Callable[..., Any], run: Callable[..., Any], server: str, log: Path) -> None:
    ask("connect", "generic", "--name", "Log")
    refused = run("import-log", str(log), "--connection", "Log", "--url", server, "--secret", "wrong", code=1)
    assert "answered 401" in refused.stderr
    assert "was made with the secret of this connection" in refused.stderr
    assert json.loads(run("export", "deliveries").stdout) == []
