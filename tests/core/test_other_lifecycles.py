"""Other lifecycles: without the columns that the shipped one has, and another one from now on."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.core.lifecycle import Lifecycle, LifecycleFile
from dataflows.core.lifecycle_check import check
from dataflows.core.output import decode_document
from dataflows.core.shard import Shard
from dataflows.core.snapshots import decode_snapshot
from dataflows.definition_files import read_rules
from tests import reference
from tests.core.test_against_reference import LIFECYCLE_FILE, RULES_FILE, Run, compare, rivalries
from tests.support import generators
from tests.support.stage import RULES, TABLE, Json, day, fact_of, sent

COLUMNS = (
    "ends_parcel", "ends_with", "turns", "arrives_back", "withdraws", "regular_after", "open_until",
    "milestone", "note", "stage",
)  # fmt: skip
KEYS = ("second_life_after", "zone", "carriers")


def without_columns(table: Json) -> Json:
    """The shipped lifecycle as it would be without the newer columns, keys and statuses."""
    rows = [row for row in table["status"] if not (row.get("milestone") or row.get("note"))]
    plain = [{name: row[name] for name in row if name not in COLUMNS} for row in rows]
    return {name: table[name] for name in table if name not in KEYS} | {"status": plain}


PLAIN = without_columns(LIFECYCLE_FILE)
PLAIN_TABLE = Lifecycle(msgspec.convert(PLAIN, LifecycleFile))
PLAIN_RULES = read_rules(None, PLAIN_TABLE)
CODES = {row["code"] for row in PLAIN["status"]}


def test_a_lifecycle_without_the_newer_columns_is_sound() -> None:
    assert check(PLAIN_TABLE.rows) == []
    assert PLAIN_TABLE.codes == TABLE.codes[: len(PLAIN_TABLE.codes)], "so facts are its own"


@settings(max_examples=40)
@given(st.data())
def test_a_lifecycle_without_the_newer_columns_equals_the_reference(data: st.DataObject) -> None:
    drawn = data.draw(generators.event_sets())
    events = [event for event in drawn if event["status_code"] in CODES and "zone" not in event]
    if not events:
        return
    steps = data.draw(generators.clock_steps(events))
    run = Run(PLAIN_TABLE)
    run.shard = Shard(PLAIN_TABLE, PLAIN_RULES, run.cold)
    for event in data.draw(generators.permuted(events)):
        run.offer(event)
    for watermark in steps:
        run.advance(watermark)
    expected = reference.evaluate(PLAIN, RULES_FILE, events, steps[-1])
    compare(run, expected, rivalries(events))


def seen_by(table: Lifecycle, *later: Json) -> tuple[str | None, bool]:
    """(status, whether its parcel goes back) of a turned order that begins without the columns."""
    shard = Shard(PLAIN_TABLE, RULES, {})
    turned = [
        sent("PAID", day(0)),
        sent("COLLECTED", day(1), waybill="W1", source="carrier:sf"),
        sent("RETURN_TO_SENDER", day(2), waybill="W1", source="carrier:sf"),
        sent("DELIVERED", day(3), waybill="W1", source="carrier:sf"),
    ]
    shard.offer([fact_of(event) for event in turned])
    shard.advance(day(4))
    base = shard.snapshot(base=True)
    shard = Shard(table, RULES, {})
    shard.restore([base])
    if decode_snapshot(base).digest != shard.digest:
        shard.reevaluate()
    shard.offer([fact_of(event) for event in later])
    shard.advance(day(5))
    found = decode_document(shard.document("o1", shard.orders()["o1"]) or b"")
    return found.status, found.shipments[0].direction == "return"


def test_after_a_change_of_the_lifecycle_live_orders_are_folded_anew_once() -> None:
    assert seen_by(PLAIN_TABLE) == ("DELIVERED", False)
    assert seen_by(TABLE) == ("RETURNED", True)
    assert seen_by(TABLE, sent("REFUNDED", day(5))) == ("REFUNDED", True)
