"""The bucket of an S3-compatible object store: whole objects, and creating one that isn't there.

The client is obstore (the Rust object_store crate: MIT, one 6 MB wheel with no dependencies). It
sends If-None-Match, which pyarrow's S3FileSystem can't; botocore can, and is 16 MB larger.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import ModuleType
from typing import TYPE_CHECKING

from schemas.errors import Busy, SettingsError
from schemas.settings.model import StateSettings

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store

# S3 answers in 20 to 200 ms. The longest request is the commit after new rules, which is all of the
# state: 300 MB at a million orders take this long at 2.5 MB/s.
TIMEOUT_S, CONNECT_TIMEOUT_S = 120, 5
RETRY_AFTER_S = 1.0
LOOK_EVERY_S = 0.1
REGION = "us-east-1"  # for servers that have none


class AlreadyThere(Exception):
    """An object of this name exists."""


class Bucket:
    """The objects below one prefix of a bucket. Thread-safe.

    Every method raises Busy where the store is unavailable, or none that is final, and
    SettingsError where the bucket isn't there or the credentials don't open it.
    """

    def __init__(self, settings: StateSettings, folder: str) -> None:
        """Open the objects of `folder` below the prefix of the settings; no request is sent yet.

        Raises:
            SettingsError: the client isn't installed, or no bucket is named.
        """
        self.client = client()
        self.name = f"s3://{settings.bucket}/{settings.prefix}/{folder}"
        self.where = settings.endpoint or "AWS"
        self.store = opened(settings, folder)

    def create(self, name: str, content: bytes) -> None:
        """Store an object, durable when this returns.

        Raises:
            AlreadyThere: there is one of this name.
        """
        with self.explained(name):
            self.client.put(self.store, name, content, mode="create", use_multipart=False)

    def read(self, name: str) -> bytes | None:
        """An object; None if there is none."""
        with self.explained(name):
            try:
                return bytes(self.client.get(self.store, name).bytes())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    def names(self, folder: str) -> list[str]:
        """The names of all objects below `folder`, sorted."""
        with self.explained(folder):
            return sorted(
                found["path"] for page in self.client.list(self.store, folder) for found in page
            )

    def remove(self, names: list[str]) -> None:
        """Remove objects; one that isn't there is no error."""
        with self.explained(names[0] if names else ""):
            for first in range(0, len(names), 1_000):
                self.client.delete(self.store, names[first : first + 1_000])

    @contextmanager
    def explained(self, name: str) -> Iterator[None]:
        """Translate the client's errors."""
        errors = self.client.exceptions
        try:
            yield
        except errors.AlreadyExistsError as error:
            raise AlreadyThere(f"{self.name}/{name}") from error
        except (errors.PermissionDeniedError, errors.UnauthenticatedError) as error:
            raise SettingsError(
                f"{self.name}: {self.where} refuses these credentials ({first_line(error)}); set "
                "state.access_key and state.secret_key by environment, or let this host's role "
                "list, read, write and delete below state.prefix"
            ) from error
        except FileNotFoundError as error:
            raise SettingsError(
                f"{self.name}: no such bucket at {self.where}; create it, or correct state.bucket "
                "and state.endpoint"
            ) from error
        except errors.BaseError as error:
            reason = f"no answer from {self.where} ({first_line(error)})"
            raise Busy(f"{self.name}: {reason}; check state.endpoint", RETRY_AFTER_S) from error


def client() -> ModuleType:
    """The client library.

    Raises:
        SettingsError: it isn't installed.
    """
    try:
        import obstore  # noqa: PLC0415 - an extra: who keeps state in a folder needs none of it
        import obstore.exceptions  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise SettingsError(
            "state.store = \"s3\" needs its client: pip install 'ordertide[s3]'"
        ) from error
    return obstore


def opened(settings: StateSettings, folder: str) -> "S3Store":
    """The client's store; credentials missing in the settings are found by the client.

    Raises:
        SettingsError: no bucket is named, or the endpoint is no URL.
    """
    from obstore.store import S3Store  # noqa: PLC0415 - an extra

    if not settings.bucket:
        raise SettingsError('state.store = "s3" needs a bucket: set state.bucket')
    is_plain = (settings.endpoint or "").startswith("http://")
    return S3Store(
        settings.bucket,
        prefix=f"{settings.prefix}/{folder}",
        config=config(settings),
        client_options={
            "timeout": timedelta(seconds=TIMEOUT_S),
            "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
            "allow_http": is_plain,
        },
        # One try: whether one that got no answer has arrived is ours to find out.
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=TIMEOUT_S)},
    )


def config(settings: StateSettings) -> "S3Config":
    """The settings in the client's words; it finds by itself what isn't there."""
    found: S3Config = {"region": settings.region or REGION, "checksum_algorithm": "SHA256"}
    if settings.endpoint:
        found["endpoint"] = settings.endpoint
    if settings.access_key:
        found["access_key_id"] = settings.access_key
    if settings.secret_key:
        found["secret_access_key"] = settings.secret_key
    if settings.session_token:
        found["session_token"] = settings.session_token
    return found


def first_line(error: Exception) -> str:
    """First line of an error, without the client's dump of its own error."""
    return str(error).split("\n", 1)[0][:200]


class Patience:
    """Retries of requests to an object store that is unavailable, until stopped."""

    def __init__(self, stopping: Callable[[], bool], waited: Callable[[str], None]) -> None:
        """Create it; `waited` is called with the reason before each retry."""
        self.stopping = stopping
        self.waited = waited

    def wait(self, busy: Busy, wait_s: float) -> None:
        """Wait `wait_s` before the next attempt, or until stopped.

        Raises:
            Busy: stopped; the request may have been executed or not.
        """
        if self.stopping():
            raise busy
        self.waited(busy.reason)
        retry_at_s = time.monotonic() + wait_s
        while not self.stopping() and time.monotonic() < retry_at_s:
            time.sleep(LOOK_EVERY_S)
