"""Who asks behind a proxy: trusted ones are believed, from the right, and nobody else."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from sla_plugin.settings import Settings
from sla_plugin.web.true_address import true_address
from tests.web.conftest import Browser, browser_of
from tests.web.world import PASSWORD, World

OURS = tuple(ip_network(text) for text in ("10.0.0.0/24", "2001:db8:1::/64"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "who"),
    [
        pytest.param("192.0.2.9", "", "192.0.2.9", id="no proxy"),
        pytest.param("192.0.2.9", "198.51.100.1", "192.0.2.9", id="a stranger says somebody else"),
        pytest.param("192.0.2.9", "10.0.0.2", "192.0.2.9", id="a stranger says a proxy"),
        pytest.param("10.0.0.2", "198.51.100.1", "198.51.100.1", id="one proxy"),
        pytest.param("10.0.0.2", "6.6.6.6, 198.51.100.1", "198.51.100.1", id="what the client wrote stands left"),
        pytest.param("10.0.0.2", "6.6.6.6, 198.51.100.1, 10.0.0.3", "198.51.100.1", id="two proxies"),
        pytest.param("10.0.0.2", "10.0.0.7, 10.0.0.3", "10.0.0.7", id="proxies only"),
        pytest.param("10.0.0.2", "", "10.0.0.2", id="a proxy that says nothing"),
        pytest.param("10.0.0.2", "unknown", "10.0.0.2", id="a proxy that does not know"),
        pytest.param("10.0.0.2", "198.51.100.1, nonsense", "10.0.0.2", id="nothing is skipped"),
        pytest.param("10.0.0.2", "198.51.100.1:4711", "198.51.100.1", id="with a port"),
        pytest.param("10.0.0.2", "[2001:db8:9::1]:443", "2001:db8:9::1", id="IPv6 with a port"),
        pytest.param("10.0.0.2", "2001:db8:9::1", "2001:db8:9::1", id="IPv6"),
        pytest.param("2001:db8:1::5", "198.51.100.1", "198.51.100.1", id="an IPv6 proxy"),
        pytest.param("::ffff:10.0.0.2", "198.51.100.1", "198.51.100.1", id="an IPv4 proxy at an IPv6 socket"),
        pytest.param("", "198.51.100.1", "", id="a socket without addresses"),
    ],
)
def test_who_asks(peer: str, forwarded: str, who: str) -> None:
    assert true_address(peer, forwarded, OURS) == who
    assert true_address(peer, forwarded, ()) == peer, "without trusted proxies nothing is believed"


def test_guessing_behind_a_proxy_slows_who_guesses(small_world: World) -> None:
    settings: Settings = small_world.runtime.settings
    small_world.runtime.settings = replace(settings, trusted_proxies=(ip_network("127.0.0.1/32"),))
    guesser, other = browser_of(small_world, None), browser_of(small_world, None)

    def tries(browser: Browser, word: str, source: str) -> str:
        form = {"csrf_token": browser.token, "email": "kim@example.com", "password": word}
        answer = browser.client.post("/login", data=form, headers={"X-Forwarded-For": f"6.6.6.6, {source}"}, follow_redirects=True)
        return str(answer.text)

    guesser.get("/login")
    said = [tries(guesser, "wrong", "198.51.100.1") for _ in range(6)]
    assert "wait until" in said[-1]
    other.get("/login")
    assert "wait until" not in tries(other, PASSWORD, "198.51.100.2")
    assert {row["source"] for row in small_world.rows("session")} == {"198.51.100.2"}
