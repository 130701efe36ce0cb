"""A channel into this process's memory: for tests, and the shortest example of a channel."""

import re
import time
from collections.abc import Sequence

from schemas.errors import Rejected
from sinks.channels.alert_message import Identity, Labels, Posting
from sinks.channels.channel import Silence, SilencingChannel

# https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class MemoryChannel(SilencingChannel):
    """Keeps the last posting of each alert; `arrived` counts all that ever came."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.arrived = 0
        self.last: dict[Identity, Posting] = {}
        self.held: dict[str, Silence] = {}  # by id
        self.made = 0  # silences that were ever made

    def post(self, postings: Sequence[Posting]) -> None:
        for name in {name for posting in postings for name in posting.notice.labels}:
            if not LABEL_NAME.fullmatch(name):
                raise Rejected("label_name", f"{name!r} is no label: use letters, digits and _")
        self.arrived += len(postings)
        self.last |= {each.notice.identity: each for each in postings}

    def silences(self) -> list[Silence]:
        now = time.time_ns() // 1_000_000
        return [silence for silence in self.held.values() if silence.until > now]

    def silence(self, silence: Silence) -> None:
        self.made += 1
        self.held.pop(silence.silence_id, None)
        self.held[str(self.made)] = silence._replace(silence_id=str(self.made))

    def end_silence(self, silence_id: str) -> None:
        self.held.pop(silence_id, None)

    def close(self) -> None:
        pass

    def open_at(self, at: int) -> list[Labels]:
        """The labels of the alerts that a receiver takes for open at `at` (ms)."""
        return [
            posting.notice.labels
            for posting in self.last.values()
            if posting.ends_at is None or (not posting.resolved and posting.ends_at > at)
        ]
