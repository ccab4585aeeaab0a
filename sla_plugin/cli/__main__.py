"""`python -m sla_plugin.cli`."""

from sla_plugin.cli import main

main(prog_name="sla-plugin")
