"""Connecting a helpdesk: what is refused when typed, what is proved, what is stored, and that no secret leaks."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sla_plugin.errors import ConfigurationError, InvalidDefinition, InvalidFields, PermanentFailure
from sla_plugin.ports import HttpAnswer
from sla_plugin.services.change_connection import add_secret, fingerprint, retire_secret, set_mode
from sla_plugin.services.connect_helpdesk import (
    Connected,
    ConnectionForm,
    check_base_url,
    check_mapping,
    prepare_connection,
    prove_connection,
    store_connection,
)
from sla_plugin.settings import Settings
from sla_plugin.store.connections import Connection, find_by_name
from tests.plant import Plant

ZENDESK = {"connector": "zendesk", "base_url": "https://acme.zendesk.com/", "email": "robot@acme.com/token", "token": "t0ken-123"}


class Desk:
    """A Zendesk that answers users/me."""

    def __init__(self) -> None:
        self.user: Mapping[str, Any] = {"id": 77, "name": "Robot", "role": "agent", "active": True}

    def request(self, method: str, url: str, **_: Any) -> HttpAnswer:
        if not url.startswith("https://acme.zendesk.com/"):
            raise PermanentFailure("refused the token (401)", status=401)
        return HttpAnswer(200, {}, json.dumps({"user": self.user}).encode())


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def plant(settings: Settings, desk: Desk) -> Iterator[Plant]:
    made = Plant(settings, http=desk)
    yield made
    made.close()


def connect(plant: Plant, *, update: bool = False, prove: bool = True, **form: Any) -> Connected:
    with plant.database.reading(plant.tenant) as tx:
        draft = prepare_connection(tx, plant.tenant, ConnectionForm(**form), plant.outside, allow_private=False, update=update)
    facts = prove_connection(draft, plant.outside) if prove else None
    with plant.database.transaction(plant.tenant) as tx:
        return store_connection(tx, plant.tenant, draft, facts, plant.now, "test", plant.outside)


def stored(plant: Plant, name: str) -> Connection:
    with plant.database.reading(plant.tenant) as tx:
        found = find_by_name(tx, plant.tenant, name)
        assert found is not None
        return found


def test_a_zendesk_is_proved_and_stored_sealed(plant: Plant) -> None:
    made = connect(plant, name=" Z ", secret="signing", **ZENDESK)
    assert (made.name, made.mode, made.assignee, made.secret, made.secrets) == ("Z", "dry_run", "77", None, 1)
    assert made.proved == ("the token acts as Robot (id 77, agent)",)
    row = stored(plant, "Z")
    account = plant.outside.account(row)
    assert (account.base_url, account.email, account.token, list(account.secrets)) == ("https://acme.zendesk.com", "robot@acme.com", "t0ken-123", ["signing"])
    assert row.public_id == made.public_id
    assert len(made.public_id) == 32
    (entry,) = [e for e in plant.rows("audit_entry") if e["what"] == "connection made"]
    everything = json.dumps([entry["changes"], row.sealed_token, row.sealed_secrets, row.facts])
    assert "t0ken-123" not in everything
    assert "signing" not in everything


def test_a_generic_one_gets_a_secret_shown_once(plant: Plant) -> None:
    made = connect(plant, name="G", connector="generic")
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    assert plant.outside.secrets(stored(plant, "G")) == [made.secret]


def test_zendesk_makes_its_own_secret_unless_one_is_wanted(plant: Plant) -> None:
    assert (connect(plant, name="A", **ZENDESK).secret, stored(plant, "A").sealed_secrets) == (None, [])
    assert connect(plant, name="B", generate_secret=True, **ZENDESK).secret is not None


def test_the_same_name_again_is_refused_unless_updated(plant: Plant) -> None:
    first = connect(plant, name="Z", secret="one", mode="live", **ZENDESK)
    with pytest.raises(InvalidFields, match="name: there is a connection 'Z' already"):
        connect(plant, name="Z", **ZENDESK)
    again = connect(plant, update=True, name="Z", connector="zendesk", secret="two", assignee="9")
    assert (again.public_id, again.mode, again.assignee) == (first.public_id, "live", "9")
    account = plant.outside.account(stored(plant, "Z"))
    assert (account.token, list(account.secrets)) == ("t0ken-123", ["two", "one"])
    with pytest.raises(InvalidFields, match="no connection 'Y'"):
        connect(plant, update=True, name="Y", **ZENDESK)
    with pytest.raises(InvalidDefinition, match="never changes its connector"):
        connect(plant, update=True, name="Z", connector="generic")


def test_credentials_that_work_but_may_not_write_are_refused(plant: Plant, desk: Desk) -> None:
    desk.user = {**desk.user, "role": "end-user"}
    with pytest.raises(ConfigurationError, match="make the user of the token an agent"):
        connect(plant, name="Z", **ZENDESK)
    with pytest.raises(PermanentFailure):
        connect(plant, name="Z", **{**ZENDESK, "base_url": "https://other.zendesk.com"})
    assert [c["name"] for c in plant.rows("connection")] == ["crm"]
    assert connect(plant, prove=False, name="Z", **ZENDESK).assignee is None


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"name": " "}, "name"),
        ({"email": None}, "email"),
        ({"email": "nobody"}, "email"),
        ({"token": None}, "token"),
        ({"token": "a b"}, "token"),
        ({"base_url": ""}, "base_url"),
        ({"secret": ""}, "secret"),
        ({"mapping": {"priority": {"sev1": "highest"}}}, "mapping.priority.sev1"),
    ],
    ids=lambda value: str(value),
)
def test_what_is_missing_or_wrong_is_named(plant: Plant, form: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        connect(plant, **{"name": "Z", **ZENDESK, **form})
    assert refused.value.field == field


def test_an_assignee_the_helpdesk_cannot_take_is_refused(plant: Plant) -> None:
    with pytest.raises(InvalidFields, match="assignee: "):
        connect(plant, name="Z", assignee="Robot", **ZENDESK)


def test_everything_that_is_wrong_is_told_at_once(plant: Plant) -> None:
    form = {"name": "crm", "connector": "zendesk", "base_url": "acme", "email": "nobody", "token": "a b", "assignee": "Robot", "mapping": {"kind": {}}}
    with pytest.raises(InvalidFields) as refused:
        connect(plant, **form)
    assert set(refused.value.problems) == {"name", "base_url", "email", "token", "assignee", "mapping.kind"}
    assert all(field in str(refused.value) for field in refused.value.problems)


@pytest.mark.parametrize(
    ("url", "private", "fits"),
    [
        ("https://acme.zendesk.com", False, True),
        ("http://acme.zendesk.com", True, False),
        ("https://10.0.0.5", False, False),
        ("http://10.0.0.5:9000/x", True, True),
        ("http://127.0.0.1:9001", True, True),
        ("http://[::1]:9001", True, True),
        ("http://stand-in:9001", True, True),
        ("http://stand-in:9001", False, False),
        ("http://8.8.8.8", True, False),
        ("https://user:pass@acme.zendesk.com", False, False),
        ("https://acme.zendesk.com:port", False, False),
        ("ftp://acme.zendesk.com", False, False),
        ("acme.zendesk.com", False, False),
        ("https://", False, False),
    ],
)
def test_base_urls(url: str, private: bool, fits: bool) -> None:
    if fits:
        assert check_base_url(f" {url}/ ", allow_private=private) == url
    else:
        with pytest.raises(InvalidDefinition, match=r"^base_url: "):
            check_base_url(url, allow_private=private)


@pytest.mark.parametrize("mapping", [{"status": {"x": "P0"}}, {"unset_priority": "high"}, {"colour": {"x": "y"}}, {"status": "open"}], ids=str)
def test_mappings_speak_our_words(mapping: dict[str, Any]) -> None:
    with pytest.raises(InvalidDefinition, match=r"^mapping"):
        check_mapping(mapping)


def test_going_live_needs_somewhere_to_write_to(plant: Plant) -> None:
    connect(plant, name="G", connector="generic")
    with plant.database.transaction(plant.tenant) as tx, pytest.raises(ConfigurationError, match="no base URL"):
        set_mode(tx, plant.tenant, "G", "live", plant.now, "test", plant.outside)
    with plant.database.transaction(plant.tenant) as tx:
        _, before = set_mode(tx, plant.tenant, "crm", "observe", plant.now, "test", plant.outside)
    assert (before, stored(plant, "crm").mode) == ("live", "observe")
    assert plant.rows("audit_entry")[-1]["changes"] == {"connection": "crm", "before": {"mode": "live"}, "after": {"mode": "observe"}}


def test_rotating_a_secret(plant: Plant) -> None:
    def change(function: Any, value: str) -> list[str]:
        with plant.database.transaction(plant.tenant) as tx:
            return [row["fingerprint"] for row in function(tx, plant.tenant, "crm", value, plant.now, "test", plant.outside)]

    assert change(add_secret, "new") == [fingerprint("new"), fingerprint("secret")]
    assert change(add_secret, "new") == [fingerprint("new"), fingerprint("secret")]
    with pytest.raises(ConfigurationError, match="retire one first"):
        change(add_secret, "third")
    assert change(retire_secret, "old") == [fingerprint("new")]
    with pytest.raises(ConfigurationError, match="only secret"):
        change(retire_secret, fingerprint("new"))
    with pytest.raises(ConfigurationError, match="no secret 'abc'"):
        change(retire_secret, "abc")
    assert plant.outside.secrets(stored(plant, "crm")) == ["new"]
