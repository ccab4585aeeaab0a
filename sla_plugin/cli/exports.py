"""`sla-plugin export`: rows for scripts, streamed."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

import click

from sla_plugin.cli.installation import open_installation
from sla_plugin.reports.cells import plain_cell
from sla_plugin.reports.exports import EXPORTS, export_columns, export_rows
from sla_plugin.settings import Settings


@click.command("export")
@click.argument("kind", type=click.Choice(list(EXPORTS)))
@click.option("--json", "form", flag_value="json", default="json", help="One JSON array, a row per line (the default).")
@click.option("--jsonl", "form", flag_value="jsonl", help="One JSON object per line.")
@click.option("--csv", "form", flag_value="csv", help="CSV with a header; lists and objects are JSON texts.")
@click.option("--connection", metavar="NAME", help="Only rows of this connection.")
@click.option("--ticket", metavar="EXTERNAL", help="Only rows of the ticket with this external id.")
@click.option("--ids", is_flag=True, help="Add our own ids (they differ from one database to the next).")
@click.pass_obj
def export_command(settings: Settings, kind: str, form: str, connection: str | None, ticket: str | None, ids: bool) -> None:
    """Write all rows of KIND to standard output: sorted, stable, and streamed, so that size does not matter.

    Instants are ISO 8601 UTC. Durations are whole seconds; where that hides something, the exact microseconds stand beside them (elapsed_us).
    """
    installation = open_installation(settings)
    with installation.reading() as tx:
        rows = export_rows(tx, installation.tenant, kind, connection=connection, ticket=ticket, ids=ids)
        _WRITERS[form](rows, sys.stdout, export_columns(kind, ids=ids))


def write_json(rows: Iterator[Mapping[str, Any]], out: TextIO, columns: Sequence[str]) -> None:
    """A JSON array, one row per line."""
    out.write("[")
    separator = "\n"
    for row in rows:
        out.write(separator + json.dumps(row, ensure_ascii=False))
        separator = ",\n"
    out.write("\n]\n")


def write_jsonl(rows: Iterator[Mapping[str, Any]], out: TextIO, columns: Sequence[str]) -> None:
    """One JSON object per line."""
    for row in rows:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_csv(rows: Iterator[Mapping[str, Any]], out: TextIO, columns: Sequence[str]) -> None:
    """CSV with every column in its place; what is absent or null is empty."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain_cell(json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value)


_WRITERS = {"json": write_json, "jsonl": write_jsonl, "csv": write_csv}
COMMANDS = (export_command,)
