"""Requests to release orders that are set aside: a file beside the state, read when `track` starts.

`track` owns the state, so a request is not written into it. A request names the order as it was
set aside, and has no effect on an order that was set aside again meanwhile.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from dataflows.steps import Releases
from schemas.errors import StateError
from schemas.json_faults import json_fault
from schemas.keys import order_key, split_order_key
from schemas.os_faults import os_fault_text
from schemas.private_files import private_binary

FILE = "release.json"


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to be released; `since_at` (ms) and `releases` identify its setting aside."""

    tenant: str
    order_id: str
    since_at: int
    releases: int


decode = msgspec.json.Decoder(list[Request]).decode


def read_releases(folder: Path) -> Releases:
    """The requests in a state folder.

    Raises:
        StateError: the file can't be read.
    """
    path = folder / FILE
    try:
        data = path.read_bytes() if path.exists() else b"[]"
    except OSError as error:
        raise StateError(os_fault_text(error) or f"{path}: {error.strerror}") from error
    try:
        requests = decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = json_fault(error, data)
        raise StateError(f"{path}: {reason}; remove it and request the releases again") from error
    return {order_key(one.tenant, one.order_id): (one.since_at, one.releases) for one in requests}


def write_releases(folder: Path, releases: Releases) -> None:
    """Write the requests in place of those that are there; only the owner can read them.

    Raises:
        StateError: the folder can't be written.
    """
    path = folder / FILE
    begun = path.with_name(f"{FILE}.begun")
    try:
        begun.unlink(missing_ok=True)
        with private_binary(begun) as file:  # it names orders
            file.write(msgspec.json.format(msgspec.json.encode(list(requests_of(releases)))))
        begun.replace(path)
    except OSError as error:
        message = f"{path}: can't be written, {error.strerror}; make the folder writable"
        raise StateError(message) from error


def requests_of(releases: Releases) -> Iterable[Request]:
    """The requests as the file has them."""
    for key, (since_at, count) in sorted(releases.items()):
        yield Request(*split_order_key(key), since_at, count)
