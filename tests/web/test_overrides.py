"""Exceptions on the ticket page: who may make them, what they show, what is refused."""

import re

import pytest

from sla_plugin.services.set_strict_mode import set_strict_mode
from tests.web.conftest import browser_of
from tests.web.test_pages import ticket_path
from tests.web.world import NOW, World


def test_an_agent_extends_takes_back_and_chooses(world: World) -> None:
    browser = browser_of(world, "ana@example.com")
    path = ticket_path(browser, "4820")
    assert "Make an exception" in browser.get(path)
    text = browser.post(f"{path}/extend", metric="resolution", by="2h", reason="Nordwind <asked>")
    assert "Extended." in text
    assert "Resolution extended by 2\u00a0h" in text
    assert "“Nordwind &lt;asked&gt;”" in text
    assert "2\u00a0h were granted by hand" in text
    taken = re.search(r'name="extension" value="([^"]+)"', text)
    assert taken
    assert "Taken back." in browser.post(f"{path}/withdraw", extension=taken[1], reason="a mistake")
    text = browser.post(f"{path}/choose-policy", policy="Gold", reason="a pilot customer")
    assert "Chosen." in text
    assert "policy Gold chosen" in text
    assert "applies, set by hand" in text


def test_a_form_sent_twice_extends_once(world: World) -> None:
    browser = browser_of(world, "ana@example.com")
    path = ticket_path(browser, "4820")
    once = re.search(r'name="once" value="(\d+)"', browser.get(path))
    assert once
    for _ in range(2):
        text = browser.post(f"{path}/extend", metric="resolution", by="2h", reason="because", once=once[1])
    assert "2\u00a0h were granted by hand" in text
    assert text.count("Take back") == 1
    assert f'name="once" value="{once[1]}"' not in text  # another form, another decision


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"metric": "resolution", "by": "2", "reason": "because"}, "has no unit"),
        ({"metric": "resolution", "by": "2h", "reason": ""}, "Say why"),
        ({"metric": "nothing", "by": "2h", "reason": "because"}, "has no clock"),
    ],
)
def test_bad_input_is_said_beside_the_field_and_nothing_is_lost(world: World, form: dict[str, str], said: str) -> None:
    browser = browser_of(world, "ana@example.com")
    path = ticket_path(browser, "4820")
    browser.get(path)
    text = browser.post(f"{path}/extend", 422, **form)
    assert said in text
    assert f'value="{form["by"]}"' in text
    assert form["reason"] in text
    assert "Nothing: this ticket follows its policy." in text


def test_auditors_make_no_exceptions(world: World) -> None:
    browser = browser_of(world, "ula@example.com")
    path = ticket_path(browser, "4820")
    assert "Make an exception" not in browser.get(path)
    for what in ("extend", "withdraw", "choose-policy"):
        browser.post(f"{path}/{what}", 403, metric="resolution", by="2h", reason="because")


def test_a_form_without_its_token_does_nothing(world: World) -> None:
    browser = browser_of(world, "ana@example.com")
    path = ticket_path(browser, "4820")
    browser.token = ""
    browser.post(f"{path}/extend", 400, metric="resolution", by="2h", reason="because")


def test_strict_mode_refuses_an_attempt_by_url_and_shows_it(world: World) -> None:
    browser = browser_of(world, "ana@example.com")
    path = ticket_path(browser, "4820")
    browser.get(path)
    with world.runtime.database.transaction(world.tenant) as tx:
        set_strict_mode(tx, world.tenant, True, NOW, "Kim")
    assert "Strict mode: no exceptions. Nobody" in browser.get(path)
    text = browser.post(f"{path}/extend", metric="resolution", by="2h", reason="because")
    assert "Nothing has changed; the attempt is on record." in text
    assert "refused by strict mode: Resolution extended by 2h" in text


def test_another_ticket_is_not_found(world: World) -> None:
    browser = browser_of(world)
    browser.get(ticket_path(browser, "4820"))
    browser.post("/tickets/1/extend", 404, metric="resolution", by="2h", reason="because")
