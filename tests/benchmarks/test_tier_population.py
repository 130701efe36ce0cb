"""A kept population is used again for the same amounts, and for no others."""

from pathlib import Path

import pytest

from benchmarks.tier_population import Amounts, held
from schemas.errors import OrdertideError

AMOUNTS = Amounts(1, 2, 3)


def test_a_folder_is_for_one_population(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    held(folder, AMOUNTS, on_hdfs=False).save(folder)
    again = held(folder, AMOUNTS, on_hdfs=False)
    again.parts["hot"] = "1 order"
    again.save(folder)
    assert held(folder, AMOUNTS, on_hdfs=False).parts == {"hot": "1 order"}
    for amounts, on_hdfs in ((Amounts(1, 2, 4), False), (AMOUNTS, True)):
        with pytest.raises(OrdertideError, match="2 warm orders and 3 archived events in a local"):
            held(folder, amounts, on_hdfs=on_hdfs)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(OrdertideError, match="name another folder"):
        held(tmp_path, AMOUNTS, on_hdfs=False)
