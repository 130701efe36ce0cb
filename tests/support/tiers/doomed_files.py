"""Files of an archive whose process is killed at a chosen operation, on any store."""

from collections.abc import Callable, Mapping, Sequence
from io import IOBase
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

from storage_tiering.archive.files import ArchiveFiles

Answer = TypeVar("Answer")
When = Literal["before", "after"]


class Killed(BaseException):
    """The process has ended; nothing that comes later is done."""


class DoomedFiles(ArchiveFiles):
    """The files `inner` up to operation number `last`, before or after which the process ends.

    `changes_only` counts only operations that change something.
    """

    def __init__(
        self, inner: ArchiveFiles, last: int, when: When, *, changes_only: bool = False
    ) -> None:
        self.inner = inner
        self.left = last
        self.when = when
        self.changes_only = changes_only

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
        return self._do(lambda: self.inner.seal(name, data))

    def move(self, name: str, target: str) -> None:
        self._do(lambda: self.inner.move(name, target))

    def remove(self, name: str) -> None:
        self._do(lambda: self.inner.remove(name))

    def _read(self, do: Callable[[], Answer]) -> Answer:
        if self.changes_only and not self.was_killed:
            return do()
        return self._do(do)

    def _do(self, do: Callable[[], Answer]) -> Answer:
        self.left -= 1
        if self.left < -1 or (self.was_killed and self.when == "before"):
            raise Killed
        answer = do()
        if self.was_killed:
            if isinstance(answer, IOBase):
                answer.close()
            raise Killed
        return answer
