"""A channel into this process's memory: for tests, and the shortest example of a channel."""

import re
from collections.abc import Sequence

from schemas.errors import Rejected
from sinks.channels.alert_message import Identity, Labels, Posting
from sinks.channels.channel import Channel

# https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class MemoryChannel(Channel):
    """Keeps the last posting of each alert; `arrived` counts all that ever came."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.arrived = 0
        self.last: dict[Identity, Posting] = {}

    def post(self, postings: Sequence[Posting]) -> None:
        for name in {name for posting in postings for name in posting.notice.labels}:
            if not LABEL_NAME.fullmatch(name):
                raise Rejected("label_name", f"{name!r} is no label: use letters, digits and _")
        self.arrived += len(postings)
        self.last |= {each.notice.identity: each for each in postings}

    def close(self) -> None:
        pass

    def open_at(self, at: int) -> list[Labels]:
        """The labels of the alerts that a receiver takes for open at `at` (ms)."""
        return [
            posting.notice.labels
            for posting in self.last.values()
            if posting.ends_at is None or (not posting.resolved and posting.ends_at > at)
        ]
