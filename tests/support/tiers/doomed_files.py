"""Files of an archive whose process is killed after a chosen change, on any store."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

from storage_tiering.archive.files import ArchiveFiles

Answer = TypeVar("Answer")


class Killed(BaseException):
    """The process has ended; nothing that comes later is done."""


class DoomedFiles(ArchiveFiles):
    """The files `inner`; the process ends after its change number `last`, from 0.

    Reads leave nothing on the store: a kill beside one leaves what the change before it left.
    """

    def __init__(self, inner: ArchiveFiles, last: int) -> None:
        self.inner = inner
        self.left = last

    @property
    def was_killed(self) -> bool:
        return self.left < 0

    def list(self, folder: str, suffix: str) -> list[str]:
        return self._read(lambda: self.inner.list(folder, suffix))

    def walk(self, folder: str) -> Sequence[str]:
        return self._read(lambda: self.inner.walk(folder))

    def ages_s(self, folder: str) -> Mapping[str, float]:
        return self._read(lambda: self.inner.ages_s(folder))

    def open(self, name: str) -> BinaryIO:
        return self._read(lambda: self.inner.open(name))

    def seal(self, name: str, data: bytes | Path) -> bool:
        return self._change(lambda: self.inner.seal(name, data))

    def move(self, name: str, target: str) -> None:
        self._change(lambda: self.inner.move(name, target))

    def remove(self, name: str) -> None:
        self._change(lambda: self.inner.remove(name))

    def _read(self, do: Callable[[], Answer]) -> Answer:
        if self.was_killed:
            raise Killed
        return do()

    def _change(self, do: Callable[[], Answer]) -> Answer:
        answer = self._read(do)
        self.left -= 1
        if self.was_killed:
            raise Killed
        return answer
