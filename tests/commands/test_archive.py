"""`ordertide archive verify` on an archive that a writer made from an embedded broker."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker.embedded import EmbeddedBroker
from broker.produce import Producer
from commands.main import cli
from commands.wiring.archive_audit import ArchiveAudit
from commands.write import write
from schemas.settings.model import Settings, read_settings
from schemas.topics import (
    EVENTS_REJECTED,
    ORDERS_ACTIONS,
    ORDERS_AUDIT,
    ORDERS_CHANGES,
    ORDERS_EVENTS,
)
from storage_tiering.archive.opening import open_archive
from storage_tiering.archive.parquet import ParquetTier
from storage_tiering.records import decode
from storage_tiering.tier import EventRecord, Found, OrderRecord
from storage_tiering.writer_ports import NoMetrics
from tests.support.tiers.archive_files import flip, manifest_of
from tests.support.tiers.log_file import busy_day
from tests.support.waiting import wait_until

ORDERS, ROUNDS = 12, 4
MESSAGES = busy_day(ORDERS, partitions=1, rounds=ROUNDS)
NAMES = [f"订单-{number}" for number in range(ORDERS)]

Answers = dict[str, Found | None]


class Installation:
    """Settings of an archive in `folder`, and a broker with the orders that it was written from."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.archive = folder / "archive"
        self.path = folder / "ordertide.toml"
        self.path.write_text(
            f'[broker]\nbootstrap = "{bootstrap}"\nembedded = true\n'
            f'[archive]\nfolder = "{self.archive}"\nseal_rows = 16\n[telemetry]\nport = 0\n'
        )
        self.settings: Settings = read_settings(self.path)

    def open(self) -> ParquetTier:
        tier = open_archive(self.settings)
        assert isinstance(tier, ParquetTier)
        return tier

    def fill(self) -> None:
        """Seal a file a round, and let the archive's writer do and commit the rest."""
        tier = self.open()
        records = [decode(each) for each in MESSAGES]
        for version in range(1, ROUNDS):
            orders = [each for each in records if isinstance(each, OrderRecord)]
            events = [each for each in records if isinstance(each, EventRecord)]
            limit = version * ORDERS
            tier.write_orders([each for each in orders if (each.version or 0) <= version])
            tier.write_events([each for each in events if each.position.offset < limit])
            tier.flush(force=True)
        tier.close()
        self.write_until(lambda: sum(self.open().offsets().values()) >= ROUNDS * ORDERS * 2)

    def write_until(self, is_done: Callable[[], bool]) -> None:
        """Run the archive's writer for a while."""
        stop = threading.Event()
        thread = threading.Thread(target=write, args=("archive", self.settings, stop))
        thread.start()
        try:
            wait_until(is_done, "what is written")
        finally:
            stop.set()
            thread.join(60)

    def verify(self, *arguments: str) -> Result:
        return CliRunner().invoke(
            cli, ["archive", "verify", "--settings", str(self.path), *arguments]
        )

    def files(self, topic: str, suffix: str = ".parquet") -> list[Path]:
        return sorted((self.archive / topic).glob(f"*/*{suffix}"))

    def answers(self) -> Answers:
        tier = self.open()
        return {name: tier.find("default", name) for name in NAMES}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An archive that was written once; tests damage copies of it."""
    with EmbeddedBroker() as broker:
        for topic in (ORDERS_CHANGES, ORDERS_EVENTS, ORDERS_AUDIT, ORDERS_ACTIONS, EVENTS_REJECTED):
            broker.create(topic)
        with Producer(broker.connection) as producer:
            for each in MESSAGES:
                place = each.partition
                producer.send(each.topic, each.key, each.value, each.headers, partition=place)
        installation = Installation(tmp_path_factory.mktemp("written"), broker.connection.bootstrap)
        installation.fill()
        yield installation


@pytest.fixture(scope="module")
def right(written: Installation) -> Answers:
    return written.answers()


@pytest.fixture
def place(written: Installation, tmp_path: Path) -> Installation:
    shutil.copytree(written.archive, tmp_path / "archive")
    return Installation(tmp_path, str(written.settings.broker.bootstrap))


def test_a_whole_archive_is_said_to_be_whole(place: Installation) -> None:
    result = place.verify()
    assert (result.exit_code, result.output) == (0, "the archive is whole\n")


@pytest.mark.parametrize("which", [0, 1, -1], ids=["first", "middle", "last"])
@pytest.mark.parametrize(
    "damage", ["flipped", "flipped manifest", "lost", "lost with manifest", "both flipped"]
)
def test_what_is_damaged_or_lost_is_named_and_written_again(
    place: Installation, right: Answers, which: int, damage: str
) -> None:
    paths = [place.files(topic)[which] for topic in (ORDERS_CHANGES, ORDERS_EVENTS)]
    for path in paths:
        if damage in ("flipped manifest", "both flipped"):
            flip(manifest_of(path))
        if damage in ("flipped", "both flipped"):
            flip(path)
        if "lost" in damage:
            path.unlink()
        if damage == "lost with manifest":
            manifest_of(path).unlink()
    named = place.verify()
    assert named.exit_code == 1
    assert all(path.stem in named.output for path in paths)
    assert "--repair" in named.output
    mended = place.verify("--repair")
    assert (mended.exit_code, "0 left" in mended.output) == (0, True), mended.output
    assert all(path.stem in mended.output for path in paths)
    assert place.verify().output == "the archive is whole\n"
    assert place.answers() == right
    kept = sorted(path.name for path in place.archive.glob(".damaged/*/*"))
    assert kept == ([path.name for path in paths] if damage in ("flipped", "both flipped") else [])


def test_an_older_copy_of_the_whole_folder_is_named_by_what_was_committed(
    place: Installation, right: Answers
) -> None:
    for topic in (ORDERS_CHANGES, ORDERS_EVENTS):
        for path in [*place.files(topic, ".end"), *place.files(topic)[-1:]]:
            path.unlink()
            manifest_of(path).unlink(missing_ok=True)
    assert place.verify("--offline").exit_code == 0
    named = place.verify()
    assert named.exit_code == 1
    assert named.output.count("no file holds them") == 2
    assert place.verify("--repair").exit_code == 0
    assert place.answers() == right


def test_what_the_topic_no_longer_has_is_named_and_left(place: Installation) -> None:
    path = place.files(ORDERS_EVENTS)[0]
    flip(path)
    before = path.read_bytes()
    with EmbeddedBroker() as empty:
        for topic in (ORDERS_CHANGES, ORDERS_EVENTS):
            empty.create(topic)
        text = place.path.read_text()
        old = str(place.settings.broker.bootstrap)
        place.path.write_text(text.replace(old, empty.connection.bootstrap))
        result = place.verify("--repair")
    assert result.exit_code == 1
    assert "not repaired" in result.output
    assert "restore the file from a backup" in result.output
    assert path.read_bytes() == before


def test_a_writer_makes_a_damaged_last_manifest_again_and_goes_on(
    place: Installation, right: Answers
) -> None:
    for topic in (ORDERS_CHANGES, ORDERS_EVENTS):
        flip(manifest_of(place.files(topic)[-1]))
    place.write_until(lambda: place.verify("--offline").exit_code == 0)
    assert place.answers() == right


def test_a_writer_writes_lost_files_again_by_itself(place: Installation, right: Answers) -> None:
    lost = place.files(ORDERS_CHANGES)[1]
    lost.unlink()
    flip(manifest_of(place.files(ORDERS_EVENTS)[0]))
    place.write_until(lambda: place.verify("--offline").exit_code == 0)
    assert lost.exists()
    assert place.answers() == right


def test_the_audit_of_a_writer_says_what_is_left(place: Installation) -> None:
    class Seen(NoMetrics):
        """Remembers the reasons of staleness."""

        reasons: list[str | None]

        def stale(self, tier: str, reason: str | None) -> None:
            self.reasons.append(reason)

    seen = Seen()
    seen.reasons = []
    tier = place.open()
    flipped = manifest_of(place.files(ORDERS_EVENTS)[0])
    content = place.files(ORDERS_EVENTS)[0]
    flip(flipped)
    flip(content)
    with EmbeddedBroker() as empty:
        for topic in (ORDERS_CHANGES, ORDERS_EVENTS):
            empty.create(topic)
        ArchiveAudit(tier, empty.connection, seen)()
    assert len(seen.reasons) == 1
    assert content.stem in str(seen.reasons[0])


def test_repair_and_offline_exclude_each_other(place: Installation) -> None:
    result = place.verify("--repair", "--offline")
    assert result.exit_code == 2
    assert "--repair reads the topics" in result.output
