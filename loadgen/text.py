"""The bytes and keys of generated messages."""

from loadgen.durations import PROMISE, table_of
from loadgen.lives import KINDS, Life, kind_of, names_order
from loadgen.malformed import bad_message, write_bad
from loadgen.messages import CARRIERS, carrier_of, instant, maker, waybill
from loadgen.stream import MALFORMED, Emission


class Text:
    """Writes the messages of a stream. `prefix` keeps the orders of several loads apart."""

    def __init__(self, prefix: str, scale: float, *, recorded: bool) -> None:
        """Create it; `recorded` gives every event its `recorded_at`; `scale` is that of lives."""
        self.recorded = recorded
        self.order = f"{prefix}-%s".encode()
        promises = [round(promise_ms * scale) for promise_ms in table_of(PROMISE)]
        steps = [(life, range(len(life.steps))) for life in KINDS]
        self.makers = [
            [maker(prefix, life, n, promises) for n in numbers] for life, numbers in steps
        ]
        self.keys = [[keys(prefix, life, n) for n in numbers] for life, numbers in steps]

    def value(self, sent: Emission, shift_ms: int = 0) -> bytes:
        """The message; `shift_ms` is how far the live clock is ahead of the stream's."""
        arrival_at, serial, step, at, chance = sent
        name = b"%010d" % serial
        time = instant(at + shift_ms)
        end = b"}"
        if self.recorded:
            end = b',"recorded_at":"%s"}' % (time if arrival_at == at else instant(arrival_at))
        if step != MALFORMED:
            make = self.makers[kind_of(serial, chance)][step]
            return make(name, chance, at + shift_ms, time, end)
        bad = self.order % (b"%s-bad-%d" % (name, at))
        return write_bad(bad_message(chance + at), bad, at + shift_ms, end)

    def key(self, sent: Emission) -> bytes:
        """Key of the message: its order, else its waybill."""
        _, serial, step, _, chance = sent
        name = b"%010d" % serial
        if step == MALFORMED:
            return self.order % name
        return self.keys[kind_of(serial, chance)][step][carrier_of(chance)] % name


def keys(prefix: str, life: Life, number: int) -> list[bytes]:
    """The templates of a step's key, by carrier."""
    if names_order(life, number):
        return [f"{prefix}-%s".encode()] * len(CARRIERS)
    parcel = life.steps[number].parcel
    return [waybill(prefix, carrier, parcel).encode() for carrier in range(len(CARRIERS))]


def tick(at: int) -> bytes:
    """The promise that everything recorded up to `at` has been written."""
    return b'{"kind":"tick","recorded_at":"%s"}' % instant(at)
