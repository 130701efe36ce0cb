"""From a message to what the shards are given: facts, registrations, questions."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from dataflows.core.fact import Fact
from dataflows.core.intake import Intake, Origin
from dataflows.core.resolve import Question, Registration, question, registrations
from schemas.cloudevents import read_message
from schemas.event import Event, Tick, check_plausible
from schemas.instants import EPOCH, ONE_MS

Headers = list[tuple[str, bytes | None]]
Seal = Callable[[bytes, Event], bytes]
Hide = Callable[[bytes], bytes]
Link = Callable[[Event], None]
# Keys made inside it are stored with one fsync.
Together = Callable[[], AbstractContextManager[None]]


class Decoded(NamedTuple):
    """What one message gives: a fact of a known order with what it registers, or a question."""

    fact: Fact | None
    question: Question | None
    registrations: list[Registration]


def recorded_at(event: Event | Tick) -> int:
    """The arrival of recorded history: `recorded_at`, else the event's own time.

    Raises:
        Rejected: `implausible_time`.
    """
    recorded = event.recorded_at
    if recorded is None:
        return event.at
    at = (recorded - EPOCH) // ONE_MS
    check_plausible("recorded_at", at)
    return at


class Decoder:
    """Decodes messages. `seal` hides personal data before anything keeps the bytes."""

    def __init__(
        self,
        intake: Intake,
        seal: Seal,
        hide: Hide,
        together: Together = nullcontext,
        link: Link = lambda _event: None,
    ) -> None:
        """Create a decoder.

        `intake` has the lifecycle. `hide` seals the personal data in bytes that are no event.
        `link` notes the customer, order and numbers that an event without personal data names.
        """
        self.intake = intake
        self.link = link
        self.seal = seal
        self.hide = hide
        self.together = together

    @staticmethod
    def read(data: bytes, headers: Headers) -> tuple[Event | Tick, bytes]:
        """The event of a message (CloudEvents too) and its bytes in our own format.

        Raises:
            Rejected: it is none; see `schemas.event.decode_event`.
        """
        return read_message(data, headers)

    def decode(self, event: Event, data: bytes, arrival_at: int, origin: Origin) -> Decoded:
        """What an event gives.

        Raises:
            Rejected: see `Intake.fact`; or `foreign_sealed`.
        """
        if event.personal:
            raw = self.seal(data, event)
        else:
            self.link(event)
            raw = data
        fact = self.intake.fact(event, event.order_id or "", raw, arrival_at, origin)
        if event.order_id is None:
            return Decoded(None, question(event, fact), [])
        return Decoded(fact, None, registrations(event, arrival_at))
