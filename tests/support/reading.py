"""Reading until something is there, with an end to patience."""

from collections.abc import Callable
from typing import Protocol

from broker.consume import Message
from tests.support.waiting import wait_until

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
    found: list[Message] = [] if messages is None else messages

    def has_come() -> bool:
        if is_done():
            return True
        found.extend(reader.read(timeout_s=0.1))
        return False

    wait_until(has_come, "messages", PATIENCE_S, progress=lambda: len(found), pause_s=0)
