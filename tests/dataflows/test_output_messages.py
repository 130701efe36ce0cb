"""Output messages: what of a shard's outcomes goes to which topic, under which headers."""

from collections import defaultdict

from dataflows.core.shard import Shard
from dataflows.output_messages import CLOCK_EVERY, Outgoing, messages, singly
from schemas import topics
from tests.support.stage import NO_RULES, TABLE, day, fact_of, sent

CLOCK = (topics.HEADER_CLOCK, b"%d" % day(1))
ORDERS = 2 * CLOCK_EVERY + 1


def emitted(shard: Shard, watermark: int) -> dict[str, list[Outgoing]]:
    """The messages of an advance, by topic."""
    found = defaultdict[str, list[Outgoing]](list)
    for message in singly(messages(shard.advance(watermark), watermark)):
        found[message.topic].append(message)
    return found


def test_only_some_events_carry_the_clock_and_only_tombstones_the_version() -> None:
    shard = Shard(TABLE, NO_RULES, {})
    shard.offer(fact_of({**sent("PAID", day(0)), "order_id": f"o{n}"}) for n in range(ORDERS))
    found = emitted(shard, day(1))
    events, changes = found[topics.ORDERS_EVENTS], found[topics.ORDERS_CHANGES]
    assert [m.key for m in events] == [b"o%d" % n for n in range(ORDERS)]
    clocked = [number for number, message in enumerate(events) if message.headers == [CLOCK]]
    assert clocked == [0, CLOCK_EVERY, 2 * CLOCK_EVERY]
    assert sum(len(message.headers) for message in events) == len(clocked)
    assert [m.headers for m in changes] == [[CLOCK]] * ORDERS

    shard.offer([fact_of(sent("COMPLETED", day(1)))])
    late = day(1_000)
    gone = [m for m in emitted(shard, late)[topics.ORDERS_CHANGES] if m.value is None]
    assert {m.key for m in gone} >= {b"o1"}
    for message in gone:
        assert [name for name, _ in message.headers] == [topics.HEADER_CLOCK, topics.HEADER_VERSION]
        assert topics.number_in(message.headers, topics.HEADER_CLOCK) == late
        assert (topics.number_in(message.headers, topics.HEADER_VERSION) or 0) >= 1
