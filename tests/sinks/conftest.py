from collections.abc import Iterator

import pytest

from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from schemas.topics import ORDERS_CHANGES
from tests.support.receiver import Receiver


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        running.create(ORDERS_CHANGES)
        yield running


@pytest.fixture
def producer(broker: EmbeddedBroker) -> Iterator[Producer]:
    with Producer(broker.connection, linger_ms=0) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running
