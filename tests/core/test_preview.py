"""Previews: facts read ahead of the watermark change what is shown early, never a result."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.core.shard import Shard
from dataflows.output_messages import messages, singly
from schemas import topics
from schemas.errors import Rejected
from tests.support import generators
from tests.support.stage import RULES, TABLE, Json, day, fact_of, sent


class Reader:
    """A shard, and the messages that it published but for documents, which previews come before."""

    def __init__(self) -> None:
        self.shard = Shard(TABLE, RULES, {})
        self.counts = [0, 0, 0, 0]
        self.sent: list[Any] = []
        self.retired: dict[str, bytes | None] = {}

    def read(self, events: list[Json]) -> None:
        for event in events:
            try:
                self.shard.offer([fact_of(event)])
            except Rejected:
                continue  # refused before a shard sees it

    def advance(self, watermark: int) -> None:
        out = self.shard.advance(watermark)
        counts = (out.applied, out.duplicates, out.refused, len(out.rejected))
        self.counts = [a + b for a, b in zip(self.counts, counts, strict=True)]
        found = [
            (m.topic, m.key, m.value)
            for m in singly(messages(out, watermark))
            if m.topic != topics.ORDERS_CHANGES
        ]
        self.sent += sorted(found, key=repr)

    def result(self) -> tuple[Any, ...]:
        self.retired |= dict(self.shard.take_cold_rows())
        packed = {**self.retired, **self.shard.orders()}
        documents = {key: self.shard.document(key, data) for key, data in packed.items() if data}
        return self.counts, self.sent, documents


def check(events: list[Json], steps: list[int]) -> None:
    """Read each event when the watermark reaches it, one step early, and all at the beginning."""
    on_time, early, at_once = Reader(), Reader(), Reader()
    left, left_early = list(events), list(events)
    at_once.read(events)
    at_once.advance(0)
    for watermark, ahead in zip(steps, [*steps[1:], steps[-1]], strict=True):
        for reader, waiting, until in ((on_time, left, watermark), (early, left_early, ahead)):
            come = [event for event in waiting if generators.arrival_of(event) <= until]
            waiting[:] = [event for event in waiting if generators.arrival_of(event) > until]
            reader.read(come)
        for reader in (on_time, early, at_once):
            reader.advance(watermark)
    assert early.result() == on_time.result()
    assert at_once.result() == on_time.result()


@given(st.data())
def test_a_preview_never_changes_a_result(data: st.DataObject) -> None:
    events = data.draw(generators.event_sets().flatmap(st.permutations))
    check(events, sorted(data.draw(generators.clock_steps(events))))


def test_a_refused_command_is_not_previewed() -> None:
    cold = {"attributes": {"temperature_max_c": 8.0}}
    events = [
        sent("PAID", day(0), day(0)),
        sent("CANCELLED", day(0, 1), day(0, 1)),
        sent("ALLOCATED", day(0, 2), day(0, 2), kind="command", **cold),
        sent("SCAN", day(0, 3), day(0, 3)),
    ]
    check(events, [day(0, hours) for hours in range(6)])


@pytest.mark.parametrize("first", ["PENDING_PAYMENT", "PAID"])
@pytest.mark.parametrize("waiting", ["ALLOCATED", "COLLECTED", "IN_TRANSIT", "DELIVERED"])
def test_a_deadline_before_a_previewed_fact_is_kept(first: str, waiting: str) -> None:
    """A preview was once taken as it was shown, and undid the alert of a wake without facts."""
    late = sent(waiting, day(14), day(14))
    check([sent(first, day(0), day(0)), late], [day(0), day(3), day(13), day(14), day(20)])
