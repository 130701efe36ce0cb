"""The key store in one local file of wrapped keys, shared by the processes of a host.

New keys are appended under a lock. An erased one goes by writing the file anew and putting it in
the old one's place; the others see from the file's identity that they have to read it again. All
lines are held in memory, about half a kilobyte a key: beyond some millions of customers, put a key
service behind the KeyStore protocol. Never on a network disk: locks and fsync don't hold there.

What a backup or an unwiped block still holds of an erased key is wrapped: keep the master key out
of the backups that hold the key file.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock, local

from privacy.key_lines import Line, decode_head, decode_lines, encode_head, encode_line
from privacy.keystore import Key, new_key
from privacy.master import make_master, read_master, replace_durably
from schemas.errors import StateError


class FileKeyStore:
    """A KeyStore in the file `path`; a call costs some 10 us, a new key an fsync (see `batch`)."""

    def __init__(self, path: Path, master_path: Path | None = None) -> None:
        """Open the key file, or make it; `master_path` defaults to `master.key` beside it.

        Both are made at the first start. The master key can lie elsewhere, and should.

        Raises:
            StateError: the master key is missing or another one, or a file can't be used.
        """
        self.path = path
        self.master_path = master_path or path.with_name("master.key")
        self.lock = RLock()
        self.thread = local()
        self.descriptor = -1
        self.unsynced = False
        with self._explained(), self._alone():
            if not path.exists() and not self.master_path.exists():
                make_master(self.master_path)
            self.master = read_master(self.master_path)
            if not path.exists():
                replace_durably(path, [encode_head(self.master)])
        try:
            with self._explained():
                self._read_all()
        except StateError:
            self.close()
            raise

    def key_for(self, tenant: str, customer: str) -> Key:
        digest = self.master.digest(tenant, customer)
        with self.lock, self._explained():
            self._catch_up()
            line = self.by_customer.get(digest) or self._make(digest)
            if not getattr(self.thread, "batches", 0):
                self._sync()
            return self._key(line)

    def find(self, key_id: str) -> Key | None:
        with self.lock, self._explained():
            self._catch_up()
            line = self.by_id.get(key_id)
            return self._key(line) if line else None

    def erase(self, tenant: str, customer: str) -> str | None:
        digest = self.master.digest(tenant, customer)
        with self.lock, self._explained(), self._alone():
            self._catch_up()
            erased = self.by_customer.get(digest)
            if erased is None:
                return None
            kept = (encode_line(line) for line in self.by_id.values() if line is not erased)
            replace_durably(self.path, [encode_head(self.master), *kept])
            self._read_all()
            return erased.key

    @contextmanager
    def batch(self) -> Iterator[None]:
        self.thread.batches = getattr(self.thread, "batches", 0) + 1
        try:
            yield
        finally:
            self.thread.batches -= 1
            with self.lock, self._explained():
                self._sync()

    def close(self) -> None:
        """Let go of the file; the store can't be used any more."""
        with self.lock:
            if self.descriptor >= 0:
                os.close(self.descriptor)
                self.descriptor = -1

    def _key(self, line: Line) -> Key:
        secret = self.master.unwrap(line.wrapped, line.bound_to)
        if secret is None:
            raise StateError(f"{self.path}: key {line.key} is damaged; restore the file")
        return Key(line.key, secret)

    def _make(self, digest: str) -> Line:
        """Append a key, unless another process was first."""
        with self._alone():
            self._catch_up()
            if digest in self.by_customer:
                return self.by_customer[digest]
            key = new_key()
            bare = Line(key.key_id, digest, b"")
            line = Line(key.key_id, digest, self.master.wrap(key.secret, bare.bound_to))
            self._append(encode_line(line))
            self._hold([line])
            return line

    def _append(self, data: bytes) -> None:
        os.ftruncate(self.descriptor, self.size_bytes)  # what a killed process left of a line
        written = os.pwrite(self.descriptor, data, self.size_bytes)
        if written < len(data):
            os.ftruncate(self.descriptor, self.size_bytes)
            raise StateError(f"{self.path}: no room for a new key; free some space")
        self.size_bytes += written
        self.unsynced = True

    def _sync(self) -> None:
        if self.unsynced:
            os.fsync(self.descriptor)
            self.unsynced = False

    def _catch_up(self) -> None:
        """Take in what other processes have appended or erased."""
        now, known = self.path.stat(), os.fstat(self.descriptor)
        is_same = (now.st_dev, now.st_ino) == (known.st_dev, known.st_ino)
        if not is_same or now.st_size < self.size_bytes:
            self._read_all()
        elif now.st_size > self.size_bytes:
            self._read_on()

    def _read_all(self) -> None:
        self.close()
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        self.by_customer: dict[str, Line] = {}
        self.by_id: dict[str, Line] = {}
        self.size_bytes = 0
        self._read_on()

    def _read_on(self) -> None:
        """Read the whole lines that are new; another process may be writing one."""
        length = os.fstat(self.descriptor).st_size - self.size_bytes
        data = os.pread(self.descriptor, length, self.size_bytes)
        data = data[: data.rfind(b"\n") + 1]
        if self.size_bytes == 0:
            rest = decode_head(data, self.master, self.path, self.master_path)
        else:
            rest = data
        lines = decode_lines(rest, self.path)
        self.size_bytes += len(data)
        # Whoever wrote them may not have come to the fsync yet, and we are going to rely on them.
        self.unsynced = self.unsynced or bool(lines)
        self._hold(lines)

    def _hold(self, lines: list[Line]) -> None:
        self.by_customer.update({line.customer: line for line in lines})
        self.by_id.update({line.key: line for line in lines})

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock that processes share."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock_path = self.path.with_name(f"{self.path.name}.lock")
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StateError(f"{self.path}: the key file can't be used, {error}") from error
