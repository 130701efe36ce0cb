"""Every test has a broker, a folder and a process of its own: they run in parallel."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.embedded import EmbeddedBroker
from tests.support.engine import Engine
from tests.support.s3 import S3


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as embedded:
        yield embedded


@pytest.fixture
def engine(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Engine]:
    """Recorded clock, one worker; change `engine.track` before its start."""
    made = Engine(broker, tmp_path)
    yield made
    made.close()


@pytest.fixture
def hosted(engine: Engine, s3: S3) -> Engine:
    """An engine with its state in a bucket."""
    settings = s3.settings()
    engine.state = {"store": "s3", "bucket": settings.bucket, "endpoint": settings.endpoint}
    return engine
