"""An outage is one line in the log, and its end is another."""

import logging
import subprocess
import sys
from pathlib import Path

from broker.outage import LINE, QUIET_AFTER_S, Outage, OutageFilter

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


class Scene:
    """An outage watcher with a clock of its own; what it logs is kept."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.lines: list[str] = []
        self.logger = logging.Logger("scene", logging.INFO)  # noqa: LOG001 - of this test alone
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(record.getMessage())  # type: ignore[method-assign]  # the shortest handler
        self.logger.addHandler(handler)
        self.outage = Outage(self.logger, lambda: self.now_s)
        self.logger.addFilter(OutageFilter(self.outage))

    def librdkafka(self, facility: str, message: str) -> None:
        self.logger.error(LINE, facility, "ordertide#consumer-1", message)


def test_however_many_clients_complain_it_is_said_once_and_its_end_once() -> None:
    scene = Scene()
    for second in range(60):
        scene.now_s = second
        for facility in ("FAIL", "ERROR", "FAIL"):
            scene.librdkafka(facility, "kafka-1:9092/1: Connect to kafka-1:9092 failed: refused")
    assert len(scene.lines) == 1
    assert "kafka-1:9092/1: Connect to" in scene.lines[0]
    scene.outage.worked()
    assert len(scene.lines) == 1, "another broker may have answered"
    scene.now_s += QUIET_AFTER_S
    for _ in range(3):
        scene.outage.worked()
    assert scene.lines[1:] == ["the broker is available again after about 59 s"]
    scene.librdkafka("FAIL", "away again")
    assert len(scene.lines) == 3


def test_a_refusal_during_an_outage_is_said_as_well() -> None:
    scene = Scene()
    scene.librdkafka("FAIL", "Connection refused")
    scene.librdkafka("FAIL", "SASL authentication error: Authentication failed")
    scene.librdkafka("FAIL", "SASL authentication error: Authentication failed")
    assert len(scene.lines) == 2
    assert "refuses the connection" in scene.lines[1]


def test_other_lines_pass() -> None:
    scene = Scene()
    scene.librdkafka("CONFWARN", "a property is deprecated")
    scene.logger.info("group %s: assigned %s", "hot", "all")
    assert scene.lines == [
        "CONFWARN [ordertide#consumer-1] a property is deprecated",
        "group hot: assigned all",
    ]


# In a process of its own: clients of other tests, whose brokers have gone, would complain as well.
PROGRAM = """
import logging, sys, time
from broker.consume import PartitionReader
from broker.embedded import EmbeddedBroker
from broker.outage import OUTAGE
from broker.produce import Producer

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
with EmbeddedBroker() as broker, Producer(broker.connection) as producer:
    producer.send("events", b"k", b"x", partition=0)
    producer.flush()
    with PartitionReader(broker.connection, "events", 0, 0) as reader:
        broker.go_down()
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            reader.read(timeout_s=0.1)
        broker.come_up()
        while OUTAGE.is_on:
            producer.send("events", b"k", b"x", partition=0)
            producer.flush()
            reader.read(timeout_s=0.1)
"""


def test_a_real_outage_is_two_lines() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    lines = ran.stdout.splitlines()
    assert len(lines) == 2, ran.stdout
    assert "a broker is unavailable, retrying" in lines[0]
    assert "is available again" in lines[1]
