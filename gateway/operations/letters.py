"""Dead letters: the messages of events.rejected, and which of them were replayed.

A replay writes originals back to `events` with the headers that they came with; what is still wrong
is rejected again, as a new letter. The topic only grows, so a note in the control topic says up to
which offsets the letters of a code were replayed.
"""

from collections.abc import Sequence

import msgspec

from broker.connect import Connection
from broker.consume import Message
from gateway.dead_letters import Letters, code_of, is_original
from schemas.control_records import ControlRecords

REPLAYED = "replayed"  # kind of the control topic
MOST_READ = 5_000  # of a page; the command line reads them all


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The last replay of a code: who made it, when and from where, and of how many letters.

    `until`: {partition: offset}, behind the last letter that it took.
    """

    by: str
    at: str
    ip: str
    letters: int
    until: dict[str, int]


DECODER = msgspec.json.Decoder(Replay)


class Replays(ControlRecords[Replay]):
    """The last replay of each code."""

    def __init__(self) -> None:
        """Create a collection without replays."""
        super().__init__(DECODER.decode)

    def covers(self, letter: Message) -> bool:
        """Return True for a letter that was replayed."""
        replay = self.records.get(code_of(letter))
        return replay is not None and letter.offset < replay.until.get(str(letter.partition), 0)

    def waiting(self, found: Sequence[Message], code: str) -> list[Message]:
        """The letters of a code that can be replayed, and were not."""
        return [
            letter
            for letter in found
            if code_of(letter) == code and is_original(letter) and not self.covers(letter)
        ]


def newest_letters(connection: Connection, most: int = MOST_READ) -> tuple[list[Message], bool]:
    """(about `most` of the newest letters, the newest first; whether these are all).

    Raises:
        Busy: the broker is unavailable.
    """
    letters = Letters(connection, most)
    found = sorted(letters.read(), key=lambda each: (-each.timestamp_ms, -each.offset))
    return found, letters.is_whole


def until_of(taken: Sequence[Message]) -> dict[str, int]:
    """{partition: offset} behind the last of some letters."""
    until: dict[str, int] = {}
    for letter in taken:
        name = str(letter.partition)
        until[name] = max(until.get(name, 0), letter.offset + 1)
    return until
