"""Files of the archive. A port: a local folder here, other stores beside it."""

import errno
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO, Protocol

from schemas.errors import Busy, StateError
from schemas.private_files import private_binary, private_folder

UNSEALED = ".unsealed"
STALE_AFTER_S = 24 * 3600.0
RETRY_AFTER_S = 5.0
COPY_BYTES = 1024 * 1024
# Temporary: they pass when room is freed or the file system comes back.
PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EROFS, errno.EMFILE}


class FileMissing(StateError):
    """There is no file of this name."""


class ArchiveFiles(Protocol):
    """Files by name (`folder/file`, or deeper), each complete, none ever changed.

    Raises `Busy` when the store can't answer now and `StateError` when it never will.
    """

    def list(self, folder: str, suffix: str) -> list[str]:
        """The names of the sealed files in `folder` that end in `suffix`, sorted."""
        ...

    def walk(self, folder: str) -> Sequence[str]:
        """The names of all sealed files in `folder` and in its folders, sorted."""
        ...

    def ages_s(self, folder: str) -> Mapping[str, float]:
        """The seconds since each file in `folder` was written, by the clocks of store and host."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A sealed file, for reading at any place.

        Raises:
            FileMissing: there is none.
        """
        ...

    def seal(self, name: str, data: bytes | Path) -> bool:
        """Make `name` with this content (or a local file's), durable on return.

        False if the name was taken. However this ends, `name` is either missing or complete.
        """
        ...

    def move(self, name: str, target: str) -> None:
        """Rename a file; nothing is done if it is missing or `target` is there.

        Done again after an interruption, it completes the one before.
        """
        ...

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        ...


class LocalFiles(ArchiveFiles):
    """Files under the folder `root` of a local disk that knows hard links.

    A file is written under a name of its own first. The leftovers of a kill are never read, and
    deleted here after a day (a younger one may belong to another writer at work).
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._unsealed = root / UNSEALED
        with _answers(str(root)):
            private_folder(self._unsealed)
            for path in self._unsealed.iterdir():
                _remove_if_stale(path)

    def list(self, folder: str, suffix: str) -> list[str]:
        with _answers(folder):
            return sorted(
                f"{folder}/{path.name}"
                for path in (self.root / folder).glob(f"*{suffix}")
                if path.is_file()
            )

    def walk(self, folder: str) -> Sequence[str]:
        with _answers(folder):
            return sorted(
                (Path(found) / name).relative_to(self.root).as_posix()
                for found, _, names in os.walk(self.root / folder)
                for name in names
            )

    def ages_s(self, folder: str) -> Mapping[str, float]:
        now_s, ages = time.time(), {}
        for name in self.list(folder, ""):
            with suppress(FileMissing), _answers(name):  # another process has just moved it
                ages[name] = now_s - (self.root / name).stat().st_mtime
        return ages

    def open(self, name: str) -> BinaryIO:
        with _answers(name):
            return (self.root / name).open("rb")

    def seal(self, name: str, data: bytes | Path) -> bool:
        target = self.root / name
        temporary = self._unsealed / uuid.uuid4().hex
        with _answers(name):
            _make_folder(target.parent)
            try:
                _write(temporary, data)
                return _link(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)

    def move(self, name: str, target: str) -> None:
        source, place = self.root / name, self.root / target
        if name == target:
            return
        with _answers(name):
            _make_folder(place.parent)
            try:
                is_moved = _link(source, place) or source.samefile(place)
            except FileNotFoundError:
                return
            if is_moved:
                source.unlink(missing_ok=True)
                _sync_folder(source.parent)

    def remove(self, name: str) -> None:
        path = self.root / name
        with _answers(name):
            if path.exists():
                path.unlink(missing_ok=True)
                _sync_folder(path.parent)


def _write(path: Path, data: bytes | Path) -> None:
    with private_binary(path, "xb") as file:
        if isinstance(data, bytes):
            file.write(data)
        else:
            with data.open("rb") as source:
                copyfileobj(source, file, COPY_BYTES)
        file.flush()
        os.fsync(file.fileno())


def _link(temporary: Path, target: Path) -> bool:
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    _sync_folder(target.parent)
    return True


def _make_folder(folder: Path) -> None:
    if not folder.exists():
        made = [each for each in (folder, *folder.parents) if not each.exists()]
        private_folder(folder)
        for each in made:
            _sync_folder(each.parent)


def _sync_folder(folder: Path) -> None:
    """A new name is durable once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_if_stale(path: Path) -> None:
    try:
        if time.time() - path.stat().st_mtime > STALE_AFTER_S:
            path.unlink()
    except FileNotFoundError:
        pass  # its writer has just sealed it


@contextmanager
def _answers(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        message = f"archive {name}: {error.strerror}; check the archive's folder and its rights"
        raise FileMissing(message) from error
    except OSError as error:
        if error.errno in PASSING:
            raise Busy(f"archive {name}: {error.strerror}", RETRY_AFTER_S) from error
        message = f"archive {name}: {error.strerror}; check the archive's folder and its rights"
        raise StateError(message) from error
