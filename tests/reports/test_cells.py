"""No cell of a CSV is a formula."""

import csv
import io

import pytest

from sla_plugin.cli.exports import write_csv
from sla_plugin.reports.cells import plain_cell

FORMULAS = ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\0"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_begins_like_a_formula_is_marked_as_text(text: str) -> None:
    assert plain_cell(text) == f"'{text}"


@pytest.mark.parametrize(("value", "cell"), [(-5, "-5"), (1.5, "1.5"), (None, ""), ("a=b", "a=b"), ("", "")])
def test_other_values_stay(value: object, cell: str) -> None:
    assert plain_cell(value) == cell


def test_exports_of_the_command_line_hold_none() -> None:
    out = io.StringIO()
    write_csv(iter([{"subject": '=cmd|"/c calc"!A1', "labels": ["-x"], "elapsed": -3}]), out, ["subject", "labels", "elapsed"])
    assert list(csv.reader(io.StringIO(out.getvalue()))) == [["subject", "labels", "elapsed"], ['\'=cmd|"/c calc"!A1', '["-x"]', "-3"]]
