"""Committed offsets: an error that passes is waited out, another is never taken for "none"."""

from collections.abc import Callable
from typing import cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from broker.clients import Consumer
from broker.committed import committed, committed_at_assignment
from broker.errors import BrokerFailed
from schemas.errors import Busy

PLACES = [TopicPartition("orders", 0), TopicPartition("orders", 1)]
MOVED = KafkaError(KafkaError.NOT_COORDINATOR)
UNSTABLE = KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT)
REFUSED = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)


class Committed:
    """A partition as librdkafka answers it; confluent's own can't be made with an error."""

    def __init__(self, offset: int, error: KafkaError | None = None) -> None:
        self.topic, self.partition = "orders", 0
        self.offset, self.error = offset, error


class Client:
    """A consumer whose broker gives these answers, one a request."""

    def __init__(self, *answers: KafkaError | list[Committed]) -> None:
        self.answers = list(answers)

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[Committed]:
        assert partitions == PLACES
        assert timeout > 0
        answer = self.answers.pop(0)
        if isinstance(answer, KafkaError):
            raise KafkaException(answer)
        return answer


def client(*answers: KafkaError | list[Committed]) -> Consumer:
    return cast("Consumer", Client(*answers))


def test_a_coordinator_that_moves_during_an_assignment_is_asked_again() -> None:
    unstable = [Committed(7), Committed(-1001, UNSTABLE)]
    asked = client(MOVED, unstable, [Committed(7), Committed(9)])
    stored = committed_at_assignment(asked, "hot", PLACES, 30.0)
    assert [part.offset for part in stored] == [7, 9]


def test_a_broker_that_does_not_answer_in_time_is_given_up() -> None:
    with pytest.raises(Busy, match=r"group hot: no committed offsets: .*NOT_COORDINATOR"):
        committed_at_assignment(client(MOVED), "hot", PLACES, 0.0)


@pytest.mark.parametrize("read", [committed, committed_at_assignment])
@pytest.mark.parametrize("answer", [REFUSED, [Committed(7), Committed(-1001, REFUSED)]])
def test_a_refusal_is_an_error_and_not_a_group_without_offsets(
    read: Callable[..., object], answer: KafkaError | list[Committed]
) -> None:
    with pytest.raises(BrokerFailed, match="GROUP_AUTHORIZATION_FAILED"):
        read(client(answer), "hot", PLACES, 30.0)


@pytest.mark.parametrize("answer", [MOVED, [Committed(7), Committed(-1001, UNSTABLE)]])
def test_elsewhere_the_caller_decides_when_to_ask_again(
    answer: KafkaError | list[Committed],
) -> None:
    with pytest.raises(Busy):
        committed(client(answer), "hot", PLACES, 1.0)
