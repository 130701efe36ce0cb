"""Faults of HDFS are `Busy` and temporary: nothing is lost, and nothing half written is visible."""

import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from deploy.stack.hdfs import DataNode, NameNode
from schemas.errors import Busy, StateError
from storage_tiering.archive.hdfs import HdfsFiles, HdfsPlace
from storage_tiering.archive.parquet import ArchiveSettings, ParquetTier
from storage_tiering.writer import Writer, WriterSettings
from tests.storage_tiering.test_writer_killed import ROOT, assert_same, uninterrupted
from tests.support.tiers import doomed_upload
from tests.support.tiers.hdfs_servers import (
    PATIENCE_S,
    Own,
    own_hdfs,
    read,
    unsealed,
)
from tests.support.tiers.log_file import LetterBox, LogReader, busy_day
from tests.support.tiers.orders import Log, LogMessage, document
from tests.support.waiting import patiently, wait_until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(300),  # starts Java several times; on a busy machine 15 s each
]
BATCH = 25
RESERVED = "dfs.datanode.du.reserved"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own_hdfs(tmp_path_factory.mktemp("hdfs")) as running:
        yield running


@pytest.fixture
def own(servers: Own) -> Own:
    """Both servers well, whatever the test before has left of them."""
    servers.start()
    patiently(lambda: HdfsFiles(servers.place()).seal("topic/a", b"one"))
    return servers


def test_safe_mode_is_busy_for_writing_and_reading_goes_on(own: Own) -> None:
    files = HdfsFiles(own.place())
    files.seal("topic/a", b"one")
    own.namenode.admin("-safemode", "enter")
    with pytest.raises(Busy, match=r"SafeModeException: .* safe mode"):
        files.seal("topic/b", b"two")
    assert read(files, "topic/a") == b"one"
    own.namenode.admin("-safemode", "leave")
    assert files.seal("topic/b", b"two")


@pytest.mark.parametrize(
    ("limit", "quota", "lift", "text"),
    [
        ("-setSpaceQuota", "1", "-clrSpaceQuota", "DSQuotaExceededException"),
        # the folder itself, the folder of uploads, the topic's folder, the first file
        ("-setQuota", "4", "-clrQuota", "NSQuotaExceededException"),
    ],
)
def test_a_full_quota_is_busy_until_there_is_room(
    own: Own, limit: str, quota: str, lift: str, text: str
) -> None:
    place = own.place()
    files = HdfsFiles(place)
    files.seal("topic/a", b"one")
    own.namenode.admin(limit, quota, place.root)
    with pytest.raises(Busy, match=f"HDFS at {place.web[0]}: {text}"):
        files.seal("topic/b", b"two")
    assert files.list("topic", "") == ["topic/a"]
    own.namenode.admin(lift, place.root)
    assert files.seal("topic/b", b"two")
    assert files.list("topic", "") == ["topic/a", "topic/b"]


def test_a_full_disk_is_busy_until_there_is_room(own: Own) -> None:
    files = HdfsFiles(own.place())
    own.datanode.kill()
    own.datanode.properties[RESERVED] = str(2**60)  # leaves nothing to the blocks
    own.datanode.start()
    own.wait()
    with pytest.raises(Busy, match="could only be written to 0 of the 1 minReplication nodes"):
        files.seal("topic/a", b"one")
    own.datanode.kill()
    del own.datanode.properties[RESERVED]
    own.datanode.start()
    own.wait()
    assert patiently(lambda: files.seal("topic/a", b"one"))
    assert read(files, "topic/a") == b"one"


def test_a_dead_datanode_is_busy_and_all_goes_on_when_it_is_back(own: Own) -> None:
    files, log = HdfsFiles(own.place()), Log()
    tier = ParquetTier(files, ArchiveSettings(seal_age_s=None))
    tier.write_orders(log.changes(document("o1")))
    assert tier.flush(force=True)
    host = own.datanode.address["web"].removeprefix("http://")
    own.datanode.kill()
    tier.write_orders(log.changes(document("o2")))
    for call in (lambda: tier.flush(force=True), lambda: tier.find("default", "o1")):
        with pytest.raises(Busy, match=r"-0+\.\w+: HDFS at .*: no answer from DataNode 127\."):
            call()
    with pytest.raises(Busy, match=f"no answer from {host}"):
        files.seal("topic/a", b"one")
    own.datanode.start()
    own.wait()
    assert patiently(lambda: tier.flush(force=True))
    assert tier.find("default", "o1")
    assert tier.find("default", "o2")


def test_a_dead_namenode_is_busy_and_all_goes_on_when_it_is_back(own: Own) -> None:
    place = own.place()
    files = HdfsFiles(place)
    files.seal("topic/a", b"one")
    own.namenode.kill()
    with pytest.raises(Busy, match=f"topic/b: no answer from {place.web[0]}"):
        files.seal("topic/b", b"two")
    with pytest.raises(Busy, match=f"archive topic/a: HDFS at {place.web[0]}"):
        read(HdfsFiles(place), "topic/a")
    own.namenode.start()
    own.wait()
    assert patiently(lambda: files.list("topic", "")) == ["topic/a"]
    assert patiently(lambda: files.seal("topic/b", b"two"))
    assert patiently(lambda: read(files, "topic/a")) == b"one"


def test_an_upload_that_was_killed_is_no_file_of_the_archive(own: Own) -> None:
    place = own.place()
    files = HdfsFiles(place)
    files.seal("topic/before", b"one")
    upload = [sys.executable, "-m", "tests.support.tiers.doomed_upload"]
    with subprocess.Popen(
        [*upload, place.web[0], place.rpc[0], place.root, place.user], cwd=ROOT
    ) as process:
        wait_for_upload(place, process)
        process.kill()
    assert unsealed(place), "it was killed amid the upload"
    assert files.list("topic", "") == ["topic/before"]
    with pytest.raises(StateError, match="does not exist"):
        files.open(doomed_upload.NAME)
    assert HdfsFiles(place).seal(doomed_upload.NAME, b"another's")
    assert read(files, doomed_upload.NAME) == b"another's"


def wait_for_upload(place: HdfsPlace, process: subprocess.Popen[bytes]) -> None:
    """Until a file is being uploaded."""

    def is_uploading() -> bool:
        assert process.poll() is None, "it ended"
        return bool(unsealed(place))

    wait_until(is_uploading, "an upload", PATIENCE_S, pause_s=0)


class Saboteur(LogReader):
    """A reader after whose chosen reads a server is killed: while that batch is written."""

    def __init__(
        self, log: Sequence[LogMessage], position: Path, own: Own, rng: random.Random
    ) -> None:
        super().__init__(log, position)
        self.victims: list[NameNode | DataNode] = [own.namenode, own.datanode]
        self.reads_left = sorted(rng.sample(range(2, len(log) // BATCH), 2), reverse=True)
        self.delay_s = rng.uniform(0, 0.2)  # a batch with a file to seal takes about this long
        self.reads = 0
        self.strikes: list[threading.Timer] = []

    def read(self, max_messages: int, timeout_s: float) -> Sequence[LogMessage]:
        self.reads += not self.is_paused
        is_due = self.reads_left and self.reads >= self.reads_left[-1] and not self.is_paused
        # one after the other: a DataNode that starts waits for its NameNode
        if is_due and not any(strike.is_alive() for strike in self.strikes):
            self.reads_left.pop()
            self.strikes.append(threading.Timer(self.delay_s, self.strike, [self.victims.pop()]))
            self.strikes[-1].start()
        return super().read(max_messages, timeout_s)

    @staticmethod
    def strike(victim: NameNode | DataNode) -> None:
        victim.kill()
        victim.start()


def test_nothing_is_missing_after_kills_amid_writes(
    own: Own, tmp_path: Path, rng: random.Random
) -> None:
    messages = busy_day()
    tier = ParquetTier(HdfsFiles(own.place()), ArchiveSettings(seal_rows=60, seal_age_s=None))
    reader = Saboteur(messages, tmp_path / "position", own, rng)
    stop, letters = threading.Event(), LetterBox()
    settings = WriterSettings(batch_messages=BATCH, max_wait_s=0.2)
    writer = Writer(tier, reader, letters, stop=stop, settings=settings)
    while not reader.is_at_end or reader.victims:
        writer.step()
    for strike in reader.strikes:
        strike.join()
    own.wait()
    stop.set()
    patiently(lambda: writer.tier.flush(force=True))
    writer.run()
    assert not letters.letters
    assert reader.committed == len(messages)
    assert_same(tier, uninterrupted(messages))
    assert not list(tier.verify())
    tier.close()
