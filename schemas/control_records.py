"""Control records: what was set while running, by kind and name, in the topic `ordertide.control`.

A record's key begins with its kind (`api-key/ID`); a tombstone ends it. What a kind of record means
stands with those who use it; here is how all of them are kept.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

Record = TypeVar("Record")


def control_key(kind: str, name: str) -> bytes:
    """Key of a record in the control topic."""
    return f"{kind}/{name}".encode()


def split_control_key(key: bytes | None) -> tuple[str, str]:
    """(kind, name) of a key in the control topic; of a newer version it may be any."""
    kind, _, name = (key or b"").decode("utf-8", "replace").partition("/")
    return kind, name


class ControlRecords(Generic[Record]):
    """The records of a kind by name, as far as the topic was read."""

    def __init__(self, decode: Callable[[bytes], Record]) -> None:
        """Create a collection without records, which `decode` reads."""
        self.records: dict[str, Record] = {}
        self._decode = decode

    def take(self, name: str, record: bytes | None) -> None:
        """Take a record of the control topic, or its end.

        Raises:
            ValueError: it is none.
        """
        if record is None:
            self.records.pop(name, None)
        else:
            self.records[name] = self._decode(record)
