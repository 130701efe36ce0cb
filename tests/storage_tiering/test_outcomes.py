"""orders.audit and orders.actions on their way into the tiers: written, rebuilt, repaired."""

import threading
from pathlib import Path

import msgspec
import pytest

from schemas.outcomes import OutcomeQuery
from schemas.topics import ORDERS_AUDIT
from storage_tiering import rebuild
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.names import Span
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.tier import OutcomeRecord
from storage_tiering.warm.sqlite.tier import SqliteTier
from storage_tiering.writer import Writer
from tests.contracts.test_outcomes import action, entry, records
from tests.support.tiers.log_file import LetterBox, LogReader
from tests.support.tiers.orders import Log, LogMessage, document, message

ENTRIES = [entry(str(number)) for number in range(3)]


def sent(record: OutcomeRecord) -> LogMessage:
    place = record.position
    return LogMessage(
        place.topic, place.partition, place.offset, record.key.encode(), record.data, []
    )


def archive(folder: Path) -> ParquetTier:
    return ParquetTier(LocalFiles(folder), ArchiveSettings(seal_age_s=None))


def test_a_writer_takes_outcomes_beside_orders_and_buries_what_is_none(tmp_path: Path) -> None:
    written = [sent(each) for each in records(*ENTRIES, action("a"))]
    broken = msgspec.structs.replace(written[0], offset=9, value=b'{"what": "ever"}')
    foreign = msgspec.structs.replace(written[0], offset=10, key=b"another order")
    order = message(Log().changes(document("A"))[0])
    reader = LogReader([*written, broken, order, foreign], tmp_path / "position")
    tier, letters = SqliteTier(tmp_path / "warm"), LetterBox()
    writer = Writer(tier, reader, letters, stop=threading.Event())
    while not reader.is_at_end:
        writer.step()
    assert tier.outcomes(OutcomeQuery(order_id="A")) == ENTRIES[::-1]
    assert len(tier.outcomes(OutcomeQuery(kind="actions"))) == 1
    assert [code for _, code in letters.letters] == ["unreadable_value", "wrong_key"]
    assert tier.find("default", "A") is not None
    tier.close()


def test_a_rebuild_from_the_archive_brings_outcomes_back(tmp_path: Path) -> None:
    kept = archive(tmp_path / "archive")
    kept.write_outcomes(records(*ENTRIES, action("a")))
    assert kept.flush(force=True)
    tier = SqliteTier(tmp_path / "warm")
    assert rebuild.from_archive(tier, kept, 0) == (0, 4)
    assert len(tier.outcomes(OutcomeQuery())) == len(ENTRIES)
    assert len(tier.outcomes(OutcomeQuery(kind="actions"))) == 1
    tier.close()


def test_a_file_of_the_audit_that_was_lost_is_written_again_from_the_topic(tmp_path: Path) -> None:
    kept = archive(tmp_path)
    for number, each in enumerate(ENTRIES):
        kept.write_outcomes(records(each, first_offset=number))
        assert kept.flush(force=True)
    second = sorted((tmp_path / ORDERS_AUDIT).glob("arrival_day=*/*.parquet"))[1]
    second.unlink()
    (damage,) = kept.damages()

    def read(span: Span) -> list[LogMessage]:
        messages = [sent(each) for each in records(*ENTRIES)]
        return [m for m in messages if span.first_offset <= m.offset < (span.next_offset or 0)]

    assert [each.did for each in kept.repair(read).run([damage])] == ["repaired"]
    assert len(kept.outcomes(OutcomeQuery(tenant="default", order_id="A"))) == len(ENTRIES)
    assert kept.damages() == []


@pytest.mark.parametrize("name", ["audit_topic", "actions_topic"])
def test_the_archive_looks_after_the_topics_of_outcomes_too(tmp_path: Path, name: str) -> None:
    kept = archive(tmp_path)
    assert getattr(kept.settings, name) in kept.topics
