"""States of the steps: their pointers in bytewax at the end of an epoch, kept with its commit.

bytewax keeps the same in its recovery files, on one host. In a bucket they lie with the blobs that
they point to, so that a resume needs no other source.
"""

import msgspec
import zstandard

from dataflows.state.store import Pointer

EVENTS, RESOLVE, TRACK = "track.events", "track.resolve", "track.track"  # step ids; never change
SHARDED = (RESOLVE, TRACK)  # those whose state is a pointer into the store

States = dict[tuple[str, str], bytes]  # by step and key


class StepState(msgspec.Struct, array_like=True):
    """State of a shard in bytewax."""

    name: str
    pointer: Pointer
    watermarks: dict[int, int]


decode_state = msgspec.msgpack.Decoder(StepState).decode
encode_state = msgspec.msgpack.Encoder().encode
decode_rows = msgspec.msgpack.Decoder(list[tuple[str, str, bytes]]).decode


def packed(states: States) -> bytes:
    """The states of one moment; 15 kB of all steps become 3."""
    rows = [(*name, state) for name, state in states.items()]
    return zstandard.ZstdCompressor(level=1).compress(encode_state(rows))


def unpacked(data: bytes) -> States:
    """The reverse of `packed`; nothing gives none."""
    if not data:
        return {}
    rows = decode_rows(zstandard.ZstdDecompressor().decompress(data))
    return {(step, key): state for step, key, state in rows}


def pointed(states: States) -> dict[str, int]:
    """The sequence at which each shard resumes."""
    found = [decode_state(state) for (step, _), state in states.items() if step in SHARDED]
    return {state.name: state.pointer.sequence for state in found}
