"""Health: is it alive?"""

from flask import Blueprint

from sla_plugin.engine.durations import DAY
from sla_plugin.reports import queries
from sla_plugin.store.isolation import isolation
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import Runtime, page_blueprint, render, viewer
from sla_plugin.web.admin.overview import machine_lines, part_health


def blueprint(runtime: Runtime) -> Blueprint:
    """`/health-page`."""
    pages = page_blueprint("health_page", runtime)

    @pages.get("/health-page")
    @needs("health.read")
    def show() -> str:
        """Every part, the queues, the connections."""
        tenant, now = viewer().tenant, viewer().now
        with runtime.database.reading(viewer().tenant) as tx:
            waiting, oldest = queries.waiting_deliveries(tx, tenant)
            connections = queries.connections_with_state(tx, tenant)
            deliveries = queries.count_deliveries(tx, tenant, now - DAY)
            commands = queries.count_commands(tx, tenant)
            audit = queries.last_audit(tx, tenant)
        return render(
            "health.html",
            machine=machine_lines(runtime, now, waiting, oldest),
            known=bool(part_health(runtime)),
            connections=connections,
            deliveries=deliveries,
            commands=commands,
            audit=audit,
            database=runtime.database.engine.dialect.name,
            apart=isolation(runtime.database.engine),
        )

    return pages
