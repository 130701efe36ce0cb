"""Marks of the hot tier: the offsets written to each slot, kept with the slot, and its staleness.

Redis loses data slot by slot: the slots of a cluster lie on several nodes. Each holds the offsets
up to which it was written, so a slot that comes back from an older file has lower offsets than
those noted. The scripts count the batches between two notes: a crash that loses the last batch is
found, too, although the offsets are the same.
"""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files

import msgspec

from storage_tiering.hot.errors import execute
from storage_tiering.hot.keys import OFFSET_MEMBER, STALENESS_SCORE, Call, SlotKeys
from storage_tiering.hot.servers import Servers
from storage_tiering.hot.writing import Replicas, evaluation, redis_errors, send
from storage_tiering.tier import Partition, Staleness, WritesLost, partition_name, partition_of

NOTE = files("storage_tiering.hot").joinpath("note.lua").read_text()
STALENESS = files("storage_tiering.hot").joinpath("staleness.lua").read_text()


class SlotMarks:
    """The marks of all slots, as one writer keeps them."""

    def __init__(self, servers: Servers, slots: Sequence[SlotKeys], replicas: Replicas) -> None:
        """Create the marks; nothing is queried yet."""
        self._servers = servers
        self._slots = slots
        self._replicas = replicas
        self._noted: dict[Partition, int] = {}
        self._begin()

    def _begin(self) -> None:
        self.member = f"n:{uuid.uuid4().hex}"
        self._calls: Counter[int] = Counter()

    def wrote(self, slot: int) -> None:
        """A script that counts itself was called on a slot, and has answered."""
        self._calls[slot] += 1

    def note(self, offsets: Mapping[Partition, int]) -> None:
        """Note the offsets in every slot.

        Raises:
            WritesLost: some slots hold less than was written to them.
        """
        arguments: list[str | int] = []
        for partition, offset in {**self._noted, **offsets}.items():
            member = f"{OFFSET_MEMBER}{partition_name(partition)}"
            arguments += [member, self._noted.get(partition, 0), offset]
        calls = [
            evaluation(NOTE, [slot.progress], (self.member, self._calls[slot.slot], *arguments))
            for slot in self._slots
        ]
        lost = sum(answer == 0 for answer in send(self._servers, calls, self._replicas))
        if lost:
            raise WritesLost(f"hot tier: Redis has lost writes in {lost} of {len(calls)} slots")
        self._noted |= offsets
        self._calls.clear()

    def held(self) -> dict[Partition, int]:
        """The least offset that the slots hold of each partition."""
        with redis_errors(self._servers), self._servers.pipeline() as pipe:
            for slot in self._slots:
                pipe.zrange(slot.progress, 0, -1, withscores=True)
            answered = execute(pipe)
        of_slots = [_offsets_in(fields) for fields in answered]
        partitions = set.intersection(*map(set, of_slots))
        held = {each: min(offsets[each] for offsets in of_slots) for each in partitions}
        self._noted = dict(held)
        self._begin()
        return held

    def forget(self) -> None:
        """Drop all that the slots hold of this, the staleness and how fresh they are included."""
        calls = [Call(slot.progress, ("DEL", slot.progress)) for slot in self._slots]
        send(self._servers, calls, self._replicas)

    def staleness(self) -> Staleness | None:
        """The staleness of the first slot that has one."""
        with redis_errors(self._servers), self._servers.pipeline() as pipe:
            for slot in self._slots:
                pipe.zrangebyscore(slot.progress, STALENESS_SCORE, STALENESS_SCORE)
            answered = execute(pipe)
        return next((staleness_in(each[0]) for each in answered if each), None)

    def set_staleness(self, staleness: Staleness | None) -> None:
        """Keep the staleness in every slot, with the orders that it is about."""
        data = b"" if staleness is None else msgspec.json.encode(staleness)
        calls = [evaluation(STALENESS, [slot.progress], (data,)) for slot in self._slots]
        send(self._servers, calls, self._replicas)


def staleness_in(data: bytes) -> Staleness:
    """The staleness in a member."""
    return msgspec.json.decode(data, type=Staleness)


def _offsets_in(members: Sequence[tuple[bytes, float]]) -> dict[Partition, int]:
    prefix = OFFSET_MEMBER.encode()
    return {
        partition_of(member.removeprefix(prefix).decode()): int(score)
        for member, score in members
        if member.startswith(prefix)
    }
