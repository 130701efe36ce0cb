"""Requests to release orders: kept in a file, whose faults are in words."""

from pathlib import Path

import pytest

from commands.wiring.releases import FILE, read_releases, write_releases
from schemas.errors import StateError
from schemas.keys import order_key


def test_requests_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert read_releases(tmp_path) == {}
    releases = {order_key("default", "SO-1"): (1_700_000_000_000, 2)}
    write_releases(tmp_path, releases)
    assert read_releases(tmp_path) == releases


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            b'[{"tenant": "default",\n  order_id: 1}]',
            "no JSON at line 2, column 3: a name in double",
        ),
        (b'[{"tenant": 4711}]', "[0].tenant: it is a whole number; send a text"),
        (b'[{"tenant": "\xff"}]', "byte 13 is not UTF-8"),
        (b"", "it is empty"),
    ],
)
def test_a_damaged_file_is_named_with_the_place_of_its_fault(
    tmp_path: Path, data: bytes, text: str
) -> None:
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(StateError) as refused:
        read_releases(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / FILE}: ")
    assert text in str(refused.value)
    assert str(refused.value).endswith("; remove it and request the releases again")
    assert not any(word in str(refused.value) for word in ("malformed", "Expected", "`"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(StateError, match=r"release\.json: "):
        read_releases(tmp_path)
