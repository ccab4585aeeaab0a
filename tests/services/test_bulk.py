"""What rows keep on their way into the database: numbers of any size, every letter, lists of both kinds."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from sla_plugin.settings import Settings
from sla_plugin.store.bulk import insert_rows
from sla_plugin.store.ids import new_id
from sla_plugin.store.tickets import PROMISES
from tests.plant import Plant


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    made = Plant(settings)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (2**63 - 1, 2**63 - 1),
        (2**70, 2**70),  # no longer 64 bits
        ((1, ("a", None)), [1, ["a", None]]),
        ("Zoë \U0001f600 \\u0000 \u2028 \"'", "Zoë \U0001f600 \\u0000 \u2028 \"'"),
        ({"deep": {"er": [True, 0.1]}}, {"deep": {"er": [True, 0.1]}}),
    ],
    ids=["64 bits", "more than 64 bits", "tuples", "letters", "nested"],
)
def test_what_json_holds_comes_back(plant: Plant, told: Any, kept: Any) -> None:
    fixed = {"connection_id": 1, "first_received_at": 1, "book_revision": 1, "open": True, "history": False, "horizon_at": 0, "alerts_since": 0}
    row = {"tenant_id": plant.tenant, "id": new_id(), **fixed, "choice": {"told": told}}
    with plant.database.transaction(plant.tenant) as tx:
        insert_rows(tx, PROMISES, [row])
    with plant.database.reading(plant.tenant) as tx:
        assert tx.execute(select(PROMISES.c.choice).where(PROMISES.c.id == row["id"])).scalar_one() == {"told": kept}
