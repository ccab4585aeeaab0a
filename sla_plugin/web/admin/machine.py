"""The machine as pages show it: the one reading of its figures, and the lights."""

from sla_plugin.reports.lights import Light, lights_of
from sla_plugin.reports.machine import TenantFigures, read_machine
from sla_plugin.store.db import Transaction
from sla_plugin.web.runtime import Runtime


def machine_lights(runtime: Runtime, tx: Transaction, tenant: int, now: int) -> tuple[TenantFigures, list[Light]]:
    """The figures of a tenant, and its lights with those of the processes, where somebody knows them."""
    machine = read_machine(tx, now, {name: connector.limits for name, connector in runtime.outside.connectors.items()}, tenant)
    parts = runtime.parts() if runtime.parts is not None else {}
    return machine.tenants[0], lights_of(machine, machine.tenants[0], parts)
