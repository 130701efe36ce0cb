"""The numbers that lead to orders: what is kept of one, and for how long.

A number counts until `forget_after` has passed, in whole days (UTC), since its last event arrived;
longer where no event has come to the order by it yet (`forget_unused_after`). That is a matter of
arrivals alone: whether the record is really gone by then matters to nobody. So records leave when
there is time for it, some at each step of the clock, and never all of a midnight at once.
"""

from array import array
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from struct import Struct

import msgspec

from dataflows.core.number_table import HASH_BYTES, NumberTable, place_of
from schemas.instants import DAY_MS

MAPPING = Struct("<qqHHHH")
UNUSED = 0x8000  # beside the length of the carrier
# So many are looked at when the clock moves, and two for each that came since: 64 shards at five
# moves a second look at 32,000 a second, 6 us each; at 1M orders a day 24 leave in a second.
LOOKED_AT_ONCE = 100
# Of about 30 orders, as bytes.
CROWD_BYTES = 2_000


class Mapping(msgspec.Struct, array_like=True, gc=False):
    """One order of a number.

    `valid_from` (ms) is the earliest event that registered it, `arrival_at` (ms) the first of their
    arrivals; `used_day` and `heard_day` are the days since 1970 of the latest event of the number
    and of its latest arrival. `is_unused`: no event has come to the order by it.
    """

    order_id: str
    carrier: str
    valid_from: int
    arrival_at: int
    used_day: int
    heard_day: int
    is_unused: bool = True

    def covers(self, other: "Mapping") -> bool:
        """Whether another mapping says nothing that this doesn't; most scans' say nothing."""
        return (
            self.order_id == other.order_id
            and self.valid_from <= other.valid_from
            and self.arrival_at <= other.arrival_at
            and self.used_day >= other.used_day
            and self.heard_day >= other.heard_day
            and self.is_unused <= other.is_unused
            and bool(self.carrier or not other.carrier)
        )


def hash_of(number: str) -> bytes:
    """The hash of a number's key, tenant and kind included.

    96 bits: with the 42 billion numbers that 100M orders a day leave known, one in 100 million
    that any two of them meet. blake2b, so nobody can make one to meet another's.
    """
    return blake2b(number.encode(), digest_size=HASH_BYTES).digest()


def pack(mappings: list[Mapping]) -> bytes:
    """The orders of a number as bytes; none for none."""
    return b"".join([pack_one(mapping) for mapping in mappings])


def pack_one(mapping: Mapping) -> bytes:
    """Instants, days and lengths, then the order's id and the carrier."""
    order, carrier = mapping.order_id.encode(), mapping.carrier.encode()
    return (
        MAPPING.pack(
            mapping.valid_from,
            mapping.arrival_at,
            mapping.used_day,
            mapping.heard_day,
            len(order),
            len(carrier) | UNUSED * mapping.is_unused,
        )
        + order
        + carrier
    )


def unpack(record: bytes) -> list[Mapping]:
    """The orders of a number.

    Raises:
        ValueError, struct.error: the record is damaged.
    """
    found, at = [], 0
    while at < len(record):
        valid_from, arrival_at, used_day, heard_day, order, carrier = MAPPING.unpack_from(
            record, at
        )
        carrier, is_unused = carrier & ~UNUSED, bool(carrier & UNUSED)
        middle = at + MAPPING.size + order
        at, order_id = middle + carrier, record[middle - order : middle].decode()
        if at > len(record):
            message = f"a number's record of {len(record)} bytes, of which {at} are named: damaged"
            raise ValueError(message)
        found.append(
            Mapping(
                order_id,
                record[middle:at].decode(),
                valid_from,
                arrival_at,
                used_day,
                heard_day,
                is_unused,
            )
        )
    return found


class Crowd:
    """A number with many orders, unpacked: its mappings by order, so that one more costs no more.

    Mappings of an order that stand side by side had the number forgotten in between.
    """

    def __init__(self, known: list[Mapping]) -> None:
        """Create one of the mappings of a number."""
        self.by_order: dict[str, list[Mapping]] = {}
        self.is_changed = False
        for mapping in known:
            self.by_order.setdefault(mapping.order_id, []).append(mapping)

    def of(self, order_id: str) -> list[Mapping]:
        """The mappings of an order."""
        return self.by_order.get(order_id, [])

    def put(self, order_id: str, mappings: list[Mapping]) -> None:
        """Keep these, and only these, of an order."""
        self.by_order[order_id] = mappings
        self.is_changed = True

    def all(self) -> list[Mapping]:
        """All mappings, sorted as a record has them."""
        return in_order([each for mappings in self.by_order.values() for each in mappings])


def in_order(mappings: list[Mapping]) -> list[Mapping]:
    """By arrival, then by order."""
    return sorted(mappings, key=lambda mapping: (mapping.arrival_at, mapping.order_id))


class Numbers:
    """The numbers of one shard, and the days on which to look whether one is to be forgotten."""

    def __init__(self, forget_after_ms: int, forget_unused_after_ms: int) -> None:
        """Create an empty set; see `Resolver` for the times."""
        self.forget_after_days = forget_after_ms // DAY_MS
        self.forget_unused_after_days = forget_unused_after_ms // DAY_MS
        self.table = NumberTable()
        self.changed: set[bytes] = set()
        # {day: places of numbers that count until it or longer}. A number stands here
        # once, for the day of its first event, then for the day known when that one was looked at.
        self.heard_on: dict[int, array[int]] = {}
        self.came = 0
        self.unreadable: list[tuple[str, Exception]] = []  # (hash, what its record raised)
        self.most_orders = 0  # that a number was seen with
        # Numbers with many orders, until `settle` packs them.
        self.crowds: dict[bytes, Crowd] = {}

    def __len__(self) -> int:
        return len(self.table)

    def get(self, key: bytes) -> list[Mapping]:
        """The orders of a number."""
        crowd = self.crowd(key)
        return unpack(self.table.get(key)) if crowd is None else crowd.all()

    def crowd(self, key: bytes) -> Crowd | None:
        """A number with many orders; None for any other.

        Packing it anew for each registration made 3,000 orders of one number take 31 s.
        """
        crowd = self.crowds.get(key)
        if crowd is None:
            record = self.table.get(key)
            if len(record) > CROWD_BYTES:
                crowd = self.crowds[key] = Crowd(unpack(record))
        return crowd

    def add(self, key: bytes, more: Mapping) -> None:
        """One more order of a number, unless the number says all of it already."""
        crowd = self.crowd(key)
        known = self.get(key) if crowd is None else crowd.of(more.order_id)
        if any(one.covers(more) for one in known):
            return
        now = self.joined(known, more)
        if now == known:
            return
        if crowd is None:
            self.put(key, now)
        else:
            crowd.put(more.order_id, now)
            self.changed.add(key)
        orders = len(now) if crowd is None else len(crowd.by_order)
        self.most_orders = max(self.most_orders, orders)

    def has_over(self, most: int, key: bytes, arrival_at: int) -> bool:
        """Whether a number has over `most` orders for an event that arrives then.

        Those count that registered it by then and were not forgotten by then, whatever their times.
        """
        if len(self.table.get(key)) <= most * MAPPING.size and key not in self.crowds:
            return False  # as most have one
        crowd = self.crowd(key) or Crowd(self.get(key))
        day = arrival_at // DAY_MS
        counting = (
            True
            for mappings in crowd.by_order.values()
            if any(one.arrival_at <= arrival_at and self.last_day(one) >= day for one in mappings)
        )
        return sum(islice(counting, most + 1)) > most

    def settle(self) -> None:
        """Pack what crowds have become: before the table is read as a whole."""
        for key, crowd in self.crowds.items():
            if crowd.is_changed:
                self.take(key, pack(crowd.all()))
        self.crowds.clear()

    def joined(self, known: list[Mapping], more: Mapping) -> list[Mapping]:
        """The orders of a number with one more; what is known of the same order is one with it.

        Unless the number had been forgotten in between: then both stand side by side until the
        first is gone, as events that arrived in its days may still come.
        """
        for mapping in known:
            if mapping.order_id == more.order_id and self.touch(mapping, more):
                others = [other for other in known if other is not mapping]
                return self.joined(others, both(mapping, more))
        return in_order([*known, more])

    def touch(self, one: Mapping, other: Mapping) -> bool:
        """Whether a mapping was not forgotten yet when the other one came."""
        first = min(one, other, key=lambda mapping: mapping.heard_day)
        return max(one.arrival_at, other.arrival_at) // DAY_MS <= self.last_day(first)

    def last_day(self, mapping: Mapping) -> int:
        """The last day of arrival on which a mapping counts."""
        unused, used = self.forget_unused_after_days, self.forget_after_days
        return mapping.heard_day + (unused if mapping.is_unused else used)

    def put(self, key: bytes, mappings: list[Mapping]) -> None:
        """Keep the orders of a number, none to forget it."""
        self.crowds.pop(key, None)
        self.take(key, pack(mappings))
        self.changed.add(key)

    def take(self, key: bytes, record: bytes) -> None:
        """Put a record where it belongs, and a new number on its day."""
        if self.table.put(key, record):
            self.came += 1
            self.look_into(key, record)

    def note(self, place: int, mappings: list[Mapping], today: int = 0) -> None:
        """Note when the first of a number's orders may have to be forgotten."""
        day = min(self.look_on(mapping, today) for mapping in mappings)
        self.heard_on.setdefault(day, array("I")).append(place)

    def look_on(self, mapping: Mapping, today: int) -> int:
        """The last day on which a mapping counts, or might if it is used from today on."""
        if not mapping.is_unused:
            return self.last_day(mapping)
        if_used = max(mapping.heard_day, today) + self.forget_after_days
        return min(self.last_day(mapping), if_used)

    def forget(self, watermark: int) -> bool:
        """Look at some numbers whose day has come; whether any was looked at."""
        before = watermark // DAY_MS
        places = list(self.due(before, LOOKED_AT_ONCE + 2 * self.came))
        self.came = 0
        if places:
            self.settle()
        for place in places:
            for key, record in self.table.at(place):
                try:
                    self.look_at(key, unpack(record), before)
                except Exception as error:  # noqa: BLE001 - a damaged record can raise anything
                    self.unreadable.append(
                        (key.hex(), error)
                    )  # it is kept, and not looked at again
        return bool(places)

    def look_into(self, key: bytes, record: bytes) -> None:
        """Put a new number on its day; one that can't be read is kept, and not looked at."""
        try:
            self.note(place_of(key), unpack(record))
        except Exception as error:  # noqa: BLE001 - a damaged record can raise anything
            self.unreadable.append((key.hex(), error))

    def take_unreadable(self) -> list[tuple[str, Exception]]:
        """The numbers that could not be read since the last call: (name, what was raised)."""
        taken, self.unreadable = self.unreadable, []
        return taken

    def due(self, before: int, count: int) -> Iterator[int]:
        """Take out up to `count` places that stand on days before `before`, the earliest first."""
        while count and self.heard_on and (day := min(self.heard_on)) < before:
            places = self.heard_on[day]
            taken = places[-count:]
            del places[-count:]
            if not places:
                del self.heard_on[day]
            count -= len(taken)
            yield from taken

    def look_at(self, key: bytes, mappings: list[Mapping], before: int) -> None:
        """Forget the orders of a number that count no more on a day."""
        kept = [mapping for mapping in mappings if self.last_day(mapping) >= before]
        if len(kept) < len(mappings):
            self.put(key, kept)
        if kept:
            self.note(place_of(key), kept, before)

    def days(self) -> dict[int, bytes]:
        """What stands on each day, as bytes."""
        return {day: places.tobytes() for day, places in self.heard_on.items()}

    def restore(self, pages: list[bytes], count: int, days: dict[int, bytes]) -> None:
        """Take the numbers of a base; those that a damaged page has lost are unreadable."""
        missing = self.table.restore(pages, count)
        try:
            check_count(count, missing)
        except ValueError as error:
            self.unreadable.append((f"{abs(missing)} of a damaged page", error))
        self.heard_on = {day: array("I", places) for day, places in days.items()}


def check_count(count: int, missing: int) -> None:
    """Check that none of the numbers of a base is missing.

    Raises:
        ValueError: some are, or there are too many.
    """
    if missing:
        message = (
            f"a base of {count} numbers holds {count - missing}; events that name only one of "
            "those missing wait until it is registered again, seven days at most"
        )
        raise ValueError(message)


def both(one: Mapping, other: Mapping) -> Mapping:
    """What is known of an order of a number from two sides."""
    return Mapping(
        one.order_id,
        one.carrier or other.carrier,
        min(one.valid_from, other.valid_from),
        min(one.arrival_at, other.arrival_at),
        max(one.used_day, other.used_day),
        max(one.heard_day, other.heard_day),
        one.is_unused and other.is_unused,
    )
