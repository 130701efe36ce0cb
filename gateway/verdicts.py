"""Verdicts: what the dataflow decided about commands, as it writes them to orders.audit.

The topic is followed from its end, without a group. A verdict that is written while the broker is
away is missed here; its command has its effect anyway.
"""

import asyncio
import logging
from typing import Any

import msgspec

from broker.connect import Connection
from broker.fetcher import Message
from broker.topic_follower import RETRY_S, Passing, TopicFollower
from schemas.topics import ORDERS_AUDIT

LOGGER = logging.getLogger("ordertide.gateway")
IS_VERDICT = b'"command.'


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """An audit entry of a command; `detail` names its `event` and the order's `status`."""

    what: str
    detail: dict[str, Any] = {}

    @property
    def is_accepted(self) -> bool:
        """Return True unless the command was refused."""
        return self.what == "command.accepted"


VERDICT = msgspec.json.Decoder(Verdict)


class Verdicts(TopicFollower):
    """Hands verdicts to those that wait for them, between `start` and `close`."""

    def __init__(self, connection: Connection) -> None:
        """Create a follower that has read nothing yet."""
        super().__init__(connection, ORDERS_AUDIT, "verdicts", from_end=True)
        self._waiting: dict[str, asyncio.Future[Verdict]] = {}  # by the hash of the event

    def expect(self, event_hash: str) -> "asyncio.Future[Verdict]":
        """The future of a verdict, in the loop that runs; begin it before the command is sent."""
        waiting = self._waiting[event_hash] = asyncio.get_running_loop().create_future()
        return waiting

    def forget(self, event_hash: str) -> None:
        """End the waiting."""
        self._waiting.pop(event_hash, None)

    def take(self, messages: list[Message]) -> None:
        if not self._waiting:
            return
        for message in messages:
            if IS_VERDICT in (message.value or b""):
                self._take(message)

    def interrupted(self, passing: Passing) -> None:
        LOGGER.info("verdicts: reads again: %s", passing)
        self._stop.wait(RETRY_S)

    def _take(self, message: Message) -> None:
        try:
            verdict = VERDICT.decode(message.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            LOGGER.info("verdicts: offset %d is no audit entry: %s", message.offset, error)
            return
        waiting = self._waiting.get(str(verdict.detail.get("event")))
        if waiting is not None and not waiting.get_loop().is_closed():
            waiting.get_loop().call_soon_threadsafe(settle, waiting, verdict)


def settle(waiting: "asyncio.Future[Verdict]", verdict: Verdict) -> None:
    """Give a verdict to who waits, if nobody has."""
    if not waiting.done():
        waiting.set_result(verdict)
