"""`policy plan` and `calendar import`: the table, the JSON, the refusals."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sla_plugin.settings import Settings
from sla_plugin.store.duties import Duty
from sla_plugin.store.tenants import the_tenant
from tests.plant import Plant, iso

GOLD = "policies: [{name: Gold, position: 1, applies_to: {field: tags, contains: gold}, targets: {resolution: 8h}}]"
HOUR = 3_600_000_000


@pytest.fixture
def plant(environment: dict[str, str], run: Callable[..., Any]) -> Iterator[Plant]:
    """The installation of the commands, with two open tickets that are three hours old."""
    run("policy", "apply", "-", input=GOLD)
    made = Plant(Settings.from_env(environment))
    environment["SLA_TENANT"] = "Default"  # the plant has brought a second one
    made.now = time.time_ns() // 1000
    with made.database.reading(Duty.TENANTS) as tx:
        tenant = the_tenant(tx)
    assert tenant is not None
    made.tenant = tenant
    made.crm = made.connect("CRM", "generic", created_at=0)
    values = {"status": "open", "priority": "normal", "tags": ["gold"]}
    made.tell(*({"type": "ticket.created", "id": t, "ticket": t, "occurred_at": iso(made.now - 3 * HOUR), "values": values} for t in ("T1", "T2")))
    yield made
    made.close()


def test_a_plan_is_a_table(run: Callable[..., Any], plant: Plant) -> None:
    lines = run("policy", "plan", "-", "--limit", "1", input=GOLD.replace("8h", "2h")).stdout.splitlines()
    assert lines[0] == "Changes policy Gold version 2."
    assert "from 2 open clocks of 2 tickets" in lines[1]
    assert lines[2] == "stays 0, earlier 2, later 0, newly promised 0, matching no more 0, breached by this 2, out of breach by this 0, alerts raised by this 2"
    assert lines[4].split() == ["ticket", "clock", "due", "now", "due", "then", "moves", "state", "policy"]
    assert lines[5].startswith("T1  ")
    assert "-6:00:00" in lines[5]
    assert "running -> breached" in lines[5]
    assert lines[6] == "... 1 of 2, worst first; --json has all"


def test_a_plan_as_json(ask: Callable[..., Any], plant: Plant) -> None:
    told = ask("policy", "plan", "-", "--json", input=GOLD.replace("8h", "2h"))
    assert (told["promises"], told["clocks"], told["counts"]["breached"]) == (2, 2, 2)
    assert told["changed"]["policies"] == [{"name": "Gold", "version": 2}]
    first = told["moves"][0]
    assert (first["ticket"], first["connection"], first["metric"], first["cycle"], first["outcome"], first["moves_us"]) == (
        *("T1", "CRM", "resolution", 1, "earlier"),
        -6 * HOUR,
    )
    assert (first["now"]["state"], first["then"]["state"], first["then"]["policy"]) == ("running", "breached", "Gold")
    assert first["now"]["due_at"].endswith("Z")


def test_a_plan_of_nothing_and_of_something_wrong(run: Callable[..., Any], plant: Plant) -> None:
    assert run("policy", "plan", "-", input=GOLD).stdout.splitlines()[0] == "Changes nothing."
    assert run("policy", "plan", "-", input=GOLD.replace("8h", "8"), code=1).stderr.startswith("error: policies[0].targets.resolution")


FEED = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//
BEGIN:VEVENT
SUMMARY:Founders' day
DTSTART;VALUE=DATE:20270504
END:VEVENT
BEGIN:VEVENT
SUMMARY:Party
DTSTART:20270504T180000Z
END:VEVENT
END:VCALENDAR
"""


def test_a_feed_becomes_a_version_of_a_calendar(ask: Callable[..., Any], run: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "feed.ics"
    file.write_text(FEED)
    tried = ask("calendar", "import", "Office hours", str(file), "--years", "2027", "--dry-run")
    assert tried["added"] == [{"date": "2027-05-04", "weekday": "Tuesday", "name": "Founders' day"}]
    assert tried["version"] is None
    made = ask("calendar", "import", "Office hours", "-", "--years", "2027", input=FEED)
    assert (made["version"], made["known"]) == (2, 0)
    (refused,) = made["refused"]
    assert refused["event"].startswith("Party (2027-05-04T18:00")
    assert "time of day" in refused["reason"]
    again = ask("calendar", "import", "Office hours", "-", "--years", "2027", input=FEED)
    assert (again["version"], again["added"], again["known"]) == (None, [], 1)
    gone = ask("calendar", "import", "Office hours", "-", "--years", "2027", "--replace", input=FEED.replace("0504", "0511"))
    assert (gone["version"], gone["dropped"]) == (3, ["2027-05-04"])


@pytest.mark.parametrize(
    ("arguments", "content", "said"),
    [
        (("Nowhere", "-"), FEED, "there is no calendar 'Nowhere'; there are: Office hours"),
        (("Office hours", "-", "--years", "soon"), FEED, "--years: 'soon' is no list of years"),
        (("Office hours", "-"), "hello", "file: "),
    ],
    ids=["no calendar", "no years", "no feed"],
)
def test_imports_that_are_refused(run: Callable[..., Any], arguments: tuple[str, ...], content: str, said: str) -> None:
    assert said in run("calendar", "import", *arguments, code=1, input=content).stderr
