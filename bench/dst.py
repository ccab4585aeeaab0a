"""Every zone of the tz database, every change of its clocks from 2020 to 2030, against the plain reading in tests/engine/test_calendars_dst.py.

python bench/dst.py        prints each difference beyond the two written conventions, then the counts; exit code 1 if there is one
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.engine.test_calendars_dst import ZONES, changes, differences


def look(zone: str) -> tuple[int, list[str]]:
    """How many changes a zone has, and the differences found around them."""
    some = list(changes(zone))
    return len(some), [difference for change in some for difference in differences(zone, change)]


def main() -> int:
    """Look at every zone with two processes."""
    with ProcessPoolExecutor(2) as pool:
        results = list(pool.map(look, ZONES, chunksize=8))
    found = [difference for _, differing in results for difference in differing]
    for difference in found[:100]:
        print(difference)
    print(f"{len(ZONES)} zones, {sum(count for count, _ in results)} changes, {len(found)} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
