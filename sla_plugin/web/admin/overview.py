"""The Overview: what breaks next, and is the machine well?"""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, request

from sla_plugin.engine.durations import DAY, MINUTE, SECOND, format_duration
from sla_plugin.reports import queries
from sla_plugin.web.access import needs
from sla_plugin.web.admin.clock_rows import ALERT_TITLES, clock_cells
from sla_plugin.web.admin.frame import PartHealth, Runtime, page_blueprint, render, viewer

_NEXT = 20
_ALERTS = 10


def blueprint(runtime: Runtime) -> Blueprint:
    """`/sla`."""
    pages = page_blueprint("overview", runtime)

    @pages.get("/sla")
    @needs("overview.read")
    def show() -> str:
        """Counters, next deadlines, alerts, the machine."""
        tenant, now = viewer().tenant, viewer().now
        with runtime.database.reading(viewer().tenant) as tx:
            counts = queries.count_clocks(tx, tenant, now)
            due = queries.tickets_by_deadline(tx, tenant, now, limit=_NEXT)
            clocks = queries.clocks_of_tickets(tx, tenant, [r.Ticket.id for r in due.rows])
            cells = clock_cells(tx, tenant, clocks, now)
            alerts = queries.list_alerts(tx, tenant, acknowledged=False, limit=_ALERTS)
            met, finished = queries.met_since(tx, tenant, now - 30 * DAY)
            connections = queries.connections_with_state(tx, tenant)
            waiting, oldest = queries.waiting_deliveries(tx, tenant)
            unreadable = queries.count_deliveries(tx, tenant, now - DAY)
            failed = queries.failed_commands_by_connection(tx, tenant)
            setup = queries.setup_facts(tx, tenant)
        next_at = min((r.due for r in due.rows if r.due > now), default=None)
        return render(
            "overview.html",
            counts=counts,
            due=due.rows,
            cells=cells,
            alerts=alerts.rows,
            met=met,
            finished=finished,
            connections=connections,
            failed=failed,
            unreadable=unreadable.get("unreadable", 0) + unreadable.get("failed", 0),
            machine=machine_lines(runtime, now, waiting, oldest),
            setup=setup,
            metrics=ALERT_TITLES,
            poll=3 if next_at is not None and next_at - now < 10 * MINUTE else 30,
            fragment=request.args.get("fragment"),
        )

    return pages


def part_health(runtime: Runtime) -> Mapping[str, PartHealth]:
    """Each part as the supervisor sees it; nothing where the process runs alone (then only the database is known)."""
    return runtime.parts() if runtime.parts is not None else {}


def machine_lines(runtime: Runtime, now: int, waiting: int, oldest: int | None) -> list[dict[str, Any]]:
    """A line per part, the worst first: `level` (bad, watch, good), `name`, `text`."""
    lines: list[dict[str, Any]] = [
        {"level": "good" if part.healthy else "bad", "name": name, "text": part.detail} for name, part in part_health(runtime).items()
    ]
    age = 0 if oldest is None else now - oldest
    if waiting and age > 5 * SECOND:
        text = f"{waiting} deliveries wait to be applied, the oldest for {format_duration(age)}. Deadlines stay exact; warnings come late."
        lines.append({"level": "bad" if age > MINUTE else "watch", "name": "inbox", "text": text})
    else:
        lines.append({"level": "good", "name": "inbox", "text": "nothing waits" if not waiting else f"{waiting} just arrived"})
    return sorted(lines, key=lambda line: ("bad", "watch", "good").index(line["level"]))
