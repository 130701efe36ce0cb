"""Messages that a tier can never take go to events.rejected, with the reason and their origin."""

from broker.consume import Headers
from broker.produce import Producer
from schemas import topics
from storage_tiering.records import Message
from storage_tiering.writer_ports import DeadLetters


class RejectedTopic(DeadLetters):
    """Writes to events.rejected; every letter is in the broker's log before `put` returns."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer

    def put(self, message: Message, code: str, reason: str) -> None:
        headers: Headers = [
            (topics.HEADER_CODE, code.encode()),
            (topics.HEADER_REASON, reason.encode(errors="replace")),
            (topics.HEADER_TOPIC, message.topic.encode()),
            (topics.HEADER_PARTITION, b"%d" % message.partition),
            (topics.HEADER_OFFSET, b"%d" % message.offset),
        ]
        self.producer.send(topics.EVENTS_REJECTED, message.key, message.value, headers)
        self.producer.flush()
