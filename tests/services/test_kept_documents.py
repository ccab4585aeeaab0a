"""Documents of sign-in services: asked for once by many, kept for a bounded time, left alone for a moment when they cannot be had."""

import threading
from typing import Any

import pytest

from sla_plugin.errors import TemporaryFailure
from sla_plugin.ports import HttpAnswer
from sla_plugin.services.kept_documents import AGAIN, FRESH, MOST, RENEW, USABLE, KeptDocuments, Unanswered

NOW = 1_800_000_000_000_000
URL = "https://login.example.com/keys"


class Desk:
    """A way out that answers what it is told to, once it is let."""

    def __init__(self) -> None:
        self.body: bytes | None = b'{"n": 1}'
        self.asked = 0
        self.let = threading.Event()
        self.let.set()
        self.entered = threading.Event()

    def request(self, method: str, url: str, **how: Any) -> HttpAnswer:
        """One request."""
        self.asked += 1
        self.entered.set()
        assert self.let.wait(10)
        if self.body is None:
            raise TemporaryFailure("it is down")
        return HttpAnswer(200, {}, self.body)


def test_a_document_ages() -> None:
    desk, kept = Desk(), KeptDocuments()
    asked = []
    for age in (0, FRESH - 1, FRESH, 2 * FRESH - 1, 2 * FRESH):
        kept.read(desk, URL, NOW + age)
        asked.append(desk.asked)
    assert asked == [1, 1, 2, 2, 3]
    assert KeptDocuments().read(desk, URL, NOW) == {"n": 1}
    assert kept.read(desk, URL, NOW - 2 * RENEW) == {"n": 1}, "a clock that was set back does not keep it for ever"
    assert desk.asked == 5


def test_something_newer_is_asked_for_once_a_minute() -> None:
    desk, kept = Desk(), KeptDocuments()
    kept.read(desk, URL, NOW)
    for age in range(0, RENEW, RENEW // 100):
        kept.read(desk, URL, NOW + age, newer=True)
    assert desk.asked == 1
    desk.body = b'{"n": 2}'
    assert kept.read(desk, URL, NOW + RENEW, newer=True) == {"n": 2}


def test_what_is_kept_bridges_an_hour_and_failures_are_remembered() -> None:
    desk, kept = Desk(), KeptDocuments()
    desk.body = None
    for _ in range(10):
        with pytest.raises(Unanswered, match="it is down"):
            kept.read(desk, URL, NOW)
    assert desk.asked == 1
    desk.body = b'{"n": 1}'
    kept.read(desk, URL, NOW + AGAIN)
    desk.body = b"[]"
    assert kept.read(desk, URL, NOW + AGAIN + USABLE - 1) == {"n": 1}
    with pytest.raises(Unanswered, match="no JSON object"):
        kept.read(desk, URL, NOW + AGAIN + USABLE)
    with pytest.raises(Unanswered):
        kept.ask(desk, URL, NOW + AGAIN)


def test_an_ask_does_not_spoil_what_is_kept() -> None:
    desk, kept = Desk(), KeptDocuments()
    kept.read(desk, URL, NOW)
    desk.body = None
    with pytest.raises(Unanswered):
        kept.ask(desk, URL, NOW)
    assert kept.read(desk, URL, NOW) == {"n": 1}


def test_one_asks_while_the_others_go_on_with_what_there_is() -> None:
    desk, kept = Desk(), KeptDocuments()
    kept.read(desk, URL, NOW)
    desk.let.clear()
    desk.entered.clear()
    slow = threading.Thread(target=kept.read, args=(desk, URL, NOW + FRESH))
    slow.start()
    assert desk.entered.wait(10)
    assert kept.read(desk, URL, NOW + FRESH) == {"n": 1}
    assert desk.asked == 2
    desk.let.set()
    slow.join()


def test_addresses_make_room_for_each_other() -> None:
    desk, kept = Desk(), KeptDocuments()
    for number in range(MOST + 5):
        kept.read(desk, f"{URL}/{number}", NOW + number)
    assert len(kept._kept) == MOST
    kept.read(desk, f"{URL}/{MOST + 4}", NOW + MOST)
    assert desk.asked == MOST + 5
