"""Lines of a key file: NDJSON, a head that reveals a wrong master key, then a line a record.

    {"format": 2, "check": base64, "file": id}
    {"is": "key", "key": id, "customer": digest, "wrapped": base64, "of_customer": false}
    {"is": "link", "below": digest, "above": digest, "mark": base64}
    {"is": "erased", "erased": digest, "key": id, "mark": base64}

Subjects are digests under the master key: the file doesn't reveal who has a key or was erased. A
`mark` is an empty text wrapped for its line: a tombstone with a flipped bit counts as damage, not
as the tombstone of another subject.
"""

from pathlib import Path

import msgspec

from privacy.master import Master
from schemas.errors import StateError
from schemas.json_faults import json_fault

FORMAT = 2
CHECK = b"ordertide key file"


class Head(msgspec.Struct, frozen=True):
    """The first line; `check` is CHECK, wrapped. `file` is the id of the file, kept in rewrites."""

    format: int
    check: bytes
    file: str = ""


class Line(msgspec.Struct, frozen=True, tag_field="is", tag="key", omit_defaults=True):
    """A key: its id, its subject (`Master.digest`), and itself, wrapped."""

    key: str
    customer: str
    wrapped: bytes
    of_customer: bool = True

    @property
    def bound_to(self) -> str:
        """Associated data of the wrapping: a key opens for its own subject only."""
        return f"{self.key} {self.customer}"


class Link(msgspec.Struct, frozen=True, tag_field="is", tag="link"):
    """A link: erasing `above` erases `below`."""

    below: str
    above: str
    mark: bytes = b""

    @property
    def bound_to(self) -> str:
        """Associated data of the mark."""
        return f"link {self.below} {self.above}"


class Erased(msgspec.Struct, frozen=True, tag_field="is", tag="erased"):
    """A tombstone: the subject, and the id of its erased key, or a new id if it had none."""

    erased: str
    key: str
    mark: bytes = b""

    @property
    def bound_to(self) -> str:
        """Associated data of the mark."""
        return f"erased {self.erased} {self.key}"


Record = Line | Link | Erased
HEAD = msgspec.json.Decoder(Head)
LINE = msgspec.json.Decoder(Record)


def encode_head(master: Master, file: str) -> bytes:
    """The first line of the file with this id."""
    return msgspec.json.encode(Head(FORMAT, master.wrap(CHECK, head_of(file)), file)) + b"\n"


def head_of(file: str) -> str:
    """Associated data of the check in a head."""
    return f"head {file}" if file else "head"


def encode_line(line: Record) -> bytes:
    """The line of a record."""
    return msgspec.json.encode(line) + b"\n"


def marked(record: Link | Erased, master: Master) -> Link | Erased:
    """The record with its mark."""
    return msgspec.structs.replace(record, mark=master.wrap(b"", record.bound_to))


def decode_head(data: bytes, master: Master, path: Path, master_path: Path) -> tuple[str, bytes]:
    """(id of the file, what follows the first line of `data`), once the master key fits.

    Raises:
        StateError: it is no key file, of another format, or was written under another master key.
    """
    first, _, rest = data.partition(b"\n")
    try:
        head = HEAD.decode(first)
    except msgspec.DecodeError as error:
        fault = json_fault(error, first)
        raise StateError(f"{path}: not a key file of ordertide, {fault}; restore it") from error
    if head.format != FORMAT:
        raise StateError(
            f"{path}: has format {head.format}, this version reads {FORMAT}; use the version that "
            "wrote it"
        )
    if master.unwrap(head.check, head_of(head.file)) != CHECK:
        raise StateError(
            f"{path}: was written under another master key than {master_path}; restore the master "
            "key that belongs to it"
        )
    return head.file, rest


def decode_lines(data: bytes, master: Master, path: Path) -> list[Record]:
    """The records in whole lines.

    Raises:
        StateError: a line is damaged.
    """
    records: list[Record] = []
    for number, line in enumerate(data.splitlines(), 2):  # the first one is the head
        try:
            records.append(LINE.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            fault = json_fault(error, line)
            raise StateError(f"{path}:{number}: damaged, {fault}; restore the file") from error
    for record in records:
        if not isinstance(record, Line) and master.unwrap(record.mark, record.bound_to) is None:
            raise StateError(f"{path}: a line is damaged, its mark differs; restore the file")
    return records
