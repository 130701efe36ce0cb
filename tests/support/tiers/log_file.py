"""A consumer group over a log in a file: what is committed lies in a second file beside it."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from storage_tiering.writer_ports import DeadLetters, Reader
from tests.support.tiers.orders import (
    START,
    Log,
    LogMessage,
    accepted,
    document,
    heartbeat,
    message,
)

MINUTE_MS = 60_000


class LogReader(Reader):
    """Reads the messages of `log` in their order, from the position that was committed last."""

    def __init__(self, log: Sequence[LogMessage], position: Path) -> None:
        self.log = log
        self.position = position
        self.next = int(position.read_text()) if position.exists() else 0
        self.is_paused = False

    @property
    def is_at_end(self) -> bool:
        return self.next >= len(self.log)

    @property
    def committed(self) -> int:
        return int(self.position.read_text()) if self.position.exists() else 0

    def read(self, max_messages: int, timeout_s: float) -> Sequence[LogMessage]:
        if self.is_paused:
            return []
        messages = self.log[self.next : self.next + max_messages]
        self.next += len(messages)
        return messages

    def commit(self) -> None:
        temporary = self.position.with_suffix(".new")
        temporary.write_text(str(self.next))
        temporary.replace(self.position)

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False


class LetterBox(DeadLetters):
    """Keeps dead letters in a list."""

    def __init__(self) -> None:
        self.letters: list[tuple[int, str]] = []

    def put(self, message: object, code: str, reason: str) -> None:
        self.letters.append((getattr(message, "offset", -1), code))


def busy_day(orders: int = 40, partitions: int = 3, rounds: int = 5) -> list[LogMessage]:
    """Orders that change once a round; a part of each round is written twice.

    That is what a dataflow does that crashed: it writes again what came after its last snapshot.
    """
    logs = [Log(partition) for partition in range(partitions)]
    messages: list[LogMessage] = []
    for version in range(1, rounds + 1):
        for number in [*range(orders), *range(orders // 2, orders)]:
            log = logs[number % partitions]
            at = START + (version * orders + number) * MINUTE_MS
            event = accepted(f"订单-{number}", f"{version}", at)
            changed = document(f"订单-{number}", version, at)
            messages.append(message(log.events(event)[0], at))
            messages.append(message(log.changes(changed)[0], at))
        watermark = START + version * orders * MINUTE_MS
        messages += [heartbeat(log, watermark) for log in logs]
    return messages


def save(messages: Sequence[LogMessage], path: Path) -> None:
    path.write_bytes(msgspec.json.encode(messages))


def load(path: Path) -> list[LogMessage]:
    return msgspec.json.decode(path.read_bytes(), type=list[LogMessage])
