"""One round of `python -m benchmarks numbers`, of the engine that PYTHONPATH leads to.

It uses what checkouts before the compiled core had as well: `Resolver` and its snapshots.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from dataflows.core.fact import Fact
from dataflows.core.questions import Answers, Question, Registration, number_key
from dataflows.core.resolve import Resolver, ResolverSnapshot

START_AT = 1_760_000_000_000
CHUNK = 20_000
BATCH = 100
CROWD = 3_000
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(ResolverSnapshot).decode


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE_BYTES


def key_of(serial: int) -> str:
    return number_key("default", "waybill", f"SF{serial:012d}")


def registrations(serials: Iterable[int]) -> list[Registration]:
    return [
        Registration(key_of(each), f"order-{each:09d}", "sf", START_AT, START_AT)
        for each in serials
    ]


def chunks(serials: Iterable[int]) -> list[list[Registration]]:
    """Registrations as a batch brings them to a shard, about a hundred at once."""
    found = registrations(serials)
    return [found[first : first + BATCH] for first in range(0, len(found), BATCH)]


def questions(serials: Iterable[int], later_ms: int) -> list[Question]:
    at = START_AT + later_ms
    return [
        Question(
            key_of(each),
            "default",
            "sf",
            Fact("", at, at, 6, "", "carrier:sf", f"e{each}", each, b"{}"),
        )
        for each in serials
    ]


Make = Callable[[range], Sequence[object]]


def timed(
    count: int,
    make: Make,
    call: Callable[[object], None],
    between: Callable[[], None] = lambda: None,
) -> float:
    """CPU µs a call; neither what the calls take nor what comes between chunks is in it."""
    spent = 0.0
    for first in range(0, count, CHUNK):
        made = make(range(first, min(first + CHUNK, count)))
        began = time.process_time()
        for each in made:
            call(each)
        spent += time.process_time() - began
        between()
    return spent / count * 1e6


def main(count: int) -> dict[str, float]:
    found: dict[str, float] = {}
    resolver, answers = Resolver(), Answers()

    def register(chunk: object) -> None:
        resolver.offer(chunk, [])  # type: ignore[arg-type]  # made by `chunks`
        resolver.advance(START_AT, answers)

    def ask(asked: object) -> None:
        resolver.ask(asked, answers)  # type: ignore[arg-type]  # made by `questions`
        answers.facts.clear()

    def step(name: str, call: Callable[[], object], of: int = count) -> None:
        began = time.process_time()
        call()
        found[name] = (time.process_time() - began) / of * 1e6

    def delta_untimed() -> None:
        resolver.snapshot(base=False)

    list(map(key_of, range(CHUNK)))
    before = resident_bytes()
    found["delta_us"] = 0.0

    def delta() -> None:
        began = time.process_time()
        encode(resolver.snapshot(base=False))
        found["delta_us"] += (time.process_time() - began) / count * 1e6

    found["register_us"] = timed(count, chunks, register, delta)
    found["resident_bytes"] = (resident_bytes() - before) / count
    found["register_again_us"] = timed(count, chunks, register)
    for name, later_ms in (("ask_us", 86_400_000), ("ask_again_us", 86_400_001)):
        found[name] = timed(count, partial(questions, later_ms=later_ms), ask, delta_untimed)
    blobs: list[bytes] = []
    step("base_us", lambda: blobs.append(encode(resolver.snapshot(base=True))))
    found["base_bytes"] = len(blobs[0]) / count
    again = Resolver()
    step("restore_us", lambda: again.restore([decode(blobs[0])]))

    def crowd() -> None:
        for serial in range(CROWD):
            registration = Registration(
                key_of(count), f"order-{serial:09d}", "", START_AT, START_AT
            )
            register([registration])
            encode(resolver.snapshot(base=False))

    step("crowd_us", crowd, CROWD)
    if answers.faults or answers.rejected or resolver.waiting_count:
        raise SystemExit(f"{len(answers.faults)} faults, {len(answers.rejected)} rejected")
    return found


if __name__ == "__main__":
    json.dump(main(int(sys.argv[1])), sys.stdout)
