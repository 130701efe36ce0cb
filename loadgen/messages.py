"""Messages of generated events: one template for each step of each life."""

from collections.abc import Callable, Sequence
from functools import lru_cache

from loadgen.chance import shared_out, zipf
from loadgen.lives import Life, Step, names_order
from schemas.instants import MINUTE_MS, format_instant

# (number of the order, its chance, instant, the same in words, end) → the event
Make = Callable[[bytes, int, int, bytes, bytes], bytes]

CARRIERS = (("sf", 30), ("jd", 15), ("zto", 15), ("yto", 14), ("yunda", 12), ("sto", 8), ("ems", 6))
CARRIER_OF = shared_out([(n, share) for n, (_, share) in enumerate(CARRIERS)], 64)
SELLERS = shared_out(zipf(10_000, 1.1), 65_536)
CUSTOMERS = 2_000_000
SOURCES = {"user": "user:web"}
ORDER = '"order_id":"{order}",'
COLD = ',"attributes":{"cold_chain":true,"temperature_max_c":8.0}'
# Places where parcels are scanned (WGS 84).
PLACES = tuple(
    b'{"name":"%s","lat":%.2f,"lon":%.2f}' % place
    for place in (
        (b"Shanghai hub", 31.23, 121.47),
        (b"Beijing hub", 39.90, 116.40),
        (b"Guangzhou hub", 23.13, 113.26),
        (b"Shenzhen depot", 22.54, 114.06),
        (b"Hangzhou depot", 30.27, 120.15),
        (b"Chengdu hub", 30.57, 104.07),
        (b"Wuhan hub", 30.59, 114.31),
        (b"Xi'an depot", 34.34, 108.94),
        (b"Nanjing depot", 32.06, 118.80),
        (b"Chongqing hub", 29.56, 106.55),
        (b"Shenyang hub", 41.80, 123.43),
        (b"Qingdao depot", 36.07, 120.38),
        (b"Kunming depot", 25.04, 102.71),
        (b"Harbin depot", 45.80, 126.53),
        (b"Zhengzhou hub", 34.75, 113.63),
        (b"Hong Kong airport", 22.31, 113.91),
    )
)
READINGS = [b',"attributes":{"temperature_c":%d.%d}' % divmod(tenth, 10) for tenth in range(20, 84)]

OF_MINUTE = [b"%02d.%03dZ" % divmod(ms, 1000) for ms in range(MINUTE_MS)]


def instant(at: int) -> bytes:
    """An instant as it is written. Times of the same minute share their beginning."""
    minute, ms = divmod(at, MINUTE_MS)
    return minute_text(minute) + OF_MINUTE[ms]


@lru_cache(maxsize=100_000)
def minute_text(minute: int) -> bytes:
    """`2018-01-31T02:30:` of a minute counted from the epoch."""
    return format_instant(minute * MINUTE_MS)[: len("2018-01-31T02:30:")].encode()


def carrier_of(chance: int) -> int:
    """The carrier of an order, as an index."""
    return CARRIER_OF[chance >> 26 & 63]


def waybill(prefix: str, carrier: int, parcel: int) -> str:
    """The template of a waybill; it takes the order's number."""
    return f"{CARRIERS[carrier][0].upper()}{prefix}-%s-{parcel}"


def head(prefix: str, step: Step, number: int, source: str) -> str:
    """The common beginning of all events; takes the order's number and the time."""
    return (
        f'{{"event_id":"{prefix}-%s-{number}","status_code":"{step.code}","timestamp":"%s",'
        f'"source":"{source}",'
    )


def maker(prefix: str, life: Life, number: int, promises: Sequence[int]) -> Make:
    """The formatter of one step's events in a life; `promises` in ms."""
    step = life.steps[number]
    if step.source == "carrier":
        return scanned(prefix, life, number)
    if number == 0:
        return created(prefix, life, promises)
    return labelled(prefix, life, number) if step.parcel else moved(prefix, step, number)


def created(prefix: str, life: Life, promises: Sequence[int]) -> Make:
    """The shop has an order."""
    text = (
        f'{head(prefix, life.steps[0], 0, "shop")}"order_id":"{prefix}-%s",'
        '"customer_id":"C%07d","supplier_id":"S%05d",'
        f'"references":{{"erp":"SO-{prefix}-%s"}},"promised_at":"%s"'
        f"{COLD if life.is_cold else ''}%s"
    ).encode()

    def make(name: bytes, chance: int, at: int, time: bytes, end: bytes) -> bytes:
        seller = SELLERS[chance >> 10 & 0xFFFF]
        promised = instant(at + promises[chance >> 44 & 1023])
        person = chance % CUSTOMERS
        return text % (name, time, name, person, seller, name, promised, end)

    return make


def moved(prefix: str, step: Step, number: int) -> Make:
    """Shop, warehouse or customer move the order. Nothing of it is left to chance."""
    kind = '"kind":"command",' if step.is_command else ""
    source = SOURCES.get(step.source, step.source)
    text = f'{head(prefix, step, number, source)}{kind}"order_id":"{prefix}-%s"%s'.encode()

    def make(name: bytes, _: int, __: int, time: bytes, end: bytes) -> bytes:
        return text % (name, time, name, end)

    return make


def labelled(prefix: str, life: Life, number: int) -> Make:
    """The warehouse has printed a label: from now on the carrier's scans find the order."""
    step = life.steps[number]
    texts = [
        (
            f'{head(prefix, step, number, step.source)}"order_id":"{prefix}-%s",'
            f'"waybill":"{waybill(prefix, carrier, step.parcel)}","carrier":"{name}"%s'
        ).encode()
        for carrier, (name, _) in enumerate(CARRIERS)
    ]

    def make(name: bytes, chance: int, _: int, time: bytes, end: bytes) -> bytes:
        return texts[carrier_of(chance)] % (name, time, name, name, end)

    return make


def scanned(prefix: str, life: Life, number: int) -> Make:
    """The carrier has scanned the parcel somewhere."""
    step = life.steps[number]
    knows_order = names_order(life, number)
    order = f'"order_id":"{prefix}-%s",' if knows_order else ""
    texts = [
        (
            f"{head(prefix, step, number, f'carrier:{name}')}{order}"
            f'"waybill":"{waybill(prefix, carrier, step.parcel)}","carrier":"{name}",'
            '"location":%s%s%s'
        ).encode()
        for carrier, (name, _) in enumerate(CARRIERS)
    ]
    places = [PLACES[(n + number * 5) % len(PLACES)] for n in range(len(PLACES))]
    readings = READINGS if life.is_cold else [b""]

    def make(name: bytes, chance: int, _: int, time: bytes, end: bytes) -> bytes:
        place = places[chance >> 32 & 15]
        reading = readings[(chance >> 36) % len(readings)]
        text = texts[carrier_of(chance)]
        if knows_order:
            return text % (name, time, name, name, place, reading, end)
        return text % (name, time, name, place, reading, end)

    return make
