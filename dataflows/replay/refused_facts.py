"""Facts that shards rejected, in a temporary file: a recording can be nothing but such facts."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from dataflows.core.fact import Fact

LENGTH_BYTES = 4


class Refused(msgspec.Struct, array_like=True):
    """A fact that a shard rejected."""

    code: str
    reason: str
    fact: Fact


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Refused).decode


class RefusedFacts:
    """The rejected facts of one process, in the order in which they were rejected."""

    def __init__(self) -> None:
        """Create an empty list; its file comes with the first fact."""
        self.path = ""
        self.stream: BinaryIO | None = None

    def add(self, refused: Refused) -> None:
        """Append a fact."""
        if self.stream is None:
            descriptor, self.path = tempfile.mkstemp(prefix="ordertide-refused-")
            self.stream = os.fdopen(descriptor, "wb")
        frame = encode(refused)
        self.stream.write(len(frame).to_bytes(LENGTH_BYTES, "little") + frame)

    def close(self) -> str:
        """Close the file; its path, for `read_refused`. Empty if there is none."""
        if self.stream is not None:
            self.stream.close()
        return self.path


def read_refused(path: str) -> Iterator[Refused]:
    """The facts in a file, which is removed after them."""
    if not path:
        return
    try:
        with Path(path).open("rb") as stream:
            while length := stream.read(LENGTH_BYTES):
                yield decode(stream.read(int.from_bytes(length, "little")))
    finally:
        Path(path).unlink(missing_ok=True)
