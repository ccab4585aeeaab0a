"""Feeds of holidays: which addresses are read, what a reading changes by itself and what waits, and that a failure leaves the calendar alone."""

from collections.abc import Mapping
from typing import Any

import pytest

from sla_plugin.errors import ConfigurationError, InvalidDefinition, PermanentFailure, TemporaryFailure
from sla_plugin.jobs.feeds import read_due_feed
from sla_plugin.ports import HttpAnswer
from sla_plugin.reports.lights import lights_of
from sla_plugin.reports.machine import read_machine
from sla_plugin.services.apply_policy_file import PolicyFile, apply_policy_file, read_stored
from sla_plugin.services.follow_feeds import AGAIN, EVERY, add_feed, checked_url, fetch_feed
from sla_plugin.settings import Settings
from sla_plugin.store.policies import calendar_ids
from tests.plant import Plant

URL = "https://office.example.com/secret-token/holidays.ics"
HOUR = 3_600_000_000


def ics(*days: str) -> bytes:
    """A file with an all-day event per date."""
    events = "".join(f"BEGIN:VEVENT\r\nUID:{d}\r\nDTSTART;VALUE=DATE:{d.replace('-', '')}\r\nSUMMARY:Day {d}\r\nEND:VEVENT\r\n" for d in days)
    return f"BEGIN:VCALENDAR\r\n{events}END:VCALENDAR\r\n".encode()


class Web:
    """The way out: answers with `body`, or fails with it."""

    def __init__(self) -> None:
        self.body: bytes | Exception = b""
        self.asked: list[str] = []

    def request(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **how: Any) -> HttpAnswer:
        """One request."""
        self.asked.append(f"{method} {url}")
        if isinstance(self.body, Exception):
            raise self.body
        return HttpAnswer(200, {}, self.body)


class Office:
    """A calendar that follows a feed, at the plant's clock (November 2026)."""

    def __init__(self, settings: Settings, *days: str, saved: bool = True) -> None:
        self.web = Web()
        self.plant = Plant(settings, http=self.web)
        self.put({"time_zone": "Europe/Berlin", "hours": {"mon": ["09:00-17:00"]}, "holidays": ["2026-12-24"]})
        self.web.body = ics(*days)
        found = fetch_feed(URL, self.web, (2026, 2027))
        with self.plant.database.transaction(self.plant.tenant) as tx:
            calendar = calendar_ids(tx, self.plant.tenant)["Office"]
            self.title = add_feed(tx, self.plant.tenant, calendar, URL, found, self.plant.outside.sealer, self.plant.now, "Kim")
        if saved:
            self.put({**self.now, "holidays": ["2026-12-24", *({"date": d, "name": f"Day {d}", "source": f"feed {self.title}"} for d in days)]})

    def put(self, definition: dict[str, Any]) -> None:
        """Save the calendar."""
        with self.plant.database.transaction(self.plant.tenant) as tx:
            apply_policy_file(tx, self.plant.tenant, PolicyFile({"Office": definition}, {}), self.plant.now, "Kim")

    def next_day(self, body: bytes | Exception) -> None:
        """A day passes, and the feed says something else."""
        self.web.body = body
        self.plant.now += EVERY + HOUR
        for _ in range(2):  # a job may run twice
            read_due_feed(self.plant.database, self.plant.outside, lambda: self.plant.now)

    @property
    def now(self) -> dict[str, Any]:
        """What the calendar says now."""
        with self.plant.database.reading(self.plant.tenant) as tx:
            return read_stored(tx, self.plant.tenant).calendars["Office"][1]

    @property
    def days(self) -> list[str]:
        """The dates that count."""
        return [one if isinstance(one, str) else one["date"] for one in self.now["holidays"]]

    @property
    def feed(self) -> dict[str, Any]:
        """The feed's row."""
        (row,) = self.plant.rows("calendar_feed")
        return row

    def lights(self) -> list[str]:
        """What the lights say of feeds."""
        with self.plant.database.reading(self.plant.tenant) as tx:
            machine = read_machine(tx, self.plant.now, {}, self.plant.tenant)
        return [light.text for light in lights_of(machine, machine.tenants[0], {}) if light.about == "calendar"]


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "office",
        "ftp://example.com/a.ics",
        "https://",
        "https://exa mple.com/",
        "https://example.com:0/",
        "https://example.com:x/",
        "file:///etc/passwd",
        "https://a:b@example.com/x.ics",
        "https://example.com/" + "x" * 1000,
    ],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        checked_url(typed)
    assert caught.value.field == "feed"


def test_an_address_of_a_calendar_program_is_read_over_https() -> None:
    assert checked_url(" webcal://example.com/a.ics ") == "https://example.com/a.ics"


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (TemporaryFailure("office.example.com did not answer in time", operation="x"), "did not answer in time"),
        (PermanentFailure("x", operation="x", status=404), "answers with status 404"),
        (PermanentFailure("x", operation="x", status=301), "sends us to another address (301)"),
        (ConfigurationError("10.0.0.1 is a private or local address"), "private or local address"),
    ],
)
def test_what_cannot_be_read_says_why_without_the_secret_path(failure: Exception, said: str) -> None:
    web = Web()
    web.body = failure
    with pytest.raises(InvalidDefinition) as caught:
        fetch_feed(URL, web, (2026,))
    assert said in caught.value.problem
    assert "secret-token" not in str(caught.value)


def test_a_feed_that_was_only_added_changes_nothing(settings: Settings) -> None:
    office = Office(settings, "2026-12-25", saved=False)
    office.next_day(ics("2026-12-25", "2026-12-28"))
    assert office.days == ["2026-12-24"]
    assert [one["date"] for one in office.feed["days"]] == ["2026-12-25", "2026-12-28"]
    office.plant.close()


def test_a_small_change_becomes_a_version_by_the_machine(settings: Settings) -> None:
    office = Office(settings, "2026-12-25", "2026-12-31")
    office.next_day(ics("2026-12-25", "2026-12-28"))
    assert office.days == ["2026-12-24", "2026-12-25", "2026-12-28"]
    versions = office.plant.rows("calendar_version")
    assert [v["made_by"] for v in versions] == ["Kim", "Kim", "machine"]
    entry = office.plant.rows("audit_entry")[-1]
    assert (entry["actor"], entry["what"]) == ("machine", "policies changed")
    office.next_day(ics("2026-12-25", "2026-12-28"))
    assert len(office.plant.rows("calendar_version")) == 3, "nothing new is no version"
    assert office.lights() == []
    office.plant.close()


def test_what_was_unticked_or_comes_from_elsewhere_stays(settings: Settings) -> None:
    office = Office(settings, "2026-12-25", "2026-12-31")
    source = f"feed {office.title}"
    office.put({**office.now, "holidays": ["2026-12-24", {"date": "2026-12-25", "source": source}], "unticked": [{"date": "2026-12-31", "source": source}]})
    office.next_day(ics("2026-12-24", "2026-12-31", "2026-12-28"))
    assert office.days == ["2026-12-24", "2026-12-28"]
    assert office.now["unticked"] == [{"date": "2026-12-31", "source": source}]
    office.next_day(ics("2026-12-28"))
    assert office.days == ["2026-12-24", "2026-12-28"], "the date by hand stays when the feed loses it"
    office.plant.close()


@pytest.mark.parametrize("days", [[f"2026-12-{n}" for n in range(10, 22)], []], ids=["many at once", "an empty feed"])
def test_a_large_change_waits_for_a_person(settings: Settings, days: list[str]) -> None:
    office = Office(settings, "2026-12-25", "2026-12-31")
    other = "BEGIN:VEVENT\r\nUID:x\r\nDTSTART;VALUE=DATE:20300101\r\nEND:VEVENT\r\n"  # a file without any event is no feed
    office.next_day(ics(*days).replace(b"END:VCALENDAR", other.encode() + b"END:VCALENDAR"))
    assert office.days == ["2026-12-24", "2026-12-25", "2026-12-31"]
    assert office.feed["waiting"] == len(days) + 2
    assert "too many to be taken unseen" in office.lights()[0]
    office.plant.close()


def test_a_year_that_comes_into_sight_is_no_large_change(settings: Settings) -> None:
    office = Office(settings, "2026-12-25")
    office.next_day(ics("2026-12-25", *(f"2027-{month:02}-15" for month in range(1, 13))))
    assert len(office.days) == 14
    office.plant.close()


def test_a_feed_that_fails_keeps_its_dates_and_shows_a_light(settings: Settings) -> None:
    office = Office(settings, "2026-12-25")
    office.next_day(TemporaryFailure("office.example.com did not answer in time", operation="x"))
    failed_at = office.plant.now
    assert office.days == ["2026-12-24", "2026-12-25"]
    assert office.feed["due_at"] == failed_at + AGAIN
    assert "did not answer in time" in office.lights()[0]
    office.next_day(b"<html>not found</html>")
    assert office.feed["failing_since"] == failed_at, "the light says since when"
    assert "no iCalendar file" in office.feed["problem"]
    office.next_day(ics("2026-12-25"))
    assert (office.feed["problem"], office.feed["failing_since"], office.lights()) == (None, None, [])
    office.plant.close()


def test_an_address_is_kept_sealed_and_named_by_its_host(settings: Settings) -> None:
    office = Office(settings, "2026-12-25")
    assert office.title == "office.example.com"
    assert "secret-token" not in str(office.plant.rows("calendar_feed")) + str(office.plant.rows("audit_entry"))
    with office.plant.database.reading(office.plant.tenant) as tx:
        calendar, found = calendar_ids(tx, office.plant.tenant)["Office"], fetch_feed(URL, office.web, (2026,))
        with pytest.raises(InvalidDefinition, match="already"):
            add_feed(tx, office.plant.tenant, calendar, URL, found, office.plant.outside.sealer, office.plant.now, "Kim")
    office.plant.close()
