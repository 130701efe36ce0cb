"""Reading topics as a member of a consumer group that commits what it has dealt with."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition

from broker.clients import weakly
from broker.committed import committed_at_assignment
from broker.connect import LOGGER, Connection
from broker.errors import FENCED, PASSING, REBALANCED, refusal, worded
from broker.fetcher import BATCH_MESSAGES, Fetcher, Message, fenced
from broker.group_topics import GroupTopics
from broker.interrupts import answer_of
from broker.membership import STATIC, has_new_protocol, leave, member_settings
from broker.start_offsets import OnWaiting, Partition, Places, StartOf, ignore_waiting
from schemas.errors import Busy, OrdertideError

COMMITTED_TIMEOUT_S = 30.0
STRATEGY = "partition.assignment.strategy"


def ignore(partitions: list[Partition]) -> None:
    """For readers that hold nothing between `read` and `commit`."""


class GroupReader:
    """A member of `group` over `topics`. A group that never committed starts at the beginning.

    `on_revoked` is called inside `read` with partitions that went to another member (or are to be
    read again): uncommitted messages read from them have to be dropped, they come again.
    `on_assigned` is called with newly assigned partitions. `start_of(topic, partition)`, called at
    each assignment, gives the start offset whatever the group has committed; None is the beginning.
    While it raises `Busy` nothing is read from the partition, which stays assigned; `on_waiting` is
    called with the reason.
    """

    def __init__(
        self,
        connection: Connection,
        group: str,
        topics: Sequence[str],
        on_revoked: Callable[[list[Partition]], None] = ignore,
        on_assigned: Callable[[list[Partition]], None] = ignore,
        start_of: StartOf | None = None,
        on_waiting: OnWaiting = ignore_waiting,
    ) -> None:
        self.group = group
        self._on_revoked = on_revoked
        self._on_assigned = on_assigned
        self._places = Places(start_of, on_waiting) if start_of else None
        self._next: dict[Partition, int] = {}  # of owned partitions, once something was read
        self._passed: dict[Partition, int] = {}  # the last end that was reached
        self._owned: set[Partition] = set()
        self._came: dict[Partition, int] = {}  # with what was committed, until it is taken
        self._paused = False
        self._topics = GroupTopics(connection, group)
        settings = group_settings(connection)
        self._cooperative = is_cooperative(settings)
        self._is_static = STATIC in connection.properties
        self._fetcher = Fetcher(connection, group, settings, on_end=weakly(self._reached_the_end))
        self._client = self._fetcher.client
        revoked = weakly(self._revoked)
        self._client.subscribe(
            list(topics), on_assign=weakly(self._assigned), on_revoke=revoked, on_lost=revoked
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def partitions(self) -> list[Partition]:
        """The (topic, partition)s that this member owns now."""
        return sorted(self._owned)

    def read(self, max_messages: int = BATCH_MESSAGES, timeout_s: float = 0.1) -> list[Message]:
        """The next messages, at most 500; after `timeout_s` without any, none.

        Has to be called at least every five minutes (`max.poll.interval.ms`), also while paused:
        it is what keeps the membership alive.

        Raises:
            OffsetLost, TopicMissing, MemberFenced, BrokerFailed: this reader is finished.
        """
        self._topics.check()
        if self._places:
            self._place(self._places)
        messages = self._fetcher.fetch(max_messages, timeout_s)
        for message in messages:
            at = message.topic, message.partition
            self._next[at] = max(self._next.get(at, 0), message.offset + 1)
        return messages

    def commit(self) -> None:
        """Store the position after everything that `read` has handed out, and wait for it.

        Raises:
            Busy: the broker is away, or the group is being rebalanced: read on and commit later;
                partitions that were lost meanwhile are no longer part of it.
            BrokerFailed: refused for good. MemberFenced: another member has this one's static name.
            OffsetLost, TopicMissing: what was read is of a topic that is no more.
        """
        done = [self._topics.committable(topic, n, at) for (topic, n), at in self._next.items()]
        if not done:
            return
        self._topics.check()
        try:
            stored = self._client.commit(offsets=done, asynchronous=False)
        except KafkaException as failed:
            raise self._commit_failure(failed.args[0]) from failed
        for part in stored:
            if part.error:
                raise self._commit_failure(part.error)
        self._next.clear()

    def take_assigned(self) -> dict[Partition, int]:
        """The partitions assigned since the last call, with the offset committed for each.

        None where `start_of` decides the start.
        """
        came, self._came = self._came, {}
        return came

    def rewind(self, offsets: Mapping[Partition, int]) -> dict[Partition, int]:
        """Read partitions again from these offsets on, or from the first that is held.

        Those that are no longer ours are left out. What `read` gave out of the others before
        counts for nothing, it comes again. Returns where each continues.

        Raises:
            Busy: the broker is unavailable; do it all again.
        """
        starts = {}
        for partition in sorted(self._owned & offsets.keys()):
            whole = TopicPartition(*partition)
            try:
                low, _ = self._client.get_watermark_offsets(whole, timeout=COMMITTED_TIMEOUT_S)
                starts[partition] = max(low, offsets[partition])
                self._client.seek(TopicPartition(*partition, starts[partition]))
            except KafkaException as failed:  # also: its fetcher has not begun yet
                raise Busy(
                    f"group {self.group}: {partition}: can't go back: {worded(failed)}"
                ) from failed
            self._next.pop(partition, None)
            self._passed.pop(partition, None)
        return starts

    def positions(self) -> dict[Partition, int]:
        """Offsets that `commit` would store now, ends passed behind the last message included."""
        return dict(self._next)

    def pause(self) -> None:
        """Fetch nothing more, stay a member; `read` gives nothing until `resume`."""
        self._paused = True
        self._client.pause(to_list(self._owned))

    def resume(self) -> None:
        """Resume after `pause`."""
        self._paused = False
        self._client.resume(to_list(self._owned - self._waiting))

    def lag(self, timeout_s: float = 2.0) -> dict[Partition, int]:
        """Messages between what was read and the end, per owned partition.

        Raises:
            Busy: the broker is unavailable.
        """
        try:
            positions = self._client.position(to_list(self._owned))
            return {(at.topic, at.partition): self._behind(at, timeout_s) for at in positions}
        except KafkaException as error:
            raise Busy(f"group {self.group}: lag unknown: {worded(error)}") from error

    def close(self) -> None:
        """Leave the group; what was read and not committed goes to the next member."""
        if self._is_static:
            leave(self._client)
        else:
            self._fetcher.close()
        self._topics.close()

    def _behind(self, at: TopicPartition, timeout_s: float) -> int:
        low, high = answer_of(lambda: self._client.get_watermark_offsets(at, timeout=timeout_s))
        return high - max(at.offset, low, self._passed.get((at.topic, at.partition), 0))

    def _reached_the_end(self, topic: str, partition: int, offset: int) -> None:
        """Pass over what is never handed on: markers of transactions, compacted messages."""
        at = topic, partition
        if at in self._owned and at not in self._waiting and offset > 0:
            self._passed[at] = self._next[at] = max(self._next.get(at, 0), offset)

    def _commit_failure(self, error: Any) -> Exception:  # noqa: ANN401 - taken from exception args
        if error.name() in REBALANCED | PASSING:
            return Busy(f"group {self.group}: commit not taken: {error.str()}", 0.1)
        if error.name() in FENCED:
            return fenced(self.group)
        return refusal(f"group {self.group}", error)

    def _assigned(self, client: confluent_kafka.Consumer, parts: list[TopicPartition]) -> None:
        try:
            starts = self._starts(client, parts)
        except OrdertideError as failed:
            # An exception would be lost in the callback: `read` raises it.
            self._fetcher.fail(failed)
            starts = []
        came = [(part.topic, part.partition) for part in starts]
        self._owned |= set(came)
        if self._cooperative:
            client.incremental_assign(starts)
        else:
            client.assign(starts)
        client.pause(starts if self._paused else to_list(self._waiting & set(came)))
        self._on_assigned(came)
        LOGGER.info("group %s: assigned %s", self.group, sorted(self._owned))

    def _starts(
        self, client: confluent_kafka.Consumer, parts: list[TopicPartition]
    ) -> list[TopicPartition]:
        stored = committed_at_assignment(client, self.group, parts, COMMITTED_TIMEOUT_S)
        self._topics.check_committed(stored)
        if self._places is None:
            self._came |= {(s.topic, s.partition): max(s.offset, 0) for s in stored}
            return [TopicPartition(s.topic, s.partition, begin_at(s.offset)) for s in stored]
        return [
            TopicPartition(p.topic, p.partition, self._places.start(p.topic, p.partition))
            for p in parts
        ]

    @property
    def _waiting(self) -> set[Partition]:
        """Ours, and paused until it is known where to begin."""
        return self._places.waiting if self._places else set()

    def _place(self, places: Places) -> None:
        for partition, at in places.answers():
            start = TopicPartition(*partition, at)
            try:
                self._client.seek(start)
            except KafkaException as failed:
                places.later(Busy(f"group {self.group}: {partition}: no seek: {worded(failed)}"))
                return
            places.settled(partition)
            if not self._paused:
                self._client.resume([start])
            LOGGER.info("group %s: %s resumes at %d", self.group, partition, at)

    def _revoked(self, client: confluent_kafka.Consumer, parts: list[TopicPartition]) -> None:
        gone = [(part.topic, part.partition) for part in parts]
        self._owned -= set(gone)
        for partition in gone:
            self._next.pop(partition, None)
            self._passed.pop(partition, None)
            self._came.pop(partition, None)
        if self._places:
            self._places.gone(gone)
        self._on_revoked(gone)
        LOGGER.info("group %s: revoked %s", self.group, gone)


def group_settings(connection: Connection) -> dict[str, Any]:
    """Session, and cooperative rebalancing unless the connection's properties choose another."""
    properties = connection.properties
    if has_new_protocol(connection):  # where librdkafka refuses both: the broker decides
        return {"group.protocol": "consumer"}
    chosen = {key: properties[key] for key in ("group.protocol", STRATEGY) if key in properties}
    return {STRATEGY: "cooperative-sticky"} | chosen | member_settings(connection)


def is_cooperative(settings: dict[str, Any]) -> bool:
    """Return True if partitions are assigned and revoked one by one, not all at once."""
    strategy = str(settings.get(STRATEGY, ""))
    return settings.get("group.protocol") == "consumer" or strategy.startswith("cooperative")


def begin_at(offset: int) -> int:
    """Start offset. Without a commit `auto.offset.reset` would decide, which is set to fail."""
    return offset if offset >= 0 else OFFSET_BEGINNING


def to_list(partitions: Iterable[Partition]) -> list[TopicPartition]:
    """For calls of the client that take partitions."""
    return [TopicPartition(topic, number) for topic, number in sorted(partitions)]
