"""A run that is stopped while its successor takes over, and continued: nothing of it is seen."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from broker.consume import read_all
from broker.fetcher import Message
from deploy.stack.kafka import Kafka
from schemas import topics
from tests.dataflows.test_hosts import RealBroker
from tests.support.engine import CLOCK, OUTPUTS, PATIENCE_S, Engine
from tests.support.outcome import assert_as_replayed, wait_for_markers
from tests.support.s3 import S3
from tests.support.samples import END, arrival_at, some_orders, with_commands, with_parcels
from tests.support.scenarios import members
from tests.support.servers import need_kafka
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(300),
]  # a session has to end, and a Kafka starts
ORDERS = 150


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RealBroker]:
    need_kafka()
    with Kafka(tmp_path / "kafka") as kafka:
        yield RealBroker(kafka.address["bootstrap"])


@pytest.fixture
def run(broker: RealBroker, tmp_path: Path) -> Iterator[Callable[[str], Engine]]:
    """Makes the run of a name, which is that of its folder; all are of one flow."""
    made: list[Engine] = []

    def make(name: str) -> Engine:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        engine = Engine(broker, folder, epoch_ms=100)
        engine.privacy = str(tmp_path / "keys.json")
        made.append(engine)
        return engine

    yield make
    for engine in made:
        signal_all(engine, signal.SIGCONT)
        engine.close()


def signal_all(engine: Engine, number: int) -> None:
    """Send a signal to a run, its workers included."""
    for process in engine.started:
        if process.poll() is None:
            for pid in [process.pid, *workers_of(engine, process)]:
                with suppress(ProcessLookupError):  # it may just have ended
                    os.kill(pid, number)


def workers_of(engine: Engine, process: "subprocess.Popen[bytes]") -> list[int]:
    if engine.process is not process:
        return []
    return members(engine)


def ends(engine: Engine) -> list[int]:
    """End offsets of orders.changes, whatever is committed."""
    client = engine.tail.fetcher.client
    count = len(client.list_topics(topics.ORDERS_CHANGES).topics[topics.ORDERS_CHANGES].partitions)
    partitions = [TopicPartition(topics.ORDERS_CHANGES, number) for number in range(count)]
    return [client.get_watermark_offsets(each, timeout=PATIENCE_S)[1] for each in partitions]


def outputs(engine: Engine) -> dict[tuple[str, int, int], Message]:
    """Messages visible to readers by position, heartbeats apart."""
    wait_for_markers(engine.connection)
    found = [m for topic in OUTPUTS for m in read_all(engine.connection, topic)]
    return {
        (message.topic, message.partition, message.offset): message
        for message in found
        if not (message.key or b"").startswith(CLOCK)
    }


def stop_in_the_middle(engine: Engine, events: list[dict[str, object]]) -> None:
    """Feed all, wait until something came out of two thirds of it, and stop the run's processes.

    The clock does not reach `END`: a run may be stopped when its outputs are committed and its
    state is not yet, and its successor emits them again. What waits for `END` waits for that.
    """
    third = len(events) // 3
    engine.start()
    engine.feed(events[:third])
    engine.pass_half(events[:third])
    before = ends(engine)
    engine.feed(events[third:])
    engine.tick(arrival_at(events[-1]) - 1)
    wait_until(lambda: ends(engine) != before, "an output", shown=engine.output, pause_s=0)
    signal_all(engine, signal.SIGSTOP)


def take_over(engine: Engine) -> None:
    """Start a run, again and again while the broker has not missed the one before."""

    def is_running() -> bool:
        said = len(engine.output()) if engine.started else 0
        engine.start()
        assert engine.process is not None
        while engine.process.poll() is None:
            if is_serving(engine):
                return True
            time.sleep(0.1)
        refusal = engine.output()[said:]
        assert "runs it; stop that run" in refusal, refusal
        return False

    wait_until(is_running, "the end of the lease", shown=engine.output)


def is_serving(engine: Engine) -> bool:
    """Return True once it serves its metrics, after it has the lease."""
    try:
        return bool(engine.metrics())
    except OSError:
        return False


def continue_zombie(engine: Engine) -> str:
    """Continue a stopped run; return its output until it ends with an error."""
    said = len(engine.output())
    signal_all(engine, signal.SIGCONT)
    assert engine.exit_code() != 0
    return engine.output()[said:]


@pytest.mark.parametrize(("store", "workers"), [("two folders", 1), ("bucket", 2)])
def test_nothing_of_a_zombie_is_seen_and_it_ends_with_one_line(
    store: str,
    workers: int,
    run: Callable[[str], Engine],
    s3: S3,
    tmp_path: Path,
    rng: random.Random,
) -> None:
    events = with_commands(with_parcels(some_orders(ORDERS, rng), rng), rng)
    zombie, successor = run("zombie"), run("successor")
    zombie.track["workers"] = workers
    if store == "bucket":
        settings = s3.settings()
        for engine in (zombie, successor):
            engine.state = {
                "store": "s3",
                "bucket": settings.bucket,
                "endpoint": settings.endpoint,
            }
    stop_in_the_middle(zombie, events)
    if store == "two folders":
        shutil.copytree(str(zombie.track["folder"]), str(successor.track["folder"]))
    take_over(successor)
    successor.pass_to(END)
    seen = outputs(successor)
    said = continue_zombie(zombie)
    # Fence, broker or bucket: who notices first depends on where it was stopped.
    noticed = ("another run has taken over", "was written by another process")
    assert any(sentence in said.splitlines()[-1] for sentence in noticed)
    if workers == 1:  # of several workers each may notice, and bytewax that its peer has gone
        assert "Traceback" not in said
        assert len([line for line in said.splitlines() if line.startswith("ordertide: ")]) == 1
    after = outputs(successor)
    changed = [place for place in {**seen, **after} if seen.get(place) != after.get(place)]
    assert changed == []
    successor.stop()
    assert_as_replayed(zombie.connection, events, tmp_path)


def test_in_one_folder_a_stopped_run_keeps_its_place_and_continues(
    run: Callable[[str], Engine], tmp_path: Path, rng: random.Random
) -> None:
    events = with_commands(with_parcels(some_orders(ORDERS, rng), rng), rng)
    stopped = run("one")
    stopped.track["workers"] = 2
    stop_in_the_middle(stopped, events)
    first = stopped.process
    stopped.start()
    assert stopped.exit_code() == 2
    assert "in use by process" in stopped.output().splitlines()[-1]
    stopped.process = first
    signal_all(stopped, signal.SIGCONT)
    stopped.finish(END)
    assert_as_replayed(stopped.connection, events, tmp_path)
