"""Callbacks over real brokers: what was answered with 2xx is in Kafka, whoever is killed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from broker.confirm import ConfirmingProducer
from broker.connect import Connection
from broker.consume import read_all
from deploy.stack.kafka import Kafka
from schemas.topics import EVENTS, TopicSettings
from tests.support.asgi import Client
from tests.support.gateway import REST_TOKEN, Door
from tests.support.kafka.topics import make
from tests.support.stack import namespace

pytestmark = pytest.mark.timeout(300)

COUNT, AT_ONCE = 1_000, 32
KILLED_AFTER = 300
URL = f"/v1/carriers/rest/depot/callback/{REST_TOKEN}"


@pytest.fixture
def door(kafka: Connection, tmp_path: Path) -> Iterator[Door]:
    make(kafka, TopicSettings(EVENTS), partitions=4)
    opened = Door(kafka, tmp_path, ConfirmingProducer(kafka, timeout_s=3.0))
    yield opened
    opened.close()


class Sender:
    """A carrier that posts each order until it is taken; `answered` are those that were."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self.free = asyncio.Semaphore(AT_ONCE)
        self.many_taken, self.refused = asyncio.Event(), asyncio.Event()
        self.answered: list[str] = []
        self.refusals: set[int] = set()

    async def send(self, number: int) -> None:
        push = {"status_code": "PAID", "timestamp": "2017-10-01T08:00:00Z"}
        body = msgspec.json.encode(push | {"order_id": f"{self.name}-{number}"})
        async with self.free:
            while (answer := await self.client.exchange("POST", URL, body)).status != 200:
                assert (answer.headers["retry-after"], answer.json["accepted"]) == ("5", False)
                self.refusals.add(answer.status)
                self.refused.set()
                await asyncio.sleep(0.2)
            self.answered.append(f"{self.name}-{number}")
        if len(self.answered) >= KILLED_AFTER:
            self.many_taken.set()

    async def run(self, cluster: list[Kafka]) -> None:
        """Send them all; in the middle every broker is killed, and started after a refusal."""
        await asyncio.gather(self.kill(cluster), *map(self.send, range(COUNT)))

    async def kill(self, cluster: list[Kafka]) -> None:
        await self.many_taken.wait()
        for broker in cluster:
            broker.kill()
        await self.refused.wait()
        for broker in cluster:
            broker.start()


def test_what_was_answered_is_in_kafka_though_every_broker_was_killed(
    door: Door, kafka: Connection, cluster: list[Kafka]
) -> None:
    sender = Sender(Client(door.app), namespace())
    try:
        asyncio.run(sender.run(cluster))
    finally:
        for broker in cluster:
            broker.start()
            broker.wait(120)
    messages = [msgspec.json.decode(each.value or b"{}") for each in read_all(kafka, EVENTS)]
    assert len(sender.answered) == COUNT
    assert set(sender.answered) <= {message.get("order_id") for message in messages}
    assert sender.refusals == {503}
