"""The pages of calendars: the list, the editor, what its buttons do, what is refused and what is kept."""

import io
import re
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event

from connectors.http import Http
from sla_plugin.engine.calendar_definitions import WEEKDAYS
from sla_plugin.errors import PermanentFailure
from sla_plugin.services.apply_policy_file import PolicyFile, apply_policy_file, read_stored
from sla_plugin.store.policies import calendar_versions
from tests.services.test_follow_feeds import Web, ics
from tests.web.conftest import Browser, browser_of
from tests.web.world import BERLIN, NOW, World

OFFICE: dict[str, Any] = {"name": "Office", "time_zone": "Europe/Berlin"} | {f"on-{day}": "yes" for day in WEEKDAYS[:5]} | dict.fromkeys(WEEKDAYS[:5], "9-17")


def store(world: World, name: str, at: int = NOW - 86_400_000_000, **parts: Any) -> str:
    """A stored calendar's path."""
    definition = {"time_zone": "Europe/Berlin", "hours": {day: ["09:00-17:00"] for day in WEEKDAYS[:5]}, **parts}
    with world.runtime.database.transaction(world.tenant) as tx:
        apply_policy_file(tx, world.tenant, PolicyFile({name: definition}, {}), at, "Kim")
        return next(f"/calendars/{v.calendar_id}" for n, v in calendar_versions(tx, world.tenant) if n == name)


def stored(world: World, name: str = "Office") -> dict[str, Any]:
    """What a calendar says now."""
    with world.runtime.database.reading(world.tenant) as tx:
        return read_stored(tx, world.tenant).calendars[name][1]


def use(world: World, name: str, **parts: Any) -> None:
    """A policy that uses a calendar."""
    with world.runtime.database.transaction(world.tenant) as tx:
        apply_policy_file(tx, world.tenant, PolicyFile({}, {name: {"name": name, "position": 20, "targets": {"resolution": "8h"}, **parts}}), NOW, "Kim")


def fields(text: str) -> dict[str, list[str]]:
    """What the editor's form would send."""
    found: dict[str, list[str]] = {}
    for tag in re.findall(r"<input [^>]*>", text):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if "name" in attributes and attributes.get("type") != "file" and (attributes.get("type") != "checkbox" or " checked" in tag):
            found.setdefault(attributes["name"], []).append(attributes.get("value", ""))
    for name, options in re.findall(r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', text, re.DOTALL):
        found.setdefault(name, []).append((re.findall(r'value="([^"]*)" selected', options) or re.findall(r'value="([^"]*)"', options))[0])
    return found


def opened(browser: Browser, path: str) -> dict[str, Any]:
    """The form of a page that was opened."""
    return {name: values for name, values in fields(browser.get(path)).items() if name != "csrf_token"}


def test_a_calendar_is_made_changed_and_drawn(world: World) -> None:
    browser = browser_of(world)
    browser.get("/calendars/new")
    text = browser.post("/calendars/new", **{**OFFICE, "wed": "22–6", "x-day": "2026-12-24", "x-kind": "hours", "x-hours": "9-12", "x-label": "short day"})
    assert "Saved as version 1" in text
    assert "Wednesday 22:00 to 24:00 Thursday 00:00 to 06:00" in text
    assert "→ Thu 06:00" in text
    assert stored(world)["exceptions"] == {"2026-12-24": {"hours": ["09:00-12:00"], "label": "short day"}}
    path = next(f"/calendars/{c['id']}" for c in world.rows("calendar") if c["name"] == "Office")
    assert "Nothing was different" in browser.post(path, **opened(browser, path))
    assert "Saved as version 2" in browser.post(path, **{**opened(browser, path), "mon": "8-17"})


def test_the_list_says_how_each_stands_and_who_uses_it(small_world: World) -> None:
    store(small_world, "Berlin office", hours=BERLIN["hours"])
    use(small_world, "Gold", calendar="Berlin office")
    store(small_world, "Night", hours={"mon": ["22:00-06:00"]}, holidays=[{"date": "2026-12-25", "name": "Christmas"}])
    store(small_world, "Always", hours="24x7", time_zone="Asia/Tokyo")
    text = browser_of(small_world).get("/calendars").replace("\u00a0", " ")
    rows = {name: row for row in re.findall(r"<tr><td class=\"first\">.*?</tr>", text, re.DOTALL) for name in [re.search(r">([^<]+)</a>", row)[1]]}  # type: ignore[index]
    assert list(rows) == ["Always", "Berlin office", "Night"]
    assert "open now, until 18:00" in rows["Berlin office"]
    assert "Gold" in rows["Berlin office"]
    assert "closed now, opens 9 Nov 22:00" in rows["Night"] or "closed now, opens Mon 22:00" in rows["Night"]
    assert "Fri 25 Dec 2026, Christmas" in rows["Night"]
    assert "no policy" in rows["Night"]
    assert "always open" in rows["Always"]
    night = next(path for path in re.findall(r"/calendars/\d+", rows["Night"]))
    assert re.search(r"Closed now, opens (9 Nov|Mon) 22:00\.", browser_of(small_world).get(night).replace("\u00a0", " "))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "24x7"}, "name"),
        ({"time_zone": "Europe/Berlyn"}, "time_zone"),
        ({"mon": "09:00-23:59"}, "mon"),
        ({f"on-{day}": [] for day in WEEKDAYS}, "hours"),
        ({"x-day": "2026-12-24", "x-hours": "9 till noon", "x-kind": "hours"}, "x-0"),
    ],
)
def test_a_wrong_calendar_is_refused_beside_its_field_and_nothing_is_lost(small_world: World, wrong: dict[str, Any], field: str) -> None:
    browser = browser_of(small_world)
    browser.get("/calendars/new")
    form = {**OFFICE, "sat": "10-14", "x-day": "2026-12-31", "x-kind": "closed", "x-hours": "", "x-label": "stocktaking", "own-name": "half typed", **wrong}
    form |= {"h-day": "2026-12-25", "h-name": "Christmas", "h-source": "DE", "h-kind": "", "tick": "2026-12-25"}
    text = browser.post("/calendars/new", 422, **form)
    assert f'id="e-{field}"' in text
    assert f'id="f-{field}"' in text
    assert f'href="#f-{field}"' in text
    assert "<title>Error: " in text
    kept = fields(text)
    for name, value in form.items():
        assert kept.get(name, []) == ([] if value == [] else [str(value)]), name
    assert small_world.rows("calendar") == []


def test_the_minute_before_midnight_is_fixed_by_a_button(small_world: World) -> None:
    browser = browser_of(small_world)
    browser.get("/calendars/new")
    form = {**OFFICE, "mon": "9-12, 13:00–23:59"}
    assert 'name="fix" value="mon"' in browser.post("/calendars/new", 422, **form)
    text = browser.post("/calendars/new", **form, fix="mon")
    assert fields(text)["mon"] == ["9-12, 13:00–24:00"]
    assert small_world.rows("calendar") == []


def test_days_are_copied_without_javascript(small_world: World) -> None:
    browser = browser_of(small_world)
    browser.get("/calendars/new")
    kept = fields(browser.post("/calendars/new", **{**OFFICE, "mon": "8-16", "sat": "10-14"}, copy="mon:all"))
    assert [kept[day][0] for day in WEEKDAYS] == ["8-16"] * 7


def test_holidays_are_listed_unticked_and_saved(small_world: World) -> None:
    browser = browser_of(small_world)
    browser.get("/calendars/new")
    text = browser.post("/calendars/new", **OFFICE, do="list", country="DE", subdivision="")
    assert "Good Friday" in text
    assert "Epiphany" not in text
    text = browser.post("/calendars/new", **OFFICE, do="list", country="DE", subdivision="BY")
    assert re.search(r"Tue 6 Jan</span> <span class=\"tick-name\">Epiphany <span class=\"muted\">Germany, Bayern", text)
    assert small_world.rows("calendar") == [], "nothing counts before it is saved"
    form: dict[str, Any] = fields(text)
    form["tick"] = [day for day in form["tick"] if day != "2026-01-06"]
    del form["csrf_token"]
    assert "Saved as version 1" in browser.post("/calendars/new", **form)
    definition = stored(small_world)
    assert {"date": "2026-12-25", "name": "Christmas Day", "source": "DE-BY"} in definition["holidays"]
    assert definition["unticked"] == [{"date": "2026-01-06", "name": "Epiphany", "source": "DE-BY"}]


def test_holidays_speak_the_readers_language(small_world: World) -> None:
    browser = browser_of(small_world)
    browser.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "de"
    browser.get("/calendars/new")
    text = browser.post("/calendars/new", **OFFICE, do="list", country="DE", subdivision="BY")
    assert "Heilige Drei Könige" in text
    assert "Deutschland, Bayern" in text
    assert "Di 6. Jan." in text


ICS = b"""BEGIN:VCALENDAR
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20261231
SUMMARY:Stocktaking <b>
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART:20261230T090000Z
SUMMARY:Team meeting
END:VEVENT
BEGIN:VEVENT
UID:3
DTSTART;VALUE=DATE:20290101
SUMMARY:Far away
END:VEVENT
END:VCALENDAR
"""


def test_a_file_is_listed_with_what_it_refuses(small_world: World) -> None:
    browser = browser_of(small_world)
    browser.get("/calendars/new")
    text = browser.post("/calendars/new", **OFFICE, do="file", file=(io.BytesIO(ICS), "team.ics"))
    assert "1 date read, 1 of them new" in text
    assert "Stocktaking &lt;b&gt;" in text
    assert "file team.ics" in text
    assert "1 refused: Team meeting" in text
    assert "1 event lies in other years" in text
    assert "2026-12-31" in fields(text)["tick"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "holds no event"), (b"<html>", "is no iCalendar file"), (b"\xff\xfe", "not UTF-8")],
    ids=["empty", "a page", "no text"],
)
def test_a_wrong_file_is_refused_beside_its_field(small_world: World, content: bytes, said: str) -> None:
    browser = browser_of(small_world)
    browser.get("/calendars/new")
    text = browser.post("/calendars/new", 422, **OFFICE, do="file", file=(io.BytesIO(content), "team.ics"))
    assert 'id="e-file"' in text
    assert said in text
    assert fields(text)["name"] == ["Office"]
    assert 'id="e-file"' in browser.post("/calendars/new", 422, **OFFICE, do="file")


def test_somebody_elses_version_is_not_overwritten(small_world: World) -> None:
    browser = browser_of(small_world)
    path = store(small_world, "Office")
    form = {**opened(browser, path), "mon": "7-12"}
    store(small_world, "Office", time_zone="Europe/Paris", at=NOW)
    text = browser.post(path, 422, **form)
    assert "Kim saved version 2" in text
    assert fields(text)["mon"] == ["7-12"]
    assert stored(small_world)["time_zone"] == "Europe/Paris"
    assert "Saved as version 3" in browser.post(path, **{**form, "version": "2"})


def test_a_calendar_in_use_stays_and_an_unused_one_goes(world: World) -> None:
    browser = browser_of(world)
    path = next(f"/calendars/{c['id']}" for c in world.rows("calendar") if c["name"] == "Berlin office")
    text = browser.get(path)
    assert "It cannot be deleted" in text
    assert "Delete Berlin office" not in text
    text = browser.post(f"{path}/delete")
    assert "is used by Gold (version 1)" in text
    spare = store(world, "Spare")
    assert "Delete Spare" in browser.get(spare)
    assert "Deleted: Spare" in browser.post(f"{spare}/delete")
    browser.get(spare, 404)
    assert [v["calendar_id"] for v in world.rows("calendar_version") if f"/calendars/{v['calendar_id']}" == spare] == []
    assert world.rows("audit_entry")[-1]["what"] == "calendar deleted"


def test_whoever_uses_a_calendar_keeps_it_even_in_an_old_version(small_world: World) -> None:
    store(small_world, "Ours")
    in_hours = {"any": [{"field": "created_in_hours", "is": True, "calendar": "Asked"}]}
    for name, uses in (("Counted", {"calendar": "Counted"}), ("Covered", {"calendar": {"cover": ["Ours", "Covered"]}}), ("Asked", {"applies_to": in_hours})):
        path = store(small_world, name)
        use(small_world, f"P {name}", **uses)
        browser = browser_of(small_world)
        assert f"P {name}" in browser.get("/calendars").split(f"{name}</a>")[1].split("</tr>")[0]
        use(small_world, f"P {name}")
        assert "no policy" in browser.get("/calendars").split(f"{name}</a>")[1].split("</tr>")[0]
        browser.get(path)
        assert f"is used by P {name} (version 1)" in browser.post(f"{path}/delete")


def test_a_calendar_is_duplicated(small_world: World) -> None:
    browser = browser_of(small_world)
    path = store(small_world, "Spare", holidays=[{"date": "2026-12-25", "name": "Christmas", "source": "DE"}])
    form = opened(browser, f"/calendars/new?copy={path.rsplit('/', 1)[1]}")
    assert form["name"] == ["Spare, copy"]
    assert "Saved as version 1" in browser.post("/calendars/new", **form)
    assert stored(small_world, "Spare, copy") == stored(small_world, "Spare")
    assert opened(browser, "/calendars/new?copy=nonsense")["name"] == [""]


def test_two_calendars_that_are_never_open_together_are_refused(small_world: World) -> None:
    store(small_world, "Ours")
    path = store(small_world, "Theirs")
    use(small_world, "Silver", calendar={"cover": ["Ours", "Theirs"]})
    browser = browser_of(small_world)
    text = browser.post(path, 422, **{**opened(browser, path), **dict.fromkeys(WEEKDAYS[:5], "20-22")})
    assert "never open at the same time" in text
    assert 'id="e-hours"' in text


def test_a_calendar_of_many_holidays_is_saved(small_world: World) -> None:
    days = [f"20{year}-{month:02}-{day:02}" for year in range(20, 30) for month in range(1, 13) for day in (1, 8, 15)]
    path = store(small_world, "Office", holidays=days)
    browser = browser_of(small_world)
    assert "Saved as version 2" in browser.post(path, **{**opened(browser, path), "mon": "8-16"})
    assert stored(small_world)["holidays"] == days


def test_readers_see_everything_and_no_button(small_world: World) -> None:
    path = store(small_world, "Spare", exceptions={"2026-12-24": {"hours": ["09:00-12:00"], "label": "short day"}})
    text = browser_of(small_world, "ula@example.com").get(path)
    assert "short day" in text
    assert "<fieldset disabled" in text
    assert not re.search(
        r"<button[^>]*>(Save|Add|Remove|List|Read|Copy)",
        text.split("<main")[1].replace('<button class="visually-hidden" tabindex="-1" aria-hidden="true">Save', ""),
    )
    assert "Duplicate" not in text


def test_a_calendar_in_use_is_changed_by_way_of_its_plan(world: World) -> None:
    browser = browser_of(world)
    path = next(f"/calendars/{c['id']}" for c in world.rows("calendar") if c["name"] == "Berlin office")
    form = opened(browser, path)
    text = browser.post(path, **{**form, "mon": "8-20", "wed": "9-12"})
    assert "What would change" in text
    assert "Wednesday: 09:00-12:30, 13:30-18:00 → 09:00-12:00" in text
    assert stored(world, "Berlin office")["hours"]["wed"] == ["09:00-12:30", "13:30-18:00"], "nothing counts before it is applied"
    text = browser.get(path)
    assert "You edit your draft" in text
    assert fields(text)["wed"] == ["09:00–12:00"]
    plan = re.search(r'name="plan" value="(\d+)"', browser.get(f"{path}/plan"))
    assert plan
    assert "What changed" in browser.post(f"{path}/plan", action="apply", plan=plan[1])
    assert stored(world, "Berlin office")["hours"]["wed"] == ["09:00-12:00"]
    assert "You edit your draft" not in browser.get(path)


def test_drafts_are_kept_overtaken_and_discarded(small_world: World) -> None:
    path = store(small_world, "Office")
    use(small_world, "Silver", calendar="Office")
    browser = browser_of(small_world)
    form = opened(browser, path)
    assert "The draft is saved" in browser.post(path, **{**form, "mon": "8-16"}, draft="yes")
    text = browser.post(path, 422, **{**form, "mon": "7-15"}, draft="yes")
    assert "You saved this draft in another window" in text
    assert fields(text)["mon"] == ["7-15"]
    assert "The draft is saved" in browser.post(path, **{**fields(text), "mon": "7-15"}, draft="yes")
    store(small_world, "Office", time_zone="Europe/Paris", at=NOW)
    text = browser.get(path)
    assert "Kim saved version 2 after your draft was begun" in text
    assert "Somebody was faster" in browser.post(path, **{**opened(browser, path), "mon": "6-14"})
    browser.get(path)
    assert "The draft is discarded" in browser.post(f"{path}/plan", action="discard")
    assert opened(browser, path)["time_zone"] == ["Europe/Paris"]
    assert "Nothing was different" in browser.post(path, **opened(browser, path))


def test_a_feed_is_read_listed_saved_and_removed(world: World) -> None:
    web = Web()
    world.runtime.outside = replace(world.runtime.outside, http=web)
    browser, path = browser_of(world), store(world, "Office")
    form = opened(browser, path)
    url = "https://office.example.com/secret-token.ics"
    web.body = ics("2026-12-31", "2029-01-01")
    text = browser.post(path, **{**form, "mon": "8-16", "feed": url}, do="feed")
    assert "1 date read, 1 of them new" in text
    assert 'Day 2026-12-31 <span class="muted">feed office.example.com' in text
    assert "counts once you save its dates" in text
    assert "secret-token" not in text
    assert fields(text)["mon"] == ["8-16"], "what was typed elsewhere stays"
    assert "holidays" not in stored(world)
    assert "says dates that the calendar does not have yet" in browser.get(path)
    assert "Saved as version 2" in browser.post(path, **opened(browser, path))
    assert stored(world)["holidays"] == [{"date": "2026-12-31", "name": "Day 2026-12-31", "source": "feed office.example.com"}]
    (feed,) = world.rows("calendar_feed")
    web.body = PermanentFailure("x", operation="x", status=404)
    text = browser.post(path, 422, **opened(browser, path), do=f"feed-read:{feed['id']}")
    assert "answers with status 404. Its last good dates stay." in text
    assert "fails since" in text
    assert "the feed office.example.com fails" in browser.get("/health-page")
    web.body = ics("2026-12-30", "2026-12-31")
    text = browser.post(path, **opened(browser, path), do=f"feed-read:{feed['id']}")
    assert "in force as version 3" in text
    assert fields(text)["version"] == ["3"]
    text = browser.post(path, **opened(browser, path), do=f"feed-drop:{feed['id']}")
    assert "is removed" in text
    assert "tick" not in fields(text)
    assert world.rows("calendar_feed") == []
    assert len(stored(world)["holidays"]) == 2, "they count until somebody saves without them"
    assert "This feed is gone" in browser.post(path, 422, **opened(browser, path), do=f"feed-read:{feed['id']}")


@pytest.mark.parametrize("typed", ["", "office", "http://10.0.0.1/x.ics", "http://localhost/x.ics"])
def test_a_feed_that_cannot_be_read_is_refused_beside_its_field(small_world: World, typed: str) -> None:
    small_world.runtime.outside = replace(small_world.runtime.outside, http=Http())
    browser, path = browser_of(small_world), store(small_world, "Office")
    text = browser.post(path, 422, **{**opened(browser, path), "feed": typed}, do="feed")
    assert 'id="e-feed"' in text
    assert fields(text)["feed"] == [typed]
    assert small_world.rows("calendar_feed") == []


def test_what_comes_is_said(small_world: World) -> None:
    browser = browser_of(small_world)
    path = store(small_world, "Office", hours={"sat": ["22:00-06:00"], "mon": ["09:00-17:00"]}, holidays=[{"date": "2026-11-09", "name": "Works outing"}])
    text = browser.get(path).replace("\u00a0", " ")
    assert "Sun 28 Mar 2027: clocks go forward 02:00 → 03:00: 1 h less open time that day." in text
    assert re.search(r"<strong>Mon 9 Nov 2026</strong> closed · Works outing", text)
    browser.get(path)
    text = browser.post(path, **{**OFFICE, "time_zone": "Asia/Tokyo"}, row="add")
    assert "The clocks of Asia/Tokyo do not change within a year." in text
    assert "as typed, not saved yet" in text


def test_the_editor_takes_a_fixed_number_of_queries_and_is_light(small_world: World) -> None:
    browser = browser_of(small_world)
    path = store(small_world, "Spare")
    counts = []
    for _ in range(2):
        seen: list[str] = []
        listener = lambda *args, seen=seen: seen.append(args[2])  # noqa: E731
        sqlalchemy_event.listen(small_world.runtime.database.engine, "before_cursor_execute", listener)
        text = browser.get(path)
        sqlalchemy_event.remove(small_world.runtime.database.engine, "before_cursor_execute", listener)
        counts.append(len(seen))
        for number in range(5):
            store(small_world, f"More {number}", NOW)
    assert counts[0] == counts[1]
    assert len(text.encode()) < 120_000, "raw; a fifth of it compressed"
