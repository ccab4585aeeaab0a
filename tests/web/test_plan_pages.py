"""The plan page: what a draft would do, applied or not, by one person or two."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sla_plugin.services.keep_time import sweep_terms
from sla_plugin.services.make_plan import FRESH, begin, store_plan
from sla_plugin.services.save_draft import Author, save_draft
from sla_plugin.store.drafts import get_draft
from sla_plugin.store.plans import update_plan
from sla_plugin.store.tenants import book_revision
from tests.web.conftest import browser_of, page_settings
from tests.web.world import CUSTOMER, GOLD, REST, World, event, full_world

TIGHT = {**GOLD, "targets": {**GOLD["targets"], "resolution": {"P0": "4h", "P1": "6h", "P2": "9h"}}}  # type: ignore[dict-item]

ACME = {"organization": "Acme GmbH", "priority": "high", "status": "new", "subject": "Late"}


def put(world: World, kind: str, name: str, definition: Mapping[str, Any], person: str = "kim@example.com", base: int = 1) -> str:
    """A person's draft; returns the address of its plan."""
    (row,) = [p for p in world.rows("person") if p["email"] == person]
    (owner,) = [o["id"] for o in world.rows("calendar" if kind == "calendar" else "policy") if o["name"] == name]
    with world.runtime.database.transaction(world.tenant) as tx:
        author = Author(row["id"], f"{row['name']} <{person}>")
        draft = save_draft(tx, world.tenant, kind, owner, name, definition, base=base, seen=0, author=author, now=world.now)
    return f"/{'calendars' if kind == 'calendar' else 'policies'}/{owner}/plan?draft={draft.id}"


def words(page: str) -> str:
    """The page's text on one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.replace("\u00a0", " ")))


def follow(world: World) -> None:
    """The timekeeper brings open tickets up to the newest version."""
    with world.runtime.database.reading(world.tenant) as tx:
        revision = book_revision(tx, world.tenant)
    with world.runtime.database.transaction(world.tenant) as tx:
        sweep_terms(tx, world.tenant, revision, world.now, world.runtime.outside)


def plan_of(page: str) -> str:
    found = re.search(r'name="plan" value="(\d+)"', page)
    assert found is not None
    return found[1]


def test_it_says_what_would_change_and_applies_it(world: World) -> None:
    path, browser = put(world, "policy", "Gold", TIGHT), browser_of(world)
    page = browser.get(path)
    told = words(page)
    assert "Resolution, High: 8 h → 6 h" in told
    assert "Resolution, Urgent: 4 h of calendar time → 4 h" in told
    assert "from 8 open clocks" in told
    after = words(browser.post(path, action="apply", plan=plan_of(page)))
    assert "Applied by Kim Lee" in after
    assert [v["version"] for v in world.rows("policy_version") if v["definition"]["name"] == "Gold"] == [1, 2]
    assert world.rows("draft") == []
    follow(world)
    plan = world.rows("plan")[0]
    assert "All open tickets follow it" in words(browser.get(path.partition("?")[0] + f"?applied={plan['id']}"))


@pytest.fixture
def company(sqlite_url: str, tmp_path: Path) -> Iterator[World]:
    """The company on SQLite: these tests are about pages."""
    world = full_world(page_settings(sqlite_url, tmp_path))
    yield world
    world.runtime.database.engine.dispose()


def test_all_moves_as_csv(company: World) -> None:
    path, browser = put(company, "policy", "Gold", TIGHT), browser_of(company)
    browser.get(path)
    table = browser.get(path.replace("/plan?", "/plan.csv?")).splitlines()
    assert table[0].startswith("ticket,connection,clock,cycle,outcome,due_now,due_then,moves_seconds")
    assert ["4812,CRM EU,resolution,0,earlier" in line or "4812,CRM EU,resolution,1,earlier" in line for line in table[1:]].count(True) == 1
    assert [line for line in table[1:] if ",-" in line], "a number is not taken for a formula"


def test_tickets_that_changed_since_are_shown_before_anything_is_applied(company: World) -> None:
    path, browser = put(company, "policy", "Gold", TIGHT), browser_of(company)
    seen = plan_of(browser.get(path))
    company.deliver("2026-11-04T13:31:00", [event("ticket.created", "late", "4899", "2026-11-04T13:31:00", actor=CUSTOMER, values=ACME)])
    page = browser.post(path, action="apply", plan=seen)
    assert "1 ticket changed since you looked, so nothing was applied yet." in page
    assert len([v for v in company.rows("policy_version") if v["definition"]["name"] == "Gold"]) == 1
    assert "What changed" in browser.post(path, action="apply", plan=plan_of(page))


def test_an_old_plan_is_worked_out_anew_and_the_page_says_so(company: World) -> None:
    path, browser = put(company, "policy", "Gold", TIGHT), browser_of(company)
    seen = plan_of(browser.get(path))
    with company.runtime.database.transaction(company.tenant) as tx:
        update_plan(tx, company.tenant, int(seen), as_of=company.now - FRESH - 1)
    page = browser.post(path, action="apply", plan=seen)
    assert "The plan was no longer up to date, so nothing was applied." in page
    assert "worked out anew" in page
    assert plan_of(page) != seen


def test_a_large_plan_shows_how_far_it_is(company: World) -> None:
    path, browser = put(company, "policy", "Gold", TIGHT), browser_of(company)
    (draft,) = company.rows("draft")
    with company.runtime.database.transaction(company.tenant) as tx:
        row = get_draft(tx, company.tenant, draft["id"])
        assert row is not None
        store_plan(tx, company.tenant, row, begin(tx, company.tenant, row, company.now))
    page = browser.get(path)
    assert "Working it out: 0 of 5 tickets looked at." in page
    assert 'data-fragment="plan"' in page
    assert "<progress" in page
    assert 'value="apply"' not in page


def test_the_address_can_be_sent_and_who_may_only_read_sees_no_form(company: World) -> None:
    path = put(company, "policy", "Gold", TIGHT)
    assert "has no plan yet" in browser_of(company, "ula@example.com").get(path, 404)
    browser_of(company).get(path)
    page = browser_of(company, "ula@example.com").get(path)
    main = page[page.index("<main") : page.index("</main>")]
    assert "Resolution, High: 8 h → 6 h" in words(main)
    assert "Only admins can apply it." in main
    assert "<button" not in main


def test_a_draft_that_is_gone(company: World) -> None:
    path, browser = put(company, "policy", "Gold", TIGHT), browser_of(company)
    seen = plan_of(browser.get(path))
    browser.post(path, action="apply", plan=seen)
    assert "This draft is gone: it was applied or discarded meanwhile." in browser.post(path, action="apply", plan=seen)


def test_breaches_of_the_change_can_be_recorded_only(company: World) -> None:
    path, browser = put(company, "policy", "Everyone", {**REST, "targets": {"resolution": "1h"}}), browser_of(company)
    page = browser.get(path)
    assert "pass a threshold at once" in page
    before = len(company.rows("alert"))
    done = browser.post(path, action="apply", plan=plan_of(page), announce="record")
    assert "was recorded and not announced" in done
    follow(company)
    assert len([c for c in company.rows("clock") if c["breached_at"] == company.now]) == 2
    assert len(company.rows("alert")) == before


def test_a_calendar_is_planned_the_same_way(company: World) -> None:
    hours = {"time_zone": "Europe/Berlin", "hours": {d: ["08:00-18:00"] for d in ("mon", "tue", "wed", "thu", "fri")}}
    path, browser = put(company, "calendar", "Berlin office", hours), browser_of(company)
    page = browser.get(path)
    assert "Monday: 09:00-12:30, 13:30-18:00 → 08:00-18:00" in words(page)
    browser.post(path, action="apply", plan=plan_of(page))
    assert [v["version"] for v in company.rows("calendar_version")] == [1, 2]
