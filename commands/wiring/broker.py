"""The broker that the settings name."""

from broker.connect import Connection
from broker.embedded import embedded_connection
from broker.security import security_properties
from schemas.settings.model import BrokerSettings


def connection_of(settings: BrokerSettings) -> Connection:
    """Connection to the broker of the settings."""
    if settings.embedded:
        return embedded_connection(settings.bootstrap)
    return Connection(settings.bootstrap, {**security_properties(settings), **settings.properties})
