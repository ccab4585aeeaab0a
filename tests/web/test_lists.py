"""Lists: pages that join without a gap, filters that stay in the address, words, and what is done to many rows at once."""

import re
from html import unescape
from urllib.parse import quote

import pytest

from sla_plugin.reports import lists
from sla_plugin.store.ticket_words import wanted_words, words_of
from tests.web.conftest import Browser, browser_of
from tests.web.world import NOW, World

NONSENSE = (
    "/tickets?after=x",
    "/tickets?after=1-2-3-4",
    "/tickets?after=9999999999999999999-1",
    "/tickets?sort=nonsense&state=nonsense",
    "/tickets?connection=x",
    "/tickets?q=%25",
    "/alerts?show=x&level=x",
    "/alerts?after=5&n=x",
    "/deliveries?state=x&period=x&connection=99999999999999999999",
    "/deliveries?after=5&q=99999999999999999999",
    "/outbox?state=x&connection=x",
)
NUMBER = r'/tickets/\d+">#(\S+) '


def more_tickets(world: World, count: int) -> None:
    """Tickets of one instant, so that only the id tells them apart."""
    when = "2026-11-04T13:20:00"
    world.deliver(
        when,
        [
            {
                "type": "ticket.created",
                "id": f"p{n}",
                "ticket": f"P-{n}",
                "occurred_at": f"{when}Z",
                "values": {"subject": f"Printer {n}", "organization": "Acme GmbH"},
            }
            for n in range(count)
        ],
    )


def walk(browser: Browser, path: str) -> list[str]:
    """The numbers of every page, in order."""
    found: list[str] = []
    for _ in range(20):
        text = browser.get(path)
        found += re.findall(NUMBER, text)
        link = re.search(r'href="([^"]+)" rel="next"', text)
        if link is None:
            return found
        path = unescape(link[1])
    raise AssertionError("no end")


def test_pages_join_without_a_gap(world: World) -> None:
    more_tickets(world, 120)
    browser = browser_of(world)
    for query in ("", "?sort=-due", "?state=all", "?state=running", "?customer=Acme+GmbH", "?q=printer", "?customer=Acme+GmbH&priority=P2"):
        found = walk(browser, f"/tickets{query}")
        assert len(found) == len(set(found)), query
        assert len([n for n in found if n.startswith("P-")]) == 120, query
    assert walk(browser, "/tickets?sort=-due") == walk(browser, "/tickets")[::-1]
    assert "1–50 of 125" in browser.get("/tickets")
    assert re.search(r'All <span class="count">126<', browser.get("/tickets?state=all"))


ONE = pytest.mark.parametrize("world", ["sqlite"], indirect=True)  # the database does not matter


@ONE
def test_counting_ends_somewhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MOST", 3)
    more_tickets(world, 8)
    text = browser_of(world).get("/tickets")
    assert "1–13 of more than 13" in text
    assert re.search(r'Running <span class="count">3\+<', text)


@ONE
def test_a_second_filter_is_looked_for_row_by_row(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    more_tickets(world, 12)
    monkeypatch.setattr(lists, "LOOKED", 10)
    browser = browser_of(world)
    text = browser.get("/tickets?customer=Acme+GmbH&priority=P1")
    assert "Looked through 10." in text
    assert "Look further" in text
    assert walk(browser, "/tickets?customer=Acme+GmbH&priority=P1") == ["4812"]


@ONE
def test_the_address_keeps_everything(world: World) -> None:
    text = browser_of(world).get("/tickets?state=running&customer=Nordwind&priority=P2&q=invoice")
    assert re.findall(NUMBER, text) == ["4822"]
    chips = [unescape(href) for href in re.findall(r'class="chip" href="([^"]+)"', text)]
    assert len(chips) == 3
    assert all("state=running" in chip for chip in chips)
    assert [("customer" in c, "priority" in c, "q=" in c) for c in sorted(chips)] == [(True, True, False), (True, False, True), (False, True, True)]
    assert 'aria-sort="ascending"' in text
    assert "sort=-due" in text


@ONE
def test_a_nonsensical_address_is_no_error(world: World) -> None:
    browser = browser_of(world)
    for path in NONSENSE:
        browser.get(path)


# --- words -----------------------------------------------------------------------------------------------------------
FOUND = (
    ("invoice", ["4812", "4822"], "a word"),
    ("INVOICE export", ["4812"], "all words, in any case"),
    ("nordw", ["4820", "4821", "4822"], "the beginning of the last word"),
    ("nordw invoice", [], "only of the last one"),
    ("#4820", ["4820"], "a number"),
    ("482", [], "a part of a number is no number"),
    ("nordwind #4821", ["4821"], "a number and a word"),
    ("…", [], "no word at all"),
)


def test_tickets_are_found_by_words(world: World) -> None:
    browser = browser_of(world)
    for typed, numbers, why in FOUND:
        assert sorted(re.findall(NUMBER, browser.get(f"/tickets?state=all&q={quote(typed)}"))) == numbers, why


@ONE
def test_words_follow_the_subject(world: World) -> None:
    browser = browser_of(world)
    when, changes = "2026-11-04T13:25:00", {"subject": {"from": "Login loop on SSO", "to": "Straße gesperrt"}}
    world.deliver(when, [{"type": "ticket.updated", "id": "w1", "ticket": "4820", "occurred_at": f"{when}Z", "changes": changes}])
    assert re.findall(NUMBER, browser.get("/tickets?state=all&q=login")) == []
    assert re.findall(NUMBER, browser.get("/tickets?state=all&q=STRASSE")) == ["4820"]


def test_what_a_word_is() -> None:
    assert words_of("PROJ-77", "Größe: 5 m²", None) == {"proj", "77", "grösse", "5", "m²"}
    assert wanted_words("PROJ-77") == ["proj", "77"]
    assert len(words_of("1", " ".join(f"w{n}" for n in range(99)))) == 24
    assert max(map(len, words_of("1", "x" * 500))) == 40


# --- alerts ----------------------------------------------------------------------------------------------------------
def alerts(browser: Browser, path: str = "/alerts") -> list[str]:
    """The numbers a list of alerts shows."""
    return re.findall(NUMBER, browser.get(path))


def test_an_alert_is_taken_and_given_back(world: World) -> None:
    browser = browser_of(world)
    assert alerts(browser) == ["4821", "4820", "4812"]
    path = re.search(r'action="(/alerts/\d+)/acknowledge"', browser.get("/alerts"))
    assert path
    browser.post(f"{path[1]}/acknowledge", note="calling")
    assert alerts(browser) == ["4820", "4812"]
    assert alerts(browser, "/alerts?show=mine") == ["4821"]
    assert "Undo" in browser.get("/alerts?show=mine")
    assert alerts(browser_of(world, "ana@example.com"), "/alerts?show=mine") == []
    world.runtime.clock = lambda: NOW + 6 * 60_000_000  # type: ignore[method-assign]
    browser = browser_of(world)
    assert "Give back" in browser.get("/alerts?show=mine")
    assert "stands open again" in browser.post(f"{path[1]}/give-back")
    assert "Nobody had it any more" in browser.post(f"{path[1]}/give-back")
    assert sorted(alerts(browser)) == ["4812", "4820", "4821"]
    assert [e["what"] for e in world.rows("audit_entry") if "alert" in e["what"]] == ["alert acknowledged", "alert given back"]


@ONE
def test_many_are_taken_with_a_note(world: World) -> None:
    browser = browser_of(world)
    ids = re.findall(r'name="alert" value="(\d+)"', browser.get("/alerts"))
    assert len(ids) == 3
    text = browser.post("/alerts/acknowledge", 422, alert=ids[:2], note=" ")
    assert "say why" in text.lower()
    assert text.count(" checked") == 2, "the selection is kept"
    assert len(alerts(browser)) == 3
    assert "2 acknowledged. Their clocks keep running." in browser.post("/alerts/acknowledge", alert=ids[:2], note="storm")
    assert len(alerts(browser)) == 1
    assert "Nothing was open among them" in browser.post("/alerts/acknowledge", alert=ids[:2], note="storm")
    entry = world.rows("audit_entry")[-1]
    assert (entry["what"], entry["changes"]["alerts"]) == ("alerts acknowledged", 2)


@ONE
def test_all_that_match_are_counted_first(world: World) -> None:
    browser = browser_of(world)
    assert "Acknowledge 1 open alerts?" in browser.get("/alerts/acknowledge?level=critical")
    assert "say why" in browser.post("/alerts/acknowledge", 422, all="yes", level="critical", note="").lower()
    browser.post("/alerts/acknowledge", all="yes", level="critical", note="storm")
    assert alerts(browser) == ["4821", "4812"]
    browser_of(world, "ula@example.com").get("/alerts/acknowledge", 403)


# --- deliveries ------------------------------------------------------------------------------------------------------
def test_deliveries_of_a_ticket_are_found(world: World) -> None:
    browser = browser_of(world)
    rows = browser.get("/deliveries?q=%234812").count('class="first"')
    assert rows == 4
    assert browser.get("/deliveries?q=d1").count('class="first"') == 1
    assert browser.get("/deliveries?period=all&sort=received").count('class="first"') == len(world.rows("delivery"))


@ONE
def test_selected_deliveries_are_replayed_after_a_question(world: World) -> None:
    browser = browser_of(world)
    one = re.search(r'name="delivery" value="(\d+)"', browser.get("/deliveries?state=unreadable&period=all"))
    assert one
    assert "Replay 1 selected delivery?" in browser.get(f"/deliveries/replay?delivery={one[1]}")
    assert "1 put back into the inbox" in browser.post("/deliveries/replay", delivery=one[1])
    assert {d["state"] for d in world.rows("delivery") if str(d["id"]) == one[1]} == {"stored"}
