"""docs/asvs.md leaves nothing out (numbers and levels are those of ASVS 5.0.0 without chapter 17) and names nothing that does not exist."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "asvs.md"
KINDS = ("met", "partly", "not met", "yours", "n/a")
# section -> the last item of level 1 (they come first), the last of levels 1 and 2; sections of level 3 alone are left out
# fmt: off
ITEMS = {
    "1.1": (0, 2), "1.2": (5, 9), "1.3": (2, 11), "1.4": (0, 3), "1.5": (1, 2),
    "2.1": (1, 3), "2.2": (2, 3), "2.3": (1, 4), "2.4": (0, 1),
    "3.2": (2, 2), "3.3": (1, 4), "3.4": (2, 6), "3.5": (3, 5), "3.7": (0, 2),
    "4.1": (1, 3), "4.2": (0, 1), "4.3": (0, 2), "4.4": (1, 4),
    "5.1": (0, 1), "5.2": (2, 3), "5.3": (2, 2), "5.4": (0, 3),
    "6.1": (1, 3), "6.2": (8, 12), "6.3": (2, 4), "6.4": (2, 4), "6.5": (0, 5), "6.6": (0, 3), "6.8": (0, 4),
    "7.1": (0, 3), "7.2": (4, 4), "7.3": (0, 2), "7.4": (2, 5), "7.5": (0, 2), "7.6": (0, 2),
    "8.1": (1, 2), "8.2": (2, 3), "8.3": (1, 1), "8.4": (0, 1),
    "9.1": (3, 3), "9.2": (1, 4),
    "10.1": (0, 2), "10.2": (0, 2), "10.3": (0, 4), "10.4": (5, 11), "10.5": (0, 5), "10.6": (0, 2), "10.7": (0, 3),
    "11.1": (0, 2), "11.2": (0, 3), "11.3": (2, 3), "11.4": (1, 4), "11.5": (0, 1), "11.6": (0, 1),
    "12.1": (1, 3), "12.2": (2, 2), "12.3": (0, 4),
    "13.1": (0, 1), "13.2": (0, 5), "13.3": (0, 2), "13.4": (1, 5),
    "14.1": (0, 2), "14.2": (1, 4), "14.3": (1, 3),
    "15.1": (1, 3), "15.2": (1, 3), "15.3": (1, 7),
    "16.1": (0, 1), "16.2": (0, 5), "16.3": (0, 4), "16.4": (0, 3), "16.5": (0, 3),
}
# fmt: on


def rows() -> Iterator[tuple[str, int, str, str]]:
    """(id, level, how, evidence) of every row."""
    for line in TABLE.read_text().splitlines():
        found = re.fullmatch(r"\| (\d+\.\d+\.\d+) \| ([12]) \| [^|]+ \| ([a-z/ ]+) \| (.+) \|", line)
        if found:
            yield found[1], int(found[2]), found[3], found[4]
        else:
            assert not re.match(r"\| \d+\.", line), line


def test_every_item_has_its_row() -> None:
    demanded = [(f"{section}.{n}", 1 if n <= first else 2) for section, (first, last) in ITEMS.items() for n in range(1, last + 1)]
    assert [(item, level) for item, level, _, _ in rows()] == demanded


def test_the_counts_are_those_of_the_rows() -> None:
    counts = Counter((level, how) for _, level, how, _ in rows())
    assert {how for _, how in counts} == set(KINDS)
    lines = [f"| {level} | {sum(counts[level, how] for how in KINDS)} | {' | '.join(str(counts[level, how]) for how in KINDS)} |" for level in (1, 2)]
    expected = "\n".join([f"| level | items | {' | '.join(KINDS)} |", "|---" * 7 + "|", *lines])
    assert expected in TABLE.read_text(), expected


def test_every_test_that_is_named_exists() -> None:
    pages = "".join((ROOT / "docs" / name).read_text() for name in ("asvs.md", "security.md", "controls.md"))
    named = set(re.findall(r"`(?:tests/)?([\w/]+\.py)::(test_\w+)`", pages))
    assert len(named) > 80
    missing = [f"{path}::{name}" for path, name in sorted(named) if not re.search(rf"(?m)^def {name}\(", (ROOT / "tests" / path).read_text())]
    assert missing == []


def test_what_is_not_met_says_what_would_get_there() -> None:
    assert [item for item, _, how, why in rows() if how == "not met" and "Would get there: " not in why] == []
    assert [item for item, _, how, why in rows() if how in ("met", "yours") and len(why) < 10 and why != "none" and "Python" not in why] == []
