"""Files of an archive in a local folder, found by what they are."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from storage_tiering.archive.names import MANIFESTS


def data_files(root: Path, topic: str) -> list[Path]:
    """The data files of a topic that readers see, by name."""
    return sorted((root / topic).glob("*/*.parquet"), key=lambda path: path.name)


def manifest_files(root: Path, topic: str) -> list[Path]:
    """The manifests of a topic, by name."""
    return sorted((root / topic / MANIFESTS).glob("*.json"))


def manifest_of(path: Path) -> Path:
    """The manifest of a data file."""
    return path.parent.parent / MANIFESTS / f"{path.stem}.json"


def rows_of(root: Path, topic: str) -> list[dict[str, object]]:
    """All rows of a topic, as a reader of the folder sees them."""
    found: list[dict[str, object]] = pq.read_table(root / topic).to_pylist()
    return found


def copies(root: Path) -> Iterator[Path]:
    """Every file below a folder, but the leftovers of a kill."""
    return (path for path in root.rglob("*") if path.is_file() and ".unsealed" not in path.parts)


def flip(path: Path) -> None:
    """Damage a bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
