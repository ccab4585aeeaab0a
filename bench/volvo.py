"""The whole Volvo log (65,533 events, 7,554 incidents) through stored deliveries: every clock explained, every ledger summed.

    python bench/volvo.py [--incidents N]        with DATABASE_URL for a fresh database of its own; else SQLite in a temporary folder

Prints what there was, how long it took, and what is not explained (nothing, or it ends with exit code 1).
"""

import argparse
import gc
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sla_plugin.settings import Settings
from sla_plugin.store import schema
from sla_plugin.store.db import open_database
from tests.journeys import volvo_log
from tests.plant import Plant


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--incidents", type=int)
    told = arguments.parse_args()
    gc.collect()
    gc.freeze()  # as `up` does before it forks
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_env({"DATABASE_URL": os.environ.get("DATABASE_URL", f"sqlite:///{folder}/sla.db"), "SLA_DATA_DIR": folder})
        database = open_database(settings.database_url, settings.data_dir)
        schema.upgrade(database.engine)
        database.engine.dispose()
        plant = Plant(settings)
        incidents = volvo_log.read_log(told.incidents)
        began = time.perf_counter()
        deliveries = volvo_log.replay(plant, incidents)
        applied = time.perf_counter()
        states: Counter[str] = Counter()
        clocks: Counter[str] = Counter()
        faults: list[str] = []
        worked: dict[str, int] = {}
        segments = 0
        for ticket in volvo_log.explained(plant):
            faults += volvo_log.faults(ticket)
            worked |= volvo_log.elapsed_by_ticket([ticket], "agent_work")
            for clock in ticket["clocks"]:
                clocks[clock["metric"]] += 1
                segments += len(clock["ledger"])
                states.update(row["state"] for row in clock["ledger"])
        explained = time.perf_counter()
        expected = {name: volvo_log.working_time(events) for name, events in incidents.items()}
        faults += [f"{name}: worked {worked.get(name)}, the log says {time_}" for name, time_ in expected.items() if worked.get(name, 0) != time_]
        faults += [f"{len(plant.rows(table))} rows in {table}" for table in ("alert", "command", "correction") if plant.rows(table)]
        events = sum(map(len, incidents.values()))
        print(f"{events} events of {len(incidents)} incidents in {deliveries} deliveries")
        print(f"applied in {applied - began:.1f} s, explained in {explained - applied:.1f} s")
        print(f"{sum(clocks.values())} clocks {dict(clocks)}, {segments} segments {dict(states)}")
        print(f"agent work equals a plain reading of the log for {sum(worked.get(n, 0) == t for n, t in expected.items())} of {len(expected)} incidents")
        print(f"{len(faults)} not explained", *faults[:20], sep="\n")
        plant.close()
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
