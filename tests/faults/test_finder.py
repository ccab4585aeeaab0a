"""The fault finder in short: every fault at both sides of every point that a few hours of helpdesk reach, at least once. `make faults` is the long form."""

import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from sla_plugin.settings import Settings
from tests.faults.disturbed import Disturbed
from tests.faults.parts import ROLES
from tests.faults.plans import SweepPlan
from tests.faults.points import Point
from tests.faults.schedules import House

ENOUGH, MOST = 8, 32  # schedules; more than enough only while a point was reached and never struck


@pytest.fixture
def quiet() -> Iterator[None]:
    """What we do to the product on purpose fills no log."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()
    logging.disable(logging.NOTSET)


@pytest.fixture
def house(settings: Settings, request: pytest.FixtureRequest) -> Iterator[House]:
    template: Path | None = request.getfixturevalue("sqlite_template") if settings.database_url.startswith("sqlite") else None
    made = House(settings, template)
    yield made
    made.close()


@pytest.mark.usefixtures("quiet")
def test_nothing_is_lost_doubled_or_stuck_whatever_fails_wherever(house: House) -> None:
    plan = SweepPlan(random.Random("sweep"), rate=0.3)
    seen: set[tuple[Point, str]] = set()
    for seed in range(MOST):
        script, wanted = house.reference(seed // 5)
        played = Disturbed(house, script, random.Random(seed), plan)
        findings = played.play(wanted)
        assert not findings, f"seed {seed}: {findings}\n" + "\n".join(played.trace)
        seen |= set(played.seen)
        struck = {(moment.point, moment.side) for moment in plan.done}
        if seed >= ENOUGH and seen <= struck:
            break
    assert {point.kind for point, _ in seen} == {"COMMIT", "HTTP"}
    assert {point.role for point, _ in seen} == set(ROLES)
    # what is reached by nothing but another fault may come too late to be struck itself
    assert len(seen - struck) <= 2, sorted(seen - struck)
