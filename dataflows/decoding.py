"""The door: from a message to facts, registrations and questions, or to a dead letter.

`track` and `replay` both read through `Decoder`. The compiled core reads plain events, which are
nearly all (`engine/core/src/door.rs`); any other message is read here, and refused here alone. No
message ends a run: a fault of the message is `Rejected`, and so is a fault of this code that only
this message brings out (`internal_fault`).
What isn't about the message (the broker away, a full disk, no memory, a damaged key file) passes.
"""

import json
import logging
import traceback
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import msgspec

from dataflows.core.compiled import Read
from dataflows.core.fact import Fact
from dataflows.core.intake import Intake, Origin
from dataflows.core.questions import Question, Registration, question, registrations
from dataflows.core.set_aside import INTERNAL_FAULT
from schemas.cloudevents import is_binary, read_message
from schemas.errors import OrdertideError, Rejected
from schemas.event import Event, Tick, check_plausible, decode_event
from schemas.instants import EPOCH, ONE_MS
from schemas.sanitization import FIELDS

LOGGER = logging.getLogger("ordertide.door")
NOT_OF_A_MESSAGE = (OrdertideError, OSError, MemoryError)

Headers = list[tuple[str, bytes | None]]
Seal = Callable[[bytes, Event], bytes]
Hide = Callable[[bytes, Headers], bytes]
Link = Callable[[Event], None]
# Keys made inside it are stored with one fsync.
Together = Callable[[], AbstractContextManager[None]]


class Links(NamedTuple):
    """Links of customers, orders and numbers, as events without personal data show them."""

    is_needed: Callable[[], bool]
    note: Link


NO_LINKS = Links(lambda: False, lambda _event: None)


class Decoded(NamedTuple):
    """Result of one message: a fact of a known order with its registrations, or a question."""

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


class Faults:
    """Faults of our own code that messages bring out: each kind is logged once a process."""

    def __init__(self) -> None:
        """Create a record without faults."""
        self.logged: set[str] = set()

    def rejected(self, error: Exception) -> Rejected:
        """The rejection that `error` is or, as a fault of ours, becomes.

        Raises:
            Exception: `error` itself, where it isn't about the message.
        """
        if isinstance(error, Rejected):
            return error
        if isinstance(error, NOT_OF_A_MESSAGE):
            raise error
        frame = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} in {frame.name} (line {frame.lineno})"
        if kind not in self.logged:
            self.logged.add(kind)
            # Without the exception's own text, which may quote the message.
            trace = "".join(traceback.format_tb(error.__traceback__))
            LOGGER.error(
                "events: a message brought out a fault of ordertide, %s; the message is in "
                "events.rejected as %s, please report the trace\n%s",
                *(kind, INTERNAL_FAULT, trace),
            )
        reason = f"ordertide failed to read it: {kind}; report it with this message"
        return Rejected(INTERNAL_FAULT, reason)

    def panicked(self, place: str) -> None:
        """Log a panic of the compiled door; the message that brought it out is read here."""
        kind = f"panic in {place}"
        if kind not in self.logged:
            self.logged.add(kind)
            LOGGER.error(
                "events: a message brought out a fault of ordertide, %s; the message is read the "
                "slower way, please report the place",
                kind,
            )


class Decoder:
    """Decodes messages. `seal` hides personal data before anything keeps the bytes."""

    def __init__(
        self,
        intake: Intake,
        seal: Seal,
        hide: Hide,
        together: Together = nullcontext,
        links: Links = NO_LINKS,
    ) -> None:
        """Create a decoder.

        `intake` has the lifecycle. `hide` seals the personal data in bytes that are no event.
        `links` takes the customer, order and numbers that an event without personal data names.
        """
        self.intake = intake
        self.links = links
        self.seal = seal
        self.hide = hide
        self.together = together
        self.faults = Faults()

    def read_plain(self, messages: Iterable[tuple[bytes | None, Headers]]) -> Read:
        """The plain events among messages (value, headers), decoded; the others are for `read`."""
        found = self.intake.door.read(
            [None if headers and is_binary(headers) else value for value, headers in messages]
        )
        for place in found.panics:
            self.faults.panicked(place)
        return found

    def link_plain(self, data: bytes) -> None:
        """Note the links of a plain event; only where `links.is_needed`.

        Raises:
            Rejected: `internal_fault`.
        """
        try:
            event = decode_event(data)
            if isinstance(event, Event):
                self.links.note(event)
        except Exception as error:
            raise self.faults.rejected(error) from error

    def read(self, data: bytes, headers: Headers) -> tuple[Event | Tick, bytes]:
        """The event of a message (CloudEvents too) and its bytes in our own format.

        Optional fields that can't be used are left out and named in it.

        Raises:
            Rejected: it is none; see `schemas.event.read_event`; or `internal_fault`.
        """
        try:
            event, data = read_message(data, headers)
            if isinstance(event, Event):
                return self.intake.without_unfit(event, data)
        except Exception as error:
            raise self.faults.rejected(error) from error
        return event, data

    def read_again(self, data: bytes) -> Event | Tick:
        """The event in bytes that `read` gave.

        Raises:
            Rejected: `internal_fault`.
        """
        try:
            return decode_event(data)
        except Exception as error:
            raise self.faults.rejected(error) from error

    def decode(self, event: Event, data: bytes, arrival_at: int, origin: Origin) -> Decoded:
        """Decode an event.

        Raises:
            Rejected: see `Intake.fact`; or `foreign_sealed`, `internal_fault`.
        """
        try:
            return self.decoded(event, data, arrival_at, origin)
        except Exception as error:
            raise self.faults.rejected(error) from error

    def decoded(self, event: Event, data: bytes, arrival_at: int, origin: Origin) -> Decoded:
        """Decode an event; raises any exception unchanged."""
        sent, event = event, self.intake.without_placeholders(event)
        if event.personal:
            # Sealed for the numbers that count, so the bytes kept may name no others.
            raw = self.seal(data if event is sent else with_numbers(data, event), event)
        else:
            self.links.note(event)
            raw = without_repeated(data)
        fact = self.intake.fact(event, event.order_id or "", raw, arrival_at, origin)
        event = self.intake.with_compared_carrier(event)
        if event.order_id is None:
            return Decoded(None, question(event, fact), [])
        if self.intake.is_note[fact.status]:
            return Decoded(fact, None, [])  # a note names no number
        return Decoded(fact, None, registrations(event, fact.at, arrival_at))

    def original(self, data: bytes, headers: Headers) -> bytes | None:
        """Rejected bytes, personal data sealed; None if they can't be, and so aren't to be kept.

        `headers` of a binary CloudEvent name whose data it is.
        """
        try:
            return self.hide(data, headers)
        except Exception as error:  # noqa: BLE001 - what isn't about the message is raised again
            self.faults.rejected(error)
            return None


def without_repeated(data: bytes) -> bytes:
    """The bytes of an event without personal data, without any in a `personal` that came again.

    The last value of a field counts; what stood in one before it would stay readable.
    """
    if b"personal" not in data and b"\\u" not in data:
        return data
    fields = FIELDS.decode(data)
    if "personal" not in fields:
        return data
    names = [name for name, _ in json.loads(data, object_pairs_hook=list)]
    return data if names.count("personal") == 1 else msgspec.json.encode(fields)


def with_numbers(data: bytes, event: Event) -> bytes:
    """The bytes of an event with the waybill and references of `event` alone."""
    fields = FIELDS.decode(data)
    for name, value in (("waybill", event.waybill), ("references", event.references)):
        fields.pop(name, None)
        if value:
            fields[name] = msgspec.Raw(msgspec.json.encode(value))
    return msgspec.json.encode(fields)
