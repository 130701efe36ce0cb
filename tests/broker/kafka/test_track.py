"""The dataflow over real brokers: its lag, its topics and partitions, its one live run."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.connect import Connection
from broker.consume import Message, held_offsets, read_all
from broker.end_offsets import EndOffsets
from broker.fetcher import Fetcher
from commands.deliver import deliver
from commands.wiring.tiers import writer_group
from commands.write import write
from schemas import topics
from schemas.instants import parse_instant
from schemas.settings.model import BrokerSettings, DeliverySettings, Settings, WarmSettings
from tests.support.kafka.topics import PATIENCE_S, admin, delete, grow, kafka_tool, make_anew
from tests.support.kafka.track_runs import TrackRuns
from tests.support.stack import namespace
from tests.support.waiting import wait_until

OLD, NEW = range(20), range(100, 120)
BURST = 300
(CHANGES,) = (topic for topic in topics.TOPICS if topic.name == topics.ORDERS_CHANGES)


@pytest.fixture
def runs(kafka: Connection, tmp_path: Path) -> Iterator[TrackRuns]:
    make_anew(kafka, *topics.TOPICS, partitions=2)
    found = TrackRuns(kafka, tmp_path, namespace())
    yield found
    found.close()


def beats(kafka: Connection) -> list[Message]:
    """The heartbeats so far."""
    clock = topics.CLOCK_KEY.encode()
    return [m for m in read_all(kafka, CHANGES.name) if (m.key or b"").startswith(clock)]


def lags(kafka: Connection, folder: Path, group: str) -> dict[int, str]:
    """Partition → lag, as kafka-consumer-groups shows it."""
    tool = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
    shown = kafka_tool(kafka, folder, tool, "--describe", "--group", group)
    rows = [line.split() for line in shown.splitlines() if topics.EVENTS in line.split()[1:2]]
    return {int(row[2]): row[5] for row in rows}


def test_the_usual_tools_show_its_lag(kafka: Connection, runs: TrackRuns, tmp_path: Path) -> None:
    runs.start()
    runs.feed(OLD, partition=0)
    runs.feed(NEW, partition=1)
    runs.wait_for_orders(len(OLD) + len(NEW))
    runs.stop()
    runs.feed(range(5), partition=0)
    assert lags(kafka, tmp_path, runs.group) == {0: "5", 1: "0"}


@pytest.mark.timeout(400)
def test_partitions_that_are_added_while_it_runs_are_read_and_their_events_arrive_when_found(
    kafka: Connection, runs: TrackRuns
) -> None:
    runs.workers = 2
    runs.patience_s = 120.0  # two workers that spin leave little of two cores to three brokers
    runs.start()
    runs.feed(OLD, partition=0)
    before = runs.wait_for_orders(len(OLD))
    grow(kafka, topics.EVENTS, 4)  # the new ones belong to tasks that had none
    runs.feed(NEW, partition=3)
    found = runs.wait_for_orders(len(OLD) + len(NEW))
    late = {f"o-{number}" for number in NEW}
    arrivals = [parse_instant(each["arrival_at"]) for each in found if each["order_id"] in late]
    assert min(arrivals) > max(parse_instant(each["arrival_at"]) for each in before)
    # The watermark advances with the new partitions, else these would wait for ever.
    runs.feed(range(200, 210), partition=2)
    runs.wait_for_orders(len(OLD) + len(NEW) + 10)
    runs.stop()
    runs.start()
    runs.feed(range(300, 310), partition=3)
    runs.wait_for_orders(len(OLD) + len(NEW) + 20)
    runs.stop()
    assert len(runs.accepted()) == len(OLD) + len(NEW) + 20, "each once"


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "stopped"])
def test_a_topic_that_is_made_anew_ends_it_with_the_way_out(
    is_running: bool,  # noqa: FBT001 - a parameter of the claim
    kafka: Connection,
    runs: TrackRuns,
) -> None:
    runs.start()
    runs.feed(OLD, partition=0)
    runs.wait_for_orders(len(OLD))
    if not is_running:
        runs.stop()
    make_anew(kafka, topics.TOPICS[0], partitions=2)
    runs.feed(range(500, 600), partition=0)  # past the position that it had
    if not is_running:
        runs.start()
    assert runs.exit_code() == 2, runs.output()
    # Whichever the client or the watch notices first.
    last = runs.output().splitlines()[-1]
    assert "was deleted and recreated" in last or "it is not the one that was read before" in last
    runs.start()
    assert runs.exit_code() == 2, "it stays an error"
    assert "was deleted and recreated" in runs.output().splitlines()[-1]


def open_ends(kafka: Connection) -> bool:
    """Return True while orders.events holds messages of an open transaction."""
    with EndOffsets(kafka) as ends, Fetcher(kafka, "any") as fetcher:
        held = held_offsets(fetcher.client, topics.ORDERS_EVENTS)
        return any(end_of(ends, number) > high for number, (_, high) in held.items())


def stay_open(kafka: Connection) -> bool:
    """Return True if the ends stay open: markers of a commit follow late on a busy machine.

    For less than the 2 s after which the broker may abort the transaction.
    """
    until = time.monotonic() + 1.5
    while is_open := open_ends(kafka):
        if time.monotonic() > until:
            break
        time.sleep(0.1)
    return is_open


def stop_in_a_transaction(kafka: Connection, runs: TrackRuns) -> int:
    """Feed until the process is stopped with a transaction open; how many events that took.

    It is stopped as soon as the first of what it writes is there: the transaction that wrote that
    is open until all of it has been written and acknowledged.
    """
    process, fed, known = runs.process, 0, len(runs.accepted())
    assert process is not None
    give_up_at = time.monotonic() + PATIENCE_S
    with EndOffsets(kafka) as ends:
        while time.monotonic() < give_up_at:
            before = written(ends)
            runs.feed(range(1_000 + fed, 1_000 + fed + BURST), partition=fed // BURST % 2)
            fed += BURST
            runs.wait_until(lambda: written(ends) > before, pause_s=0)  # noqa: B023 - called here
            process.send_signal(signal.SIGSTOP)
            if stay_open(kafka):
                return fed
            process.send_signal(signal.SIGCONT)
            runs.wait_for_orders(known + fed)
    pytest.fail("no transaction was open whenever it was stopped")


def written(ends: EndOffsets) -> int:
    """Number of messages written to orders.events, committed or not."""
    return sum(end_of(ends, partition) for partition in range(2))


def end_of(ends: EndOffsets, partition: int) -> int:
    """End of a partition of orders.events; a broker beside other tests may need its time."""
    return ends.get(topics.ORDERS_EVENTS, partition, PATIENCE_S)


@pytest.mark.timeout(240)
def test_a_run_whose_transaction_the_broker_timed_out_starts_again_by_itself(
    kafka: Connection, runs: TrackRuns
) -> None:
    runs.properties["transaction.timeout.ms"] = "2000"
    runs.start()
    runs.feed(OLD, partition=0)
    runs.feed(NEW, partition=1)
    runs.wait_for_orders(len(OLD) + len(NEW))
    fed = stop_in_a_transaction(kafka, runs)
    while open_ends(kafka):
        time.sleep(0.5)  # the broker checks every ten seconds
    assert runs.process is not None
    runs.process.send_signal(signal.SIGCONT)
    runs.wait_for_orders(len(OLD) + len(NEW) + fed)
    runs.wait_until(lambda: "longer than transaction.timeout.ms" in runs.output())
    runs.stop()
    assert "restarting all workers" in runs.output()
    assert len(runs.accepted()) == len(OLD) + len(NEW) + fed, "each once"


def test_a_second_run_elsewhere_is_refused(
    kafka: Connection, runs: TrackRuns, tmp_path: Path
) -> None:
    runs.workers = 2
    runs.start()
    runs.feed(OLD, partition=0)
    runs.wait_for_orders(len(OLD))
    (tmp_path / "elsewhere").mkdir()
    second = TrackRuns(kafka, tmp_path / "elsewhere", runs.group, runs.workers)
    second.start()
    assert second.exit_code() == 2
    assert f"flow {runs.group}: ordertide-" in second.output()
    runs.feed(NEW, partition=1)
    runs.wait_for_orders(len(OLD) + len(NEW))
    runs.stop()


def test_every_partition_of_the_changes_hears_of_the_clock(
    kafka: Connection, runs: TrackRuns
) -> None:
    make_anew(kafka, CHANGES, partitions=16)  # by their keys 64 heartbeats left one out
    runs.start()
    runs.feed(OLD, partition=0)
    runs.wait_until(lambda: {beat.partition for beat in beats(kafka)} == set(range(16)))
    runs.stop()


def test_a_writer_and_the_delivery_wait_for_the_topics_that_track_makes(
    kafka: Connection, tmp_path: Path
) -> None:
    names = [topic.name for topic in topics.TOPICS]
    delete_all(kafka, names)
    settings = Settings(
        broker=BrokerSettings(bootstrap=kafka.bootstrap),
        warm=WarmSettings(folder=str(tmp_path / "warm")),
        delivery=DeliverySettings(url="http://127.0.0.1:9"),
    )
    stop = threading.Event()
    runs = [
        threading.Thread(target=write, args=("warm", settings, stop)),
        threading.Thread(target=deliver, args=(settings, stop)),
    ]
    for run in runs:
        run.start()
    time.sleep(2)
    assert all(run.is_alive() for run in runs)
    make_anew(kafka, *topics.TOPICS, partitions=2)
    groups = {writer_group("warm"), "ordertide-deliver-alertmanager"}
    wait_until(lambda: groups <= members_of(kafka, groups), f"members of {groups}")
    stop.set()
    for run in runs:
        run.join(PATIENCE_S)
        assert not run.is_alive()


def delete_all(kafka: Connection, names: list[str]) -> None:
    there = admin(kafka).list_topics(timeout=PATIENCE_S).topics
    for name in names:
        if name in there:
            delete(kafka, name)


def members_of(kafka: Connection, groups: set[str]) -> set[str]:
    """Those of the groups that have a member with partitions."""
    client = admin(kafka)
    described = client.describe_consumer_groups(sorted(groups))
    found = {group: answer.result(PATIENCE_S) for group, answer in described.items()}
    return {
        group
        for group, answer in found.items()
        if any(member.assignment.topic_partitions for member in answer.members)
    }
