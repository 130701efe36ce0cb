"""Two NameNodes, one active: the archive finds it, and finds the other one when that takes over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import Busy
from storage_tiering.archive.hdfs import HdfsFiles
from tests.support import stack
from tests.support.tiers.hdfs_servers import Pair, read
from tests.support.waiting import patiently

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(300),  # three servers; on a busy machine each takes half a minute
]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    stack.address("hdfs")  # a machine without a stack may lack what HDFS needs
    running = Pair(tmp_path)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def test_the_archive_goes_where_the_active_namenode_is(pair: Pair) -> None:
    place = pair.place("b", "a")  # b stands by
    files = HdfsFiles(place)
    assert patiently(lambda: files.seal("topic/a", b"one"))
    assert read(files, "topic/a") == b"one"

    pair.nodes["a"].kill()
    with pytest.raises(Busy):
        files.seal("topic/b", b"two")
    pair.activate("b")
    assert patiently(lambda: files.seal("topic/b", b"two"))
    assert files.list("topic", "") == ["topic/a", "topic/b"]
    assert (read(files, "topic/a"), read(files, "topic/b")) == (b"one", b"two")

    pair.nodes["a"].start()  # back, as the one that stands by, and first in the list
    assert not HdfsFiles(pair.place("a", "b")).list("topic", "")
    assert read(HdfsFiles(place), "topic/b") == b"two"
