"""Each bound reports how full it is, and an event beyond it is rejected with a code of its own."""

from dataflows.core.snapshots import decode_snapshot, encode_snapshot
from tests.support.stage import Stage, day, sent

MAX_SOURCES = 65_535


def test_a_shard_that_has_seen_all_the_sources_it_can_number_rejects_new_ones_only() -> None:
    stage = Stage()
    snapshot = decode_snapshot(stage.shard.snapshot(base=True))
    snapshot.sources = [f"device-{number}" for number in range(MAX_SOURCES - 2)]
    stage.shard.restore([encode_snapshot(snapshot)])
    events = [
        sent("PAID", day(0) + number, source=source, order_id=f"o{number}")
        for number, source in enumerate(["shop", "erp", "sensor", "shop"])
    ]
    stage.hear(*events, watermark=day(1))
    assert [refusal.code for refusal in stage.rejected] == ["too_many_names"]
    assert stage.shard.bounds()["source_names"] == 1.0
    stage.restart()
    assert stage.shard.bounds()["source_names"] == 1.0


def test_the_longest_history_of_an_order_shows() -> None:
    stage = Stage()
    stage.hear(*[sent("SCAN", day(0) + number) for number in range(20)], watermark=day(1))
    assert stage.shard.bounds()["events_of_an_order"] == 20 / 2_000
