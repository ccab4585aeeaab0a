"""The plan page: what a draft would do, applied or not, by one person or two."""

import re
from collections.abc import Mapping
from typing import Any

from sla_plugin.services.keep_time import sweep_terms
from sla_plugin.services.save_draft import Author, save_draft
from sla_plugin.store.tenants import book_revision
from tests.web.conftest import browser_of
from tests.web.world import GOLD, World

TIGHT = {**GOLD, "targets": {**GOLD["targets"], "resolution": {"P0": "4h", "P1": "6h", "P2": "9h"}}}  # type: ignore[dict-item]


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
