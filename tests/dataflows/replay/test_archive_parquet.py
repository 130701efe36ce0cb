"""The archive's Parquet files are a recording as good as the original one."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from dataflows.core.intake import Intake
from dataflows.core.routing import shard_of
from dataflows.core.shard import Shard
from dataflows.decoding import Decoder
from dataflows.definition_files import read_lifecycle, read_rules
from dataflows.replay.external_sort import Sorter
from dataflows.replay.recording import Counts, Recording, sort_files
from schemas.instants import DAY_MS, HOUR_MS, format_instant
from schemas.order import AcceptedEvent
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.tier import EventRecord
from tests.support.recording import Results, ordertide, replay, written
from tests.support.samples import Json, in_time, instant_of, some_orders, with_parcels
from tests.support.tiers.orders import START, Log, accepted, document

UNTIL = "2018-12-31T00:00:00-03:00"
SAID = ("orders", "alerts", "actions", "audit")


def with_shared_parcels(found: list[Json], rng: random.Random) -> list[Json]:
    """The same orders; every two of them share one parcel more, scanned by its waybill alone.

    The first order registers the number at once, the second one up to two days later: what was
    scanned meanwhile is the first one's alone.
    """
    bought = [event for event in found if event["status_code"] == "PENDING_PAYMENT"]
    said = list(found)
    for number, (one, other) in enumerate(zip(bought[::2], bought[1::2], strict=False)):
        waybill, at = f"SHARED{number}", max(instant_of(one), instant_of(other))
        said.append(label(one, waybill, at))
        said.append(label(other, waybill, at + rng.randint(0, 2 * DAY_MS)))
        said += [
            {
                "event_id": f"{waybill}:{step}",
                "waybill": waybill,
                "status_code": status,
                "timestamp": format_instant(at + rng.randint(0, 5 * DAY_MS)),
                "source": "carrier:sf",
            }
            for step, status in enumerate(("COLLECTED", "IN_TRANSIT", "SCAN"))
        ]
    return in_time(said)


def label(bought: Json, waybill: str, at: int) -> Json:
    return {
        "event_id": f"{bought['order_id']}:{waybill}",
        "order_id": bought["order_id"],
        "status_code": "ALLOCATED",
        "timestamp": format_instant(at),
        "source": "wms",
        "references": {"waybill": [waybill]},
    }


def arriving_late(found: list[Json], rng: random.Random) -> list[Json]:
    """The same events, a quarter with an arrival up to three days after they happened."""
    late = {id(event): rng.randint(1, 72 * HOUR_MS) for event in rng.sample(found, len(found) // 4)}
    return in_time(
        [
            event
            if id(event) not in late
            else event | {"recorded_at": format_instant(instant_of(event) + late[id(event)])}
            for event in found
        ]
    )


def accepted_of(recording: Path) -> Iterator[AcceptedEvent]:
    """Outputs of the shards in orders.events for the events of a file.

    As of a live flow: that an event arrived late stands beside it, and not in it.
    """
    table = read_lifecycle(None)
    rules = read_rules(None, table)
    sorter = Sorter()
    decoder = Decoder(Intake(table, rules), lambda data, _: data, lambda data, _: data)
    sort_files([str(recording)], sorter, Counts(), _refuse, decoder)
    judged = Recording(table, Counts(), None, _refuse, decoder)
    shards: dict[int, Shard] = {}
    for answers, watermark in judged.steps(sorter.sorted()):
        for fact in answers.facts:
            number = shard_of(fact.key)
            shard = shards.setdefault(number, Shard(table, rules, {}))
            shard.offer([fact])
        for shard in shards.values():
            for _, event in shard.advance(watermark).written.accepted:
                yield unrecorded(msgspec.json.decode(event, type=AcceptedEvent))


def unrecorded(event: AcceptedEvent) -> AcceptedEvent:
    original = msgspec.json.decode(event.event)
    original.pop("recorded_at", None)
    return msgspec.structs.replace(event, event=msgspec.Raw(msgspec.json.encode(original)))


def _refuse(bad: object) -> None:
    raise AssertionError(bad)


def archived(records: Sequence[EventRecord], folder: Path) -> list[Path]:
    """The archive's files with these events, and with a change of one of the orders."""
    tier = ParquetTier(LocalFiles(folder), ArchiveSettings(seal_rows=500, seal_age_s=None))
    tier.write_orders(Log().changes(document(records[0].event.order_id)))
    for first in range(0, len(records), 250):
        tier.write_events(records[first : first + 250])
        tier.flush()
    tier.flush(force=True)
    return sorted(folder.glob("**/*.parquet"))


def test_replaying_the_archive_gives_what_replaying_the_originals_gives(
    tmp_path: Path, rng: random.Random
) -> None:
    orders = with_parcels(some_orders(200, rng), rng)
    originals = written(
        tmp_path / "events.ndjson", arriving_late(with_shared_parcels(orders, rng), rng)
    )
    records = Log().events(*accepted_of(originals))
    files = archived(records, tmp_path / "archive")
    assert len(files) > 3, "several of events, one of changes"
    again = replay(tmp_path / "again", *files, "--until", UNTIL)
    expected = replay(tmp_path / "expected", originals, "--until", UNTIL)
    assert [row for row in expected.rows("rejected") if row["code"] != "unknown_reference"] == []
    assert copies(records) > 100, "scans that went to two orders"
    assert_same(again, expected)


def copies(records: Sequence[EventRecord]) -> int:
    """Number of events that are stored more than once."""
    return len(records) - len({record.event.event_hash for record in records})


def assert_same(found: Results, expected: Results) -> None:
    for name in SAID:
        assert found.rows(name) == expected.rows(name), name


def test_the_archives_changes_of_orders_are_no_events(tmp_path: Path) -> None:
    tier = ParquetTier(LocalFiles(tmp_path / "archive"))
    tier.write_orders(Log().changes(document()))
    tier.flush(force=True)
    (file,) = (tmp_path / "archive").glob("**/*.parquet")
    ran = ordertide("replay", file, "--out", tmp_path / "out")
    assert ran.code == 0, ran
    assert Results(tmp_path / "out").summary["events_read"] == 0


def test_an_archived_scan_knows_its_order_without_the_registration_of_its_number(
    tmp_path: Path,
) -> None:
    scan = {
        "event_id": "SF1:1",
        "waybill": "SF1",
        "status_code": "COLLECTED",
        "timestamp": format_instant(START),
        "source": "carrier:sf",
    }
    raw = msgspec.Raw(msgspec.json.encode(scan))
    given = [msgspec.structs.replace(accepted(name), event=raw) for name in ("o1", "o2")]
    files = archived(Log().events(*given), tmp_path / "archive")
    found = replay(tmp_path / "out", *files)
    assert [row["order_id"] for row in found.rows("orders")] == ["o1", "o2"]
