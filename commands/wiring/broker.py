"""The broker that the settings name."""

import logging

from broker.connect import Connection
from broker.embedded import embedded_connection
from broker.reach import reach
from broker.security import security_properties
from broker.topic_settings import check_topics
from broker.topics import ensure_topics
from schemas import topics
from schemas.settings.model import BrokerSettings

LOGGER = logging.getLogger("ordertide.topics")
PARTITIONS = 8  # of a topic that is created


def connection_of(settings: BrokerSettings) -> Connection:
    """Connection to the broker of the settings."""
    if settings.embedded:
        return embedded_connection(settings.bootstrap)
    return Connection(settings.bootstrap, {**security_properties(settings), **settings.properties})


def prepared(settings: BrokerSettings) -> Connection:
    """Connection to the broker, which answers and has all topics.

    Missing topics are created; settings of topics that differ are logged.

    Raises:
        Busy: no answer. BrokerFailed: it refuses.
    """
    connection = connection_of(settings)
    if settings.embedded:  # creates topics on first use
        return connection
    reach(connection)
    for finding in check_topics(connection, (*topics.TOPICS, topics.GENERATIONS)):
        LOGGER.warning("%s", finding)
    ensure_topics(connection, PARTITIONS, topics=(*topics.TOPICS, *topics.OWN))
    return connection
