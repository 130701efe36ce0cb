"""Reading a sealed file: every byte that is handed out was compared with the manifest before.

Parquet's page checksums cover the pages alone. A changed bit in a page header or in the footer
makes pyarrow raise anything, or leave out a row group whose statistics no longer match.
"""

import io
from collections import OrderedDict
from typing import Any, BinaryIO

from storage_tiering.archive.manifest import BLOCK_BYTES, Manifest, block_checksum

BLOCKS_HELD = 256  # 16 MiB: a footer and the column chunks that are read by turns


class CheckedFile(io.RawIOBase):
    """The file of `manifest`; each block is compared with its checksum when it is read.

    Raises:
        Damage: at the read of a block that is not as it was sealed.
    """

    def __init__(self, file: BinaryIO, manifest: Manifest) -> None:
        """Create a reader that has read nothing yet. `file` is closed with it."""
        self._file = file
        self._manifest = manifest
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._manifest.size_bytes}
        self._position = base[whence] + offset
        return self._position

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - typing has no name for a writable buffer before 3.12
        wanted = min(len(buffer), max(0, self._manifest.size_bytes - self._position))
        done = 0
        while done < wanted:
            number, start = divmod(self._position, BLOCK_BYTES)
            part = self._block(number)[start : start + wanted - done]
            buffer[done : done + len(part)] = part
            done += len(part)
            self._position += len(part)
        return done

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._file.seek(number * BLOCK_BYTES)
            block = self._file.read(min(BLOCK_BYTES, self._size_from(number)))
            checksums = self._manifest.blocks
            if number >= len(checksums) or block_checksum(block) != checksums[number]:
                raise self._manifest.differs()
            self._blocks[number] = block
            if len(self._blocks) > BLOCKS_HELD:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _size_from(self, number: int) -> int:
        return self._manifest.size_bytes - number * BLOCK_BYTES
