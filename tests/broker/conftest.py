"""Every test has a broker of its own: nothing is shared, so they run in parallel."""

from collections.abc import Iterator

import pytest

from broker.connect import Connection
from broker.embedded import EmbeddedBroker


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as embedded:
        yield embedded


@pytest.fixture
def connection(broker: EmbeddedBroker) -> Connection:
    return broker.connection
