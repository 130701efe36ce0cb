"""Reading until something is there, with an end to patience."""

import time
from collections.abc import Callable
from typing import Protocol

from broker.consume import Message

PATIENCE_S = 30.0


class Reader(Protocol):
    def read(self, max_messages: int = ..., timeout_s: float = ...) -> list[Message]: ...


def read_count(reader: Reader, count: int) -> list[Message]:
    """Read until `count` messages were there, or fail."""
    messages: list[Message] = []
    read_until(lambda: len(messages) >= count, reader, messages)
    return messages


def read_until(
    is_done: Callable[[], bool], reader: Reader, messages: list[Message] | None = None
) -> None:
    """Read (into `messages`) until `is_done`, or fail."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not is_done():
        assert time.monotonic() < give_up_at, "nothing more came"
        found = reader.read(timeout_s=0.1)
        if messages is not None:
            messages += found
