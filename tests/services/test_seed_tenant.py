"""The very first start, and a lost password."""

import pytest

from sla_plugin.engine.calendars import Calendar
from sla_plugin.engine.durations import HOUR, MINUTE
from sla_plugin.engine.policies import Policy
from sla_plugin.errors import ConfigurationError
from sla_plugin.services.passwords import hash_password, one_time_password, password_fits
from sla_plugin.services.read_books import read_books
from sla_plugin.services.seed_tenant import ADMIN, DEFAULT_POLICY, OFFICE_HOURS, reset_password, seed_tenant
from sla_plugin.settings import Settings
from sla_plugin.store.credentials import add_session, sessions_of
from sla_plugin.store.db import open_database
from sla_plugin.store.duties import Duty
from sla_plugin.store.people import find_person

NOW = 1_790_000_000_000_000


def test_seeds_once(settings: Settings) -> None:
    database = open_database(settings.database_url, settings.data_dir)
    with database.transaction(Duty.TENANTS) as tx:
        seeded = seed_tenant(tx, NOW)
    assert seeded is not None
    with database.transaction(Duty.TENANTS) as tx:
        assert seed_tenant(tx, NOW + 1) is None
    with database.reading(seeded.tenant) as tx:
        admin = find_person(tx, seeded.tenant, ADMIN)
        assert admin is not None
        assert (admin.role, admin.one_time) == ("admin", True)
        assert password_fits(admin.password_hash, seeded.password)
        assert admin.password_hash.startswith("$argon2id$")
        (book,) = read_books(tx, seeded.tenant)
        assert [t.policy.name for t in book.terms] == ["Default"]
    database.engine.dispose()


def test_the_default_policy_promises_the_documented_numbers() -> None:
    policy = Policy.from_definition(DEFAULT_POLICY, "default")
    amounts = {metric: [policy.target(metric, p).amount for p in ("P0", "P1", "P2", "P3")] for metric in policy.targets}  # type: ignore[union-attr]
    assert amounts == {
        "first_response": [15 * MINUTE, HOUR, 4 * HOUR, 24 * HOUR],
        "resolution": [4 * HOUR, 4 * HOUR, 24 * HOUR, 72 * HOUR],
    }
    assert (policy.default, policy.calendar, policy.warning, policy.critical) == (True, "24x7", 80, 95)
    assert Calendar.from_definition(OFFICE_HOURS, "calendar").to_definition() == OFFICE_HOURS


def test_a_new_password_ends_sessions_and_the_old_one(settings: Settings) -> None:
    database = open_database(settings.database_url, settings.data_dir)
    with database.transaction(Duty.TENANTS) as tx:
        seeded = seed_tenant(tx, NOW)
        assert seeded is not None
        before = find_person(tx, seeded.tenant, ADMIN)
        assert before is not None
        add_session(tx, seeded.tenant, before.id, NOW, NOW + 10**12, "1.2.3.4", "")
        password = one_time_password()
    with database.transaction(seeded.tenant) as tx:
        reset_password(tx, seeded.tenant, "ADMIN@localhost", hash_password(password), NOW, "test")
    with database.reading(seeded.tenant) as tx:
        after = find_person(tx, seeded.tenant, ADMIN)
        assert after is not None
        assert list(sessions_of(tx, seeded.tenant, after.id, NOW + 1)) == []
        assert password_fits(after.password_hash, password)
        assert not password_fits(after.password_hash, seeded.password)
        with pytest.raises(ConfigurationError, match="nobody signs in as x@y"):
            reset_password(tx, seeded.tenant, "x@y", "hash", NOW, "test")
    database.engine.dispose()


def test_passwords_are_random_and_a_damaged_hash_fits_none() -> None:
    assert len({one_time_password() for _ in range(50)}) == 50
    assert not password_fits("not a hash", "x")
