"""A gateway for the tests of a module: its broker takes a tenth of a second to start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import EmbeddedDoor, open_door


@pytest.fixture
def door(tmp_path: Path) -> Iterator[EmbeddedDoor]:
    with open_door(tmp_path) as opened:
        yield opened
