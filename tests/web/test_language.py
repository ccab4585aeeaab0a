"""Pages in the reader's language: chosen on one's own page, else as the browser asks; numbers, dates and the reasons of a clock included."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sla_plugin.engine.business_time import ALWAYS
from sla_plugin.engine.evaluate import evaluate
from sla_plugin.engine.ledger import ledger, sentence
from sla_plugin.language import speaking
from sla_plugin.web.admin.clock_sentence import clock_sentence
from tests.engine.histories import OFFICE, at, book, created, fact, status, terms
from tests.web.conftest import Browser, app_of, browser_of, page_settings
from tests.web.test_pages import ticket_path
from tests.web.world import World, full_world

HOUR = 3_600_000_000


@pytest.fixture(scope="module")
def company(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A company that the tests of this file share: they read, and choose a language."""
    folder = tmp_path_factory.mktemp("language")
    shutil.copyfile(sqlite_template, folder / "sla.db")
    world = full_world(page_settings(f"sqlite:///{folder / 'sla.db'}", folder))
    yield world
    world.runtime.database.engine.dispose()


def plain(text: str) -> str:
    """With ordinary spaces."""
    return text.replace("\u00a0", " ")


def german(company: World) -> Browser:
    """Kim, who has chosen German."""
    browser = browser_of(company)
    browser.get("/me")
    browser.post("/me", language="de", theme="auto", zone="Europe/Berlin", keys="on")
    return browser


def test_the_login_page_follows_the_browser(company: World) -> None:
    client = app_of(company).test_client()
    text = client.get("/login", headers={"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}).text
    assert '<html lang="de"' in text
    assert "Anmelden" in text
    assert '<html lang="en"' in client.get("/login", headers={"Accept-Language": "fr, en;q=0.5"}).text


def test_a_person_chooses_a_language_and_keeps_it(company: World) -> None:
    text = german(company).get("/sla")
    assert '<html lang="de"' in text
    assert "1 Ticket ist verletzt. 2 weitere sind nah dran." in text
    entry = company.rows("audit_entry")[-2]  # the last one is a sign-in's, or this
    assert "language chosen" in {entry["what"], company.rows("audit_entry")[-1]["what"]}
    browser = browser_of(company)
    assert "Übersicht" in browser.get("/sla")  # another browser, which asks for nothing
    assert "Wählen Sie einen Wert aus der Liste." in browser.post("/me", 422, language="xx", theme="auto")
    assert "Gespeichert." in browser.post("/me", language="de", theme="auto")
    assert "Overview" in browser.get("/sla") or "Übersicht" in browser.get("/sla")


def test_numbers_dates_and_reasons_are_german(company: World) -> None:
    browser = german(company)
    overview = plain(browser.get("/sla"))
    assert "100,0 %" in overview
    assert 'title="Mi 4. Nov. 2026, 14:32:07 CET · 13:32:07 UTC"' in overview
    assert "noch 3 min 53 s" in overview
    text = plain(browser.get(ticket_path(browser, "4812")))
    assert "Lösung verletzt: zugesagt 8 h Geschäftszeit, 16 h 55 min verbraucht, um 8 h 55 min überschritten." in text
    assert "Nicht gezählt: 4 h 25 min angehalten, 32 h außerhalb der Geschäftszeit." in text
    assert re.search(r"verletzt Di 13:37", text)  # in the picture


@pytest.mark.parametrize("path", ["/nowhere", "/tickets/1"])
def test_errors_are_pages_in_the_same_language(company: World, path: str) -> None:
    assert "Nicht gefunden" in german(company).get(path, 404)


@pytest.mark.parametrize(
    ("facts", "minute"),
    [
        pytest.param([], 30, id="running"),
        pytest.param([status("waiting_customer", 20)], 60, id="on hold"),
        pytest.param([status("waiting_customer", 20), status("open", 60)], 120, id="held for a while"),
        pytest.param([status("resolved", 30)], 60, id="met"),
        pytest.param([status("cancelled", 30)], 60, id="cancelled"),
        pytest.param([], 60 * 24 * 9, id="breached, with nights, weekend and holiday"),
        pytest.param([fact("deadline.extended", 10, extends=("resolution", HOUR))], 60, id="extended"),
        pytest.param([fact("deadline.extended", 60 * 24 * 9, extends=("resolution", 9 * HOUR))], 60 * 24 * 9 + 5, id="extended after the breach"),
    ],
)
@pytest.mark.parametrize("hours", [pytest.param(ALWAYS, id="around the clock"), pytest.param(OFFICE, id="office")])
def test_in_english_a_page_says_what_the_engine_says(facts: list[Any], minute: float, hours: Any) -> None:
    for clock in evaluate([created(), *facts], [book(terms(hours=hours, targets={"resolution": "20h"}))], at(minute)).clocks:
        assert clock_sentence(clock, "Resolution", ledger(clock)) == sentence(clock, "Resolution")
        with speaking("de"):
            assert not re.search(r"\b(of|used|left|over)\b", clock_sentence(clock, "Lösung", ledger(clock)))
