"""The native step says what the Python core says, to the byte's meaning, and is the usual one."""

from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.compiled import native
from dataflows.core.documents import document
from dataflows.core.packing import unpack
from dataflows.core.shard import Shard
from dataflows.outbox import messages
from schemas.errors import Rejected
from schemas.instants import HOUR_MS, format_instant
from tests import generators
from tests.core.stage import RULES, TABLE, Json, day, fact_of, said

CODES = [
    *("PENDING_PAYMENT", "PAID", "ALLOCATED", "LABEL_CREATED", "COLLECTED", "IN_TRANSIT"),
    *("SCAN", "CUSTOMS_HOLD", "CUSTOMS_CLEARED", "OUT_FOR_DELIVERY", "DELIVERED", "COMPLETED"),
]  # fmt: skip
# Whatever JSON has to escape, and what it hasn't.
texts = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1)
degrees = st.floats(-90, 90) | st.integers(-90, 90).map(float)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1)
scalars = numbers | texts | st.booleans() | st.none()


class Told:
    """A shard, and the messages that come of what it says."""

    def __init__(self, module: ModuleType | None) -> None:
        self.shard = Shard(TABLE, RULES, {}, module)

    def hear(self, events: list[Json], through: int) -> list[Any]:
        for event in events:
            try:
                self.shard.offer([fact_of(event)])
            except Rejected:
                continue  # the same for both: nothing of it is native
        out = self.shard.advance(through)
        found = [
            (m.topic, m.key, m.headers, m.value and msgspec.json.decode(m.value))
            for m in messages(out, [], through)
        ]
        counts = (out.applied, out.duplicates, out.refused, len(out.rejected))
        return [counts, *sorted(found, key=repr), self.documents()]

    def documents(self) -> dict[str, Any]:
        held = self.shard.held
        packed = {**held.cold_rows, **held.orders}
        orders = {key: unpack(key, data) for key, data in packed.items() if data}
        return {
            key: (document(order, self.shard.desk), order.armed_at, order.words(), order.side)
            for key, order in orders.items()
        }


def check(events: list[Json], steps: list[int], early: list[Json] | None = None) -> None:
    """Give both the same; what arrives before the next step is shown ahead of the clock.

    Those that come `early` are shown from the beginning, as of a partition that is read faster.
    """
    module = native()
    if module is None:
        pytest.skip("ordertide-native isn't installed: make native")
    python, mixed = Told(None), Told(module)
    left = [event for event in events if event not in (early or [])]
    python.hear(early or [], 0)
    mixed.hear(early or [], 0)
    for through, ahead in zip(steps, [*steps[1:], steps[-1]], strict=True):
        come = [event for event in left if generators.arrival_of(event) <= ahead]
        left = [event for event in left if generators.arrival_of(event) > ahead]
        assert mixed.hear(come, through) == python.hear(come, through)


@given(st.data())
def test_any_events_come_to_the_same(data: st.DataObject) -> None:
    events = data.draw(generators.event_sets().flatmap(st.permutations))
    early = data.draw(st.lists(st.sampled_from(events), max_size=4)) if events else []
    check(events, sorted(data.draw(generators.clock_steps(events))), early)


@given(st.data())
def test_a_journey_comes_to_the_same_whatever_it_says(data: st.DataObject) -> None:
    parcels = data.draw(st.lists(texts, min_size=1, max_size=2))
    events: list[Json] = []
    for number, code in enumerate(data.draw(st.lists(st.sampled_from(CODES), max_size=12))):
        at = day(0, number * 3)
        parts = st.fixed_dictionaries(
            {},
            optional={
                "shipment": st.sampled_from(parcels),
                "carrier": texts,
                "location": st.fixed_dictionaries(
                    {}, optional={"name": texts, "lat": degrees, "lon": degrees}
                ),
                "customer_id": texts,
                "references": st.dictionaries(texts, texts | st.lists(texts), max_size=2),
                "attributes": st.dictionaries(texts, scalars, max_size=3),
            },
        )
        events.append(said(code, at, at + 1_000, **data.draw(parts)))
    check(events, [day(0, number * 2) for number in range(20)] + [day(9)])


def test_what_a_refused_command_said_is_not_shown() -> None:
    cold = {"attributes": {"temperature_max_c": 8.0}}
    events = [
        said("PAID", day(0), day(0)),
        said("CANCELLED", day(0, 1), day(0, 1)),
        said("ALLOCATED", day(0, 2), day(0, 2), kind="command", **cold),
        said("SCAN", day(0, 3), day(0, 3)),
    ]
    check(events, [day(0, hours) for hours in range(6)])


def test_the_usual_journey_needs_no_python() -> None:
    module = native()
    if module is None:
        pytest.skip("ordertide-native isn't installed: make native")
    shard = Shard(TABLE, RULES, {}, module)
    assert shard.usual
    shard.offer([fact_of(said("SCAN", day(0), day(0), order_id="other"))])  # the source is known
    shard.advance(day(0))
    for number, code in enumerate(CODES):
        at = day(0, 1 + number)
        event = said(code, at, at, shipment="SF1" if number > 2 else None)
        shard.offer([fact_of({k: v for k, v in event.items() if v is not None})])
        shard.advance(at - HOUR_MS // 2)
        # Statuses that stop or run a clock of their own are Python's.
        assert ("o1" in shard.usual.chains) == (
            code not in {"CUSTOMS_HOLD", "CUSTOMS_CLEARED", "OUT_FOR_DELIVERY"}
        )
        shard.advance(at)
    assert set(shard.held.orders) == {"o1", "other"}


def test_an_order_of_which_nothing_is_to_be_said_needs_no_python_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = native()
    if module is None:
        pytest.skip("ordertide-native isn't installed: make native")
    shard = Shard(TABLE, RULES, {}, module)
    for code, hours in (("PAID", 0), ("LABEL_CREATED", 1), ("COLLECTED", 2), ("SCAN", 20)):
        shard.offer([fact_of(said(code, day(0, hours), day(0, hours), shipment="SF1"))])
        shard.advance(day(0, hours))
    monkeypatch.setattr(shard, "open", pytest.fail)
    assert shard.held.armed("o1") == day(0, 1 + 24), "armed for a label that nobody collected"
    shard.advance(day(0, 25))
    assert shard.held.armed("o1") == day(0, 20 + 48), "and then for silence after the scan"
    scans = [fact_of(said("SCAN", at, at, shipment="SF1")) for at in (day(0, 67), day(0, 114))]
    shard.offer(scans)
    shard.advance(day(0, 114))
    assert shard.held.armed("o1") == day(0, 114 + 48), "both, as nothing was due between them"
    monkeypatch.undo()
    shard.offer([fact_of(said("DELIVERED", day(5), day(5), shipment="SF1"))])
    shard.advance(day(20))
    monkeypatch.setattr(shard, "open", pytest.fail)
    assert [change.document for change in shard.advance(day(66)).changes] == [None]
    assert not shard.held.orders


@pytest.mark.parametrize("first", ["PENDING_PAYMENT", "PAID"])
@pytest.mark.parametrize("waiting", ["ALLOCATED", "COLLECTED", "IN_TRANSIT", "DELIVERED"])
def test_what_waits_follows_from_what_a_deadline_did_before_it(first: str, waiting: str) -> None:
    """A step was once made of the order as shown, and undid the alert of a wake without facts."""
    late = said(waiting, day(14), day(14))
    check([said(first, day(0), day(0)), late], [day(0), day(3), day(13), day(14), day(20)], [late])


def test_an_order_with_an_open_alert_is_shown_by_the_native_module_too() -> None:
    module = native()
    if module is None:
        pytest.skip("ordertide-native isn't installed: make native")
    shard = Shard(TABLE, RULES, {}, module)
    shard.offer([fact_of(said("PAID", day(0), day(0), ship_by=format_instant(day(2))))])
    shard.advance(day(0))
    out = shard.advance(day(2))
    assert [alert.rule for _, alert in out.alerts] == ["late_shipping"]
    assert [type(change.document) for change in out.changes] == [bytes]
