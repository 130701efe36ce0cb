"""Asking where partitions end, without waiting for the answer."""

from concurrent.futures import Future

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec

from broker.connect import Connection
from schemas.errors import Busy


class EndOffsets:
    """One client that asks for the ends of any number of partitions.

    The end is the high watermark: messages of open transactions count, so that a position which
    has reached it can't have been overtaken by a transaction that ends later.
    """

    def __init__(self, connection: Connection) -> None:
        self._admin = AdminClient(connection.config("admin"))

    def ask(self, topic: str, partition: int, timeout_s: float = 2.0) -> Future[int]:
        """The end offset, some time; the future fails if the broker gives no answer."""
        where = TopicPartition(topic, partition)
        asked = self._admin.list_offsets({where: OffsetSpec.latest()}, request_timeout=timeout_s)
        end: Future[int] = Future()
        asked[where].add_done_callback(lambda answer: hand_over(answer, end))
        return end

    def get(self, topic: str, partition: int, timeout_s: float = 2.0) -> int:
        """The end offset, waited for.

        Raises:
            Busy: no answer within `timeout_s`.
        """
        try:
            # The request has its own time-out; the second more is for the answer's way here.
            return self.ask(topic, partition, timeout_s).result(timeout_s + 1.0)
        except (KafkaException, TimeoutError) as error:
            raise Busy(f"{topic} [{partition}]: no end offset within {timeout_s} s") from error


def hand_over(answer: "Future[ListOffsetsResultInfo]", end: Future[int]) -> None:
    """Pass what the broker answered on as a bare offset."""
    error = answer.exception()
    if error is None:
        end.set_result(answer.result().offset)
    else:
        end.set_exception(error)
