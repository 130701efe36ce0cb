"""Open orders outlive their month in the warm tier, wherever the writer is killed meanwhile."""

from collections.abc import Callable, Iterator
from functools import partialmethod
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from schemas.search import OrderQuery
from storage_tiering.tier import Search, Tier, WritesLost
from storage_tiering.warm.elastic.access import connect
from storage_tiering.warm.elastic.tier import ElasticTier
from storage_tiering.warm.sqlite.database import Database
from storage_tiering.warm.sqlite.tier import SqliteTier
from tests.support.alerts import alert, order
from tests.support.tiers.elastic_places import drop_indices, indices_of, shared_place
from tests.support.tiers.orders import PERIOD_END, WARM_KEEP_MS, Log, document

GONE_AT = PERIOD_END + WARM_KEEP_MS
MOST_STEPS = 60


class Killed(BaseException):
    """A process that dies here: nothing in it goes on."""


class Doomed:
    """Calls a function, until the call number `last`."""

    def __init__(self, call: Callable[..., Any], last: int) -> None:
        self.call = call
        self.left = last

    def __call__(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - those of the function
        if self.left == 0:
            raise Killed
        self.left -= 1
        return self.call(*given, **named)


def called(database: Database, doomed: Doomed, *given: Any) -> None:  # noqa: ANN401 - of `write`
    doomed(database, *given)


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[str, str]]:
    with shared_place() as made:
        yield made


def before(tier: Tier) -> None:
    """Orders of October; `moves` and `ends` stay open into the next year."""
    orders = [order(name, 1, alert()) for name in ("moves", "ends")]
    tier.write_orders(Log().changes(*orders, document("closed")))
    assert tier.flush(force=True)


def after(tier: Tier) -> None:
    """The changes that follow, from the last commit on."""
    tier.write_orders(Log().changes(order("moves", 2, alert()), document("ends", version=2)))
    tier.expire(GONE_AT)
    assert tier.flush(force=True)


def assert_as_it_should_be(tier: Tier) -> None:
    assert isinstance(tier, Search)
    found = tier.search(OrderQuery()).orders
    assert [(each.order_id, each.version) for each in found] == [("moves", 2)]
    assert tier.counts().orders == 1
    tier.note({})


@pytest.mark.stack
def test_an_order_outlives_its_index_wherever_the_writer_is_killed(place: tuple[str, str]) -> None:
    url, prefix = place
    for steps in range(MOST_STEPS):
        tier = ElasticTier(connect(url), prefix)
        before(tier)
        tier.note({})
        transport = tier.client.transport
        doomed = Doomed(transport.perform_request, steps)
        transport.perform_request = doomed  # type: ignore[method-assign]  # that is the point
        was_killed = True
        try:
            tier.expire(GONE_AT)
            assert tier.flush(force=True)
            was_killed = False
        except Killed:
            pass
        tier.client.close()
        later = ElasticTier(connect(url), prefix)
        after(later)
        assert_as_it_should_be(later)
        assert indices_of(later.client, prefix) == {"orders-live"}
        drop_indices(later.client, prefix)
        later.close()
        if not was_killed:
            assert steps > 10
            return
    pytest.fail("it never came to the end")


def test_an_order_outlives_its_file_wherever_the_writer_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for steps in count():
        folder = tmp_path / str(steps)
        tier = SqliteTier(folder)
        before(tier)
        tier.note({})
        with monkeypatch.context() as doom:
            doom.setattr(Database, "write", partialmethod(called, Doomed(Database.write, steps)))
            try:
                tier.expire(GONE_AT)
                was_killed = False
            except Killed:
                was_killed = True
        tier.close()
        later = SqliteTier(folder)
        after(later)
        assert_as_it_should_be(later)
        assert {path.stem for path in folder.glob("*.sqlite")} == {"live", "marks", "unplaced"}
        later.close()
        if not was_killed:
            assert steps > 3
            return


def test_a_batch_of_months_that_are_kept_asks_for_no_live_orders() -> None:
    with connect("http://127.0.0.1:1") as client:
        assert ElasticTier(client).live.actions([]) == [], "no server answers here"


@pytest.mark.stack
def test_a_live_index_that_was_deleted_is_missed(place: tuple[str, str]) -> None:
    url, prefix = place
    tier = ElasticTier(connect(url), prefix)
    before(tier)
    tier.expire(GONE_AT)
    assert tier.flush(force=True)
    assert tier.names.live in [each.name for each in tier.searches.measured()], "of tier status"
    tier.note({})
    tier.client.indices.delete(index=tier.names.live)
    with pytest.raises(WritesLost, match=r"index .*-orders-live is missing"):
        tier.note({})
    tier.reconcile()
    before(tier)
    assert tier.find("default", "moves") is not None
    drop_indices(tier.client, prefix)
    tier.close()


@pytest.mark.stack
def test_orders_that_leave_the_live_ones_are_no_loss(place: tuple[str, str]) -> None:
    url, prefix = place
    tier = ElasticTier(connect(url), prefix, count_every_s=0)
    before(tier)
    tier.expire(GONE_AT)
    assert tier.flush(force=True)
    tier.note({})
    tier.write_orders(Log().changes(document("ends", version=2)))
    assert tier.flush(force=True)
    tier.note({})
    assert tier.find("default", "ends") is None
    assert tier.find("default", "moves") is not None
    drop_indices(tier.client, prefix)
    tier.close()
