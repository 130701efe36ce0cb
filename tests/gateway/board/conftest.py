"""A gateway with the demo's orders in it, for the tests of the pages."""

from collections.abc import Iterator

import pytest

from gateway.application import application
from tests.support.gateway import EmbeddedDoor, open_door
from tests.support.sample_orders import NOW, sample


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDoor]:
    with open_door(tmp_path_factory.mktemp("serve")) as door:
        door.gateway = door.gateway._replace(is_recorded=True, title="Casa Verde")
        door.app = application(door.gateway)
        held = sample()
        door.put(*held.orders.values())
        for order_id in held.orders:
            door.put_events(*held.timelines[order_id])
        door.start()
        door.gateway.follower.watermark = NOW
        yield door
