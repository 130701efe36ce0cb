"""One run on two hosts: processes that share a broker, a bucket and nothing else."""

import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.connect import Connection
from broker.embedded import PARTITIONS, EmbeddedBroker
from deploy.stack.kafka import Kafka
from schemas import topics
from tests.dataflows.test_state_fetch import ordertide
from tests.support.engine import PATIENCE_S, Engine, free_ports
from tests.support.kafka.topics import make
from tests.support.outcome import assert_as_replayed
from tests.support.s3 import S3
from tests.support.samples import END, some_orders, with_commands, with_parcels
from tests.support.scenarios import members, shared_out
from tests.support.servers import need_kafka
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)  # several workers take turns on a busy core

Hosts = list[Engine]


class RealBroker:
    """Kafka with the interface of the engine's tests."""

    def __init__(self, bootstrap: str) -> None:
        self.connection = Connection(bootstrap, {"session.timeout.ms": "6000"})

    def create(self, topic: str) -> None:
        """All at once, as `track` would."""
        found = [each for each in (*topics.TOPICS, topics.LEASE) if each.name == topic]
        make(self.connection, *found, topics.LEASE, partitions=PARTITIONS)


@pytest.fixture
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedBroker | RealBroker]:
    if getattr(request, "param", "embedded") == "embedded":
        with EmbeddedBroker() as embedded:
            yield embedded
        return
    need_kafka()
    with Kafka(tmp_path / "kafka") as kafka:
        yield RealBroker(kafka.address["bootstrap"])


@pytest.fixture
def hosts(broker: EmbeddedBroker | RealBroker, s3: S3, tmp_path: Path) -> Iterator[Hosts]:
    made = hosts_on(broker, s3, tmp_path)
    yield made
    for host in made:
        host.close()


def hosts_on(broker: EmbeddedBroker | RealBroker, s3: S3, folder: Path) -> Hosts:
    """Two hosts, with one worker each."""
    settings = s3.settings()
    ports = [free_ports(2), free_ports(2)]
    addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
    found = []
    for number in range(2):
        (folder / f"host-{number}").mkdir()
        engine = Engine(broker, folder / f"host-{number}", hosts=addresses, host=number)
        engine.state = {"store": "s3", "bucket": settings.bucket, "endpoint": settings.endpoint}
        engine.privacy = str(folder / "keys.json")
        found.append(engine)
    return found


def started(hosts: Hosts) -> None:
    for host in hosts:
        host.start()


def alone(host: Engine, workers: int) -> None:
    """This host continues without the others."""
    host.track = {**host.track, "workers": workers}
    host.track.pop("hosts", None)
    host.track.pop("host", None)


def kill_tree(host: Engine) -> None:
    """kill -9 of everything that runs on a host."""
    assert host.process is not None
    for pid in [host.process.pid, *members(host)]:
        os.kill(pid, signal.SIGKILL)
    host.process.wait(PATIENCE_S)


def wait_for_worker(host: Engine) -> int:
    return wait_until(lambda: members(host), "a worker", shown=host.output)[0]


def test_two_hosts_with_workers_each_end_with_what_a_replay_ends_with(
    hosts: Hosts, tmp_path: Path, rng: random.Random
) -> None:
    events = with_commands(with_parcels(some_orders(100, rng), rng), rng)
    for host in hosts:
        host.track["workers"] = 2
    started(hosts)
    hosts[0].feed(events)
    hosts[0].tick(END)
    hosts[0].wait_for_clock(END)
    assert [len(members(host)) for host in hosts] == [2, 2]
    settings, out = str(hosts[1].folder / "settings.toml"), tmp_path / "fetched"
    ordertide("state", "fetch", "--settings", settings, "--out", str(out))
    ordertide("state", "verify", "--settings", settings, "--store", str(out / "shards.sqlite"))
    hosts[0].stop()
    hosts[1].stop()
    assert_as_replayed(hosts[0].connection, events, tmp_path)


# bytewax's workers spin while one waits for another's epoch (bytewax#161): each more costs ten
# seconds of CPU.
@pytest.mark.parametrize(
    ("victim", "broker"),
    [(0, "embedded"), pytest.param(1, "kafka", marks=pytest.mark.stack)],
    indirect=["broker"],
)
def test_a_host_that_is_killed_and_comes_back_without_its_files_changes_nothing(
    victim: int, hosts: Hosts, tmp_path: Path, rng: random.Random
) -> None:
    events = with_commands(with_parcels(some_orders(80, rng), rng), rng)
    started(hosts)
    for number, part in enumerate(shared_out(events, 3)):
        hosts[0].feed(part[: len(part) // 2])
        while not hosts[0].hear(0.1):
            wait_for_worker(hosts[0])
        if number < 2:
            kill_tree(hosts[victim])
            if number == 1:
                shutil.rmtree(str(hosts[victim].track["folder"]))
            hosts[victim].start()
        hosts[0].feed(part[len(part) // 2 :])
        hosts[0].pass_half(part)
    hosts[0].tick(END)
    hosts[0].wait_for_clock(END)
    for host in hosts:
        host.stop()
    assert_as_replayed(hosts[0].connection, events, tmp_path)


def test_hosts_may_become_fewer_between_runs(
    hosts: Hosts, tmp_path: Path, rng: random.Random
) -> None:
    events = with_commands(with_parcels(some_orders(80, rng), rng), rng)
    first, second, third = shared_out(events, 3)
    started(hosts)
    hosts[0].feed(first)
    hosts[0].pass_half(first)
    hosts[1].stop()
    hosts[0].stop()
    for host, workers, part in ((hosts[1], 1, second), (hosts[0], 2, third)):
        alone(host, workers)
        host.start()
        host.feed(part)
        host.pass_half(part)
        if part is second:
            host.stop()
    hosts[0].finish(END)
    assert_as_replayed(hosts[0].connection, events, tmp_path)


def test_a_host_that_is_stopped_ends_the_run_cleanly_and_is_waited_for(
    hosts: Hosts, tmp_path: Path, rng: random.Random
) -> None:
    events = with_commands(some_orders(60, rng), rng)
    half = len(events) // 2
    started(hosts)
    hosts[0].feed(events[:half])
    hosts[0].pass_half(events[:half])
    hosts[1].stop()
    hosts[1].start()
    hosts[0].feed(events[half:])
    hosts[0].tick(END)
    hosts[0].wait_for_clock(END)
    assert "host 1 was stopped" in hosts[0].output()
    hosts[0].stop()
    hosts[1].stop()
    assert_as_replayed(hosts[0].connection, events, tmp_path)


@pytest.mark.stack
@pytest.mark.parametrize("broker", ["kafka"], indirect=True)
def test_a_worker_that_slept_through_a_take_over_changes_nothing(
    hosts: Hosts, tmp_path: Path, rng: random.Random
) -> None:
    """It wakes with an epoch to end: it may not flush, and its commit meets a claim."""
    events = with_commands(some_orders(60, rng), rng)
    third = len(events) // 3
    started(hosts)
    hosts[0].feed(events[:third])
    hosts[0].pass_half(events[:third])
    sleeper = wait_for_worker(hosts[1])
    assert hosts[1].process is not None
    asleep = [hosts[1].process.pid, sleeper]
    for pid in asleep:
        os.kill(pid, signal.SIGSTOP)
    hosts[0].feed(events[third : 2 * third])
    kill_tree(hosts[0])
    alone(hosts[0], 1)
    hosts[0].start()
    hosts[0].feed(events[2 * third :])
    hosts[0].pass_half(events[2 * third :])
    for pid in asleep:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: sleeper not in members(hosts[1]), "the sleeper's end", shown=hosts[1].output)
    hosts[0].finish(END)
    hosts[1].stop()
    assert_as_replayed(hosts[0].connection, events, tmp_path)


def test_the_first_host_says_whom_it_waits_for_and_can_be_stopped(hosts: Hosts) -> None:
    hosts[0].start()
    address = str(hosts[0].track["hosts"]).split(",")[1]
    text = f"run 1 waits for host 1 ({address})"
    wait_until(lambda: text in hosts[0].output(), text, shown=hosts[0].output)
    hosts[0].stop()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"host": 2}, "use a value from 0 to 1"),
        ({"workers": 9}, "are more than 16"),
        ({"hosts": "a,b"}, "is no host:port"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], reason: str, hosts: Hosts) -> None:
    hosts[0].track.update(change)
    hosts[0].start()
    assert hosts[0].exit_code() == 2
    assert reason in hosts[0].output()


def test_hosts_without_a_bucket_are_refused(hosts: Hosts) -> None:
    hosts[0].state = {}
    hosts[0].start()
    assert hosts[0].exit_code() == 2
    assert 'set state.store = "s3"' in hosts[0].output()
