"""How a stored clock stands now."""

import pytest

from sla_plugin.engine.policies import Terms
from sla_plugin.reports.standing import index_terms, standing, terms_of
from sla_plugin.services.read_books import build_books
from sla_plugin.store.clocks import Clock
from sla_plugin.store.policies import CalendarVersion, PolicyVersion

HOUR = 3_600_000_000
MONDAY = 1_793_577_600_000_000  # 2026-11-02 00:00 UTC
HOURS = {"time_zone": "UTC", "hours": {d: ["09:00-17:00"] for d in ("mon", "tue", "wed", "thu", "fri")}}


def terms_for(clock: Clock) -> Terms | None:
    """The terms of a policy with business and calendar targets."""
    definition = {"name": "P", "calendar": "C", "targets": {"resolution": {"P0": {"target": "4h", "counts": "calendar"}, "P1": "8h"}}}
    policy = PolicyVersion(tenant_id=1, id=1, policy_id=1, version=1, definition=definition, effective_at=0, revision=1, made_by="")
    calendar = CalendarVersion(tenant_id=1, id=2, calendar_id=1, version=1, definition=HOURS, effective_at=0, revision=1, made_by="")
    return terms_of(clock, index_terms(build_books([("P", policy)], [("C", calendar)])))


def clock(**values: object) -> Clock:
    """A running clock that began on Monday at 15:00 with a target of eight hours."""
    began = MONDAY + 15 * HOUR
    plain = {
        "metric": "resolution",
        "phase": "running",
        "started_at": began,
        "elapsed": 0,
        "counted_at": began,
        "target": 8 * HOUR,
        "business": True,
        "warning_at": MONDAY + 38 * HOUR,
        "critical_at": MONDAY + 39 * HOUR,
        "breached_at": None,
        "policy_id": 1,
        "policy_version": 1,
        "calendar_id": 1,
        "calendar_version": 1,
    }
    return Clock(**{**plain, **values})


@pytest.mark.parametrize(
    ("values", "hour", "state", "left", "opens", "until"),
    [
        pytest.param({}, 16, "running", 7, None, 17, id="running"),
        pytest.param({}, 20, "running", 6, 33, None, id="outside hours"),
        pytest.param({}, 38, "warning", 1, None, 41, id="warning"),
        pytest.param({}, 39, "critical", 0, None, 41, id="critical, due now"),
        pytest.param({"breached_at": MONDAY + 39 * HOUR}, 40, "breached", -1, None, 41, id="breached"),
        pytest.param({"phase": "on_hold", "elapsed": 2 * HOUR}, 40, "on_hold", 6, None, None, id="on hold"),
        pytest.param({"phase": "finished", "elapsed": 2 * HOUR}, 40, "met", 6, None, None, id="met"),
        pytest.param({"phase": "cancelled"}, 40, "cancelled", 8, None, None, id="cancelled"),
        pytest.param({"target": 4 * HOUR, "business": False, "warning_at": None, "critical_at": None}, 18, "running", 1, None, 42, id="calendar time"),
        pytest.param({"target": 4 * HOUR, "warning_at": None, "critical_at": None}, 18, "running", 2, 33, None, id="business time whatever the target"),
        pytest.param({"policy_version": 9, "warning_at": None, "critical_at": None}, 18, "running", 5, None, 42, id="terms that are gone"),
    ],
)
def test_standing(values: dict[str, object], hour: int, state: str, left: int, opens: int | None, until: int | None) -> None:
    row = clock(**values)
    stands = standing(row, terms_for(row), MONDAY + hour * HOUR)
    assert (stands.state, stands.left) == (state, left * HOUR)
    assert stands.opens_at == (None if opens is None else MONDAY + opens * HOUR)
    assert stands.counts_until == (None if until is None else MONDAY + until * HOUR)
    assert 0 <= stands.filled <= 100
