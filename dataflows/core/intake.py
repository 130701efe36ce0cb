"""From a decoded event to a fact: codes looked up, times in ms, fields sorted by where they go.

Order-level fields (`Fact.fields`) live in the order's extras and follow the fold: a later event
wins, a correction takes them back. What belongs to a parcel and would repeat at every scan
(`Fact.side`: carrier, location, readings) is kept once per parcel, outside the history.
"""

import re
from datetime import datetime, time
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from dataflows.core.fact import Fact
from dataflows.core.lifecycle import NO_STATUS, Lifecycle
from dataflows.core.rules import Rules
from schemas.errors import Rejected
from schemas.event import Event, Location, Scalar, check_arrival, check_plausible
from schemas.instants import DAY_MS, parse_instant, to_instant
from schemas.keys import event_hash, order_key

ALIKE = 0.75  # so much of a code is another's, by difflib's ratio: then that may be meant
WITHDRAWN = -1  # a promise that was taken back
MISSING_BEFORE = parse_instant("2000-01-01T00:00:00Z")  # a time before this is none
MIDNIGHT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]00:00(:00([.,]0+)?)?([Zz]|[+-])")

TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
}


MAX_PLACE_NAME = 256  # characters


class Origin:
    """Where a message lies: topic, partition and offset (a file, 0 and the line, in a replay)."""

    __slots__ = ("offset", "partition", "topic")

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        """The place of one message."""
        self.topic = topic
        self.partition = partition
        self.offset = offset


class Intake:
    """Makes facts by a lifecycle and the attributes that the rules file declares."""

    def __init__(self, table: Lifecycle, rules: Rules) -> None:
        """`rules` for its declared attributes."""
        self.status = table.index
        self.numbers = table.numbers
        self.carriers = table.carriers
        self.is_note = table.is_note
        self.zone = table.zone
        self.proof_of_life = table.proof_of_life
        self.readings = rules.readings
        self.attributes = rules.attributes

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
            Rejected: `unknown_status`, `from_the_future`, `invalid_attribute`, `invalid_event`.
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
                fields[name] = deadline(name, text, event.zone, self.zone)
        if event.planned:
            fields["planned"] = {n: planned(n, moment) for n, moment in event.planned.items()}
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
        """(attributes of the order, readings of the parcel), declared types checked.

        Raises:
            Rejected: `invalid_attribute`.
        """
        kept: dict[str, Scalar] = {}
        readings: dict[str, float] = {}
        for name, value in attributes.items():
            declared = self.readings.get(name) or self.attributes.get(name)
            if declared and not fits(value, declared):
                raise Rejected(
                    "invalid_attribute", f"attributes.{name}: {value!r} is no {declared}"
                )
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise Rejected("invalid_attribute", f"attributes.{name}: {value} is over 64 bits")
            if name in self.readings and isinstance(value, int | float):
                readings[name] = value
            else:
                kept[name] = value
        return kept, readings


def as_list(numbers: str | list[str]) -> list[str]:
    """One number or several, as a list."""
    return [numbers] if isinstance(numbers, str) else numbers


def fits(value: Scalar, declared: str) -> bool:
    """Whether a value is of the declared type; true is no number."""
    return isinstance(value, TYPES[declared]) and (
        declared == "bool" or not isinstance(value, bool)
    )


def side_of(event: Event, readings: dict[str, float] | None, parcel: str) -> dict[str, Any] | None:
    """What the event says of its parcel; None if nothing."""
    side: dict[str, Any] = {}
    if event.carrier and parcel:
        side["carrier"] = event.carrier
    if event.location:
        side["location"] = place(event.location)
    if readings:
        side["readings"] = readings
    return side or None


def place(location: Location) -> list[Any]:
    """A location as it is stored: name, lat, lon, datum; a name that is no name is left out."""
    name = location.name if location.name and len(location.name) <= MAX_PLACE_NAME else None
    return [name, location.lat, location.lon, location.datum]


def planned(milestone: str, moment: datetime) -> int:
    """A planned instant.

    Raises:
        Rejected: `implausible_time`.
    """
    at = to_instant(moment)
    check_plausible(f"planned.{milestone}", at)
    return at


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


def deadline(field: str, text: str, zone: str | None, default: str = "UTC") -> int:
    """A promised instant, or WITHDRAWN.

    A bare date, or a midnight in its own offset, means the end of that day: in `zone`, else in the
    offset beside the midnight, else in the zone `default`.

    Raises:
        Rejected: `invalid_event`, `implausible_time`.
    """
    if text == "withdrawn":
        return WITHDRAWN
    try:
        if len(text) == len("2018-12-31"):
            at = end_of_day(text, zone or default)
        else:
            at = moment_or_day(text, zone)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise Rejected("invalid_event", f"{field}: {error}") from error
    check_plausible(field, at)
    return at


def moment_or_day(text: str, zone: str | None) -> int:
    """An instant, or the end of the day that a midnight means."""
    at = parse_instant(text)
    is_midnight = MIDNIGHT.match(text)
    if not is_midnight:
        return at
    day = text[: len("2018-12-31")]
    if zone:
        return end_of_day(day, zone)
    return at + DAY_MS - 1  # in a fixed offset every day has 24 hours


def end_of_day(text: str, zone: str | None) -> int:
    """The last ms of a date in a zone.

    `fold=1` is the later of two such moments, where clocks go back at midnight; and where clocks
    jump over it, it counts by the offset after the jump, which gives the last ms before.
    """
    last = time(23, 59, 59, 999_000, tzinfo=ZoneInfo(zone or "UTC"), fold=1)
    return to_instant(datetime.combine(datetime.fromisoformat(text).date(), last))
