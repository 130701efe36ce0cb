"""Bytewax's recovery files, copied while bytewax writes them: another host resumes by them.

The files are SQLite's, in WAL mode, and bytewax has a SQLite of its own. Opening them with ours in
the same process, or closing any descriptor of them, would drop bytewax's locks (POSIX locks belong
to the process; sqlite.org/howtocorrupt.html, 2.2.1). So they are read as plain files through
descriptors that stay open as long as the run does.

A copy is the main file with the pages of the log (sqlite.org/fileformat2.html, 4) put over it.
Pages that a checkpoint is moving meanwhile are in the log as well, so it doesn't matter when the
main file was read, as long as the log wasn't begun anew since: its salts show that, then the main
file is read again. Of the log only what is new is read: 1 ms an epoch, where copying both files and
letting SQLite put them together took 18.
"""

import os
import shutil
from pathlib import Path
from struct import Struct, unpack

import zstandard

from schemas.errors import StateError

LOG_HEADER = Struct(">8I")  # magic, format, page size, checkpoint, two salts, two checksums
FRAME_HEADER = Struct(">6I")  # page, pages of the file after a commit or 0, salts, checksums
LITTLE_ENDIAN = 0x377F0682  # the magic of a log whose checksums are over little-endian words
TRIES = 5


class RecoveryCopy:
    """Copies the files in `folder`, which may not be there yet."""

    def __init__(self, folder: Path) -> None:
        """Nothing is opened yet."""
        self.folder = folder
        self.files: dict[Path, FileCopy] = {}

    def take(self) -> dict[str, bytes]:
        """All files as they are, by name, compressed; none if there is no folder.

        Raises:
            StateError: a file can't be read.
        """
        paths = sorted(self.folder.glob("part-*.sqlite3"))
        for path in paths:
            self.files.setdefault(path, FileCopy(path))
        squeeze = zstandard.ZstdCompressor(level=1).compress
        try:
            return {path.name: squeeze(self.files[path].take()) for path in paths}
        except OSError as error:
            raise StateError(f"{self.folder}: can't be copied, {error}") from error

    def close(self) -> None:
        """Let go of the files; bytewax must have done so before."""
        for file in self.files.values():
            file.main.close()
            file.log.close()
        self.files = {}


class FileCopy:
    """A copy of one SQLite file, carried on from one `take` to the next."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self.main = Descriptor(path)
        self.log = Descriptor(path.with_name(f"{path.name}-wal"))
        self.head = b""
        self.pages = bytearray()
        self.size_bytes = 0  # of the file after the last commit seen
        self.end = LOG_HEADER.size  # of the last frame seen of such a commit
        self.sums = (0, 0)  # that frame's

    def take(self) -> bytes:
        """The file as of the last commit."""
        for _ in range(TRIES):
            head = self.log.read(0, LOG_HEADER.size)
            if head != self.head or len(head) < LOG_HEADER.size:
                self.begin(head)
            self.follow()
            if self.log.read(0, LOG_HEADER.size) == head:
                return bytes(self.pages[: self.size_bytes])
        raise StateError(f"{self.main.path}: its log was begun anew {TRIES} times during a copy")

    def begin(self, head: bytes) -> None:
        """Begin with the main file, where the log has been begun."""
        self.head = head
        self.pages = bytearray(self.main.read(0))
        self.size_bytes = len(self.pages)
        self.end = LOG_HEADER.size
        self.sums = LOG_HEADER.unpack(head)[6:] if len(head) == LOG_HEADER.size else (0, 0)

    def follow(self) -> None:
        """Put the pages of all commits over it that the log has since the last time."""
        if len(self.head) < LOG_HEADER.size:
            return
        magic, _, page_bytes, _, *salts, _, _ = LOG_HEADER.unpack(self.head)
        found = memoryview(self.log.read(self.end))
        step = FRAME_HEADER.size + page_bytes
        pending: list[tuple[int, memoryview]] = []
        before = self.sums
        for at in range(0, len(found) - step + 1, step):
            frame = found[at : at + step]
            page, file_pages, *rest = FRAME_HEADER.unpack_from(frame)
            if rest[:2] != salts:
                return
            pending.append((page, frame[FRAME_HEADER.size :]))
            sums = (rest[2], rest[3])
            # Frames are written one after the other: where the last of a commit is whole, all are.
            if file_pages and checked(frame, before, is_little=magic == LITTLE_ENDIAN) != sums:
                return
            if file_pages:
                self.put(pending, file_pages * page_bytes)
                self.end, self.sums, pending = self.end + len(pending) * step, sums, []
            before = sums

    def put(self, pages: list[tuple[int, memoryview]], size_bytes: int) -> None:
        """Put the pages of a commit in their places; the file has this size then."""
        for page, content in pages:
            at = (page - 1) * len(content)
            if at > len(self.pages):
                self.pages.extend(bytes(at - len(self.pages)))
            self.pages[at : at + len(content)] = content
        self.size_bytes = size_bytes


class Descriptor:
    """A file by its name, read without ever closing a descriptor while the run goes on."""

    def __init__(self, path: Path) -> None:
        """Opened when it is read."""
        self.path = path
        self.inode = -1
        self.numbers: list[int] = []

    def read(self, at: int, size_bytes: int | None = None) -> bytes:
        """Bytes from `at`, to the end if no number is given; nothing if there is no file."""
        try:
            inode = self.path.stat().st_ino
            if inode != self.inode:  # SQLite removes its logs and makes new ones
                self.numbers.append(os.open(self.path, os.O_RDONLY | os.O_CLOEXEC))
                self.inode = inode
        except FileNotFoundError:
            return b""
        number = self.numbers[-1]
        left = os.fstat(number).st_size - at if size_bytes is None else size_bytes
        return os.pread(number, max(left, 0), at)

    def close(self) -> None:
        """Let go."""
        for number in self.numbers:
            os.close(number)
        self.numbers, self.inode = [], -1


def checked(frame: memoryview, before: tuple[int, int], *, is_little: bool) -> tuple[int, int]:
    """The checksums that a frame ought to have after one that has `before`."""
    content = bytes(frame[:8]) + bytes(frame[FRAME_HEADER.size :])
    words = unpack(f"{'<' if is_little else '>'}{len(content) // 4}I", content)
    first, second = before
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


def put_back(folder: Path, files: dict[str, bytes]) -> None:
    """Replace the recovery folder by a copy; it is there whole or not at all."""
    fresh = folder.with_name(f"{folder.name}.copied")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, compressed in files.items():
        (fresh / name).write_bytes(zstandard.ZstdDecompressor().decompress(compressed))
    if folder.exists():
        shutil.rmtree(folder)
    fresh.rename(folder)
