"""Telling orders of a live demo: one of each trouble, to which its board points ("try these").

Times are counted back from the end of the history. With them come some messages that nobody can
use, as every installation has: they are dead letters.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from commands.demo.orders import (
    HISTORY_END_AT,
    PREFIX,
    STORM_CARRIER,
    STORM_HUB,
    SUPPLIERS,
    Sale,
    Timed,
    placed,
    sale,
    scan,
    waybill,
)
from commands.demo.places import BY_NAME, Town
from schemas.instants import HOUR_MS, format_instant

LATE, COLD, SPLIT, RETURNED = (f"{PREFIX}{name}" for name in ("late", "cold", "split", "return"))
SILENT = f"/?lane=warning&rule=carrier_silent&carrier={STORM_CARRIER}&place={STORM_HUB.name}"
# The links of the board's "try these", by the name of their text in gateway/board/texts.toml.
EXAMPLES: Mapping[str, str] = {
    "late": f"/orders/{LATE}",
    "cold": f"/orders/{COLD}",
    "split": f"/orders/{SPLIT}",
    "returned": f"/orders/{RETURNED}",
    "silent": SILENT,
    "share": f"/orders/{LATE}/share",
}
TYPING_ERRORS = ("DELIVERD", "DELIVERD", "ALOCATED", "SHIPPD", "DELIVERD", "picked up?")
NO_TIMES = ("yesterday", "30/11 14:05")


class Story(NamedTuple):
    """Story of one order; hours are counted back from the end of the history."""

    order: Sale

    def did(self, hours: float, status: str, source: str) -> Timed:
        """A step of the order itself."""
        return self.order.event(ago(hours), status, source)

    def paid(self, hours: float) -> Iterator[Timed]:
        """An order that was placed `hours` ago, then paid and packed."""
        yield placed(self.order, ago(hours))
        yield self.did(hours - 1, "PAID", "shop")
        yield self.did(hours - 9, "ALLOCATED", "wms")

    def scanned(self, hours: float, status: str, town: str, parcel: int = 1) -> Timed:
        """A scan of a parcel; `step` makes several with one status differ."""
        return scan(self.order, ago(hours), status, BY_NAME[town], parcel, round(hours))


def telling(seed: int) -> list[Timed]:
    """Events of the telling orders, and the messages that can't be used."""
    events = [*late(seed), *cold(seed), *split(seed), *returned(seed), *unusable()]
    return sorted(events, key=lambda timed: timed[:3])


def late(seed: int) -> Iterator[Timed]:
    """Two days past its promise, and out for delivery since yesterday."""
    story = Story(late_sale(seed))
    yield from story.paid(9 * 24)
    yield story.scanned(190, "COLLECTED", "Campinas")
    yield story.scanned(172, "IN_TRANSIT", "São Paulo")
    at, source, name, event = story.scanned(131, "IN_TRANSIT", "Salvador")
    arrived_at = at + 9 * HOUR_MS
    yield arrived_at, source, name, event | {"recorded_at": format_instant(arrived_at)}
    yield story.scanned(66, "IN_TRANSIT", "Recife")
    yield story.scanned(20, "OUT_FOR_DELIVERY", "Recife")


def cold(seed: int) -> Iterator[Timed]:
    """A cold chain that broke seven hours ago, on the way to Manaus."""
    order = drawn(seed, COLD, "Manaus", "jadlog", 72, 48, parcels=1)
    story = Story(order._replace(is_cold=True))
    celsius = (5.1, 6.2, 11.4)
    scans = (
        story.scanned(50, "COLLECTED", "Campinas"),
        story.scanned(29, "IN_TRANSIT", "São Paulo"),
        story.scanned(7, "IN_TRANSIT", "Brasília"),
    )
    yield from story.paid(72)
    for (at, source, name, event), value in zip(scans, celsius, strict=True):
        yield at, source, name, event | {"attributes": {"temperature_c": value}}


def split(seed: int) -> Iterator[Timed]:
    """Two parcels: one has arrived, of the other nothing has been heard for 60 hours."""
    story = Story(drawn(seed, SPLIT, "Belo Horizonte", "correios", 6 * 24, 60, parcels=2))
    yield from story.paid(6 * 24)
    for parcel in (1, 2):
        yield story.scanned(118, "COLLECTED", "Campinas", parcel)
        yield story.scanned(99, "IN_TRANSIT", "São Paulo", parcel)
    yield story.scanned(60, "IN_TRANSIT", "Belo Horizonte", 2)
    yield story.scanned(47, "OUT_FOR_DELIVERY", "Belo Horizonte", 1)
    yield story.scanned(43, "DELIVERED", "Belo Horizonte", 1)


def returned(seed: int) -> Iterator[Timed]:
    """A return that should have arrived two days ago."""
    story = Story(drawn(seed, RETURNED, "Curitiba", "correios", 24 * 24, -17 * 24, parcels=1))
    yield from story.paid(24 * 24)
    yield story.scanned(540, "COLLECTED", "Campinas")
    yield story.scanned(518, "IN_TRANSIT", "Curitiba")
    yield story.scanned(492, "OUT_FOR_DELIVERY", "Curitiba")
    yield story.scanned(486, "DELIVERED", "Curitiba")
    yield story.did(16 * 24, "RETURN_REQUESTED", "shop")
    yield story.did(15 * 24 + 20, "RETURNING", "shop")


def unusable() -> Iterator[Timed]:
    """Messages with a status or a time that there isn't."""
    faults: list[dict[str, Any]] = [{"status_code": code} for code in TYPING_ERRORS]
    faults += [{"status_code": "ALLOCATED", "timestamp": text} for text in NO_TIMES]
    for number, fault in enumerate(faults):
        at, name = ago(30 - 3 * number), f"export:{number}"
        event = {
            "event_id": name,
            "order_id": f"{PREFIX}{number:05d}",
            "timestamp": format_instant(at),
            "source": "erp",
        }
        yield at, "erp", name, event | fault


def late_sale(seed: int) -> Sale:
    """The order that a callback of its carrier takes out of the red lane."""
    return drawn(seed, LATE, "Recife", STORM_CARRIER, 9 * 24, -51, parcels=1)


def late_number(seed: int) -> str:
    """The waybill of its parcel."""
    return waybill(late_sale(seed), 1)


def delivered(seed: int, at: int) -> dict[str, str]:
    """The callback by which its carrier reports that it was delivered at `at` (ms)."""
    return {
        "order_id": LATE,
        "waybill": late_number(seed),
        "status_code": "DELIVERED",
        "timestamp": format_instant(at),
        "location": "Recife",
    }


def drawn(
    seed: int, order_id: str, town: str, carrier: str, hours: float, due_in: float, parcels: int
) -> Sale:
    """An order of `hours` ago, promised for `due_in` hours after the end of the history."""
    end: Town = BY_NAME[town]
    return sale(order_id, ago(hours), seed)._replace(
        supplier=SUPPLIERS[0],
        town=end,
        carrier=carrier,
        parcels=parcels,
        is_cold=False,
        promised_at=ago(-due_in),
    )


def ago(hours: float) -> int:
    """The instant (ms) `hours` before the end of the history."""
    return HISTORY_END_AT - int(hours * HOUR_MS)
