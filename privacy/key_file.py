"""The key store in one local file of wrapped keys, shared by the processes of a host.

New keys, links and tombstones are appended under a lock. An erased key is removed by rewriting the
file and replacing the old one; other processes detect the new file and read it again. All lines are
held in memory, about half a kilobyte a key: beyond some millions of customers, put a key service
behind the KeyStore protocol. Never on a network disk: locks and fsync don't hold there.

What a backup or an unwiped block still holds of an erased key is wrapped: keep the master key out
of the backups that hold the key file.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock, local

from privacy.key_lines import (
    Line,
    Link,
    Record,
    decode_head,
    decode_lines,
    encode_head,
    encode_line,
    marked,
)
from privacy.key_marker import (
    RESTORE,
    Marker,
    check_link,
    check_missing,
    check_whole,
    read_marker,
    write_marker,
)
from privacy.keystore import Key, is_customer
from privacy.master import make_master, read_master, replace_durably
from privacy.register import Register, new_key_id, new_secret
from schemas.errors import StateError
from schemas.os_faults import os_fault_text
from schemas.private_files import private_folder


class FileKeyStore:
    """A KeyStore in the file `path`; a call costs some 10 us, a new key an fsync (see `batch`)."""

    def __init__(self, path: Path, master_path: Path | None = None, *, expected: str = "") -> None:
        """Open the key file, or make it; `master_path` defaults to `master.key` beside it.

        Both are made at the first start. The master key can lie elsewhere, and should. Symbolic
        links are followed. `expected` is the id of the file under which something was sealed.

        Raises:
            StateError: a file was lost, cut or damaged, isn't the `expected` one or can't be used,
                or the master key is another one.
        """
        self.path = path
        self.master_path = master_path or path.with_name("master.key")
        self.lock = RLock()
        self.thread = local()
        self.descriptor = -1
        self.unsynced = False
        self.register = Register()
        self.file = ""
        self.alone = -1  # descriptor of the lock while this store holds it
        real = Path(os.path.realpath(path))
        self.lock_path = real.with_name(f"{real.name}.lock")
        try:
            with self._explained(), self._alone():
                self._open(expected)
        except StateError:
            self.close()
            raise

    def _open(self, expected: str) -> None:
        """Open the files, or make them. Alone."""
        for each in (self.path, self.master_path):
            check_link(each)
        marker = read_marker(self.alone, self.lock_path)
        if not self.path.exists():
            check_missing(self.path, marker, expected, self.lock_path)
            if not self.master_path.exists():
                make_master(self.master_path)
        self.master = read_master(self.master_path)
        if not self.path.exists():
            replace_durably(self.path, [encode_head(self.master, new_key_id())])
            marker = None
        self._read_all()
        found = os.fstat(self.descriptor)
        check_whole(self.path, found, self.size_bytes, marker, self.lock_path)
        if expected and self.file != expected:
            raise StateError(
                f"{self.path}: key file {self.file or '(without an id)'}, while the state was "
                f"sealed under key file {expected}; {RESTORE}"
            )
        self.unsynced = True
        self._sync()

    @property
    def has_keys(self) -> bool:
        """Return True once a key, a link or a tombstone has been written."""
        return bool(self.register.by_id or self.register.erased)

    @property
    def is_linking(self) -> bool:
        """As of the last batch: looking at the file for every event would cost 3 us."""
        return self.register.is_linking

    def key_for(self, tenant: str, subject: str) -> Key:
        digest = self.master.digest(tenant, subject)
        with self.lock, self._explained():
            self._catch_up()
            line = self.register.find(digest) or self._make(
                digest, of_customer=is_customer(subject)
            )
            if not getattr(self.thread, "batches", 0):
                self._sync()
            return self._key(line)

    def find(self, key_id: str) -> Key | None:
        with self.lock, self._explained():
            self._catch_up()
            line = self.register.by_id.get(key_id)
            return self._key(line) if line else None

    def is_erased(self, key_id: str) -> bool:
        with self.lock, self._explained():
            self._catch_up()
            return key_id in self.register.erased_ids

    def link(self, tenant: str, below: str, above: str, *, below_tenant: str | None = None) -> None:
        lower = self.master.digest(tenant if below_tenant is None else below_tenant, below)
        upper = self.master.digest(tenant, above)
        with self.lock, self._explained():
            self._catch_up()
            register = self.register
            if upper in register.erased:
                if lower not in register.erased:
                    with self._alone():
                        self._catch_up()
                        self._erase([lower])
            elif register.is_linked(lower, upper):
                return
            elif register.is_relevant(lower):
                links = [(lower, upper), *register.remembered(upper)]
                with self._alone():
                    self._catch_up()
                    self._append_all([Link(*link) for link in links])
            else:
                register.remember(lower, upper)

    def erase(self, tenant: str, *subjects: str, keys: Iterable[str] = ()) -> list[str]:
        digests = [self.master.digest(tenant, subject) for subject in subjects]
        with self.lock, self._explained(), self._alone():
            self._catch_up()
            return self._erase([*digests, *self.register.holders(keys)])

    @contextmanager
    def batch(self) -> Iterator[None]:
        with self.lock, self._explained():
            self._catch_up()
        self.thread.batches = getattr(self.thread, "batches", 0) + 1
        try:
            yield
        finally:
            self.thread.batches -= 1
            with self.lock, self._explained():
                self._sync()

    def close(self) -> None:
        """Close the file; the store can't be used any more."""
        with self.lock:
            if self.descriptor >= 0:
                os.close(self.descriptor)
                self.descriptor = -1

    def _key(self, line: Line) -> Key:
        secret = self.master.unwrap(line.wrapped, line.bound_to)
        if secret is None:
            raise StateError(f"{self.path}: key {line.key} is damaged; restore the file")
        return Key(line.key, secret)

    def _make(self, digest: str, *, of_customer: bool) -> Line:
        """Append a key, unless another process was first."""
        with self._alone():
            self._catch_up()
            if found := self.register.find(digest):
                return found
            bare = Line(new_key_id(), digest, b"", of_customer)
            wrapped = self.master.wrap(new_secret(), bare.bound_to)
            line = Line(bare.key, digest, wrapped, of_customer)
            links = [Link(*link) for link in self.register.remembered(digest)]
            self._append_all([line, *links])
            return line

    def _erase(self, digests: list[str]) -> list[str]:
        """Write tombstones; rewrite the file where a key must leave it. Requires the lock."""
        tombstones, erased = self.register.tombstones(digests)
        self._append_all(tombstones)
        if erased:
            kept = map(encode_line, self.register.records())
            replace_durably(self.path, [encode_head(self.master, self.file), *kept])
            self._read_all()
        self._sync()
        return erased

    def _append_all(self, records: Iterable[Record]) -> None:
        """Append records, each with its mark, and take them in."""
        whole = [one if isinstance(one, Line) else marked(one, self.master) for one in records]
        if whole:
            self._append(b"".join(map(encode_line, whole)))
            self.register.add(whole)

    def _append(self, data: bytes) -> None:
        os.ftruncate(self.descriptor, self.size_bytes)  # what a killed process left of a line
        written = os.pwrite(self.descriptor, data, self.size_bytes)
        if written < len(data):
            os.ftruncate(self.descriptor, self.size_bytes)
            raise StateError(f"{self.path}: no room for a new line; free some space")
        self.size_bytes += written
        self.unsynced = True

    def _sync(self) -> None:
        if not self.unsynced:
            return
        os.fsync(self.descriptor)
        with self._alone():
            found = os.fstat(self.descriptor)
            marker = read_marker(self.alone, self.lock_path)
            is_behind = marker and marker.is_of(found) and marker.durable_bytes >= self.size_bytes
            if not is_behind:
                ids = (self.file, found.st_dev, found.st_ino)
                write_marker(self.alone, Marker(*ids, self.size_bytes, self.has_keys))
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
        recent, self.register = self.register.recent, Register()
        self.register.recent = recent
        self.size_bytes = 0
        self._read_on()

    def _read_on(self) -> None:
        """Read the whole lines that are new; another process may be writing one."""
        length = os.fstat(self.descriptor).st_size - self.size_bytes
        data = os.pread(self.descriptor, length, self.size_bytes)
        data = data[: data.rfind(b"\n") + 1]
        if self.size_bytes == 0:
            self.file, rest = decode_head(data, self.master, self.path, self.master_path)
        else:
            rest = data
        lines = decode_lines(rest, self.master, self.path)
        self.size_bytes += len(data)
        # Whoever wrote them may not have come to the fsync yet, and we are going to rely on them.
        self.unsynced = self.unsynced or bool(lines)
        self.register.add(lines)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock that processes share."""
        with self.lock:
            if self.alone >= 0:
                yield
                return
            private_folder(self.lock_path.parent)
            self.alone = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self.alone, fcntl.LOCK_EX)
                yield
            finally:
                os.close(self.alone)
                self.alone = -1

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StateError(
                f"{self.path}: the key file can't be used, {os_fault_text(error) or error}"
            ) from error
