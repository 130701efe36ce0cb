"""From a decoded event to a fact: codes looked up, times in ms, fields sorted by where they go.

Order-level fields (`Fact.fields`) live in the order's extras and follow the fold: a later event
wins, a correction takes them back. What belongs to a parcel and would repeat at every scan
(`Fact.side`: carrier, location, readings) is kept once per parcel, outside the history.
"""

from difflib import get_close_matches
from typing import Any

import msgspec

from dataflows.core.compiled import Door
from dataflows.core.door import MISSING_BEFORE, form_of
from dataflows.core.fact import Fact
from dataflows.core.lifecycle import NO_STATUS, Lifecycle
from dataflows.core.rules import Rules
from schemas.errors import Rejected
from schemas.event import Event, Location, Scalar, check_arrival
from schemas.instants import to_instant
from schemas.keys import event_hash, order_key
from schemas.promises import promise
from schemas.sanitization import without_attributes

ALIKE = 0.75  # so much of a code is another's, by difflib's ratio: then that may be meant

TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
}


class Origin:
    """Place of a message: topic, partition and offset (a file, 0 and the line, in a replay)."""

    __slots__ = ("offset", "partition", "topic")

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        """Create the place of one message."""
        self.topic = topic
        self.partition = partition
        self.offset = offset


class Intake:
    """Makes facts by a lifecycle and the attributes that the rules file declares."""

    def __init__(self, table: Lifecycle, rules: Rules) -> None:
        """Create an intake; `rules` for its declared attributes."""
        self.status = table.index
        self.numbers = table.numbers
        self.carriers = table.carriers
        self.is_note = table.is_note
        self.zone = table.zone
        self.proof_of_life = table.proof_of_life
        self.readings = rules.readings
        self.declared = {**rules.attributes, **rules.readings}
        self.door = Door(form_of(table, rules))

    def without_unfit(self, event: Event, data: bytes) -> tuple[Event, bytes]:
        """An event and its bytes without attributes that the rules file declares of another type.

        They are named in `dropped_fields`; null, or a blank text where a number or a truth value is
        declared, means that the attribute is absent.
        """
        attributes = event.attributes or {}
        declared = self.declared
        unfit = {
            name: value
            for name, value in attributes.items()
            if name in declared and not fits(value, declared[name])
        }
        if not unfit:
            return event, data
        named = [name for name, value in unfit.items() if not is_blank(value)]
        data, dropped = without_attributes(data, unfit.keys(), named)
        left = {name: value for name, value in attributes.items() if name not in unfit}
        return msgspec.structs.replace(event, attributes=left, dropped_fields=dropped), data

    def is_unknown(self, event: Event) -> bool:
        """Return True if the lifecycle doesn't have the event's code."""
        return event.status_code not in self.status

    def without_placeholders(self, event: Event) -> Event:
        """The event without waybills and references that stand for no number.

        Raises:
            Rejected: `placeholder_reference`, nothing is left that names an order.
        """
        is_placeholder = self.numbers.is_placeholder
        references = event.references or {}
        listed = [each for numbers in references.values() for each in as_list(numbers)]
        waybill = event.waybill
        if not any(map(is_placeholder, [waybill, *listed] if waybill else listed)):
            return event
        kept = {
            kind: [each for each in as_list(numbers) if not is_placeholder(each)]
            for kind, numbers in references.items()
        }
        waybill = None if waybill and is_placeholder(waybill) else waybill
        left = {kind: numbers for kind, numbers in kept.items() if numbers}
        if event.order_id is None and waybill is None and not left:
            raise Rejected(
                "placeholder_reference",
                "it has no order_id, and its numbers stand for none; name the order or its number",
            )
        return msgspec.structs.replace(event, waybill=waybill, references=left or None)

    def with_compared_carrier(self, event: Event) -> Event:
        """The event with its carrier's name in the form in which carriers are compared."""
        if not event.carrier:
            return event
        return msgspec.structs.replace(event, carrier=self.carriers.compared(event.carrier))

    def fact(
        self,
        event: Event,
        order_id: str,
        raw: bytes,
        arrival_at: int,
        origin: Origin,
        via: tuple[str, str] | None = None,
    ) -> Fact:
        """The fact that `event` is for the order `order_id`; `via` as in `Fact`.

        Raises:
            Rejected: `unknown_status`, `from_the_future`, `implausible_time`.
            ValueError: a promise that the door would have left out.
        """
        status = self.status_of(event)
        at, sent_at = times_of(event, arrival_at)
        parcel = event.waybill or event.shipment or ""
        attributes, readings = self.split(event.attributes) if event.attributes else (None, None)
        return Fact(
            key=order_key(event.tenant, order_id),
            arrival_at=arrival_at,
            at=at,
            status=status,
            shipment=event.shipment or "",
            waybill=event.waybill or "",
            via=via,
            sent_at=sent_at,
            source=event.source,
            event_id=event.event_id,
            hash=event_hash(event.source, event.event_id),
            raw=raw,
            topic=origin.topic,
            partition=origin.partition,
            offset=origin.offset,
            command=event.kind == "command",
            corrects=event_hash(event.source, event.corrects) if event.corrects else 0,
            fields=self.fields_of(event, attributes, parcel),
            side=side_of(event, readings, parcel),
            operator=event.operator,
            ip=event.ip,
        )

    def status_of(self, event: Event) -> int:
        """The status of an event; a carrier's unknown code is a sign of life.

        Raises:
            Rejected: `unknown_status`.
        """
        status = self.status.get(event.status_code)
        if status is not None:
            return status
        if event.source.startswith("carrier:") and self.proof_of_life != NO_STATUS:
            return self.proof_of_life
        alike = get_close_matches(event.status_code.upper(), self.status, n=1, cutoff=ALIKE)
        hint = f"; did you mean {alike[0]}?" if alike else ""
        raise Rejected(
            "unknown_status", f"status_code {event.status_code!r} is not in the lifecycle{hint}"
        )

    def fields_of(
        self, event: Event, attributes: dict[str, Scalar] | None, parcel: str
    ) -> dict[str, Any] | None:
        """The order-level fields that the event carries; None without any."""
        fields: dict[str, Any] = {}
        for name, text in (("promised_at", event.promised_at), ("ship_by", event.ship_by)):
            if text:
                fields[name] = promise(text, event.zone, self.zone)
        if event.planned:
            fields["planned"] = {name: to_instant(at) for name, at in event.planned.items()}
        if attributes:
            fields["attributes"] = attributes
        if event.references:
            fields["references"] = {
                kind: [numbers] if isinstance(numbers, str) else sorted(set(numbers))
                for kind, numbers in event.references.items()
            }
        if event.destination:
            fields["destination"] = msgspec.to_builtins(event.destination)
        plain = ("customer_id", "supplier_id", "parcels_expected", "replaces")
        fields |= {name: value for name in plain if (value := getattr(event, name))}
        if event.carrier and not parcel:
            fields["carrier"] = event.carrier
        return fields or None

    def split(self, attributes: dict[str, Scalar]) -> tuple[dict[str, Scalar], dict[str, float]]:
        """(attributes of the order, readings of the parcel)."""
        kept: dict[str, Scalar] = {}
        readings: dict[str, float] = {}
        for name, value in attributes.items():
            if name in self.readings and isinstance(value, int | float):
                readings[name] = value
            else:
                kept[name] = value
        return kept, readings


def as_list(numbers: str | list[str]) -> list[str]:
    """One number or several, as a list."""
    return [numbers] if isinstance(numbers, str) else numbers


def fits(value: Scalar, declared: str) -> bool:
    """Return True if a value is of the declared type; true is no number."""
    return isinstance(value, TYPES[declared]) and (
        declared == "bool" or not isinstance(value, bool)
    )


def is_blank(value: Scalar) -> bool:
    """Return True if an attribute's value is null, or a text of white space."""
    return value is None or (isinstance(value, str) and not value.strip())


def side_of(event: Event, readings: dict[str, float] | None, parcel: str) -> dict[str, Any] | None:
    """Side of an event: what it says of its parcel; None if nothing."""
    side: dict[str, Any] = {}
    if event.carrier and parcel:
        side["carrier"] = event.carrier
    if event.location and (where := place(event.location)):
        side["location"] = where
    if readings:
        side["readings"] = readings
    return side or None


def place(location: Location) -> list[Any] | None:
    """A location as it is stored: name, lat, lon, datum; None if it says nothing."""
    where = [location.name, location.lat, location.lon, location.datum]
    return where if any(part is not None for part in where) else None


def times_of(event: Event, arrival_at: int) -> tuple[int, int | None]:
    """(time, None), or (arrival, time as sent) where the event has no time: one before 2000.

    Raises:
        Rejected: `from_the_future`; `implausible_time` where no arrival is known either.
    """
    at = event.at
    if at >= MISSING_BEFORE:
        check_arrival(at, arrival_at)
        return at, None
    if arrival_at < MISSING_BEFORE:
        raise Rejected(
            "implausible_time", "timestamp: before 2000 is no time, and recorded_at is missing"
        )
    return arrival_at, at
