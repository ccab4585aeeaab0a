"""The connectors there are: a new one is a folder and one line here."""

import time

from connectors.generic.connector import GenericConnector
from connectors.zendesk.connector import ZendeskConnector
from sla_plugin.errors import ConfigurationError
from sla_plugin.ports import Connector

CONNECTORS: tuple[Connector, ...] = (
    ZendeskConnector(),
    GenericConnector(clock=time.time),  # noqa: TID251 - outgoing webhooks carry the instant of sending
)


def connector(name: str) -> Connector:
    """The connector of that stable name. Raises ConfigurationError that lists the known ones."""
    for one in CONNECTORS:
        if one.name == name:
            return one
    raise ConfigurationError(f"there is no connector {name!r}; known are {', '.join(sorted(one.name for one in CONNECTORS))}")
