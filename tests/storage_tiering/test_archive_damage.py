"""Damage to the archive: look-ups and verify give the right answer or name the file."""

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import StateError
from schemas.topics import ORDERS_CHANGES, ORDERS_EVENTS
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.manifest import Damage
from storage_tiering.archive.names import data_name, manifest_name, stem_of
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.tier import Found
from tests.support.tiers.archive_files import manifest_of
from tests.support.tiers.orders import START, Log, accepted, document

BY_HAND = ArchiveSettings(seal_rows=1_000_000, seal_age_s=None)
ORDERS = [f"order-{number}" for number in range(4)]
ROUNDS = 3
DAY = "2017-10-02"


def archive(root: Path) -> ParquetTier:
    return ParquetTier(LocalFiles(root), BY_HAND)


def fill(root: Path, partitions: int = 2) -> None:
    """Orders over some partitions that change once in each of three files."""
    logs = [Log(partition) for partition in range(partitions)]
    tier = archive(root)
    for version in range(1, ROUNDS + 1):
        for number, order_id in enumerate(ORDERS):
            log, at = logs[number % partitions], START + version * 1_000 + number
            tier.write_orders(log.changes(document(order_id, version, at)))
            tier.write_events(log.events(accepted(order_id, str(version), at)))
        tier.expire(START + version * 10_000)
        assert tier.flush(force=True)
    tier.close()


@cache
def whole() -> tuple[Path, list[Path], dict[str, Found]]:
    """An archive that is not to be touched, its files, and the right answers."""
    root = Path(HELD.name) / "whole"
    fill(root)
    tier = archive(root)
    answers = {order_id: tier.find("default", order_id) for order_id in ORDERS}
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return root, files, {name: found for name, found in answers.items() if found is not None}


HELD = TemporaryDirectory(prefix="ordertide-archive-")


@pytest.fixture(scope="module", autouse=True)
def held() -> Iterator[None]:
    yield
    whole.cache_clear()
    HELD.cleanup()


def stem(path: Path) -> str:
    return path.stem


def answer(root: Path, order_id: str) -> Found | StateError | None:
    try:
        return archive(root).find("default", order_id)
    except StateError as error:
        return error


def assert_right_or_named(root: Path, damaged: Path) -> None:
    for order_id, right in whole()[2].items():
        given = answer(root, order_id)
        assert given == right or stem(damaged) in str(given)


@pytest.mark.timeout(300)
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_flipped_bit_gives_the_right_answer_or_the_name_of_the_file(data: st.DataObject) -> None:
    intact, files, _ = whole()
    damaged = data.draw(st.sampled_from([path for path in files if path.suffix != ".end"]))
    content = bytearray((intact / damaged).read_bytes())
    # From the end as well as from the start: footers are small and matter most.
    at = data.draw(st.integers(0, len(content) - 1) | st.integers(1, 400).map(lambda n: -n))
    at = max(-len(content), at)
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    with TemporaryDirectory(prefix="ordertide-archive-") as folder:
        root = Path(folder) / "flipped"
        shutil.copytree(intact, root)
        (root / damaged).write_bytes(content)
        assert_right_or_named(root, damaged)
        complaints = [str(each) for each in archive(root).verify()]
        assert any(stem(damaged) in each for each in complaints)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_flipped_bit_in_a_file_without_manifest_is_never_vouched_for(
    data: st.DataObject,
) -> None:
    intact, files, _ = whole()
    damaged = data.draw(st.sampled_from([path for path in files if path.suffix == ".parquet"]))
    content = bytearray((intact / damaged).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with TemporaryDirectory(prefix="ordertide-archive-") as folder:
        root = Path(folder) / "flipped"
        shutil.copytree(intact, root)
        (root / damaged).write_bytes(content)
        manifest_of(root / damaged).unlink()
        assert_right_or_named(root, damaged)
        assert [each for each in archive(root).verify() if stem(damaged) in str(each)]
        assert not manifest_of(root / damaged).exists()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_cut_or_longer_file_is_named(data: st.DataObject) -> None:
    intact, files, _ = whole()
    damaged = data.draw(st.sampled_from([path for path in files if path.suffix != ".end"]))
    content = (intact / damaged).read_bytes()
    longer = st.binary(min_size=1, max_size=9).map(lambda more: content + more)
    other = data.draw(st.integers(0, len(content) - 1).map(lambda cut: content[:cut]) | longer)
    with TemporaryDirectory(prefix="ordertide-archive-") as folder:
        root = Path(folder) / "cut"
        shutil.copytree(intact, root)
        (root / damaged).write_bytes(other)
        assert_right_or_named(root, damaged)
        assert [each for each in archive(root).verify() if stem(damaged) in str(each)]


def files_of(topic: str, partition: int, number: int) -> list[str]:
    """The data file and the manifest of one of the three files of a partition."""
    first = number * len(ORDERS) // 2
    name = f"{topic}/{topic}-{partition}-{first:020d}"
    return [data_name(name, DAY), manifest_name(name)]


@pytest.mark.parametrize("topic", [ORDERS_CHANGES, ORDERS_EVENTS])
@pytest.mark.parametrize("number", [0, 1, 2], ids=["first", "middle", "last"])
@pytest.mark.parametrize("lost", ["data", "data and manifest"])
def test_a_lost_file_is_named_by_look_ups_and_by_verify(
    tmp_path: Path, topic: str, number: int, lost: str
) -> None:
    fill(tmp_path)
    names = files_of(topic, 1, number)
    for name in names[: 1 if lost == "data" else 2]:
        (tmp_path / name).unlink()
    stem = stem_of(names[0])
    with pytest.raises(Damage, match=stem):
        archive(tmp_path).find("default", ORDERS[1])
    (complaint,) = archive(tmp_path).verify()
    assert stem in str(complaint)
    assert "missing" in str(complaint)
    assert "archive verify --repair" in str(complaint)
    span = complaint.span
    assert span is not None
    assert (span.first_offset, span.next_offset) == (number * 2, number * 2 + 2)


@pytest.mark.parametrize("topic", [ORDERS_CHANGES, ORDERS_EVENTS])
def test_orders_of_other_partitions_are_answered_while_a_file_is_lost(
    tmp_path: Path, topic: str
) -> None:
    fill(tmp_path)
    for name in files_of(topic, 1, 1):
        (tmp_path / name).unlink()
    assert archive(tmp_path).find("default", ORDERS[0]) == whole()[2][ORDERS[0]]


def test_an_order_that_no_file_has_is_not_unknown_while_a_file_is_lost(tmp_path: Path) -> None:
    fill(tmp_path)
    for name in files_of(ORDERS_CHANGES, 0, 2):
        (tmp_path / name).unlink()
    with pytest.raises(Damage, match="the last file of the chain is missing"):
        archive(tmp_path).find("default", "never-seen")


def test_a_writer_continues_where_the_lost_last_file_began(tmp_path: Path) -> None:
    fill(tmp_path)
    for name in files_of(ORDERS_EVENTS, 0, 2):
        (tmp_path / name).unlink()
    tier = archive(tmp_path)
    assert tier.resume_offset(ORDERS_EVENTS, 0) == 4
    assert tier.resume_offset(ORDERS_EVENTS, 1) == 6


def test_a_writer_continues_behind_the_manifest_of_a_lost_file(tmp_path: Path) -> None:
    fill(tmp_path, partitions=1)
    last = tmp_path / files_of(ORDERS_EVENTS, 0, 4)[0]
    last.unlink()
    log = Log()
    log.events(*(accepted(name) for name in ORDERS * ROUNDS))  # sealed before
    tier = archive(tmp_path)
    assert tier.resume_offset(ORDERS_EVENTS, 0) == 12
    tier.write_events(log.events(accepted(ORDERS[0], "4", START + 4_000)))
    tier.flush(force=True)
    assert [each.kind for each in archive(tmp_path).verify()] == ["missing file"]


def test_a_copy_under_another_name_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    original, copy = (tmp_path / files_of(ORDERS_EVENTS, 0, n)[0] for n in (1, 2))
    shutil.copy(original, copy)
    with pytest.raises(Damage, match=copy.stem):
        archive(tmp_path).find("default", ORDERS[0])
    manifest_of(copy).unlink()
    assert any(copy.stem in str(each) for each in archive(tmp_path).verify())


def test_a_writer_goes_on_sealing_beside_a_damaged_file(tmp_path: Path) -> None:
    fill(tmp_path, partitions=1)
    last = tmp_path / files_of(ORDERS_EVENTS, 0, 4)[0]
    content = bytearray(last.read_bytes())
    content[100] ^= 1
    last.write_bytes(content)
    tier = archive(tmp_path)
    log = Log()
    log.events(*(accepted(name) for name in ORDERS * ROUNDS))
    tier.write_events(log.events(accepted(ORDERS[0], "4", START + 3_000)))
    assert tier.flush(force=True)
    assert archive(tmp_path).resume_offset(ORDERS_EVENTS, 0) == 13
    (complaint,) = archive(tmp_path).verify()
    assert last.stem in str(complaint)
