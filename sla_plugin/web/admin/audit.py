"""The audit trail: who did what, when, and what it was before."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, abort, request

from sla_plugin.language import gettext
from sla_plugin.reports.audit_trail import Search, audit_data, read_data, search_audit, search_reads, verify_audit
from sla_plugin.reports.cells import plain_cell
from sla_plugin.store.audit import audit_head
from sla_plugin.store.erasures import erased_as
from sla_plugin.store.personal_reads import KINDS
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import page_blueprint, page_number, render, viewer
from sla_plugin.web.looks import note_look
from sla_plugin.web.runtime import Runtime

_CHUNK = 1000
_COLUMNS = ("number", "at", "actor", "what", "changes", "digest", "previous", "chain")
_READ_COLUMNS = ("first_at", "last_at", "actor", "kind", "thing", "count")


def blueprint(runtime: Runtime) -> Blueprint:
    """`/audit`, its export, and verifying."""
    pages = page_blueprint("audit", runtime)

    @pages.get("/audit")
    @needs("audit.read")
    def listing() -> str:
        """Entries that fit the search, the latest first; `verify` follows the chain first; `show=reads`: who looked at personal data instead."""
        after = page_number()
        search, errors = _search(viewer().zone)
        reads = request.args.get("show") == "reads"
        with runtime.database.reading(viewer().tenant) as tx:
            page = search_reads(tx, viewer().tenant, search, after) if reads else search_audit(tx, viewer().tenant, search, after[0] if after else None)
            verdict = verify_audit(tx, viewer().tenant) if "verify" in request.args else None
            head = audit_head(tx, viewer().tenant)[0]
            erased = erased_as(tx, viewer().tenant, sorted({row.actor for row in page.rows}))
        shown = {"page": page, "reads": reads, "erased": erased, "verdict": verdict, "head": head, "errors": errors}
        return render("audit.html", **shown, form=request.args, text=_text, kinds=KINDS)

    @pages.get("/audit/export.<kind>")
    @needs("audit.read")
    def export(kind: str) -> Response:
        """What fits the search as CSV or JSON lines; it names people, so that it is a read of its own."""
        if kind not in ("csv", "jsonl"):
            abort(404, gettext("There are csv and jsonl."))
        search, _ = _search(viewer().zone)
        reads = request.args.get("show") == "reads"
        note_look("audit", "reads" if reads else "entries")
        rows = _read_rows(runtime, viewer().tenant, search) if reads else _rows(runtime, viewer().tenant, search)
        lines = _csv_lines(rows, _READ_COLUMNS if reads else _COLUMNS) if kind == "csv" else _json_lines(rows)
        answer = Response(lines, content_type="text/csv; charset=utf-8" if kind == "csv" else "application/jsonl")
        answer.headers["Content-Disposition"] = f'attachment; filename="{"reads" if reads else "audit"}.{kind}"'
        return answer

    return pages


def _search(zone: ZoneInfo) -> tuple[Search, dict[str, str]]:
    """The search of the query string; days are the viewer's, the last one included."""
    instants: dict[str, int | None] = {}
    errors = {}
    for name, plus in (("since", 0), ("until", 1)):
        typed, instants[name] = request.args.get(name, "").strip(), None
        if typed:
            try:
                day = datetime.combine(date.fromisoformat(typed) + timedelta(days=plus), time(), zone)
                instants[name] = round(day.timestamp()) * 1_000_000
            except (ValueError, OverflowError):
                errors[name] = gettext("%(typed)s is no day; write one such as 2026-11-21.", typed=typed)
    words = {name: request.args.get(name, "").strip()[:200] for name in ("actor", "what", "thing")}
    return Search(**words, since=instants["since"], until=instants["until"]), errors


def _text(changes: object) -> str:
    return json.dumps(changes, ensure_ascii=False, indent=2, sort_keys=True)


def _rows(runtime: Runtime, tenant: int, search: Search) -> Iterator[dict[str, object]]:
    after = None
    while True:
        with runtime.database.reading(tenant) as tx:
            page = search_audit(tx, tenant, search, after, _CHUNK)
            rows = [audit_data(entry) for entry in page.rows]
        yield from rows
        if page.after is None:
            return
        after = page.after[0]


def _read_rows(runtime: Runtime, tenant: int, search: Search) -> Iterator[dict[str, object]]:
    after = None
    while True:
        with runtime.database.reading(tenant) as tx:
            page = search_reads(tx, tenant, search, after, _CHUNK)
        yield from (read_data(read) for read in page.rows)
        if page.after is None:
            return
        after = page.after


def _json_lines(rows: Iterator[dict[str, object]]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _csv_lines(rows: Iterator[dict[str, object]], columns: Sequence[str]) -> Iterator[str]:
    yield ",".join(columns) + "\r\n"
    for row in rows:
        line = io.StringIO()
        csv.writer(line).writerow([plain_cell(json.dumps(row[c], ensure_ascii=False) if c == "changes" else row[c]) for c in columns])
        yield line.getvalue()
