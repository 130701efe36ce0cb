"""The proof by end offsets holds whatever happens to brokers, leaders and transactions."""

from collections.abc import Iterator, Sequence

import pytest

from broker import clients
from broker.connect import Connection
from broker.topics import ensure_topics
from deploy.stack.kafka import Kafka
from schemas.topics import TopicSettings
from tests.support.kafka.flowing import Flow, Watched, wall_clock
from tests.support.kafka.topics import leader_of, settle, write
from tests.support.stack import namespace


@pytest.fixture
def sender(kafka: Connection, topic: str) -> Iterator[clients.Producer]:
    """A producer with transactions, which is not in one."""
    config = {**kafka.config("producer"), "transactional.id": f"{topic}-sender"}
    with clients.Producer(config) as found:
        found.init_transactions(30)
        yield found


@pytest.fixture
def watched(kafka: Connection, topic: str) -> Iterator[Watched]:
    found = Watched(kafka, topic)
    yield found
    found.close()


def begin(producer: clients.Producer, topic: str, value: int) -> None:
    producer.begin_transaction()
    producer.produce(topic, b"%d" % value, partition=0)
    assert producer.flush(30) == 0


@pytest.mark.parametrize("is_leader", [True, False], ids=["leader", "follower"])
def test_a_broker_killed_while_events_flow_makes_no_false_progress_and_loses_nothing(
    is_leader: bool,  # noqa: FBT001 - a parameter of the claim
    kafka: Connection,
    cluster: Sequence[Kafka],
    topic: str,
    watched: Watched,
) -> None:
    write(kafka, topic, [0])  # of an empty partition the first message isn't waited for
    leader = leader_of(kafka, cluster, topic)
    victim = leader if is_leader else next(each for each in cluster if each is not leader)
    with Flow(kafka, topic, first=1) as flow:
        watched.step_until(lambda: len(watched.seen) > 200)
        victim.kill()
        killed_at = flow.count
        # Messages in flight come once the others know of the loss, and more after it.
        watched.step_until(lambda: watched.numbers()[-1] > killed_at + 200)
        victim.start()
        watched.step_for(1.0)
    watched.carry_to(wall_clock())
    victim.wait(60)
    assert watched.numbers() == list(range(flow.count)), "none lost, none doubled, in order"
    assert not watched.overtaken


def test_a_partition_without_a_leader_proves_nothing(
    kafka: Connection, cluster: Sequence[Kafka]
) -> None:
    alone = TopicSettings(namespace(), timestamp_type="LogAppendTime")
    ensure_topics(kafka, 1, 1, [alone])
    settle(kafka, alone)
    write(kafka, alone.name, [1])
    watched = Watched(kafka, alone.name)
    watched.carry_to(wall_clock())
    leader = leader_of(kafka, cluster, alone.name)
    leader.kill()
    killed_at = wall_clock()
    watched.step_for(4.0)  # questions time out after one second
    assert watched.clock.watermark < killed_at
    leader.start()
    leader.wait(60)
    watched.carry_to(wall_clock())
    watched.close()


def test_an_open_transaction_holds_the_clock_until_it_ends(
    kafka: Connection, topic: str, watched: Watched, sender: clients.Producer
) -> None:
    write(kafka, topic, [1])
    watched.carry_to(wall_clock())
    begin(sender, topic, 2)
    write(kafka, topic, [3])
    opened_at = wall_clock()
    watched.step_for(1.0)
    assert watched.numbers() == [1], "what follows waits for the transaction as well"
    assert watched.clock.watermark < opened_at
    sender.commit_transaction(30)
    watched.carry_to(wall_clock())
    assert watched.numbers() == [1, 2, 3]
    assert not watched.overtaken


def test_an_aborted_transaction_never_happened_and_the_clock_goes_on(
    topic: str, watched: Watched, sender: clients.Producer
) -> None:
    begin(sender, topic, 1)
    watched.step_for(0.5)
    sender.abort_transaction(30)
    watched.carry_to(wall_clock())
    assert not watched.seen
    begin(sender, topic, 2)
    sender.commit_transaction(30)
    watched.carry_to(wall_clock())
    assert watched.numbers() == [2]
    assert not watched.overtaken
