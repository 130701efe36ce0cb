"""The archive is a recording: replayed, it gives what the dataflow gave."""

import random
from pathlib import Path

from broker.consume import read_all
from commands.replay import replay
from schemas import topics
from storage_tiering.archive.files import LocalFiles
from storage_tiering.archive.parquet import ParquetTier
from storage_tiering.records import decode
from storage_tiering.tier import EventRecord
from tests.support.engine import Engine
from tests.support.outcome import lines, of_replay, rows, text
from tests.support.samples import END, some_orders, with_commands, with_parcels


def archived(engine: Engine, folder: Path) -> list[str]:
    """The files into which the archive puts the accepted events."""
    tier = ParquetTier(LocalFiles(folder))
    found = [decode(message) for message in read_all(engine.connection, topics.ORDERS_EVENTS)]
    tier.write_events([record for record in found if isinstance(record, EventRecord)])
    tier.flush(force=True)
    return [str(path) for path in sorted((folder / topics.ORDERS_EVENTS).glob("*/*.parquet"))]


def test_a_replay_of_the_archive_gives_the_same_orders_alerts_and_actions(
    engine: Engine, tmp_path: Path, rng: random.Random
) -> None:
    events = with_commands(with_parcels(some_orders(120, rng), rng), rng)
    engine.start()
    engine.feed([*events, *rng.sample(events, 50)])
    engine.finish(END)
    replay(tuple(archived(engine, tmp_path / "archive")), None, None, END, 1, tmp_path / "again")
    expected = of_replay(lines(events), tmp_path / "replay", END)
    orders = rows(tmp_path / "again" / "orders.ndjson")
    assert {order["order_id"]: order for order in orders} == expected.orders
    for name in ("alerts", "actions"):
        said = set(map(text, rows(tmp_path / "again" / f"{name}.ndjson")))
        assert said == getattr(expected, name)
