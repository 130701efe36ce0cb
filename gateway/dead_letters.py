"""Dead letters: the messages of events.rejected, and their originals as they came."""

from collections.abc import Iterator
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import NamedTuple

from broker.clients import Consumer
from broker.connect import Connection
from broker.consume import Headers, Message, held_offsets, read_spans
from broker.errors import TopicMissing
from privacy.keys import FileKeyStore
from privacy.originals import SEALED_WHOLE, open_rejected
from schemas import topics
from schemas.errors import SettingsError
from schemas.keys import DEFAULT_TENANT
from storage_tiering.dead_letters import UNKNOWN, DeadLetter, dead_letter_of

STALL_S = 30.0


class LetterQuery(NamedTuple):
    """Conditions on letters, all of which hold; None is any.

    `places` are (partition, offset) in events.rejected. `since` inclusive and `until` exclusive, in
    ms. `tenant` is what the original names; one that can't be read names none.
    """

    places: frozenset[tuple[int, int]] | None = None
    code: str | None = None
    source: str | None = None
    since: int | None = None
    until: int | None = None
    tenant: str | None = None

    def meets(self, letter: DeadLetter) -> bool:
        """Return True if a letter is one of those asked for."""
        place = (letter.position.partition, letter.position.offset)
        named = letter.identifiers
        return (
            (self.places is None or place in self.places)
            and self.code in {None, letter.code}
            and self.source in {None, named.get("source")}
            and (self.since is None or self.since <= letter.at)
            and (self.until is None or letter.at < self.until)
            and (self.tenant is None or self._is_its(letter))
        )

    def _is_its(self, letter: DeadLetter) -> bool:
        named = letter.identifiers
        return bool(named) and named.get("tenant", DEFAULT_TENANT) == self.tenant


class Letters:
    """Reads events.rejected, from its beginning or only the last `most` messages of it.

    `is_whole`: nothing older was left out; known once the reading has begun.
    """

    def __init__(self, connection: Connection, most: int | None = None) -> None:
        """Create a reader; nothing is read yet."""
        self._connection = connection
        self._most = most
        self.is_whole = True

    def read(self) -> Iterator[Message]:
        """Every message as the topic is now; none where there is no such topic yet.

        Raises:
            Busy, OffsetLost, BrokerFailed.
        """
        try:
            yield from read_spans(self._connection, topics.EVENTS_REJECTED, self._spans, STALL_S)
        except TopicMissing:
            return

    def meeting(self, query: LetterQuery) -> Iterator[tuple[DeadLetter, Message]]:
        """The letters asked for, in order within a partition."""
        for message in self.read():
            letter = dead_letter_of(message)
            if query.meets(letter):
                yield letter, message

    def _spans(self, client: Consumer) -> dict[int, tuple[int, int]]:
        held = held_offsets(client, topics.EVENTS_REJECTED)
        if self._most is None:
            return held
        most = ceil(self._most / len(held))
        self.is_whole = all(end - first <= most for first, end in held.values())
        return {p: (max(first, end - most), end) for p, (first, end) in held.items()}


class Originals:
    """Opens what was sealed whole; the key file is read when the first such original comes."""

    def __init__(self, path: Path) -> None:
        """Open the key file `path`."""
        self.path = path

    @cached_property
    def keystore(self) -> FileKeyStore:
        """The keys of this host.

        Raises:
            SettingsError: there are none here: a new key file would open nothing.
        """
        if not self.path.exists():
            message = (
                f"{self.path}: no such file, and an original in {topics.EVENTS_REJECTED} is "
                "sealed; run this on the host that has the keys, or set privacy.keys"
            )
            raise SettingsError(message)
        return FileKeyStore(self.path)

    def opened(self, message: Message) -> bytes:
        """The value of an original.

        Raises:
            KeyErased: it was sealed, and its key is gone.
            SettingsError: it was sealed, and its key isn't here.
        """
        value = message.value or b""
        if not value.startswith(SEALED_WHOLE):
            return value
        return open_rejected(value, self.keystore, message.headers)


def original_headers(message: Message) -> Headers:
    """The headers that the original came with."""
    return [(name, value) for name, value in message.headers if name not in topics.LETTER_HEADERS]


def is_original(message: Message) -> bool:
    """Return True if the message holds an original that was sent to `events`."""
    from_events = header(message, topics.HEADER_TOPIC) == topics.EVENTS
    has_content = bool(message.value or original_headers(message))
    return from_events and has_content and not header(message, topics.HEADER_SHA256)


def code_of(message: Message) -> str:
    """Code of a letter."""
    return header(message, topics.HEADER_CODE) or UNKNOWN


def header(message: Message, name: str) -> str:
    """The text of a header; empty where there is none."""
    for key, value in message.headers:
        if key == name and value is not None:
            return value.decode("utf-8", "replace")
    return ""
