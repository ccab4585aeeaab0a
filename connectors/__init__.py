"""Connectors: one folder per helpdesk or channel, each an instance of `sla_plugin.ports.Connector`; `registry` lists them."""
