"""Records: the objects of a shard store in a bucket, their contents and names.

    owner                      who made the store, and for how many shards
    runs/000007                run 7: its members, and where it resumes
    logs/000007/02/000000017   commit 17 of member 2: blobs, retired rows, states of one epoch
    full/000007/02/000000016-TOKEN/000000   all that member 2 has, as it was after commit 16, in
    full/000007/02/000000016-TOKEN/end      parts; `end` is there once all parts are
    full/000001/base/NUMBER-TOKEN/…   what there was before the first run
    signals/000007/…           between the hosts of a run (dataflows/cluster/rendezvous.py)

An object is 4 bytes of CRC-32 (of its name and what follows) and msgpack. Blobs and rows in it are
framed (dataflows/state/local/frame.py), with a checksum and a version of their own.
"""

from typing import TypeVar
from zlib import crc32

import msgspec

from dataflows.state.local.frame import REMEDY
from schemas.decode_faults import packed_fault
from schemas.errors import StateError

FORMAT = 2
CRC_BYTES = 4
STARTED = "started"  # news: all hosts of the run have joined

Blob = tuple[int, bool, bytes]  # sequence, is base, as stored
Row = tuple[str, int, bytes | None]  # key, sequence, as stored


class Change(msgspec.Struct, array_like=True):
    """Changes of a commit in a shard. Changes of the shard after `previous` are discarded."""

    shard: str
    previous: int
    blobs: list[Blob]
    rows: list[Row]


class Run(msgspec.Struct, array_like=True, kw_only=True):
    """Run: processes that work together, each with a log of its own, from one start to one end.

    It resumes at `states` (dataflows/state/states.py); of the logs of the run before, one for each
    of its members, the first `committed_lengths` commits count. `sequence` and `commits` are the
    last numbers that were given before it. `addresses` are those of all members, host by host,
    where they are on several `hosts`. `behind` is how many commits of earlier runs a new host would
    have to read. `fencing_token` is what its workers verify before they flush (broker.fence).
    `generation` is the state's, which began at `begun_at` (ms).
    """

    format: int
    store: str
    number: int
    token: str
    host: str
    members: int
    committed_lengths: list[int]
    sequence: int
    commits: int
    states: bytes
    hosts: int = 1
    addresses: list[str] = []
    behind: int = 0
    fencing_token: int = 0
    generation: int = 0
    begun_at: int = 0


class LogRecord(msgspec.Struct, array_like=True, kw_only=True):
    """Commit of a member: the changes of its shards in an epoch, and the states of its steps.

    `epoch` is the same for all members at the end of one epoch, and grows. `token` is the writer's.
    A fence record (`is_fence`) says that another run has taken over: it is the last of its log.
    """

    format: int
    store: str
    run: int
    member: int
    number: int
    epoch: int
    token: str
    host: str
    sequence: int
    changes: list[Change]
    states: bytes
    is_fence: bool = False


class Part(msgspec.Struct, array_like=True):
    """Some rows of a copy, as they stand in the tables of the state file."""

    blobs: list[tuple[int, str, str, int, int, bytes]]
    retired: list[tuple[str, str, int, bytes | None]]
    floors: list[tuple[str, int]]


class End(msgspec.Struct, array_like=True, kw_only=True):
    """The last object of a copy of `shards`: where its parts are, and how far it goes.

    `states` are there where no log is: before the first run.
    """

    format: int
    store: str
    folder: str
    parts: int
    size_bytes: int
    number: int
    sequence: int
    commits: int
    shards: list[str]
    states: bytes = b""


class Owner(msgspec.Struct, array_like=True):
    """The object `owner`; `base` is the copy of what there was before the first run, if any.

    `generation` is that of the base.
    """

    format: int
    store: str
    shards: int
    base: str = ""
    generation: int = 0


class RunSignal(msgspec.Struct, array_like=True):
    """Message of a host to the others of its run."""

    format: int
    host: int
    is_clean: bool
    reason: str


Content = TypeVar("Content", bound=msgspec.Struct)
encode = msgspec.msgpack.Encoder().encode


def run_name(run: int) -> str:
    """The object of a run; a number can be taken only once."""
    return f"runs/{run:06}"


def log_folder(run: int, member: int) -> str:
    """Folder of a member's commits."""
    return f"logs/{run:06}/{member:02}"


def log_name(run: int, member: int, number: int) -> str:
    """The object of a commit."""
    return f"{log_folder(run, member)}/{number:09}"


def copy_folder(run: int, member: int) -> str:
    """Folder of a member's copies."""
    return f"full/{run:06}/{member:02}"


def signal_name(run: int, what: str) -> str:
    """The object of a host's message to the others of a run."""
    return f"signals/{run:06}/{what}"


def number_of(name: str) -> int:
    """The number at the end of the name of a run or a commit."""
    return int(name.rpartition("/")[2])


def sealed(name: str, content: msgspec.Struct) -> bytes:
    """The bytes of an object."""
    body = encode(content)
    return crc32(body, crc32(name.encode())).to_bytes(CRC_BYTES) + body


def unsealed(name: str, found: bytes | None, kind: type[Content]) -> Content:
    """Decode an object.

    Raises:
        StateError: it is missing, damaged or of another version.
    """
    if found is None:
        raise StateError(f"{name}: missing in the bucket; {REMEDY}")
    body = memoryview(found)[CRC_BYTES:]
    if crc32(body, crc32(name.encode())).to_bytes(CRC_BYTES) != found[:CRC_BYTES]:
        raise StateError(f"{name}: checksum differs; {REMEDY}")
    try:
        content = msgspec.msgpack.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateError(f"{name}: {packed_fault(error)}; use the version that wrote it") from error
    written = getattr(content, "format", FORMAT)  # the parts of a copy have none of their own
    if written != FORMAT:
        raise StateError(
            f"{name}: format {written}, this version reads format {FORMAT}; use the version that "
            f"wrote it, or {REMEDY}"
        )
    return content
