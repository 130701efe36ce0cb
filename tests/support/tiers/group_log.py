"""A consumer group over logs in memory, whose members come and go, and can go back."""

from collections.abc import Mapping, Sequence
from itertools import islice

from storage_tiering.tier import Partition
from storage_tiering.writer_ports import Reader, Rewinds
from tests.support.tiers.orders import LogMessage


class GroupLog:
    """Topics and what the group has committed. `first` is where a log begins: before it is gone."""

    def __init__(self, messages: Sequence[LogMessage]) -> None:
        self.messages: dict[Partition, list[LogMessage]] = {}
        self.first: dict[Partition, int] = {}
        self.committed: dict[Partition, int] = {}
        self.append(messages)

    def append(self, messages: Sequence[LogMessage]) -> None:
        for message in messages:
            self.messages.setdefault((message.topic, message.partition), []).append(message)

    def compact(self, topic: str) -> None:
        """Keep the last message of each key."""
        for partition, log in self.messages.items():
            if partition[0] == topic:
                last = {message.key: message.offset for message in log}
                self.messages[partition] = [m for m in log if m.offset == last[m.key]]

    def delete_before(self, partition: Partition, offset: int) -> None:
        log = self.messages[partition]
        self.messages[partition] = [m for m in log if m.offset >= offset]
        self.first[partition] = offset


class GroupLogReader(Reader, Rewinds):
    """The one member of the group, from what was committed on."""

    def __init__(self, group: GroupLog) -> None:
        self.group = group
        self.next = {each: group.committed.get(each, 0) for each in group.messages}
        self.came = dict(self.next)
        self.read_offsets: list[tuple[Partition, int]] = []
        self.is_paused = False

    @property
    def partitions(self) -> Sequence[Partition]:
        return sorted(self.next)

    @property
    def is_at_end(self) -> bool:
        return not any([*self._unread(partition, 1)] for partition in self.next)

    def _unread(self, partition: Partition, limit: int) -> Sequence[LogMessage]:
        log = self.group.messages[partition]
        return [*islice((m for m in log if m.offset >= self.next[partition]), limit)]

    def read(self, max_messages: int, timeout_s: float) -> Sequence[LogMessage]:
        messages: list[LogMessage] = []
        if self.is_paused:
            return messages
        for partition in self.next:
            for message in self._unread(partition, max_messages - len(messages)):
                messages.append(message)
                self.read_offsets.append((partition, message.offset))
                self.next[partition] = message.offset + 1
        return messages

    def commit(self) -> None:
        self.group.committed = dict(self.next)

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def take_assigned(self) -> Mapping[Partition, int]:
        came, self.came = self.came, {}
        return came

    def positions(self) -> Mapping[Partition, int]:
        return dict(self.next)

    def rewind(self, offsets: Mapping[Partition, int]) -> Mapping[Partition, int]:
        starts = {each: max(at, self.group.first.get(each, 0)) for each, at in offsets.items()}
        self.next |= starts
        return starts
