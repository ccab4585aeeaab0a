"""Health: is it alive?"""

from flask import Blueprint

from sla_plugin.reports import queries
from sla_plugin.store.isolation import isolation
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import page_blueprint, render, viewer
from sla_plugin.web.admin.machine import machine_lights
from sla_plugin.web.runtime import Runtime


def blueprint(runtime: Runtime) -> Blueprint:
    """`/health-page`."""
    pages = page_blueprint("health_page", runtime)

    @pages.get("/health-page")
    @needs("health.read")
    def show() -> str:
        """Every part, the queues, the connections."""
        tenant, now = viewer().tenant, viewer().now
        with runtime.database.reading(tenant) as tx:
            figures, lights = machine_lights(runtime, tx, tenant, now)
            audit = queries.last_audit(tx, tenant)
        return render(
            "health.html",
            figures=figures,
            lights=lights,
            known=runtime.parts is not None,
            audit=audit,
            database=runtime.database.engine.dialect.name,
            apart=isolation(runtime.database.engine),
        )

    return pages
