"""Which of an order's documents count for delivery, whatever order they come in."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.instants import DAY_MS
from sinks.delivery.entries import OrderKey
from sinks.delivery.versions import KEEP_TOMBSTONES_MS, Versions

PLACE = OrderKey(3, "SO-1")
OTHER = OrderKey(3, "SO-2")


def take(
    versions: Versions,
    version: int | None,
    *,
    is_tombstone: bool = False,
    came_at: int = 0,
    order: OrderKey = PLACE,
) -> bool:
    """Return True if the document counts."""
    stale = versions.is_stale(order, version, is_tombstone=is_tombstone, came_at=came_at)
    return not stale


@given(st.lists(st.tuples(st.integers(0, 2**53 - 1), st.booleans()), min_size=1))
def test_what_counted_last_is_the_newest_whatever_order_documents_come_in(
    documents: list[tuple[int, bool]],
) -> None:
    versions = Versions()
    counted = [each for each in documents if take(versions, each[0], is_tombstone=each[1])]
    assert counted[-1] == max(documents)
    assert counted == sorted(counted)


def test_a_document_that_comes_again_counts_again() -> None:
    versions = Versions()
    assert take(versions, 7)
    assert take(versions, 7)


def test_a_tombstone_wins_over_the_document_of_the_same_version() -> None:
    versions = Versions()
    assert take(versions, 7, is_tombstone=True)
    assert not take(versions, 7)
    assert take(versions, 8), "a recalled order has a newer version"


def test_a_tombstone_without_a_version_ends_whatever_is_known() -> None:
    versions = Versions()
    assert take(versions, 7)
    assert take(versions, None, is_tombstone=True)
    assert not take(versions, 7)
    assert take(versions, 8)


def test_a_tombstone_of_an_order_never_read_leaves_room_for_the_order() -> None:
    versions = Versions()
    assert take(versions, None, is_tombstone=True)
    assert take(versions, 1)


def test_tombstones_are_remembered_as_long_as_the_topic_keeps_them() -> None:
    versions = Versions()
    take(versions, 7, is_tombstone=True, came_at=DAY_MS)
    take(versions, 1, is_tombstone=True, came_at=DAY_MS + KEEP_TOMBSTONES_MS, order=OTHER)
    assert not take(versions, 7)
    take(versions, 2, is_tombstone=True, came_at=DAY_MS + KEEP_TOMBSTONES_MS + 1, order=OTHER)
    assert len(versions) == 1
    assert take(versions, 7)


def test_a_recalled_order_is_not_forgotten_with_its_first_tombstone() -> None:
    versions = Versions()
    take(versions, 7, is_tombstone=True, came_at=0)
    take(versions, 9, came_at=DAY_MS)
    take(versions, 1, is_tombstone=True, came_at=2 * KEEP_TOMBSTONES_MS, order=OTHER)
    assert not take(versions, 8)


def test_a_partition_of_another_process_is_forgotten() -> None:
    versions = Versions()
    take(versions, 7)
    take(versions, 7, order=OrderKey(4, "SO-1"))
    versions.drop(3)
    assert len(versions) == 1
    assert take(versions, 1)
    assert not take(versions, 1, order=OrderKey(4, "SO-1"))
