"""Files of the archive on HDFS: sealed over WebHDFS, read over Hadoop's own protocol.

A 64 KiB range takes 0.5 ms over the native protocol and 20 ms over WebHDFS; but only WebHDFS has a
rename that never overwrites (`renameoptions=NONE`), which is what makes sealing safe. A failed or
killed upload leaves a closed file that looks complete: so files are uploaded under a temporary name
that is never read, their length is compared, and only then do they get their own.

https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html
"""

import io
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

import msgspec
from hdfs import InsecureClient
from hdfs.util import HdfsError
from hdfs_native.fsspec import HdfsFileSystem

from schemas.errors import Busy
from storage_tiering.archive.files import STALE_AFTER_S, UNSEALED, ArchiveFiles
from storage_tiering.archive.hdfs_errors import RETRY_AFTER_S, answers, readings

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 60.0
# Its default of 15 attempts is silent for 177 s while a NameNode is down; two fail after 3.4 s.
FAILOVER_ATTEMPTS = "2"
NAMESERVICE = "ordertide"
BUFFER_BYTES = 65_536

Statuses = list[tuple[str, int]]


class HdfsPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Location of the archive on HDFS.

    `web` and `rpc` are the NameNodes' addresses (host:port) for WebHDFS and for Hadoop's protocol,
    one or two of each, in the same order; the active one is found. `root` is an absolute folder.
    """

    web: list[str]
    rpc: list[str]
    root: str
    user: str


class HdfsFiles(ArchiveFiles):
    """Files under `place.root`. What a kill leaves unsealed is deleted when it is a day old."""

    def __init__(self, place: HdfsPlace) -> None:
        self.root = place.root.rstrip("/")
        self.servers = ", ".join(place.web)
        self._web = InsecureClient(
            ";".join(f"http://{address}" for address in place.web),
            user=place.user,
            timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
        )
        self._place = place
        self._unsealed = f"{self.root}/{UNSEALED}"
        self._native: HdfsFileSystem | None = None
        self._is_tidy = False  # nothing is queried or made before the first write

    def list(self, folder: str, suffix: str) -> list[str]:
        with answers(folder, self.servers):
            there = [name for name, _ in self._statuses(f"{self.root}/{folder}")]
        return sorted(f"{folder}/{name}" for name in there if name.endswith(suffix))

    def open(self, name: str) -> BinaryIO:
        with readings(name, self.servers):
            file = self._reading().open(f"{self.root}/{name}", "rb")
        reader = Reader(file, name, self.servers)
        return cast("BinaryIO", io.BufferedReader(reader, BUFFER_BYTES))

    def walk(self, folder: str) -> Sequence[str]:
        with readings(folder, self.servers):
            try:
                found = list(self._reading().client.list_status(f"{self.root}/{folder}", True))
            except FileNotFoundError:
                return []
        start = len(self.root) + 1
        return sorted(urlsplit(each.path).path[start:] for each in found if not each.isdir)

    def ages_s(self, folder: str) -> Mapping[str, float]:
        now_s = time.time()
        with answers(folder, self.servers):
            found = self._statuses(f"{self.root}/{folder}")
        return {f"{folder}/{name}": now_s - at_ms / 1000 for name, at_ms in found}

    def seal(self, name: str, data: bytes | Path) -> bool:
        target, temporary = f"{self.root}/{name}", f"{self._unsealed}/{uuid.uuid4().hex}"
        with answers(name, self.servers):
            self._tidy()
            self._web.makedirs(target.rpartition("/")[0])
            try:
                self._upload(temporary, name, data)
                return self._rename(temporary, target)
            except BaseException:
                self._forget(temporary)
                raise

    def move(self, name: str, target: str) -> None:
        source, place = f"{self.root}/{name}", f"{self.root}/{target}"
        with answers(name, self.servers):
            if not self._move(source, place):  # the file is missing, or the folder that it goes to
                self._web.makedirs(place.rpartition("/")[0])
                self._move(source, place)

    def _move(self, source: str, place: str) -> bool:
        """Return True once `place` is taken."""
        try:
            self._rename_if_free(source, place)
        except HdfsError as error:
            if error.exception not in ("FileNotFoundException", "FileAlreadyExistsException"):
                raise
            return bool(error.exception == "FileAlreadyExistsException")
        return True

    def remove(self, name: str) -> None:
        with answers(name, self.servers):
            self._web.delete(f"{self.root}/{name}")

    def _upload(self, temporary: str, name: str, data: bytes | Path) -> None:
        size_bytes = len(data) if isinstance(data, bytes) else data.stat().st_size
        if isinstance(data, bytes):
            self._web.write(temporary, data=data, overwrite=False)
        else:
            with data.open("rb") as file:
                self._web.write(temporary, data=file, overwrite=False)
        length = self._web.status(temporary)["length"]
        if length != size_bytes:
            raise Busy(f"archive {name}: {length} of {size_bytes} bytes arrived", RETRY_AFTER_S)

    def _rename_if_free(self, name: str, target: str) -> None:
        # Not `client.rename`, which moves a file into a folder of the target's name.
        self._web._rename(  # noqa: SLF001 - the only way to give it renameoptions
            name, destination=target, renameoptions="NONE"
        )

    def _rename(self, temporary: str, target: str) -> bool:
        """Return True if the name was free. After a lost answer the retry finds the name taken."""
        try:
            self._rename_if_free(temporary, target)
        except HdfsError as error:
            if error.exception == "FileNotFoundException":
                # The client retries at the other NameNode where the first one's answer got lost.
                reason = f"archive {target}: the upload is gone, perhaps sealed; checking"
                raise Busy(reason, RETRY_AFTER_S) from error
            if error.exception != "FileAlreadyExistsException":
                raise
            self._forget(temporary)
            return False
        return True

    def _forget(self, temporary: str) -> None:
        """Delete what was uploaded; if that can't be done now, it is deleted when a day old."""
        try:
            self._web.delete(temporary)
        except (OSError, HdfsError):
            return

    def _tidy(self) -> None:
        """Once. Modification times are the NameNode's; a day is more than clocks differ."""
        if self._is_tidy:
            return
        self._web.makedirs(self._unsealed)
        for name, modified_at_ms in self._statuses(self._unsealed):
            if time.time() - modified_at_ms / 1000 > STALE_AFTER_S:
                self._web.delete(f"{self._unsealed}/{name}")
        self._is_tidy = True

    def _statuses(self, folder: str) -> Statuses:
        """(name, modification time in ms) of what a folder holds; nothing if there is none."""
        try:
            found = self._web.list(folder, status=True)
        except HdfsError as error:
            if error.exception != "FileNotFoundException":
                raise
            return []
        return [
            (name, int(status["modificationTime"]))
            for name, status in found
            if status["type"] == "FILE"
        ]

    def _reading(self) -> HdfsFileSystem:
        if self._native is None:
            self._native = native(self._place.rpc)
        return self._native


def native(addresses: list[str]) -> HdfsFileSystem:
    """Hadoop's protocol, to whichever of the NameNodes is active."""
    names = [f"nn{number}" for number in range(len(addresses))]
    config = {
        "dfs.nameservices": NAMESERVICE,
        f"dfs.ha.namenodes.{NAMESERVICE}": ",".join(names),
        "dfs.client.failover.max.attempts": FAILOVER_ATTEMPTS,
    }
    for name, address in zip(names, addresses, strict=True):
        config[f"dfs.namenode.rpc-address.{NAMESERVICE}.{name}"] = address
    return HdfsFileSystem(NAMESERVICE, None, **config)


class Reader(io.RawIOBase):
    """A file of hdfs-native whose troubles have our names: pyarrow would call them damage."""

    def __init__(self, file: Any, name: str, servers: str) -> None:  # noqa: ANN401 - fsspec has no type for it
        self._file = file
        self._name = name
        self._servers = servers

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._file.tell())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._file.seek(offset, whence)
        return self.tell()

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - typing has no name for a writable buffer before 3.12
        with readings(self._name, self._servers):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
