"""Orders set aside: whatever the evaluation of one order raises stops that order and no other."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.core.fact import Fact
from dataflows.core.output import decode_document
from dataflows.core.rules import Rules
from dataflows.core.set_aside import Fault
from dataflows.core.shard import Shard
from dataflows.core.snapshots import decode_snapshot, encode_snapshot
from dataflows.output_messages import Outgoing, messages, singly
from schemas import topics
from schemas.errors import Rejected, StoreUnavailable
from schemas.instants import format_instant
from tests.support import generators
from tests.support.stage import (
    MAX_WAITING_PER_ORDER,
    RULES,
    TABLE,
    Json,
    day,
    fact_of,
    sent,
)

decode_json = msgspec.json.decode


class Run:
    """A shard that publishes; its state goes through bytes at every restart."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules = rules
        self.cold: dict[str, bytes] = {}
        self.blobs: list[bytes] = []
        self.sent: list[Outgoing] = []
        self.faults: list[Fault] = []
        self.counts = dict.fromkeys(("read", "applied", "duplicates", "refused", "rejected"), 0)
        self.shard = self.new_shard()

    def new_shard(self) -> Shard:
        shard = Shard(TABLE, self.rules, self.cold)
        if self.blobs:
            shard.restore(self.blobs)
        return shard

    def read(self, *facts: Fact) -> None:
        self.shard.offer(facts)
        self.counts["read"] += len(facts)

    def advance(self, watermark: int) -> None:
        out = self.shard.advance(watermark)
        self.faults += [fault for fault in out.faults if not fault.is_preview]
        for name in ("applied", "duplicates", "refused"):
            self.counts[name] += getattr(out, name)
        self.counts["rejected"] += len(out.rejected)
        self.sent += singly(messages(out, self.shard.watermark))
        self.end_epoch()
        found = sum(count for name, count in self.counts.items() if name != "read")
        assert self.counts["read"] == found + self.shard.waiting_count, "conservation"

    def end_epoch(self) -> None:
        self.blobs.append(self.shard.snapshot(base=not self.blobs))
        for key, data in self.shard.take_cold_rows():
            if data is None:
                self.cold.pop(key, None)
            else:
                self.cold[key] = data

    def overwrite(self, orders: dict[str, bytes]) -> None:
        """Replace stored bytes, by another delta."""
        delta = decode_snapshot(self.shard.snapshot(base=False))
        delta.orders += orders.items()
        self.blobs.append(encode_snapshot(delta))

    def restart(self, releasing: list[str] | None = None) -> None:
        self.shard = self.new_shard()
        self.shard.release_at_next(releasing or [])

    def aside(self) -> list[str]:
        return sorted(self.shard.set_aside())

    def audit(self, what: str) -> list[Any]:
        entries = [decode_json(m.value or b"") for m in self.sent if m.topic == topics.ORDERS_AUDIT]
        return [entry for entry in entries if entry["what"] == what]

    def results(self, *keys: str) -> dict[str, Any]:
        """All that was published about some orders but for documents, and these as they are."""
        published = sorted(
            (m.topic, m.key, m.value)
            for m in self.sent
            if (m.key or b"").decode() in keys and m.topic != topics.ORDERS_CHANGES
        )
        packed = {**self.cold, **self.shard.orders()}
        documents = {
            key: decode_document(self.shard.document(key, packed[key]) or b"")
            for key in keys
            if key in packed
        }
        return {"published": published, "documents": documents}


def event(code: str, at: int, order_id: str = "o1", **fields: str) -> Fact:
    return fact_of(sent(code, at, at, order_id=order_id, **fields))


Poison = Callable[[Fact], Fact]
POISONS: dict[str, Poison] = {
    "a time that can't be packed": lambda fact: msgspec.structs.replace(fact, at=1 << 45),
    "a status that the lifecycle lacks": lambda fact: msgspec.structs.replace(fact, status=250),
    "an instant that can't be written": lambda fact: msgspec.structs.replace(
        fact, fields={"promised_at": 1 << 60}
    ),
    "fields of another shape": lambda fact: msgspec.structs.replace(
        fact, fields={"references": {"waybill": 5}}
    ),
}


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
@pytest.mark.parametrize("is_early", [False, True], ids=["on time", "previewed"])
def test_whatever_one_order_raises_the_others_go_on(poison: Poison, *, is_early: bool) -> None:
    run = Run()
    run.read(event("PAID", day(0)), event("PAID", day(0), "o2"))
    run.advance(day(0))
    before = run.shard.order("o1")
    run.read(poison(event("SHIPPED", day(1))), event("SHIPPED", day(1), "o2"))
    if is_early:
        run.advance(day(0, 1))
        assert run.aside() == [], "only what the watermark has reached sets an order aside"
    run.advance(day(1))
    assert run.aside() == ["o1"]
    assert run.shard.order("o1") == before, "its old bytes stay"
    assert run.results("o2")["documents"]["o2"].status == "SHIPPED"
    run.read(event("DELIVERED", day(2)), event("DELIVERED", day(2), "o2"))
    run.advance(day(2))
    assert run.shard.waiting_count == 2
    assert run.results("o2")["documents"]["o2"].status == "DELIVERED"
    [fault] = run.faults
    assert fault.key == "o1"
    assert fault.trace
    [entry] = run.audit("order.set_aside")
    assert (entry["order_id"], entry["at"]) == ("o1", format_instant(day(1)))
    assert entry["detail"]["code"] == "internal_fault"
    assert entry["detail"]["reason"] == fault.reason


@pytest.mark.parametrize("data", [b"", b"\xdc\0\x12\x02", b"\xdc\0\x12\x02\xcf1234"])
def test_an_order_whose_stored_bytes_are_broken_is_set_aside_at_the_restart(data: bytes) -> None:
    run = Run()
    run.read(event("PAID", day(0)), event("PAID", day(0), "o2"))
    run.advance(day(0))
    run.overwrite({"o1": data})
    run.restart()
    run.read(event("PAID", day(0), "o3"))
    run.advance(day(10))
    assert run.aside() == ["o1"]
    assert len(run.faults) == 1
    run.restart()
    run.advance(day(11))
    assert len(run.faults) == 1, "the mark is part of the state"
    rules = {alert.rule for alert in run.results("o2")["documents"]["o2"].open_alerts}
    assert rules == {"late_shipping"}


def test_an_order_that_retired_with_broken_bytes_is_set_aside_when_it_is_recalled() -> None:
    run = Run()
    run.cold["o1"] = b"\xdc\0\x12\x02broken"
    run.read(event("SCAN", day(0)), event("PAID", day(0), "o2"))
    run.advance(day(0))
    assert run.aside() == ["o1"]
    assert run.cold["o1"] == b"\xdc\0\x12\x02broken"
    assert run.shard.order("o2")


def test_a_store_that_cannot_be_read_is_no_fault_of_an_order() -> None:
    class Unreadable:
        def get(self, key: str) -> bytes | None:
            raise StoreUnavailable(f"disk gone, {key}")

    shard = Shard(TABLE, RULES, Unreadable())
    shard.offer([event("PAID", day(0))])
    with pytest.raises(StoreUnavailable):
        shard.advance(day(0))


def test_what_waits_with_an_order_is_bounded_and_nothing_is_lost_without_a_word() -> None:
    run = Run()
    run.read(POISONS["a status that the lifecycle lacks"](event("PAID", day(0))))
    run.advance(day(0))
    for number in range(MAX_WAITING_PER_ORDER + 5):
        run.read(event("SCAN", day(1), event_id=f"s{number}"))
    run.advance(day(1))
    assert run.shard.waiting_count == MAX_WAITING_PER_ORDER
    letters = [message for message in run.sent if message.topic == topics.EVENTS_REJECTED]
    assert len(letters) == 6
    assert {dict(letter.headers)[topics.HEADER_CODE] for letter in letters} == {b"internal_fault"}


def test_a_release_that_raises_again_stays_aside_and_says_why() -> None:
    run = Run()
    run.read(POISONS["a status that the lifecycle lacks"](event("PAID", day(0))))
    run.advance(day(0))
    run.restart(["o1"])
    run.read(event("SHIPPED", day(1)))
    run.advance(day(1))
    assert run.aside() == ["o1"]
    assert run.shard.set_aside()["o1"].releases == 1
    assert run.shard.waiting_count == 2
    assert len(run.faults) == 2
    assert not run.audit("order.released")


def test_the_prefix_that_does_not_raise_is_applied_however_much_comes_at_once() -> None:
    poison = POISONS["an instant that can't be written"]
    facts = [
        event("PAID", day(0)),
        event("ALLOCATED", day(4)),
        poison(event("SHIPPED", day(5))),
        event("DELIVERED", day(6)),
    ]
    at_once, stepwise = Run(), Run()
    at_once.read(*facts)
    at_once.advance(day(9))
    for fact in facts:
        stepwise.read(fact)
        stepwise.advance(fact.arrival_at)
    stepwise.advance(day(9))
    assert at_once.results("o1") == stepwise.results("o1")
    assert at_once.results("o1")["documents"]["o1"].status == "ALLOCATED"
    assert at_once.shard.waiting_count == stepwise.shard.waiting_count == 2


def facts_of(events: list[Json]) -> list[Fact]:
    found = []
    for one in events:
        try:
            found.append(fact_of(one))
        except Rejected:
            continue  # refused before a shard sees it
    return found


@settings(max_examples=25)
@given(st.data())
def test_an_order_with_a_fault_never_affects_the_results_of_the_others(data: st.DataObject) -> None:
    """Any events, arrivals, watermarks and restarts; the faulty order's facts among the others'."""
    events = data.draw(generators.event_sets())
    steps = sorted(data.draw(generators.clock_steps(events)))
    clean = facts_of(events)
    keys = sorted({fact.key for fact in clean})
    poison = POISONS[data.draw(st.sampled_from(sorted(POISONS)))]
    faulty = [msgspec.structs.replace(fact, key="faulty") for fact in clean[:6]]
    if faulty:
        at = data.draw(st.integers(0, len(faulty) - 1))
        faulty[at] = poison(faulty[at])
    alone, together = Run(), Run()
    left = data.draw(st.permutations([*clean, *faulty]))
    for watermark in steps:
        come = [fact for fact in left if fact.arrival_at <= watermark]
        left = [fact for fact in left if fact.arrival_at > watermark]
        together.read(*come)
        alone.read(*(fact for fact in come if fact.key != "faulty"))
        alone.advance(watermark)
        together.advance(watermark)
        if data.draw(st.booleans()):
            alone.restart()
            together.restart()
    assert together.results(*keys) == alone.results(*keys)


@settings(max_examples=25)
@given(st.data())
def test_a_released_order_ends_as_if_it_had_never_been_set_aside(data: st.DataObject) -> None:
    """Its stored bytes are broken for some time, then as they were, and it is released."""
    events = data.draw(generators.event_sets())
    steps = sorted(data.draw(generators.clock_steps(events)))
    facts = facts_of(events)
    whole, broken = Run(), Run()
    breaks_at = data.draw(st.sampled_from(steps))
    kept: dict[str, bytes] = {}
    left = data.draw(st.permutations(facts))
    for watermark in steps:
        come = [fact for fact in left if fact.arrival_at <= watermark]
        left = [fact for fact in left if fact.arrival_at > watermark]
        if watermark == breaks_at:
            kept = broken.shard.orders()
            broken.overwrite(dict.fromkeys(kept, b"broken"))
            broken.restart()
        for run in (whole, broken):
            run.read(*come)
            run.advance(watermark)
        if data.draw(st.booleans()):
            broken.restart()
    assert set(broken.aside()) <= set(kept)
    broken.overwrite({key: kept[key] for key in broken.aside()})
    broken.restart(broken.aside())
    broken.advance(steps[-1])
    assert broken.aside() == []
    keys = sorted({fact.key for fact in facts})

    def without_marks(run: Run) -> dict[str, Any]:
        found = run.results(*keys)
        marks = (b'"order.set_aside"', b'"order.released"')
        found["published"] = [
            message
            for message in found["published"]
            if not any(mark in (message[2] or b"") for mark in marks)
        ]
        return found

    assert without_marks(broken) == without_marks(whole)
